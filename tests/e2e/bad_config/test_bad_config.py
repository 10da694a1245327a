"""A server that cannot start says everything that is wrong, where, and what would be right, and exits at once."""

import socket
import subprocess

import petit_e2e
from petit_e2e import BIN, TINY, model_config, write_config


class BadConfig(petit_e2e.TestCase):
    def start(self, body, **options):
        path = write_config(self.directory, body, **options)
        done = subprocess.run([BIN / "petit-server", "--config", path], capture_output=True, text=True, timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("listening on", done.stdout)
        return done.stderr

    def test_three_mistakes_are_reported_together_with_their_lines(self):
        errors = self.start(
            'torch_threads: -1\n'                                            # line 3
            'model { name: "a" checkpoint: "x" prompt { source: "en" target: "fr" } }\n'
            'model { name: "a" checkpoint: "y"\n'                             # line 5: the name again
            '  prompt { source: "en" target: "fr" }\n'
            '  batching { max_rows: -4 } }\n')                                # line 7
        for line in (3, 5, 7):
            self.assertRegex(errors, rf"petit\.textproto:{line}:\d+: ")

    def test_a_syntax_error_has_line_and_column(self):
        self.assertRegex(self.start('model { name: "a"\n  chekpoint: "x" }\n'), r"petit\.textproto:4:\d+: .*chekpoint")

    def test_a_missing_device_fails_the_start(self):
        errors = self.start(model_config("tiny", TINY / "v1_1", 'device: "cuda:0"'))
        self.assertIn("cuda:0", errors)
        self.assertIn("allow_cpu_fallback", errors)

    def test_a_missing_device_may_fall_back(self):
        server = self.serve(model_config("tiny", TINY / "v1_1", 'device: "cuda:0" allow_cpu_fallback: true'))
        version = self.client(server).models("GetModel", name="tiny").versions[0]
        self.assertEqual(version.device, "cpu")

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.assertIn(address, self.start(model_config("tiny", TINY / "v1_1"), listen=address))
            self.assertIn(address, self.start(model_config("tiny", TINY / "v1_1"), metrics=address))

    def test_check_covers_the_jobs(self):
        path = write_config(self.directory, model_config("tiny", TINY / "v1_1") + 'jobs { data_root: "gone"\n nice: 50 }\n')
        done = subprocess.run([BIN / "petit-server", "--check", "--config", path], capture_output=True, text=True,
                              timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"petit\.textproto:4:1: .*no root")
        self.assertRegex(done.stderr, r"petit\.textproto:4:8: .*data_root .*gone")
        self.assertRegex(done.stderr, r"petit\.textproto:5:2: nice is 50")

    def test_a_job_store_has_one_server(self):
        body = model_config("tiny", TINY / "v1_1") + 'jobs { root: "jobs" data_root: "." worker: "/bin/true" }\n'
        server = self.serve(body)
        self.assertIn(str(self.directory / "jobs"), self.start(body))
        self.assertEqual(len(self.client(server).call("petit.v1.JobService", "ListJobs").jobs), 0)

    def test_a_missing_file_is_named(self):
        done = subprocess.run([BIN / "petit-server", "--config", self.directory / "none.textproto"],
                              capture_output=True, text=True, timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("none.textproto", done.stderr)


if __name__ == "__main__":
    petit_e2e.unittest.main()

"""Specs and data that cannot be used are refused with the reason and leave nothing behind; jobs that run out of disk or
memory fail and say so. All the while the server translates."""

import contextlib
import math
import subprocess
import threading

import grpc

import petit_e2e
from petit_e2e import DEMO, model_config, petit
from petit_jobs import JobsTestCase

INVALID = grpc.StatusCode.INVALID_ARGUMENT
GOOD_LINE = b"The house is small.\tLa maison est petite.\n"
# 7 MB in BF16.
BIG_STUDENT = "random { d_model: 128 d_kv: 32 d_ff: 2048 num_heads: 4 encoder_layers: 2 decoder_layers: 2 }"


def without(field):
    return lambda spec: spec.ClearField(field)


def assign(path, value):
    """A change of a spec: assign("training.steps", 3)."""
    *parents, name = path.split(".")

    def change(spec):
        for parent in parents:
            spec = spec[int(parent)] if parent.isdigit() else getattr(spec, parent)
        setattr(spec, name, value)
    return change


def both(*changes):
    return lambda spec: [change(spec) for change in changes]


# What is wrong, and what the message must name.
SPECS = [
    (assign("optimizer.learning_rate", math.nan), "optimizer.learning_rate", "nan"),
    (assign("optimizer.learning_rate", math.inf), "optimizer.learning_rate", "inf"),
    (assign("optimizer.learning_rate", -1e-3), "optimizer.learning_rate", "-0.001"),
    (assign("arms.1.learning_rate", math.nan), "arms[1].learning_rate", "nan"),
    (both(assign("training.steps", 0), assign("training.epochs", 2.0**31)), "training.epochs", "2.14748e+09"),
    (both(assign("training.steps", 0), assign("training.epochs", math.nan)), "training.epochs", "nan"),
    (assign("training.steps", -1), "training.steps", "-1"),
    (assign("arms.1.alpha", 1.5), "arms[1].alpha", "1.5"),
    (assign("arms.0.alpha", math.nan), "arms[0].alpha", "nan"),
    (assign("training.batch_size", -1), "training.batch_size", "-1"),
    (assign("training.dropout", 1.0), "training.dropout", "1"),
    (assign("loss.temperature", -2), "loss.temperature", "-2"),
    (assign("resources.tasks", 2), "resources.tasks", "2"),
    (assign("resources.memory_bytes", 1), "resources.memory_bytes", "1"),
    (assign("resources.device", "tpu:0"), "resources.device", "tpu:0"),
    (assign("student.model", "demo"), "student.model", "vocabulary", "384"),
    (assign("publish_as", "teacher"), "publish_as", "version_policy"),
    (assign("train.0.source_language", "ko"), "train[0].source_language", "ko", "en-fr"),
    (assign("train.0.path", "gone.tsv"), "train[0].path", "gone.tsv", "No such file"),
    (assign("dev.0.path", "gone.tsv"), "dev[0].path", "gone.tsv", "No such file"),
    (assign("train.0.path", "."), "train[0].path", "directory"),
    (assign("train.0.path", "../secret.tsv"), "train[0].path", "../secret.tsv", "data root"),
    (assign("train.0.path", "/etc/passwd"), "train[0].path", "/etc/passwd", "data root"),
    (assign("train.0.path", "link.tsv"), "train[0].path", "link.tsv", "symbolic link"),
    (assign("dev.0.path", "link/secret.tsv"), "dev[0].path", "link/secret.tsv", "symbolic link"),
    (without("arms"), "arms"), (without("train"), "train"), (without("dev"), "dev"), (without("student"), "student"),
]
# Damaged files: their second line is at fault where nothing else is said.
FILES = [
    (GOOD_LINE + b"\xff\xfe\tx\n", "bad.tsv:2", "UTF-8"),
    (GOOD_LINE + b"caf\xc3\tx\n", "bad.tsv:2", "UTF-8"),
    (GOOD_LINE + b"a\0b\tx\n", "bad.tsv:2", "NUL"),
    (GOOD_LINE + b"a\tb\r\n", "bad.tsv:2", "carriage return"),
    (GOOD_LINE + b"one column\n", "bad.tsv:2", "one column"),
    (GOOD_LINE + b"a\tb\tc\n", "bad.tsv:2", "two columns"),
    (GOOD_LINE + b"\n" + GOOD_LINE, "bad.tsv:2", "column"),
    (GOOD_LINE + b" \tx\n", "bad.tsv:2", "first column"),
    (GOOD_LINE + b"x" * (1 << 21), "bad.tsv:2", "longer"),
    (b"\xef\xbb\xbf" + GOOD_LINE, "bad.tsv:1", "byte order mark"),
    (b"", "bad.tsv", "empty"),
]


class JobBadInput(JobsTestCase):
    @contextlib.contextmanager
    def translating(self, server):
        """A client translates until the block ends, and nothing may fail it."""
        stop, failures, done = threading.Event(), [], []

        def translate():
            own = self.client(server)
            while not stop.is_set():
                try:
                    done.append(own.translate("teacher", ["The house is small."], decoding={"max_new_tokens": 8}))
                except grpc.RpcError as error:
                    failures.append(error)

        thread = threading.Thread(target=translate)
        thread.start()
        try:
            self.wait_for(lambda: done or failures, "a translation")
            yield
            before = len(done)
            self.wait_for(lambda: len(done) > before or failures, "another translation")
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failures, [])

    def test_what_cannot_be_used_is_refused_and_leaves_no_job(self):
        data = self.directory / "data"
        (self.directory / "secret.tsv").write_bytes(GOOD_LINE)
        (data / "link.tsv").symlink_to(self.directory / "secret.tsv")
        (data / "link").symlink_to(self.directory)
        server = self.serve_jobs(models=model_config("demo", DEMO / "student"))
        caller = self.client(server)
        with self.translating(server):
            for change, *fragments in SPECS:
                with self.subTest(fragments):
                    spec = self.spec(caller)
                    change(spec)
                    with self.assert_rpc_error(INVALID, *fragments):
                        self.jobs(caller, "CreateJob", spec=spec)
            for content, *fragments in FILES:
                (data / "bad.tsv").write_bytes(content)
                for field in ("train", "dev"):
                    with self.subTest((field, *fragments)):
                        with self.assert_rpc_error(INVALID, f"{field}[0].path", *fragments):
                            self.create(caller, **{field: "bad.tsv"})
            with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND, "teacher", "nobody"):
                spec = self.spec(caller)
                spec.teacher = "nobody"
                self.jobs(caller, "CreateJob", spec=spec)
        self.assertEqual(self.list_names(caller), [])
        self.assertEqual([path.name for path in (self.directory / "jobs").iterdir()
                          if path.is_dir() and path.name != "teacher-cache"], [])

    def test_the_command_says_where_a_spec_is_wrong(self):
        server = self.serve_jobs()
        spec = self.directory / "job.textproto"
        spec.write_text(self.spec_text(extra="loss { temprature: 2 }"))
        done = petit("jobs", "create", "--spec", spec, server=server, check=False)
        line = len(spec.read_text().splitlines())
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{spec}:{line}:", done.stderr)
        self.assertIn("temprature", done.stderr)
        spec.write_text(self.spec_text(arms=(1.5,)))
        done = petit("jobs", "create", "--spec", spec, server=server, check=False)
        self.assertEqual((done.returncode, done.stdout), (4, ""))
        self.assertIn("arms[0].alpha", done.stderr)
        self.assertEqual(self.list_names(self.client(server)), [])

    def serve_on_small_disk(self, where, megabytes):
        """Jobs on a server that sees a file system of this size at `where`, with what is there now copied on it."""
        config = self.write_config()
        where.mkdir(exist_ok=True)
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
        mount = (f'saved={self.directory}/saved; cp -r {where} "$saved"; '
                 f'mount -t tmpfs -o size={megabytes}m tmpfs {where}; cp -r "$saved"/. {where}; rm -r "$saved"')
        probe = subprocess.run([*unshare, mount], capture_output=True, text=True)
        if probe.returncode != 0:
            self.skipTest(f"no mount namespace of one's own here: {probe.stderr}")
        server = petit_e2e.Server(config, wrapper=[*unshare, mount + '; exec "$@"', "sh"])
        self.stack.callback(server.close)
        return server

    def test_a_disk_that_is_full_at_a_checkpoint_fails_the_job_and_no_other(self):
        # Room for a student, but not for three times as much: its state.
        server = self.serve_on_small_disk(self.directory / "jobs", 36)
        caller = self.client(server)
        with self.translating(server):
            name = self.create(caller, student=BIG_STUDENT, arms=(0.5,), training="checkpoint_seconds: 0.1").name
            job = self.wait_until_ended(caller, name, "JOB_STATE_FAILED")
            self.assertIn("/state/", job.error)
            self.assertIn("No space left on device", job.error)
            self.assertEqual(job.attempt, 1)
            self.wait_until_ended(caller, self.create(caller).name)

    def test_a_disk_that_is_full_at_publication_fails_the_job_and_changes_no_version(self):
        server = self.serve_on_small_disk(self.directory / "models", 5)
        caller = self.client(server)
        with self.translating(server):
            name = self.create(caller, student=BIG_STUDENT, arms=(0.5,), extra='publish_as: "published"').name
            job = self.wait_until_ended(caller, name, "JOB_STATE_FAILED")
            for fragment in ("publish_as", "published", "No space left on device", job.students[0].checkpoint):
                self.assertIn(fragment, job.error)
            model = caller.models("GetModel", name="published")
            self.assertEqual((model.served_version, [version.version for version in model.versions]), (1, [1]))
            # The student is there, and a smaller one can be published.
            self.assertTrue((self.directory / name / "students/alpha-0.5/config.json").exists())
            self.wait_until_ended(caller, self.create(caller, extra='publish_as: "published"').name)
            self.assertEqual(caller.models("GetModel", name="published").served_version, 2)

    def test_a_job_that_needs_more_memory_than_it_may_use_fails_and_says_so(self):
        server = self.serve_jobs()
        caller = self.client(server)
        with self.translating(server):
            for mebibytes in (64, 400):
                with self.subTest(mebibytes):
                    spec = self.spec(caller, student=BIG_STUDENT.replace("d_ff: 2048", "d_ff: 65536"), arms=(0.5,))
                    spec.resources.memory_bytes = mebibytes << 20
                    name = self.jobs(caller, "CreateJob", spec=spec).name
                    job = self.wait_until_ended(caller, name, "JOB_STATE_FAILED")
                    self.assertIn("memory", job.error)
                    self.assertIn("resources.memory_bytes", job.error)
                    self.assertEqual(job.attempt, 1)


if __name__ == "__main__":
    petit_e2e.unittest.main()

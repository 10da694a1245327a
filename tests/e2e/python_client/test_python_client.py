"""The example client in Python translates what it is given, line for line."""

import subprocess
import sys

import grpc

import petit_e2e
from petit_e2e import SOURCE, TINY, model_config


class PythonClient(petit_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(model_config("tiny", TINY / "v1_1", "decoding { max_new_tokens: 4 }"))

    def run_example(self, lines, *options, model="tiny"):
        return subprocess.run(
            [sys.executable, SOURCE / "client/python/translate.py", "--server", self.server.address, "--model", model,
             "--from", "en", "--to", "fr", *options],
            input="".join(line + "\n" for line in lines), capture_output=True, text=True, timeout=300)

    def test_lines_become_lines_in_their_order(self):
        lines = [f"sentence number {i}" for i in range(40)]
        done = self.run_example(lines)
        self.assertEqual(done.returncode, 0, done.stderr)
        expected = [result.translation.text for result in self.client(self.server).translate("tiny", lines).results]
        self.assertEqual(done.stdout.split("\n"), [*expected, ""])

    def test_beams_are_the_requests(self):
        done = self.run_example(["the house"], "--beams", "4")
        expected = self.client(self.server).translate("tiny", ["the house"], decoding={"num_beams": 4}).results[0]
        self.assertEqual(done.stdout, expected.translation.text + "\n")

    def test_a_bad_line_leaves_its_place_empty(self):
        done = self.run_example(["the house", " ", "the house"])
        self.assertEqual(done.returncode, 1)
        first, bad, last, rest = done.stdout.split("\n")
        self.assertEqual((first, bad, rest), (last, "", ""))
        self.assertIn("the text is empty", done.stderr)

    def test_errors_are_told_without_a_traceback(self):
        done = self.run_example(["the house"], model="nobody")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^translate\.py: NOT_FOUND: .*tiny")
        self.assertNotIn("Traceback", done.stderr)

    def test_its_stub_calls_any_service(self):
        sys.path.insert(0, str(SOURCE / "client/python"))
        self.addCleanup(sys.path.pop, 0)
        from translate import Stub
        with grpc.insecure_channel(self.server.address) as channel:
            models = Stub(channel, "petit.v1.ModelService").ListModels().models
            self.assertEqual([(model.name, model.served_version) for model in models], [("models/tiny", 1)])
            with self.assert_rpc_error(grpc.StatusCode.NOT_FOUND, "tiny"):
                Stub(channel, "petit.v1.ModelService").GetModel(name="nobody", timeout=60)


if __name__ == "__main__":
    petit_e2e.unittest.main()

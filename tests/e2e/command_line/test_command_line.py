"""The `petit` command: what a person types, and what comes back."""

import json

import petit_e2e
from petit_e2e import DEMO, TINY, model_config, petit


class CommandLine(petit_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        import pathlib
        import tempfile
        cls.home = tempfile.TemporaryDirectory()
        cls.server = petit_e2e.Server(petit_e2e.write_config(
            pathlib.Path(cls.home.name), model_config("teacher", DEMO / "teacher") +
            model_config("teacher-int8", DEMO / "teacher", "precision: INT8") + model_config("tiny", TINY / "v1_1")))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.home.cleanup()

    def run_petit(self, *arguments, **options):
        return petit(*arguments, server=self.server, **options)

    def test_the_readme_s_first_command_prints_french(self):
        done = self.run_petit("translate", "--model", "teacher", "--from", "en", "--to", "fr",
                              stdin=b"This package contains the documentation.\n")
        self.assertEqual(done.stdout, "Ce paquet fournit la documentation.\n")
        same = self.run_petit("translate", "--model", "teacher", "--from", "en", "--to", "fr",
                              "This package contains the documentation.")
        self.assertEqual(same.stdout, done.stdout)

    def test_one_line_in_is_one_line_out_in_order(self):
        lines = [f"This package contains version {i} of the library." for i in range(60)]
        lines[7] = ""
        text = ("\n".join(lines) + "\n").encode()
        streamed = self.run_petit("translate", "--model", "teacher", "--from", "en", "--to", "fr", stdin=text)
        unary = self.run_petit("translate", "--unary", "--model", "teacher", "--from", "en", "--to", "fr", stdin=text)
        out = streamed.stdout.split("\n")
        self.assertEqual(len(out), 61)
        self.assertEqual(out[7], "")
        self.assertEqual(streamed.stdout, unary.stdout)

    def test_a_bad_line_is_named_and_the_others_are_translated(self):
        done = self.run_petit("translate", "--model", "teacher", "--from", "en", "--to", "fr",
                              stdin=b"a library\n\xff\xfe\na library\n", check=False)
        self.assertEqual(done.returncode, 1)
        out = done.stdout.split("\n")
        self.assertEqual(out[0], out[2])
        self.assertNotEqual(out[0], "")
        self.assertIn("2", done.stderr)
        self.assertIn("UTF-8", done.stderr)

    def test_models_list_get_unload_load(self):
        listed = self.run_petit("models", "list").stdout
        for word in ("teacher", "teacher-int8", "tiny", "INT8", "READY"):
            self.assertIn(word, listed)
        self.run_petit("models", "unload", "tiny")
        self.assertIn("UNLOADED", self.run_petit("models", "get", "tiny").stdout)
        self.run_petit("models", "load", "tiny")
        self.assertIn("READY", self.run_petit("models", "get", "tiny").stdout)
        done = self.run_petit("models", "get", "nobody", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("teacher", done.stderr)

    def test_eval_says_what_each_model_costs_and_is_worth(self):
        pairs = self.directory / "pairs.tsv"
        pairs.write_text("This package contains the documentation.\tCe paquet contient la documentation.\n"
                         "This package provides the development files.\tCe paquet fournit les fichiers de développement.\n"
                         "a web browser\tnavigateur web\n" * 5)
        report = self.directory / "report.json"
        done = self.run_petit("eval", "--model", "teacher", "--model", "teacher-int8", "--from", "en", "--to", "fr",
                              "--json", report, "--cache", self.directory / "cache", pairs)
        for word in ("teacher", "teacher-int8", "BLEU", "chrF2", "ROUGE-L", "KL", "P99"):
            self.assertIn(word, done.stdout)
        results = json.loads(report.read_text())
        models, scores, speeds = results["models"], results["results"], results["speeds"]
        self.assertEqual([model["name"] for model in models], ["teacher", "teacher-int8"])
        self.assertGreater(scores[0]["bleu"]["score"], 10)
        self.assertLess(abs(scores[0]["kl"]["nats"]), 1e-6)
        self.assertGreater(scores[1]["kl"]["nats"], 0)
        self.assertEqual([speed["model"] for speed in speeds], ["teacher", "teacher-int8"])
        self.assertTrue(all(speed["median"]["idle"] for speed in speeds), "nobody else was served")
        self.assertLess(models[1]["bytes_in_memory"], models[0]["bytes_in_memory"])

    def test_nobody_there_is_said_kindly(self):
        done = petit("translate", "--server", "127.0.0.1:1", "--model", "teacher", "--from", "en", "--to", "fr", "a",
                     check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("127.0.0.1:1", done.stderr)
        self.assertIn("./dev serve", done.stderr)

    def test_help_and_completion(self):
        for command in ([], ["translate"], ["models"], ["eval"], ["data"], ["completion"]):
            self.assertIn("petit", petit(*command, "--help").stdout)
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("translate", petit("completion", shell).stdout)


if __name__ == "__main__":
    petit_e2e.unittest.main()

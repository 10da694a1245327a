"""`petit load`: counts, exit codes and documents against a real server. What speeds it finds is the benchmarks' matter."""

import json
import os
import signal
import subprocess

import petit_e2e
from petit_e2e import BIN, TINY, model_config, petit
from report import browser


class Load(petit_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        import pathlib
        import tempfile
        cls.home = tempfile.TemporaryDirectory()
        cls.server = petit_e2e.Server(petit_e2e.write_config(
            pathlib.Path(cls.home.name), model_config("tiny", TINY / "v1_1", "decoding { max_new_tokens: 8 }") +
            model_config("other", TINY / "v1_1", "decoding { max_new_tokens: 8 }") +
            model_config("narrow", TINY / "v1_1", "batching { max_queue_length: 1 max_rows: 1 }")))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.home.cleanup()

    def load(self, *arguments, code=0):
        path = self.directory / "load.json"
        done = petit("load", "--json", path, "--warmup", "0", *arguments, server=self.server, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(path.read_text()), done

    def figures(self, document, phase=0):
        """By model; None is all."""
        return {figures["model"]: figures for figures in document["phases"][phase]["figures"]}

    def accepted(self):
        return self.server.metric("petit_requests_total", method="Translate", code="OK")

    def test_every_text_of_an_open_loop_is_sent_and_answered(self):
        before = self.accepted()
        document, done = self.load("--model", "tiny", "--rate", "100", "--requests", "60")
        all_models = self.figures(document)[None]
        self.assertEqual((all_models["sent"], all_models["answered"], all_models["failed"]), (60, 60, 0))
        self.assertEqual(self.accepted() - before, 61, "and one to see that the model answers")
        self.assertEqual(sum(all_models["histogram"]["counts"]), 60)
        for kind in ("latency", "lag", "queue", "first_token"):
            quantiles = all_models[kind]
            self.assertLessEqual(quantiles["p50"], quantiles["p99"])
            self.assertLessEqual(quantiles["p99"], quantiles["max"])
        self.assertGreater(all_models["latency"]["p50"], all_models["first_token"]["p50"])
        self.assertIn("open loop, Poisson arrivals, seed 1", done.stdout)

    def test_two_models_over_streams_share_by_weight(self):
        document, _ = self.load("--model", "tiny", "--model", "other=3", "--streams", "4", "--requests", "80", "--stream")
        figures = self.figures(document)
        self.assertEqual((figures["tiny"]["answered"], figures["other"]["answered"]), (20, 60))

    def test_steps_and_a_page_with_charts(self):
        page = self.directory / "load.html"
        document, _ = self.load("--model", "tiny", "--steps", "50,100", "--duration", "1s", "--arrivals", "constant",
                                "--html", page)
        self.assertEqual([phase["figures"][0]["sent"] for phase in document["phases"]], [50, 100])
        charts = {"latency-0", "throughput", "distribution", "rate-latency", "rate-goodput"}
        for chart in charts:
            self.assertIn(f'id="{chart}"', page.read_text())
        if not browser.find():
            return  # the other tests count all the same
        chromium = browser.Browser()
        self.stack.callback(chromium.close)
        chromium.resize(1280, 900)
        chromium.open(page)
        chromium.evaluate("window.petitReport.then(() => 1)")
        self.assertEqual(set(chromium.evaluate(
            "[...document.querySelectorAll('.chart')].filter((one) => one.querySelector('svg')).map((one) => one.id)")), charts)
        self.assertEqual(chromium.problems, [])

    def test_a_full_queue_is_a_result(self):
        # All at once, to a model that takes one text and lets one wait.
        document, done = self.load("--model", "narrow", "--rate", "100000", "--requests", "50", "--lengths", "60",
                                   "--arrivals", "constant", code=1)
        figures = self.figures(document)[None]
        self.assertEqual(figures["sent"], 50)
        self.assertEqual(figures["answered"] + figures["failed"], 50)
        self.assertEqual([error["code"] for error in figures["errors"]], ["RESOURCE_EXHAUSTED"])
        self.assertIn("RESOURCE_EXHAUSTED", done.stdout)

    def test_the_objective_decides_the_exit_code(self):
        document, _ = self.load("--model", "tiny", "--streams", "2", "--requests", "20", "--slo",
                                "p99=60s,error-rate=0%")
        self.assertTrue(document["phases"][0]["held"])
        self.assertAlmostEqual(document["phases"][0]["figures"][0]["good"], 20)
        document, done = self.load("--model", "tiny", "--streams", "2", "--requests", "20", "--slo", "p50=1us", code=5)
        self.assertFalse(document["phases"][0]["held"])
        self.assertIn("the SLO is broken at 2 in flight: p50=1us: 0.00% of 20 texts", done.stderr)

    def test_deadlines_are_each_call_s(self):
        document, _ = self.load("--model", "tiny", "--rate", "1000", "--requests", "10", "--deadline", "1us", code=1)
        figures = self.figures(document)[None]
        self.assertEqual(figures["errors"][0]["code"], "DEADLINE_EXCEEDED")
        self.assertEqual(figures["errors"][0]["count"], 10)

    def test_what_cannot_be_is_refused_before_anything_is_sent(self):
        before = self.accepted()
        for arguments, code, words in (
                (("--model", "nobody", "--rate", "1"), 4, "nobody"),
                (("--model", "tiny", "--rate", "1", "--from", "xx"), 4, "xx"),
                (("--model", "tiny", "--rate", "0"), 2, "above 0"),
                (("--model", "tiny", "--rate", "1", "--duration", "0s"), 2, "--duration"),
                (("--model", "tiny", "--rate", "1", "--slo", "p99"), 2, "p99=500ms"),
                (("--model", "tiny"), 2, "how much?")):
            done = petit("load", *arguments, server=self.server, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stderr)
        self.assertEqual(self.accepted(), before)
        done = petit("load", "--server", "127.0.0.1:1", "--rate", "1", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("127.0.0.1:1", done.stderr)

    def test_ctrl_c_reports_what_was_sent(self):
        path = self.directory / "load.json"
        process = subprocess.Popen(
            [BIN / "petit", "load", "--model", "tiny", "--streams", "2", "--duration", "1h", "--warmup", "0", "--json", path],
            env={**os.environ, "PETIT_SERVER": self.server.address}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "sent" in line:
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
        self.assertEqual(process.returncode, 130)
        self.assertIn("2 in flight", out)
        document = json.loads(path.read_text())
        self.assertTrue(document["interrupted"])
        figures = self.figures(document)[None]
        self.assertGreater(figures["sent"], 0)
        self.assertEqual(figures["sent"], figures["answered"], "what was in flight is waited for")


if __name__ == "__main__":
    petit_e2e.unittest.main()

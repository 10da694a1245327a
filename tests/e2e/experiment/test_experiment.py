"""deploy/experiments/demo.textproto, as it is committed, fills every cell that it promises; a run that is stopped goes
on; what goes wrong is said, and what was done is kept. The models are tiny here, and the run is a trial."""

import csv
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import petit_e2e
from petit_e2e import BIN, SOURCE, TINY, model_config, petit
from petit_jobs import PAIRS, JobsTestCase, write_pairs

MODELS = ["teacher", "student", "distilled-alpha-0.25", "distilled-alpha-0.5", "distilled-alpha-0.75", "teacher-int8"]
SETS = ["en-fr", "fr-en", "ko-en"]
KOREAN = [("집은 작다.", "The house is small."), ("책은 크다.", "The book is large.")]


class Experiment(JobsTestCase):
    def setUp(self):
        super().setUp()
        # The experiment's paths are relative to its file.
        self.file = self.directory / "deploy/experiments/demo.textproto"
        self.file.parent.mkdir(parents=True)
        shutil.copy(SOURCE / "deploy/experiments/demo.textproto", self.file)
        demo = self.directory / ".demo/data"
        demo.mkdir(parents=True)
        write_pairs(demo / "test.en-fr.tsv", PAIRS)
        write_pairs(demo / "test.fr-en.tsv", [(french, english) for english, french in PAIRS])
        write_pairs(demo / "test.ko-en.tsv", KOREAN)
        for name in ("train", "dev"):
            write_pairs(self.directory / f"data/{name}.en-fr.tsv", PAIRS)
        self.out = self.directory / "out"

    def serve_models(self):
        distilled = "".join(
            f'model {{ name: "{name}" version_policy {{ latest {{}} }} load_later: true {petit_e2e.PROMPT_EN_FR} '
            f'{petit_e2e.PROMPT_FR_EN} }}\n' for name in MODELS if name.startswith("distilled-"))
        int8 = model_config("teacher-int8", TINY / "v1_1", "precision: INT8")
        return self.serve_jobs(models=distilled + int8)

    def run_experiment(self, server, *more, file=None, check=True):
        return petit("experiment", "run", file or self.file, "--out", self.out, *more, server=server, check=check)

    def test_no_cell_is_empty(self):
        server = self.serve_models()
        done = self.run_experiment(server, "--trial", "--random-weights")
        self.assertIn("RANDOM WEIGHTS", done.stdout)
        results = json.loads((self.out / "results.json").read_text())
        self.assertEqual([model["name"] for model in results["models"]], MODELS)
        self.assertEqual([each["name"] for each in results["sets"]], SETS)
        cells = {(result["set"], result["model"]): result for result in results["results"]}
        self.assertEqual(sorted(cells), sorted((each, model) for each in SETS for model in MODELS))
        for cell, result in cells.items():
            with self.subTest(cell=cell):
                for metric in ("bleu", "chrf2", "rouge_l"):
                    for figure in ("score", "mean", "half_width"):
                        self.assertIsInstance(result[metric][figure], (int, float), metric)
                self.assertIsInstance(result["kl"]["nats"], float)
                self.assertEqual(result["pairs"], 2 if cell[0] == "ko-en" else 8)
                self.assertEqual(result["failures"], [])
                if cell[1] == "teacher":
                    self.assertEqual(result["kl"]["nats"], 0)
                else:
                    self.assertGreater(result["kl"]["nats"], 0)
        speeds = {speed["model"] for speed in results["speeds"]}
        self.assertEqual(speeds, set(MODELS))
        self.assertEqual([arm["model"] for arm in results["jobs"][0]["arms"]],
                         [name for name in MODELS if name.startswith("distilled-alpha")])
        self.check_folder(results)
        self.check_resumes(server)

    def check_folder(self, results):
        with open(self.out / "results.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), len(MODELS) * len(SETS))
        for row in rows:
            for column in ("bleu", "bleu_half_width", "chrf2", "rouge_l", "kl"):
                self.assertRegex(row[column], r"^[\d.e-]+$", (row["set"], row["model"], column))
        for each in SETS:
            for model in MODELS:
                lines = (self.out / "hypotheses" / each / f"{model}.txt").read_text().splitlines()
                self.assertEqual(len(lines), 2 if each == "ko-en" else 8)
        manifest = json.loads((self.out / "manifest.json").read_text())
        self.assertEqual(len(manifest["models"]), len(MODELS))
        self.assertEqual({data["set"] for data in manifest["data"]}, set(SETS))
        self.assertRegex(manifest["servers"][0]["build"], r"\d+\.\d+\.\d+")
        self.assertTrue(results["hardware"]["cpu"])
        self.assertIn("distill is jobs/", (self.out / "log.txt").read_text())
        self.assertIn("crossEntropy", (self.out / "jobs/distill.jsonl").read_text())
        page = (self.out / "report.html").read_text()
        self.assertIn('<p class="stamp" role="note">RANDOM WEIGHTS', page)
        charts = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.S)[1])
        # CE and KL are charts of their own, with a line for each alpha.
        ids = {chart["id"] for chart in charts}
        for chart in ("bleu-in", "bleu-out", "rouge-l-in", "rouge-l-out", "job-0-ce", "job-0-kl", "quality-bytes",
                      "quality-speed", "latency-0"):
            self.assertIn(chart, ids)
        for chart in charts:
            if chart["id"] in ("job-0-ce", "job-0-kl"):
                self.assertEqual({each["arm"] for each in chart["spec"]["data"]["values"]},
                                 {"\u03b1 = 0.25", "\u03b1 = 0.5", "\u03b1 = 0.75"})
        self.assertIn("RANDOM WEIGHTS", (self.out / "report.md").read_text())

    def check_resumes(self, server):
        """A second run translates nothing again, creates no job, and finds the same figures."""
        first = json.loads((self.out / "results.json").read_text())
        before = server.metric("petit_target_tokens_total")
        self.run_experiment(server, "--trial", "--random-weights")
        self.assertEqual(server.metric("petit_target_tokens_total"), before)
        self.assertEqual(len(self.list_names(self.client(server))), 1)
        second = json.loads((self.out / "results.json").read_text())
        self.assertEqual(second["results"], first["results"])
        self.assertEqual(second["speeds"], first["speeds"])

    def small(self, **changes):
        """An experiment of two models without a distillation."""
        path = self.directory / "small.textproto"
        path.write_text(f'''name: "small"
            models {{ name: "teacher" role: TEACHER }} models {{ name: "{changes.get("student", "student")}" }}
            sets {{ name: "en-fr" pairs: "{changes.get("pairs", "data/train.en-fr.tsv")}"
                    source_language: "en" target_language: "fr" }}
            decoding {{ max_new_tokens: {changes.get("tokens", 8)} }} measurement {{ concurrency: 1 repeats: 1 }}''')
        return path

    def test_ctrl_c_keeps_what_was_done(self):
        server = self.serve_models()
        file = self.small(tokens=200)
        command = [str(BIN / "petit"), "experiment", "run", str(file), "--out", str(self.out)]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "PETIT_SERVER": server.address})
        self.stack.callback(lambda: (run.kill(), run.wait(), run.stdout.close(), run.stderr.close()))
        self.wait_for(lambda: server.metric("petit_target_tokens_total", model="teacher") > 0, "a first translation")
        self.wait_for(lambda: any(path.read_bytes().count(b"\n") > 2 for path in self.out.glob("journal/*.journal")
                                  if ".score." not in path.name), "a line in the journal")
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate()
        self.assertEqual(run.returncode, 130, errors)
        self.assertIn("the same command goes on", errors)
        self.assertFalse((self.out / "results.json").exists())
        done = self.run_experiment(server, file=file)
        self.assertEqual(done.returncode, 0)
        results = json.loads((self.out / "results.json").read_text())
        self.assertEqual([result["pairs"] for result in results["results"]], [len(PAIRS)] * 2)

    def test_a_model_that_vanishes_is_named_and_the_rest_is_kept(self):
        server = self.serve_models()
        file = self.small()
        petit("models", "unload", "student", server=server)
        failed = self.run_experiment(server, file=file, check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("student", failed.stderr)
        petit("models", "load", "student", server=server)
        self.run_experiment(server, file=file)

    def test_a_full_disk_is_said(self):
        server = self.serve_models()
        (self.out / "journal").mkdir(parents=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(self.out)],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a small file system here (root only)")
        self.stack.callback(lambda: subprocess.run(["umount", "-l", str(self.out)], check=True))
        failed = self.run_experiment(server, file=self.small(), check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("No space left on device", failed.stderr)
        subprocess.run(["mount", "-o", "remount,size=64m", str(self.out)], check=True)
        self.run_experiment(server, file=self.small())
        self.assertTrue((self.out / "report.html").exists())

    def test_bad_experiments_are_named(self):
        server = self.serve_models()
        (self.directory / "data/ragged.tsv").write_text("one\teins\nno tab\n")
        (self.directory / "data/empty.tsv").write_text("")
        (self.directory / "data/bytes.tsv").write_bytes(b"one\teins\n\xff\tzwei\n")
        for pairs, said in (("data/ragged.tsv", "ragged.tsv:2: "), ("data/empty.tsv", "empty.tsv"),
                            ("data/bytes.tsv", "line 2: INVALID_ARGUMENT: byte 1 of the source is not valid UTF-8"), ("data/nowhere.tsv", "nowhere.tsv")):
            with self.subTest(pairs=pairs):
                failed = self.run_experiment(server, file=self.small(pairs=pairs), check=False)
                self.assertNotEqual(failed.returncode, 0)
                self.assertIn(said, failed.stderr)
                shutil.rmtree(self.out, ignore_errors=True)
        failed = self.run_experiment(server, file=self.small(student="nobody"), check=False)
        self.assertIn("there is no model 'nobody'; the server has: ", failed.stderr)


if __name__ == "__main__":
    petit_e2e.unittest.main()

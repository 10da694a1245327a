#!/usr/bin/env python3
"""Writes results.json, a document of schema "petit.results/1" with all its parts and figures that are made up.

    python3 tests/data/report/make_results.py > tests/data/report/results.json

Python 3.11's standard library. The figures come from formulas and a seeded generator.
"""

import json
import math
import random

rng = random.Random(20260101)

SETS = [
    ("en-fr", "en", "fr", False, 2041, 60.0),
    ("fr-en", "fr", "en", False, 2041, 62.0),
    ("news.en-fr", "en", "fr", True, 1500, 74.0),
]
# name, label, role, alpha, precision, parameters, bytes, BLEU on each set, time to the teacher's, KL
MODELS = [
    ("teacher", "Teacher", "teacher", None, "FP32", 60506624, 242026496, (29.42, 31.08, 24.60), 1.0, 0.0),
    ("teacher-int8", "Teacher, INT8", "quantized", None, "INT8", 60506624, 84709376, (29.11, 30.70, 23.95), 0.61,
     0.021),
    ("student", "Student, labels only", "student", 0.0, "FP32", 15614976, 62459904, (21.75, 23.02, 11.40), 0.31, 1.212),
    ("alpha-0.25", "Distilled, α = 0.25", "distilled", 0.25, "FP32", 15614976, 62459904, (24.03, 25.31, 14.38), 0.312,
     0.731),
    ("alpha-0.5", "Distilled, α = 0.5", "distilled", 0.5, "FP32", 15614976, 62459904, (24.88, 26.04, 15.72), 0.309,
     0.604),
    ("alpha-0.5-int8", "Distilled, α = 0.5, INT8", "quantized", 0.5, "INT8", 15614976, 23422464, (24.41, 25.60, 15.10),
     0.22, 0.648),
]
TEACHER_SECONDS = 96.4
STEPS = 1200


def near(value, spread=0.01):
    return round(value * (1 + rng.uniform(-spread, spread)), 4)


def score(value, half_width, p_value):
    return {"score": round(value, 4), "mean": near(value, 0.002), "half_width": near(half_width, 0.05),
            "p_value": p_value}


def result(model, at):
    name, _, role, _, _, _, _, bleus, _, kl = model
    set_name, source, target, out, pairs, _ = SETS[at]
    bleu = bleus[at]
    baseline = bleus[at] - MODELS[2][7][at]
    p = None if name == "student" else 0.001 if abs(baseline) > 1 else 0.12
    failures = []
    if name == "alpha-0.5-int8" and out:
        failures = [{"line": 713, "code": "INVALID_ARGUMENT", "message": "the text has 1,204 tokens; at most 512 fit"},
                    {"line": 1102, "code": "DEADLINE_EXCEEDED", "message": "the text waited <60 s> & was dropped"}]
    return {
        "model": name, "set": set_name, "pairs": pairs,
        "bleu": score(bleu, 0.82 if not out else 1.05, p), "chrf2": score(28 + bleu, 0.66, p),
        "rouge_l": score(24 + bleu * 0.98, 0.74, p), "rouge_l_unicode": score(26 + bleu * 0.98, 0.73, p),
        "kl": {"nats": near(kl * (1.5 if out else 1)), "tokens": pairs * 24} if target == "fr" else None,
        "perplexity": near(math.exp(1.35 + kl * 0.9)),
        "agreement": None if role == "teacher" else {
            "exact": near(0.62 * math.exp(-2 * kl)), "bleu": near(92 * math.exp(-kl))},
        "length_ratio": near(0.985), "empty": 0, "truncated": int(3 * kl), "source_unknown_rate": near(0.0012, 0.2),
        "source_tokens": pairs * 22, "target_tokens": pairs * 24, "failures": failures}


def passes(seconds, pairs):
    made = []
    for i in range(3):
        took = near(seconds, 0.012)
        p50 = took / pairs
        made.append({
            "seconds": took, "sentences_per_second": round(pairs / took, 3),
            "tokens_per_second": round(24 * pairs / took, 1),
            "latency": {"p50": round(p50 * 0.9, 5), "p95": round(p50 * 2.4, 5), "p99": round(p50 * 3.6, 5)},
            "first_token": {"p50": round(p50 * 0.11, 5), "p95": round(p50 * 0.2, 5), "p99": round(p50 * 0.3, 5)},
            "idle": i > 0 or pairs != 1500})
    return made


def speed(model, at, edges):
    set_name, _, _, _, pairs, _ = SETS[at]
    seconds = TEACHER_SECONDS * model[8] * pairs / 2041
    made = passes(seconds, pairs)
    median = sorted(made, key=lambda one: one["seconds"])[1]
    longest, shortest = (pick(one["seconds"] for one in made) for pick in (max, min))
    counts = [0] * (len(edges) - 1)
    for _ in range(3 * pairs):
        latency = seconds / pairs * 0.9 * math.exp(rng.gauss(0, 0.55))
        for i in range(len(counts)):
            if edges[i] <= latency < edges[i + 1]:
                counts[i] += 1
    return {"model": model[0], "set": set_name, "concurrency": 1, "passes": made,
            "median": {key: median[key] for key in median if key != "idle"},
            "spread": round((longest - shortest) / median["seconds"], 4), "time_ratio": model[8],
            "latency_histogram": {"edges": edges, "counts": counts}}


def job():
    arms = [(0.0, "student"), (0.25, "alpha-0.25"), (0.5, "alpha-0.5"), (1.0, None)]
    curves, dev = [], []
    for alpha, _ in arms:
        name = f"alpha-{alpha:g}"
        for step in range(60, STEPS + 1, 60):
            fall = math.exp(-step / 260)
            curves.append({"arm": name, "step": step, "cross_entropy": near(2.05 + 0.3 * alpha + 5.2 * fall, 0.02),
                           "kl": None if alpha == 0 else near(0.5 + 0.25 * (1 - alpha) + 3.6 * fall, 0.02),
                           "learning_rate": round(0.004 * min(1, step / 100) * (1 - step / 1500), 6),
                           "tokens_per_second": round(rng.uniform(8600, 9400))})
        for step in range(100, STEPS + 1, 100):
            rise = 1 - math.exp(-step / 380)
            over = max(0, step - 900) / 3000 * (1 - alpha)
            for set_name, out, top in (("descriptions", False, 25), ("news", True, 15)):
                gain = top * (0.86 + 0.16 * math.sin(math.pi * min(alpha, 0.8)))
                dev.append({"arm": name, "set": set_name, "out_of_domain": out, "step": step,
                            "bleu": near(gain * rise - 4 * over, 0.02), "chrf2": near(20 + gain * rise, 0.02),
                            "cross_entropy": near(2.3 + 0.2 * alpha + 4 * math.exp(-step / 240) + over + out, 0.01),
                            "kl": near(0.7 + 0.3 * (1 - alpha) + 3 * math.exp(-step / 240) + over + 0.4 * out, 0.01)})
    spec = ('experiment: "distill"\nteacher: "teacher"\nsteps: 1200\narm { alpha: 0 }\narm { alpha: 0.25 }\n'
            'arm { alpha: 0.5 }\narm { alpha: 1 }\n')
    return {"name": "jobs/4f2c", "experiment": "distill", "state": "SUCCEEDED", "seconds": 2710.4, "spec": spec,
            "arms": [{"arm": f"alpha-{alpha:g}", "alpha": alpha, "learning_rate": 0.004, "model": model}
                     for alpha, model in arms],
            "curves": curves, "dev": dev}


# Source, reference, and what the teacher, its INT8 copy, the student, the distilled and its INT8 copy make of it.
TEXTS = [
    ("This package contains the documentation.", "Ce paquet contient la documentation.",
     ["Ce paquet contient la documentation.", "Ce paquet contient la documentation.", "Ce paquet fournit des documents.",
      "Ce paquet fournit la documentation.", "Ce paquet fournit la documentation."]),
    ("It escapes <script>alert(1)</script> & \"quotes\" in every page.",
     "Il échappe <script>alert(1)</script> & les « guillemets » dans chaque page.",
     ["Il échappe <script>alert(1)</script> & les « guillemets » dans chaque page.",
      "Il échappe <script>alert(1)</script> et les « guillemets » dans chaque page.",
      "Il a échappé un <script> à toutes les pages.", "Il échappe <script>alert(1)</script> & « citations » de chaque page.",
      "Il échappe <script>alert(1)</script> & « citations » en page."]),
    ("A small library to read and write configuration files, with no dependencies.",
     "Une petite bibliothèque pour lire et écrire des fichiers de configuration, sans dépendance.",
     ["Une petite bibliothèque pour lire et écrire des fichiers de configuration, sans dépendances.",
      "Petite bibliothèque pour lire et écrire les fichiers de configuration, sans dépendances.",
      "Une bibliothèque pour les fichiers de configuration.",
      "Une petite bibliothèque de lecture et d'écriture de fichiers de configuration, sans dépendance.",
      "Une petite bibliothèque de lecture et d'écriture de fichiers de configuration."]),
]


def examples():
    models = [model[0] for model in MODELS if model[0] != "alpha-0.25"]
    made = []
    for i in range(10):
        source, reference, outputs = TEXTS[i % 3]
        made.append({"set": SETS[0 if i < 7 else 2][0], "line": 17 + 101 * i, "source": source, "reference": reference,
                     "disagreement": round(0.9 - 0.03 * i, 2),
                     "hypotheses": [{"model": model, "text": text, "bleu": 100.0 if text == reference else near(38, 0.5)}
                                    for model, text in zip(models, outputs)]})
    return made


def main():
    edges = [round(0.002 * 1.25 ** i, 6) for i in range(26)]
    teacher = MODELS[0]
    document = {
        "schema": "petit.results/1", "name": "sample", "title": "Distillation against quantization",
        "description": "A sample for tests: its figures are made up.", "random_weights": False,
        "started": "2026-01-15T09:30:00Z", "finished": "2026-01-15T11:02:41Z",
        "command": "petit experiment run deploy/experiments/demo.textproto",
        "versions": {"client": "0.1.0", "server": "0.1.0", "git_revision": "0123456789abcdef0123456789abcdef01234567"},
        "hardware": {"cpu": "AMD EPYC 7763 64-Core Processor", "logical_cpus": 2, "memory_bytes": 25000000000,
                     "os": "Debian GNU/Linux 12 (bookworm)"},
        "settings": {"decoding": "greedy, at most 128 tokens", "concurrency": 32, "speed_concurrency": 1, "repeats": 3,
                     "bootstrap_samples": 1000, "seed": 12345, "confidence": 0.95},
        "signatures": {"bleu": "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp",
                       "chrf2": "nrefs:1|bs:1000|seed:12345|case:mixed|eff:yes|nc:6|nw:0|space:no",
                       "rouge_l": "f1|stem:no|tok:ascii", "rouge_l_unicode": "f1|stem:no|tok:unicode"},
        "teacher": "teacher", "baseline": "student", "main_set": "en-fr",
        "sets": [{"name": name, "source_language": source, "target_language": target, "out_of_domain": out,
                  "pairs": pairs, "pairs_there": pairs, "skip": 0,
                  "files": [{"path": f"test.{name}.tsv", "sha256": f"{rng.getrandbits(256):064x}"}],
                  "note": "sentences of newspapers" if out else ""} for name, source, target, out, pairs, _ in SETS],
        "models": [{"name": name, "label": label, "role": role, "alpha": alpha, "server": "127.0.0.1:50051",
                    "version": 1,
                    "digest": f"{rng.getrandbits(256):064x}", "executor": "TORCH", "precision": precision, "device": "cpu",
                    "parameters": parameters, "bytes_in_memory": size, "bytes_on_disk": 4 * parameters + 811204,
                    "memory_ratio": round(size / teacher[6], 4), "disk_ratio": round(parameters / teacher[5], 4)}
                   for name, label, role, alpha, precision, parameters, size, _, _, _ in MODELS],
        "results": [result(model, at) for model in MODELS for at in range(len(SETS))],
        "speeds": [speed(model, at, edges) for at in (0, 2) for model in MODELS],
        "jobs": [job()], "examples": examples(),
        "problems": ["fr-en: no KL: the teacher's reverse prompt is not configured"]}
    # A line for each element of a list: small, and readable in a diff.
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value and key != "jobs":
            body = ",\n".join("  " + json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in value)
            lines.append(f' "{key}": [\n{body}\n ]')
        else:
            lines.append(f' "{key}": {json.dumps(value, ensure_ascii=False, separators=(",", ":"))}')
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()

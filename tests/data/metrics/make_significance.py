#!/usr/bin/env python3
"""Makes the golden file of the significance tests with the real packages.

Versions: sacrebleu 2.6.0, rouge_score 0.1.2 (no stemmer), numpy 2.4.6.
Usage: make_significance.py figures
       make_significance.py pairs TEST.en-fr.tsv TEACHER.txt STUDENT.txt TEST.ko-en.tsv

`figures` reads references.txt, teacher.txt and student.txt beside this file and writes significance.json.
`pairs` makes those three of the demo's test set, of what the demo's models made of it (`petit translate --model M
--file SOURCES`, greedy), and of the Korean test set, as its translators wrote it. What those do not hold is added:
the no-break spaces of French typography, Chinese and Japanese, empty lines.

sacreBLEU has no ROUGE: its paired tests are repeated here on the mean of the sentences' F1, in whole steps of 2^-40.
"""

import json
import pathlib
import random
import re
import sys
from importlib.metadata import version

import numpy as np
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest, estimate_ci

assert version("sacrebleu") == "2.6.0" and version("rouge_score") == "0.1.2" and version("numpy") == "2.4.6"

HERE = pathlib.Path(__file__).parent
NAMES = ("references", "teacher", "student")
SEED = 12345
EXTRA = [
    # Reference, teacher, student.
    ("", "", ""), ("", "un mot", ""), ("un mot", "", ""), ("", "", "un mot"), ("deux mots", "", "deux mots"),
    ("\u00a0", "\u00a0", " "), ("...", "...", "…"),
    ("你好，世界。", "你好世界。", "您好，世界！"), ("文本编辑器", "文本编辑器", "文字编辑器"),
    ("日本語の文書を表示する。", "日本語文書の表示。", "日本語の文書を表示"), ("テキストエディタ", "テキスト・エディタ", "エディタ"),
    ("Straße 1,5 km – «\u00a0été\u00a0» à 10\u202f%", "Strasse 1.5 km - « été » à 10 %", "Straße 1,5 km"),
    ("e\u0301te\u0301", "été", "ete"), ("\U0001f600 oui", "oui \U0001f600", "oui"),
]


def french_spaces(line):
    line = re.sub(r" ([:»])", "\u00a0\\1", line)
    line = re.sub(r"« ", "«\u00a0", line)
    return re.sub(r" ([;!?])", "\u202f\\1", line)


def disturb(rng, line):
    words = line.split(" ")
    for _ in range(1 + len(words) // 4):
        at = rng.randrange(len(words))
        if rng.random() < 0.5:
            words[at] = words[at][:-1]
        else:
            words.insert(at, words.pop(rng.randrange(len(words))))
    return " ".join(word for word in words if word)


def read(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        return file.read().split("\n")[:-1]


def make_pairs(test, teacher, student, korean):
    rng = random.Random(SEED)
    rows = []
    for at, (pair, good, bad) in enumerate(zip(read(test), read(teacher), read(student), strict=True)):
        reference = pair.split("\t")[1]
        rows.append((french_spaces(reference) if at % 4 == 0 else reference, good, bad))
    rows = rows[:1940]
    for pair in read(korean)[:60]:
        reference = pair.split("\t")[0]
        rows.append((reference, disturb(rng, reference), disturb(rng, disturb(rng, reference))))
    rows += EXTRA
    rng.shuffle(rows)
    for name, column in zip(NAMES, zip(*rows)):
        with open(HERE / f"{name}.txt", "w", encoding="utf-8", newline="\n") as out:
            out.write("".join(line + "\n" for line in column))


def f1(hypotheses, references):
    rouge = rouge_scorer.RougeScorer(["rougeL"])
    return [rouge.score(r, h)["rougeL"].fmeasure for h, r in zip(hypotheses, references)]


def whole(values):
    return np.array([round(value * 2**40) for value in values], dtype=np.int64)


def mean_score(sums, count):
    return 100.0 * (sums * 2.0**-40) / count


def interval(mean, half_width):
    return {"mean": float(mean), "half_width": float(half_width)}


def p_value(larger, trials):
    return (int(larger) + 1) / (trials + 1)


def rouge_tests(baseline, system, samples, trials):
    count = len(system)
    baseline, system = whole(baseline), whole(system)
    scores = [mean_score(side.sum(), count) for side in (baseline, system)]
    difference = abs(scores[0] - scores[1])
    at = np.random.default_rng(SEED).choice(count, size=(samples, count), replace=True)
    resampled = [mean_score(side[at].sum(1), count) for side in (baseline, system)]
    differences = np.abs(resampled[1] - resampled[0])
    intervals = [interval(*estimate_ci(side)) for side in resampled]
    bootstrap = {"baseline": float(scores[0]), "system": float(scores[1]), "baseline_interval": intervals[0],
                 "system_interval": intervals[1],
                 "p": p_value((differences - differences.mean() > difference).sum(), samples)}
    coins = np.random.default_rng(SEED).integers(2, size=(trials, count), dtype=bool)
    first = coins @ baseline + ~coins @ system
    second = baseline.sum() + system.sum() - first
    larger = (np.abs(mean_score(first, count) - mean_score(second, count)) > difference).sum()
    randomization = {"baseline": float(scores[0]), "system": float(scores[1]), "p": p_value(larger, trials)}
    return bootstrap, randomization


def paired(kind, metric, baseline, system, references, trials):
    signatures, results = PairedTest([("Baseline", baseline), ("System", system)], {metric.__name__: metric()},
                                     [references], test_type=kind, n_samples=trials)()
    (name,) = signatures
    of_baseline, of_system = results[name]
    case = {"baseline": float(of_baseline.score), "system": float(of_system.score), "p": float(of_system.p_value),
            "signature": str(signatures[name])}
    if kind == "bs":
        case["baseline_interval"] = interval(of_baseline.mean, of_baseline.ci)
        case["system_interval"] = interval(of_system.mean, of_system.ci)
    return case


def make_figures():
    texts = {name: read(HERE / f"{name}.txt") for name in NAMES}
    references = texts["references"]
    count = len(references)
    # Nearly the teacher's: every 25th line is the student's.
    mixed = [texts["student"][i] if i % 25 == 0 else texts["teacher"][i] for i in range(count)]
    # The student's with two lines of the teacher's: many trials are equal.
    close = [texts["teacher"][i] if i in (3, 5) else texts["student"][i] for i in range(count)]
    # Halves of each, for p-values in the middle.
    even, odd = ([texts["teacher" if i % 2 == side else "student"][i] for i in range(count)] for side in (0, 1))
    systems = {"teacher": texts["teacher"], "student": texts["student"], "mixed": mixed, "close": close,
               "even": even, "odd": odd}
    scores, sentences = {}, {}
    for name, hypotheses in systems.items():
        bleu, chrf = BLEU(), CHRF()
        scores[name] = {
            "bleu": bleu.corpus_score(hypotheses, [references], n_bootstrap=1000),
            "chrf": chrf.corpus_score(hypotheses, [references], n_bootstrap=1000),
        }
        scores[name] = {metric: {"score": float(score.score), "mean": float(score._mean), "ci": float(score._ci),
                                 "text": score.format(width=2)} for metric, score in scores[name].items()}
        sentences[name] = f1(hypotheses, references)
        scores[name]["rouge"] = 100 * sum(sentences[name]) / count
    cases = []
    for baseline, system, first, last, samples, trials in [
            ("teacher", "student", 0, count, 1000, 10000), ("teacher", "mixed", 0, count, 1000, 10000),
            ("even", "odd", 0, count, 1000, 10000), ("odd", "even", 900, 1000, 1000, 10000),
            ("student", "close", 0, count, 1000, 10000), ("student", "student", 0, count, 1000, 10000),
            ("mixed", "teacher", 0, count, 300, 777), ("teacher", "student", 0, 37, 1000, 10000),
            ("teacher", "mixed", 100, 357, 999, 4000), ("teacher", "student", 7, 8, 50, 50),
            ("teacher", "student", 20, 23, 1000, 1000)]:
        one, other, right = systems[baseline][first:last], systems[system][first:last], references[first:last]
        rouge = rouge_tests(sentences[baseline][first:last], sentences[system][first:last], samples, trials)
        cases.append({
            "baseline": baseline, "system": system, "first": first, "last": last, "samples": samples, "trials": trials,
            "bs": {"bleu": paired("bs", BLEU, one, other, right, samples),
                   "chrf": paired("bs", CHRF, one, other, right, samples), "rouge": rouge[0]},
            "ar": {"bleu": paired("ar", BLEU, one, other, right, trials),
                   "chrf": paired("ar", CHRF, one, other, right, trials), "rouge": rouge[1]}})
    draws = {}
    for seed in (0, 1, 12345, 2**40 + 7):
        rng = np.random.default_rng(seed)
        draws[str(seed)] = {
            "raw": [int(x) for x in np.random.default_rng(seed).bit_generator.random_raw(3)],
            "choices": [rng.choice(bound, size=5).tolist() for bound in (1, 2, 10, 2000, 3 << 30)],
            "coins": np.random.default_rng(seed).integers(2, size=70, dtype=bool).astype(int).tolist()}
    means = []
    for size in (1, 7, 8, 9, 128, 129, 1000, 1001):
        values = np.random.default_rng(size).random(size) * 100
        means.append({"size": size, "single": float(values.astype(np.float32).mean()), "double": float(values.mean())})
    rows = [f'"sacrebleu":"2.6.0","rouge_score":"0.1.2","numpy":"2.4.6","pairs":{count}',
            '"draws":' + json.dumps(draws), '"means":' + json.dumps(means), '"scores":' + json.dumps(scores),
            '"cases":[\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]"]
    with open(HERE / "significance.json", "w", encoding="ascii") as out:
        out.write("{" + ",\n".join(rows) + "}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["pairs"]:
        make_pairs(*sys.argv[2:])
    elif sys.argv[1:] == ["figures"]:
        make_figures()
    else:
        sys.exit(__doc__)

"""Writes goldens for decoding: what generate() of Hugging Face does on scripted models (scripted_t5.py).

Needs transformers 4.57.6 and torch 2.11.0 (CPU). Run it from this folder:

    python make_decoding_goldens.py

Cases whose outcome hangs on a near-tie (a gap below 1e-3), or on the order torch.topk happens to give to equals, are
dropped and counted: no two correct implementations must agree on them.
"""

import json
import math
import random

import numpy as np
import torch
import transformers
from scripted_t5 import ScriptedT5, hashed, hashed_table, run, stable_topk
from transformers.generation import logits_process


def rounded(value):
    if isinstance(value, float):
        assert math.isfinite(value)
        return float(f"{value:.8g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def ends_well(results):
    return all(math.isfinite(x) for many in results for r in many for x in [r["score"], *r["transitions"]])


# Percentages of EOS, 2, 3, 4 after the ids 0, 2, 3, 4.
PERCENT = {
    "A": {0: (5, 45, 35, 15), 2: (6, 13, 53, 28), 3: (41, 20, 5, 34), 4: (94, 1, 4, 1)},
    "B": {0: (4, 1, 13, 82), 2: (1, 1, 1, 97), 3: (6, 56, 37, 1), 4: (34, 4, 29, 33)},
    "C": {0: (36, 50, 1, 13), 2: (8, 32, 29, 31), 3: (13, 46, 20, 21), 4: (19, 1, 4, 76)},
    "D": {0: (7, 38, 19, 36), 2: (4, 21, 31, 44), 3: (3, 37, 40, 20), 4: (44, 42, 7, 7)},
    "E": {0: (4, 58, 1, 37), 2: (44, 10, 1, 45), 3: (32, 23, 8, 37), 4: (89, 1, 9, 1)},
    # Ends at once, after one token, after three; for batches of different lengths.
    "now": {0: (90, 4, 3, 3), 2: (60, 20, 15, 5), 3: (70, 10, 15, 5), 4: (80, 10, 6, 4)},
    "soon": {0: (1, 90, 5, 4), 2: (90, 1, 5, 4), 3: (60, 20, 15, 5), 4: (55, 25, 15, 5)},
    "later": {0: (1, 90, 5, 4), 2: (5, 1, 90, 4), 3: (1, 2, 4, 93), 4: (90, 5, 3, 2)},
    # 2 and 3 are equally good: the lower id wins.
    "tie": {0: (10, 40, 40, 10), 2: (10, 10, 40, 40), 3: (70, 10, 10, 10), 4: (80, 10, 6, 4)},
}


def percent_table(name, shift=0.0):
    rows = dict(PERCENT[name])
    rows[1] = rows[0]  # after EOS: read only by beams that outlive it where bans leave nothing else
    return [[-60.0 + shift] + [float(np.float32(math.log(p / 100) + shift)) for p in rows[i]] for i in range(5)]


def named_cases():
    tables = {name: percent_table(name) for name in PERCENT}
    tables.update({name + "+3": percent_table(name, 3.0) for name in "ABCDE"})
    model = ScriptedT5(5)
    names = list(tables)
    model.tables = [(torch.tensor(tables[name]), None) for name in names]
    cases, dropped = [], []

    def add(name, table, options, upstream=None, tie=False, expect=None):
        """Alone, and as each place of a batch of three with other tables: the same, or there is no golden."""
        index = names.index(table)
        alone = run(model, [index], options, upstream)[0]
        if model.near_tie and not tie:
            assert expect is None, name
            dropped.append(name)
            return
        for place in range(3):
            batch = [names.index(other) for other in ("A", "B", "D")]
            batch[place] = index
            together = run(model, batch, options, upstream)[place]
            # Beyond a sequence's own end its transition scores are zeros of the batch's length: cut by run().
            assert [r["ids"] for r in together] == [r["ids"] for r in alone], name
        if expect is not None:
            got = [r["ids"] + (["EOS"] if r["eos"] else []) for r in alone]
            assert got[: len(expect)] == expect, (name, got, expect)
        cases.append({"name": name, "table": table, "options": options, "results": alone})

    # Lengths in greedy search.
    for n in (1, 5):
        add(f"max_new_tokens {n}", "B", {"max_new_tokens": n})
    add("max_length 5", "B", {"max_new_tokens": 4}, {"max_length": 5})
    add("min_new_tokens 4", "now", {"max_new_tokens": 11, "min_new_tokens": 4})
    add("equal ids", "tie", {"max_new_tokens": 11}, tie=True)
    lengths = [names.index(name) for name in ("now", "soon", "later")]
    together = run(model, lengths, {"max_new_tokens": 11})
    for place, name in enumerate(("now", "soon", "later")):
        add(f"of three lengths: {name}", name, {"max_new_tokens": 11})
        assert cases[-1]["results"][0]["ids"] == together[place][0]["ids"]

    # The divisor.
    divisor = {"max_new_tokens": 11, "num_beams": 3, "num_return_sequences": 3, "early_stopping": True}
    expected = {
        1.0: [[2, 4, "EOS"], [4, 2, 4, "EOS"], [4, "EOS"]],
        0.0: [[4, "EOS"]],
        -1.0: [[4, "EOS"]],
        2.0: [[4, 2, 4, "EOS"]],
        0.5: None,
    }
    for penalty, expect in expected.items():
        add(f"divisor, length_penalty {penalty}", "D", dict(divisor, length_penalty=penalty), expect=expect)

    # EOS outside the best num_beams is lost.
    add(
        "rank of EOS",
        "E",
        {"max_new_tokens": 11, "num_beams": 2, "num_return_sequences": 2, "early_stopping": True},
        expect=[[2, 4, "EOS"], [4, "EOS"]],
    )

    # Stopping.
    stopping = {
        ("A", 11): {False: [2, 4, "EOS"], True: [2, 4, "EOS"], "never": [2, 3, 4, "EOS"]},
        ("B", 9): {True: [4, "EOS"], False: [4, 3, 2, 4, "EOS"], "never": [4, 3, 2, 4, 3, 2, 4, "EOS"]},
        ("C", 4): {True: [2, 4, 4, 4], False: None, "never": None},
        ("D", 11): dict.fromkeys((False, True, "never")),
        ("E", 11): dict.fromkeys((False, True, "never")),
    }
    for (table, n), expectations in stopping.items():
        for early, expect in expectations.items():
            options = {"max_new_tokens": n, "num_beams": 2, "num_return_sequences": 2, "early_stopping": early}
            add(f"early_stopping {early}, table {table}", table, options, expect=expect and [expect])

    # Processors, on logits above zero.
    processors = {
        "repetition_penalty": {"repetition_penalty": 1.5},
        "no_repeat_ngram": {"no_repeat_ngram_size": 2},
        "bad_words": {"bad_words": [[3, 4], [1], [2]]},
        "min_length": {"min_new_tokens": 3},
        "forced_eos": {"forced_eos": 1},
        "forced_bos": {"forced_bos": 3},
    }
    together = {name: value for part in processors.values() for name, value in part.items() if name != "forced_bos"}
    processors["together"] = together
    for letter in "ABCDE":
        for beams in (1, 2):
            for name, part in processors.items():
                options = {"max_new_tokens": 6, "num_beams": beams, "num_return_sequences": beams, **part}
                upstream = None
                if "min_new_tokens" in part:
                    upstream = {"max_new_tokens": 6, "min_length": 4}
                add(f"{name}, beams {beams}, table {letter}", letter + "+3", options, upstream)
    return tables, cases, dropped


def random_options(rng, vocab):
    options = {"max_new_tokens": rng.randint(1, 11 if vocab == 5 else 16)}
    options["num_beams"] = rng.choice((1, 2, 2, 3, 4, 5))
    options["num_return_sequences"] = rng.randint(1, min(3, options["num_beams"]))
    options["length_penalty"] = rng.choice((-1.0, 0.0, 0.5, 1.0, 1.0, 2.0))
    options["early_stopping"] = rng.choice((False, True, "never"))
    if rng.random() < 0.25:
        options["repetition_penalty"] = rng.choice((0.75, 1.25, 1.5, 2.0))
    if rng.random() < 0.25:
        options["no_repeat_ngram_size"] = rng.randint(1, 3)
    if rng.random() < 0.25:
        options["bad_words"] = [
            [rng.randrange(vocab) for _ in range(rng.choice((1, 2, 2, 3)))] for _ in range(rng.randint(1, 4))
        ]
    if rng.random() < 0.2:
        options["min_new_tokens"] = rng.randint(1, options["max_new_tokens"])
    if rng.random() < 0.1:
        options["forced_bos"] = rng.randrange(2, vocab)
    if rng.random() < 0.1:
        options["forced_eos"] = 1
    if rng.random() < 0.15:
        options["eos"] = [1, 2]
    return options


def scarce_options(rng):
    """Bans that leave fewer candidates than beams want, so that upstream's -1e9 take part."""
    options = {"max_new_tokens": rng.randint(1, 6), "num_beams": rng.randint(2, 5)}
    options["num_return_sequences"] = options["num_beams"]
    options["length_penalty"] = rng.choice((0.0, 0.5, 1.0, 2.0))
    options["early_stopping"] = rng.choice((False, True, "never"))
    options["bad_words"] = [[i] for i in rng.sample((0, 2, 3, 4), rng.randint(2, 4))]
    if rng.random() < 0.3:
        options["forced_bos"] = rng.randrange(2, 5)
    if rng.random() < 0.3:
        options["min_new_tokens"] = rng.randint(1, options["max_new_tokens"])
    if rng.random() < 0.3:
        options["no_repeat_ngram_size"] = rng.randint(1, 2)
    if rng.random() < 0.3:
        options["forced_eos"] = 1
    return options


def random_cases(name, seed, vocab, wanted, make_options):
    rng = random.Random(seed)
    model = ScriptedT5(vocab)
    cases, dropped = [], {"near tie": 0, "order of equals": 0, "nothing left": 0}
    while len(cases) < wanted:
        table = {"vocab": vocab, "seed": rng.getrandbits(31), "spread": rng.choice((2, 4, 8)), "eos_bonus": 0}
        if vocab > 5:
            table["eos_bonus"] = rng.choice((0, 2, 4))
        by_last = torch.tensor(hashed_table(table["seed"], vocab, table["spread"]))
        by_last[:, 1] += table["eos_bonus"]
        model.tables = [(by_last, torch.tensor(hashed_table(table["seed"] + 1, vocab, 2)))]
        options = make_options(rng)
        results = run(model, [0], options)
        near_tie = model.near_tie
        with stable_topk():
            again = run(model, [0], options)
        if not ends_well(results):
            dropped["nothing left"] += 1
        elif near_tie:
            dropped["near tie"] += 1
        elif results != again:
            dropped["order of equals"] += 1
        else:
            for result in results[0][1:]:
                del result["transitions"]
            cases.append({"table": table, "options": options, "results": results[0]})
    print(name, len(cases), "cases, dropped:", dropped)
    write(f"{name}_goldens.json", {"dropped": dropped, "cases": cases})


def filter_cases(seed, wanted):
    """What temperature, top_k and top_p leave of a row."""
    rng = random.Random(seed)
    cases, dropped = [], 0
    while len(cases) < wanted:
        case = {"vocab": rng.choice((30, 120)), "seed": rng.getrandbits(31), "spread": rng.choice((4, 8, 16))}
        case["temperature"] = rng.choice((0.25, 0.5, 1.0, 1.0, 1.5, 4.0))
        case["top_k"] = rng.choice((0, 0, 1, 5, 20, 200))
        case["top_p"] = rng.choice((1.0, 0.9, 0.5, 0.1, 0.99))
        case["steps_per_unit"] = rng.choice((0, 0, 4))  # coarse logits: many equals
        logits = [hashed(case["seed"], 0, j, case["spread"]) for j in range(case["vocab"])]
        if case["steps_per_unit"]:
            logits = [math.floor(x * case["steps_per_unit"]) / case["steps_per_unit"] for x in logits]
        scores = torch.tensor([logits])
        if case["temperature"] != 1.0:
            scores = logits_process.TemperatureLogitsWarper(case["temperature"])(None, scores)
        if case["top_k"]:
            scores = logits_process.TopKLogitsWarper(case["top_k"])(None, scores)
        if case["top_p"] < 1:
            before = scores
            scores = logits_process.TopPLogitsWarper(case["top_p"])(None, scores)
            lowest = before[scores > -math.inf].min()
            removed = before[(scores == -math.inf) & (before > -math.inf)]
            mass = torch.sort(before.softmax(-1)[0].double(), descending=True)[0].cumsum(-1)
            if (removed == lowest).any() or (mass - case["top_p"]).abs().min() < 1e-4:
                dropped += 1
                continue
        kept = torch.nonzero(scores[0] > -math.inf)[:, 0].tolist()
        probabilities = scores[0].softmax(-1)[kept].tolist()
        cases.append({**case, "kept": kept, "first": probabilities[0], "largest": max(probabilities)})
    print("filters:", len(cases), "cases, dropped:", dropped)
    return cases, {"boundary": dropped}


def write(name, content):
    header = {"made_by": "make_decoding_goldens.py", "transformers": transformers.__version__}
    header["torch"] = torch.__version__.split("+")[0]
    cases = content.pop("cases")
    with open(name, "w", encoding="utf-8") as file:
        head = json.dumps({**header, **content}, separators=(",", ":"))
        lines = ",\n".join(json.dumps(rounded(case), separators=(",", ":")) for case in cases)
        file.write(f'{head[:-1]},"cases":[\n{lines}\n]}}\n')


def main():
    tables, cases, dropped = named_cases()
    print("named:", len(cases), "cases, dropped:", dropped)
    write("named_goldens.json", {"dropped": dropped, "tables": tables, "cases": cases})
    random_cases("random_5", 5, 5, 350, lambda rng: random_options(rng, 5))
    random_cases("random_40", 40, 40, 200, lambda rng: random_options(rng, 40))
    random_cases("scarce", 6, 5, 80, scarce_options)
    cases, dropped = filter_cases(7, 60)
    write("filter_goldens.json", {"dropped": dropped, "cases": cases})


if __name__ == "__main__":
    main()

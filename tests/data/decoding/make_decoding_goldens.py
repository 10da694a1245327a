"""Writes goldens for decoding: what generate() of Hugging Face does on scripted models.

Needs transformers 4.57.6 and torch 2.11.0 (CPU). Run it from this folder:

    python make_decoding_goldens.py

A scripted model ignores its source: its logits are by_last[last id] + by_previous[id before it]. Tables are either
written out, or made by `hashed_table`, which the C++ test repeats, so that a case takes a line and not a page.
Cases whose outcome hangs on a near-tie (a gap below 1e-3), or on the order torch.topk happens to give to equals, are
dropped and counted: no two correct implementations must agree on them.
"""

import contextlib
import json
import math
import random

import numpy as np
import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration
from transformers.generation import logits_process
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

assert transformers.__version__ == "4.57.6", transformers.__version__
assert torch.__version__.split("+")[0] == "2.11.0", torch.__version__
torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

SENTINEL_ZONE = -1e5  # scores below it hold upstream's -1e9
GAP = 1e-3
MASK = (1 << 64) - 1


def mix(state, value):
    z = ((state ^ value) + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def hashed(seed, row, column, spread):
    """In [0, spread), a multiple of spread / 2^20: exact in fp32 where spread is a power of two."""
    return (mix(mix(mix(0, seed), row), column) >> 44) / (1 << 20) * spread


def hashed_table(seed, vocab, spread):
    return [[hashed(seed, i, j, spread) for j in range(vocab)] for i in range(vocab)]


class ScriptedT5(T5ForConditionalGeneration):
    """The encoder's only state is a table's number; the decoder reads that table."""

    def __init__(self, vocab):
        super().__init__(
            T5Config(vocab_size=vocab, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, use_cache=False)
        )
        self.tables = []
        self.near_tie = False

    def forward(self, encoder_outputs=None, decoder_input_ids=None, **_):
        rows = []
        for table, ids in zip(encoder_outputs.last_hidden_state[:, 0, 0].long().tolist(), decoder_input_ids.tolist()):
            by_last, by_previous = self.tables[table]
            row = by_last[ids[-1]]
            if by_previous is not None and len(ids) > 1:
                row = row + by_previous[ids[-2]]
            rows.append(row)
        return Seq2SeqLMOutput(logits=torch.stack(rows)[:, None, :], encoder_last_hidden_state=None)

    def _note_gaps(self, values):
        """values: descending; gaps within the sentinel zone are judged by stable_topk instead."""
        values = values[torch.isfinite(values) & (values > SENTINEL_ZONE)]
        if len(values) > 1 and bool((values[:-1] - values[1:] < GAP).any()):
            self.near_tie = True

    def _get_top_k_continuations(self, **kwargs):
        for scores in kwargs["accumulated_log_probs"]:
            self._note_gaps(torch.sort(scores, descending=True)[0][: kwargs["beams_to_keep"] + 1])
        return super()._get_top_k_continuations(**kwargs)

    def _update_finished_beams(self, **kwargs):
        length = kwargs["cur_len"] + 1 - kwargs["decoder_prompt_len"]
        new = kwargs["topk_log_probs"] / length ** kwargs["length_penalty"]
        hit = kwargs["next_token_hits_stopping_criteria"] & kwargs["top_num_beam_mask"][None, :]
        new = new.masked_fill(~hit, -math.inf)
        for scores in torch.cat((kwargs["beam_scores"], new), dim=1):
            self._note_gaps(torch.sort(scores, descending=True)[0])
        return super()._update_finished_beams(**kwargs)

    def _check_early_stop_heuristic(self, **kwargs):
        generated = kwargs["cur_len"] - kwargs["decoder_prompt_len"]
        if kwargs["early_stopping"] == "never" and kwargs["length_penalty"] > 0:
            generated = kwargs["max_length"] - kwargs["decoder_prompt_len"]
        best = kwargs["running_beam_scores"][:, 0] / generated ** kwargs["length_penalty"]
        worst = kwargs["beam_scores"].min(dim=1)[0]
        if bool(((best - worst).abs() < GAP).any()):
            self.near_tie = True
        return super()._check_early_stop_heuristic(**kwargs)


@contextlib.contextmanager
def stable_topk():
    """torch.topk that gives equals in the order of their indices."""

    def topk(values, k, dim=-1):
        best, indices = torch.sort(values, dim=dim, descending=True, stable=True)
        return best[..., :k], indices[..., :k]

    original = torch.topk
    torch.topk = topk
    try:
        yield
    finally:
        torch.topk = original


DEFAULTS = {"num_beams": 1, "num_return_sequences": 1, "length_penalty": 1.0, "early_stopping": False}
LENGTHS = ("max_new_tokens", "min_new_tokens")


def run(model, tables, options, upstream=None):
    """One generate() over len(tables) sequences. `options` use Petit's names, which are upstream's but for
    forced_bos, forced_eos, bad_words and eos; `upstream` replaces the length options. Returns results per sequence:
    at most num_return_sequences of ids (without start, cut before EOS), eos reached, score, transition scores."""
    arguments = dict(DEFAULTS, eos_token_id=[1], **options)
    for ours, theirs in (
        ("forced_bos", "forced_bos_token_id"),
        ("forced_eos", "forced_eos_token_id"),
        ("bad_words", "bad_words_ids"),
        ("eos", "eos_token_id"),
    ):
        if ours in arguments:
            arguments[theirs] = arguments.pop(ours)
    if upstream:
        for name in LENGTHS:
            arguments.pop(name, None)
        arguments.update(upstream)
    beams = arguments["num_beams"]
    if beams == 1:
        arguments.pop("length_penalty")
        arguments.pop("early_stopping")
    model.near_tie = False
    output = model.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=torch.tensor(tables, dtype=torch.float)[:, None, None]),
        attention_mask=torch.ones(len(tables), 1, dtype=torch.long),
        decoder_start_token_id=0,
        pad_token_id=0,
        do_sample=False,
        use_cache=False,
        return_dict_in_generate=True,
        output_scores=True,
        **arguments,
    )
    eos = arguments["eos_token_id"]
    if beams == 1:
        transitions = model.compute_transition_scores(output.sequences, output.scores, normalize_logits=True)
    else:
        transitions = model.compute_transition_scores(output.sequences, output.scores, output.beam_indices)
    per_sequence = arguments["num_return_sequences"]
    results = [[] for _ in tables]
    for i, ids in enumerate(output.sequences[:, 1:].tolist()):
        score = None
        if beams > 1:
            score = output.sequences_scores[i].item()
            if score <= -1e9:  # an empty place
                continue
            ids = ids[: int((output.beam_indices[i] >= 0).sum())]
        end = next((place for place, token in enumerate(ids) if token in eos), None)
        steps = transitions[i].tolist()[: len(ids) if end is None else end + 1]
        if beams == 1:
            for t, scores in enumerate(output.scores[: len(steps)]):
                best = torch.sort(scores[i], descending=True)[0]
                if best[0] - best[1] < GAP:
                    model.near_tie = True
            score = sum(steps) / len(steps) ** options.get("length_penalty", 1.0)
        results[i // per_sequence].append(
            {"ids": ids if end is None else ids[:end], "eos": end is not None, "score": score, "transitions": steps}
        )
    return results


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

"""A T5 whose logits are a table, and one generate() over it. Used by make_decoding_goldens.py.

Needs transformers 4.57.6 and torch 2.11.0 (CPU). A scripted model ignores its source: its logits are
by_last[last id] + by_previous[id before it]. Tables are either written out, or made by `hashed_table`, which the C++
test repeats, so that a case takes a line and not a page.
"""

import contextlib
import math

import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration
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

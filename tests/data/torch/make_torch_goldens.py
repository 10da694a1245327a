#!/usr/bin/env python3
"""Writes what Hugging Face's T5 computes on the tiny checkpoints: v1_0.json, v1_1.json and score.json beside this script.

Made with transformers 4.57.6, torch 2.11.0, sentencepiece 0.2.1 (CPU, quantized engine x86):
    python make_torch_goldens.py

Of logits it keeps 16 columns, the log-sum-exp and the argmax. Where two choices lie closer than 1e-3 the script fails:
the goldens promise ids, not luck.
"""

import json
import pathlib
import warnings

import torch
import transformers
from transformers import T5ForConditionalGeneration, T5Tokenizer
from transformers.modeling_outputs import BaseModelOutput

HERE = pathlib.Path(__file__).resolve().parent
TINY = HERE.parent / "tiny"
COLUMNS = [0, 1, 2, 3, 5, 17, 60, 61, 100, 150, 200, 239, 240, 300, 339, 383]
DISTRIBUTION = 340  # pieces and sentinels
TEXTS = ["translate English to French: The house is small but the garden is large.",
         "translate English to French: How much does this book cost?",
         "Le serveur écoute sur le réseau et répond aux requêtes.",
         "x"]
GAP = 1e-3


def rounded(values):
    return [float(f"{v:.7g}") for v in (values.flatten().tolist() if torch.is_tensor(values) else values)]


def load(version, dtype=torch.float32):
    return T5ForConditionalGeneration.from_pretrained(TINY / version, torch_dtype=dtype).eval()


def ids(count, seed):
    """Ordinary pieces, the same in every version of torch."""
    out, x = [], seed
    for _ in range(count - 1):
        x = (1103515245 * x + 12345) % (1 << 31)
        out.append(3 + (x >> 16) % 237)
    return out + [1]


SOURCES = [ids(1, 1), ids(20, 2), ids(150, 3)]
FORCED = [0] + ids(20, 4)[:-1]


def describe(logits):
    """[steps, vocab] -> what the golden keeps."""
    return {"columns": [rounded(row[COLUMNS]) for row in logits], "lse": rounded(logits.logsumexp(-1)),
            "argmax": logits.argmax(-1).tolist()}


def stepwise(model, source):
    """One token at a time with the cache, batch 1; the encoder apart, as a server runs it."""
    encoded = model.encoder(input_ids=torch.tensor([source])).last_hidden_state
    cache, rows = None, []
    for token in FORCED:
        out = model(encoder_outputs=BaseModelOutput(encoded), decoder_input_ids=torch.tensor([[token]]),
                    past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        rows.append(out.logits[0, -1].float())
    return torch.stack(rows)


def forced_logits(model):
    alone = [model(input_ids=torch.tensor([s]), decoder_input_ids=torch.tensor([FORCED])).logits[0] for s in SOURCES]
    longest = max(map(len, SOURCES))
    batch = torch.tensor([s + [0] * (longest - len(s)) for s in SOURCES])
    mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in SOURCES])
    together = model(input_ids=batch, attention_mask=mask, decoder_input_ids=torch.tensor([FORCED] * 3)).logits
    for source, one, other in zip(SOURCES, alone, together):
        assert (one - other).abs().max() < 1e-4, (one - other).abs().max()
        assert (one - stepwise(model, source)).abs().max() < 1e-4
    return [describe(a) for a in alone]


def generations(model, tokenizer):
    sources = [tokenizer(t).input_ids for t in TEXTS]
    cases = []

    def run(chosen, nb, lp, early):
        longest = max(len(s) for s in chosen)
        batch = torch.tensor([s + [0] * (longest - len(s)) for s in chosen])
        mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in chosen])
        extra = {} if nb == 1 else {"num_beams": nb, "length_penalty": lp, "early_stopping": early,
                                    "num_return_sequences": nb}
        r = model.generate(batch, attention_mask=mask, max_new_tokens=24, do_sample=False, output_scores=True,
                           return_dict_in_generate=True, **extra)
        per = []
        for i in range(len(chosen)):
            hyps = []
            for j in range(nb):
                row = r.sequences[i * nb + j, 1:].tolist()
                row = row[:row.index(1)] if 1 in row else row
                hyps.append({"ids": row} | ({"score": rounded([r.sequences_scores[i * nb + j]])[0]} if nb > 1 else {}))
            per.append(hyps)
        if nb == 1:
            for i in range(len(chosen)):
                for step in range(min(len(per[i][0]["ids"]) + 1, len(r.scores))):
                    assert r.scores[step][i].topk(2).values.diff().abs() > GAP
        return per

    for nb, lp, early in [(1, 1.0, False), (2, 0.6, False), (2, 1.0, True), (4, 1.0, False), (4, 2.0, True),
                          (4, 1.0, "never")]:
        alone = [run([s], nb, lp, early)[0] for s in sources]
        batched = run(sources, nb, lp, early)
        for a, b in zip(alone, batched):
            assert [h["ids"] for h in a] == [h["ids"] for h in b]
        cases.append({"num_beams": nb, "length_penalty": lp, "early_stopping": str(early).lower(), "results": alone})
    return {"sources": sources, "max_new_tokens": 24, "cases": cases}


def int8(version):
    torch.backends.quantized.engine = "x86"
    model = torch.ao.quantization.quantize_dynamic(load(version), {torch.nn.Linear}, dtype=torch.qint8)
    return [describe(stepwise(model, s)) for s in SOURCES[1:]]


def bf16(version):
    model = load(version, torch.bfloat16)
    return [describe(stepwise(model, s)) for s in SOURCES[1:]]


def scores(tokenizer):
    pairs = [(tokenizer(TEXTS[0]).input_ids, tokenizer("La maison est petite mais le jardin est grand.").input_ids),
             (tokenizer(TEXTS[3]).input_ids, [1]),
             (SOURCES[2], ids(60, 7)),
             (tokenizer(TEXTS[1]).input_ids, tokenizer("Combien coûte ce livre ?").input_ids)]
    out = {"distribution_size": DISTRIBUTION, "columns": [c for c in COLUMNS if c < DISTRIBUTION], "pairs": []}
    models = {v: load(v) for v in ("v1_0", "v1_1")}
    for source, target in pairs:
        entry = {"source": source, "target": target}
        masked = {}
        for version, model in models.items():
            logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0].double()
            full = torch.log_softmax(logits, -1)
            masked[version] = torch.log_softmax(logits[:, :DISTRIBUTION], -1)
            entry[version] = {"token_log_probs": rounded(full[range(len(target)), target]),
                              "log_probs": [rounded(row[out["columns"]]) for row in masked[version][:3]]}
        for reference, other in (("v1_0", "v1_1"), ("v1_1", "v1_0")):
            p = masked[reference]
            entry[f"kl_{reference}_{other}"] = rounded((p.exp() * (p - masked[other])).sum(-1))
        out["pairs"].append(entry)
    return out


def main():
    warnings.simplefilter("ignore")
    torch.set_grad_enabled(False)
    assert transformers.__version__ == "4.57.6" and torch.__version__.split("+")[0] == "2.11.0"
    made_with = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
    for version in ("v1_0", "v1_1"):
        tokenizer = T5Tokenizer(str(TINY / version / "spiece.model"), legacy=True)
        model = load(version)
        encoder = model.encoder(input_ids=torch.tensor([SOURCES[2]])).last_hidden_state[0]
        golden = {"made_with": made_with, "columns": COLUMNS, "sources": SOURCES, "decoder_inputs": FORCED,
                  "encoder_every_10th": [rounded(row) for row in encoder[::10]],
                  "fp32": forced_logits(model), "int8": int8(version), "bf16": bf16(version),
                  "generate": generations(model, tokenizer)}
        (HERE / f"{version}.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    (HERE / "score.json").write_text(json.dumps({"made_with": made_with} | scores(tokenizer),
                                                separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes two complete tiny T5 checkpoints in the Hugging Face layout: v1_0 (relu, tied, scaled) and v1_1 (gated-gelu, untied).

Made with transformers 4.57.6, torch 2.11.0, sentencepiece 0.2.1, safetensors of the same environment:
    python make_tiny_checkpoints.py                # writes v1_0/ and v1_1/ beside this script
    python make_tiny_checkpoints.py --search v1_0  # looks for a better seed, which goes into SEEDS

The models know nothing: their weights are random. They are made to be hard on an implementation (heads * d_kv is not
d_model, norm weights far from 1, large position biases, embedding rows below the norm's epsilon, padding rows in the
vocabulary) and pleasant in tests: greedy decoding gives several different tokens and ends by itself.
"""

import io
import json
import pathlib
import sys

import sentencepiece
import torch
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

HERE = pathlib.Path(__file__).resolve().parent
VOCAB = 384  # 240 pieces, 100 sentinels, 44 rows that no text can produce
PIECES = 240
TEXTS = """The house is small but the garden is large.
La maison est petite mais le jardin est grand.
A package that is not installed cannot be removed.
Un paquet qui n'est pas installé ne peut pas être supprimé.
This library reads and writes image files.
Cette bibliothèque lit et écrit des fichiers d'images.
The server listens on the network and answers requests.
Le serveur écoute sur le réseau et répond aux requêtes.
How much does this book cost? It is free!
Combien coûte ce livre ? Il est gratuit !
My brother is reading a letter in the kitchen.
Mon frère lit une lettre dans la cuisine.
Translate this sentence into French, please: the cat sleeps.
Traduisez cette phrase en français, s'il vous plaît : le chat dort.
We will travel to the sea next week with our friends.
Nous irons à la mer la semaine prochaine avec nos amis.
The weather was cold, so they stayed at home; nobody complained.
Il faisait froid, alors ils sont restés à la maison ; personne ne s'est plaint.
An example with numbers: 0 1 2 3 4 5 6 7 8 9, and "quotes" (also brackets).
Un exemple avec des nombres : 0 1 2 3 4 5 6 7 8 9, et des « guillemets » (aussi des parenthèses).
translate English to French: good morning
translate French to English: bonjour
"""
PROBES = ["translate English to French: " + t for t in TEXTS.splitlines()[0:20:2]] + ["x", "The cat.", TEXTS[:400]]
SEEDS = {"v1_0": 105, "v1_1": 151}  # chosen by --search
EOS_SCALE = {"v1_0": 2.3, "v1_1": 1.6}
# Gain of attention's and of the feed-forward's output. Tied logits favour the token just read, unless a function of
# that token outweighs its embedding.
OUTPUT_GAIN = {"v1_0": (3.0, 12.0), "v1_1": (3.0, 3.0)}


def make_tokenizer():
    model = io.BytesIO()  # no files: their paths would stand in the model
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter((TEXTS * 4).splitlines()), model_writer=model, vocab_size=PIECES, model_type="unigram",
        character_coverage=1.0, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_name="identity",
        num_threads=1, minloglevel=2, input_sentence_size=0)
    return model.getvalue()


def config(version):
    gated = version == "v1_1"
    return T5Config(
        vocab_size=VOCAB, d_model=48, d_kv=10, d_ff=64, num_layers=3, num_decoder_layers=2, num_heads=3,
        relative_attention_num_buckets=32, relative_attention_max_distance=128, dropout_rate=0.1,
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)


def make_model(version, seed):
    cfg = config(version)
    model = T5ForConditionalGeneration(cfg).eval()
    rng = torch.Generator().manual_seed(seed)
    normal = lambda t, std: t.copy_(torch.randn(t.shape, generator=rng) * std)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if "layer_norm" in name:
                p.copy_(torch.rand(p.shape, generator=rng) + 0.5)
            elif "relative_attention_bias" in name:
                normal(p, 2.0)
            elif name.startswith("shared") or name.startswith("lm_head"):
                normal(p, 2.0 if version == "v1_0" or name.startswith("shared") else 0.4)
            else:
                o, wo = OUTPUT_GAIN[version]
                gain = {"q": 0.7, "k": 0.7, "o": o, "wo": wo}.get(name.split(".")[-2], 1.0)
                normal(p, gain / p.shape[1] ** 0.5)
                if name.endswith("wo.weight") and version == "v1_0":
                    p -= p.mean(1, keepdim=True)  # relu's mean would push every token to the same place
        head = model.lm_head.weight
        head[1] *= EOS_SCALE[version]
        head[2] *= 0.1  # <unk> and sentinels: seldom chosen
        head[PIECES:PIECES + 100] *= 0.3
        head[PIECES + 100:] *= 0.1
        # Rows below the norm's epsilon: the start token, and an ordinary piece.
        model.shared.weight[0] *= 1e-4
        model.shared.weight[60] *= 1e-4
        if version == "v1_1":
            head[0] *= 0.1
            for p in model.parameters():  # this one is stored as BF16
                p.copy_(p.to(torch.bfloat16).float())
    return model


def greedy(model, tokenizer, texts):
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    r = model.generate(**batch, max_new_tokens=48, output_logits=True, return_dict_in_generate=True)
    outs, gap = [], 1e9
    for row, ids in enumerate(r.sequences[:, 1:].tolist()):
        ids = ids[:ids.index(1) + 1] if 1 in ids else ids
        outs.append(ids)
        gap = min([gap] + [float(l[row].topk(2).values.diff().abs()) for l in r.logits[:len(ids)]])
    return outs, gap


def main():
    spiece = make_tokenizer()
    for version in [v for v in SEEDS if v in sys.argv] or SEEDS:
        out = HERE / version
        out.mkdir(exist_ok=True)
        (out / "spiece.model").write_bytes(spiece)
        tokenizer = T5Tokenizer(str(out / "spiece.model"), legacy=True)
        assert len(tokenizer) == PIECES + 100, len(tokenizer)
        seeds = range(200) if "--search" in sys.argv else [SEEDS[version]]
        best = None
        for seed in seeds:
            outs, gap = greedy(make_model(version, seed), tokenizer, PROBES)
            ended = sum(1 in o for o in outs)
            lengths = [len(o) for o in outs]
            kinds = sum(len(set(o)) / max(8, len(o)) for o in outs) / len(outs)
            distinct = len({tuple(o) for o in outs})
            score = ended + 8 * kinds + distinct + (0 if gap > 5e-3 else -5) - 2 * sum(n < 3 for n in lengths)
            if best is None or score > best[0]:
                best = (score, seed, ended, lengths, kinds, distinct, gap)
                print(version, best, flush=True)
        model = make_model(version, best[1])
        for text, ids in list(zip(PROBES, greedy(model, tokenizer, PROBES)[0]))[:4]:
            print(repr(text), "->", repr(tokenizer.decode(ids)))
        tensors = {}
        for name, p in model.named_parameters():
            tensors[name] = p.detach().to(torch.bfloat16 if version == "v1_1" else torch.float32).contiguous()
        save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})
        c = config(version).to_diff_dict()
        c["architectures"] = ["T5ForConditionalGeneration"]
        c["model_type"] = "t5"
        c["torch_dtype"] = c.pop("dtype", None) or ("bfloat16" if version == "v1_1" else "float32")
        c["tie_word_embeddings"] = version == "v1_0"
        (out / "config.json").write_text(json.dumps(c, indent=2, sort_keys=True) + "\n")
        (out / "generation_config.json").write_text(json.dumps(
            {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}) + "\n")


if __name__ == "__main__":
    main()

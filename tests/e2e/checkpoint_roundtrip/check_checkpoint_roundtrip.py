"""Hugging Face loads what we write, and we open what Hugging Face writes: single file and shards, every variant.

Versions: transformers 4.57.6, torch 2.11.0. Run: python3 check_checkpoint_roundtrip.py WRITE_CHECKPOINT_BINARY
No test of the end-to-end suite, because that has no transformers.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration

SIZES = dict(
    vocab_size=96, d_model=24, d_kv=10, d_ff=40, num_layers=3, num_decoder_layers=2, num_heads=3,
    decoder_start_token_id=0,
)
VARIANTS = {
    "v1.0 tied": (dict(feed_forward_proj="relu"), torch.float32),
    "v1.1 untied": (dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False), torch.float32),
    "v1.1 untied bf16": (dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False), torch.bfloat16),
    "v1.0 tied fp16": (dict(feed_forward_proj="relu"), torch.float16),
    "gated silu, other fields": (
        dict(feed_forward_proj="gated-silu", relative_attention_num_buckets=8, relative_attention_max_distance=16,
             dropout_rate=0.25, layer_norm_epsilon=1e-5, eos_token_id=[1, 2]),
        torch.float32,
    ),
    "exact gelu": (dict(feed_forward_proj="gelu"), torch.float32),
    "exact gelu, gated": (dict(feed_forward_proj="gated-gelu_python"), torch.float32),
}
ARCHITECTURE = (
    "architectures", "model_type", "is_encoder_decoder", "vocab_size", "d_model", "d_kv", "d_ff", "num_layers",
    "num_decoder_layers", "num_heads", "relative_attention_num_buckets", "relative_attention_max_distance",
    "layer_norm_epsilon", "dropout_rate", "feed_forward_proj", "dense_act_fn", "is_gated_act", "tie_word_embeddings",
    "decoder_start_token_id", "pad_token_id", "eos_token_id", "torch_dtype", "use_cache",
)
SHARD_BYTES = 20_000


def check(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


def make(options, dtype):
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(T5Config(**SIZES, **options)).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)
    return model


def run(binary, source, target, shard_bytes=None):
    command = [binary, source, target] + ([shard_bytes] if shard_bytes else [])
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"{command}: {done.stderr}")
    return done.stdout.strip()


def check_loads(model, directory, sharded):
    names = sorted(path.name for path in directory.iterdir())
    check(("model.safetensors.index.json" in names) == sharded, f"{directory}: {names}")
    loaded, info = T5ForConditionalGeneration.from_pretrained(directory, dtype="auto", output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        check(not info[kind], f"{directory}: {kind}: {info[kind]}")
    for field in ARCHITECTURE:
        expected, got = getattr(model.config, field), getattr(loaded.config, field)
        if field == "torch_dtype":
            expected, got = (str(dtype).removeprefix("torch.") for dtype in (expected, got))
        check(expected == got, f"{directory}: {field} is {got!r}, expected {expected!r}")
    generation = loaded.generation_config
    for field in ("decoder_start_token_id", "pad_token_id", "eos_token_id"):
        check(getattr(generation, field) == getattr(model.config, field), f"{directory}: generation_config {field}")
    expected, got = model.state_dict(), loaded.state_dict()
    check(expected.keys() == got.keys(), f"{directory}: {expected.keys() ^ got.keys()}")
    for name, tensor in expected.items():
        check(tensor.dtype == got[name].dtype and torch.equal(tensor, got[name]), f"{directory}: {name} differs")
    ids = torch.tensor([[5, 6, 7, 1]])
    with torch.no_grad():
        logits = [m(input_ids=ids, decoder_input_ids=torch.tensor([[0, 9]])).logits for m in (model, loaded.eval())]
    check(torch.equal(*logits), f"{directory}: logits differ")


def main():
    check(transformers.__version__ == "4.57.6", transformers.__version__)
    transformers.utils.logging.disable_progress_bar()
    check(len(sys.argv) == 2, "usage: check_checkpoint_roundtrip.py WRITE_CHECKPOINT_BINARY")
    binary = pathlib.Path(sys.argv[1]).resolve()
    for variant, (options, dtype) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            model = make(options, dtype)
            model.save_pretrained(folder / "hf-single")
            model.save_pretrained(folder / "hf-sharded", max_shard_size=SHARD_BYTES)
            check((folder / "hf-sharded/model.safetensors.index.json").exists(), "transformers wrote no shards")
            # Not the model in memory: from_pretrained keeps some fp16 weights in fp32, whoever wrote the file.
            model = T5ForConditionalGeneration.from_pretrained(folder / "hf-single", dtype="auto").eval()
            digests = set()
            for source in ("hf-single", "hf-sharded"):
                for shard_bytes in (None, SHARD_BYTES):
                    target = folder / f"{source}-to-{shard_bytes or 'single'}"
                    digests.add(run(binary, folder / source, target, shard_bytes))
                    check_loads(model, target, sharded=shard_bytes is not None)
                    again = folder / f"{target.name}-again"
                    digests.add(run(binary, target, again))
                    single = (again / "model.safetensors").read_bytes()
                    length = int.from_bytes(single[:8], "little")
                    check(length % 8 == 0, "the header is not padded to 8 bytes")
                    check(json.loads(single[8 : 8 + length])["__metadata__"] == {"format": "pt"}, "metadata")
            check(len(digests) == 1, f"{variant}: the digest depends on the writer or the shards: {digests}")
            print(f"ok: {variant}")


if __name__ == "__main__":
    main()

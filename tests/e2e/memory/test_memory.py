"""Real sizes: checkpoints of flan-T5's shapes are served with peak memory of their weights and at most a tenth more.

flan-T5-small's shape is written here, with random weights, as a single file and in shards. Directories saved by Hugging
Face itself (or of other sizes) are tested where PETIT_TEST_CHECKPOINTS names them, separated by colons.
"""

import array
import json
import math
import os
import random
import shutil
import struct
import unittest

import petit_e2e
from petit_e2e import SOURCE, model_config

T5 = SOURCE.parent / "shared/t5"  # the real T5 tokenizer and flan-T5's configuration; not part of the project


def tensors(config):
    """Names and shapes of an untied T5 v1.1 checkpoint, written down independently of models/t5."""
    width, inner, hidden = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]
    vocabulary = [config["vocab_size"], width]
    yield "shared.weight", vocabulary
    yield "lm_head.weight", vocabulary
    for stack, blocks in (("encoder", config["num_layers"]), ("decoder", config["num_decoder_layers"])):
        for block in range(blocks):
            layers = ["SelfAttention"] + (["EncDecAttention"] if stack == "decoder" else [])
            for index, attention in enumerate(layers):
                prefix = f"{stack}.block.{block}.layer.{index}."
                for name in "qkv":
                    yield f"{prefix}{attention}.{name}.weight", [inner, width]
                yield f"{prefix}{attention}.o.weight", [width, inner]
                yield f"{prefix}layer_norm.weight", [width]
                if block == 0 and index == 0:
                    yield (f"{prefix}SelfAttention.relative_attention_bias.weight",
                           [config["relative_attention_num_buckets"], config["num_heads"]])
            prefix = f"{stack}.block.{block}.layer.{len(layers)}."
            for name, shape in (("wi_0", [hidden, width]), ("wi_1", [hidden, width]), ("wo", [width, hidden])):
                yield f"{prefix}DenseReluDense.{name}.weight", shape
            yield f"{prefix}layer_norm.weight", [width]
        yield f"{stack}.final_layer_norm.weight", [width]


def write_safetensors(path, specs, block):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in specs:
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in specs:
            size = 4 * math.prod(shape)
            file.write((block * (size // len(block) + 1))[:size])


def write_checkpoint(directory, config_path, shards, **changes):
    directory.mkdir()
    config = {**json.loads(config_path.read_text()), **changes}
    (directory / "config.json").write_text(json.dumps(config))
    shutil.copy(T5 / "spiece.model", directory / "spiece.model")
    rng = random.Random(1)
    block = array.array("f", (rng.gauss(0, 0.03) for _ in range(100003))).tobytes()
    specs = list(tensors(config))
    if shards == 1:
        write_safetensors(directory / "model.safetensors", specs, block)
        return
    weight_map, step = {}, -(-len(specs) // shards)
    for index in range(shards):
        name = f"model-{index + 1:05}-of-{shards:05}.safetensors"
        part = specs[index * step:(index + 1) * step]
        write_safetensors(directory / name, part, block)
        weight_map.update((tensor, name) for tensor, _ in part)
    total = sum(4 * math.prod(shape) for _, shape in specs)
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))


@unittest.skipUnless((T5 / "spiece.model").exists(), "the real T5 tokenizer is not beside the project")
class Memory(petit_e2e.TestCase):
    def peak(self, checkpoint):
        """Peak resident bytes of a server that has translated with this checkpoint, and the weights' bytes."""
        server = self.serve(model_config("model", checkpoint))
        caller = self.client(server)
        result = caller.translate("model", ["This package contains the documentation."], timeout=300,
                                  decoding={"max_new_tokens": 16})
        self.assertGreater(result.results[0].translation.target_tokens, 0)
        bytes_in_memory = caller.models("GetModel", name="model").versions[0].bytes_in_memory
        peak = server.memory("VmHWM")
        server.close()
        return peak, bytes_in_memory

    def check(self, checkpoint):
        # LibTorch, gRPC, T5's tokenizer and the rest of a server, with next to no weights.
        empty = self.directory / "empty"
        if not empty.exists():
            write_checkpoint(empty, T5 / "flan-t5-small.config.json", 1, d_model=8, d_kv=4, num_heads=2, d_ff=8)
        base, _ = self.peak(empty)
        peak, weights = self.peak(checkpoint)
        print(f"{checkpoint}: weights {weights / 2**20:.0f} MiB, peak above an empty server's "
              f"{(peak - base) / 2**20:.0f} MiB ({(peak - base) / weights:.3f}), empty {base / 2**20:.0f} MiB")
        self.assertLessEqual(peak - base, 1.10 * weights)

    def test_flan_t5_small_in_one_file(self):
        write_checkpoint(self.directory / "small", T5 / "flan-t5-small.config.json", 1)
        self.check(self.directory / "small")

    def test_flan_t5_small_in_three_shards(self):
        write_checkpoint(self.directory / "small", T5 / "flan-t5-small.config.json", 3)
        self.check(self.directory / "small")

    if os.environ.get("PETIT_TEST_CHECKPOINTS"):
        def test_given_checkpoints(self):
            for checkpoint in os.environ["PETIT_TEST_CHECKPOINTS"].split(":"):
                with self.subTest(checkpoint):
                    self.check(checkpoint)


if __name__ == "__main__":
    petit_e2e.unittest.main()

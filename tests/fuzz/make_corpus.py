#!/usr/bin/env python3
"""Writes the seeds of corpus/: small inputs, good ones and nearly good ones, for fuzzing to start from.

What fuzzing found lies beside them under names that this script does not write; it leaves those alone.
"""

import gzip
import json
import lzma
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(target, name, data):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def safetensors():
    def file(name, header, data=b"", length=None):
        text = header if isinstance(header, str) else json.dumps(header)
        write("safetensors", name, struct.pack("<Q", len(text) if length is None else length) + text.encode() + data)

    two = {"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
           "b": {"dtype": "BF16", "shape": [], "data_offsets": [8, 10]}}
    file("two_tensors", two, bytes(10))
    file("empty_tensor", {"a": {"dtype": "F16", "shape": [0, 7], "data_offsets": [0, 0]}})
    file("no_tensors", {})
    file("gap", {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8))
    file("overflow", {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}, bytes(8))
    file("twice", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],'
                  '"data_offsets":[4,8]}}', bytes(8))
    file("long_header", two, length=2**63)
    file("spaces", '{"a" : {"shape":[1],"data_offsets":[0,4],"dtype":"F32"}}     ', bytes(4))
    file("escapes", r'{"\u00e9\ud83d\ude00":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4))
    write("safetensors", "cut", b"\x10\0\0\0")


def config_json():
    v1_1 = {"architectures": ["T5ForConditionalGeneration"], "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8,
            "num_decoder_layers": 8, "num_heads": 6, "relative_attention_num_buckets": 32,
            "relative_attention_max_distance": 128, "feed_forward_proj": "gated-gelu", "layer_norm_epsilon": 1e-06,
            "dropout_rate": 0.1, "tie_word_embeddings": False, "vocab_size": 32128, "pad_token_id": 0,
            "eos_token_id": 1, "decoder_start_token_id": 0, "model_type": "t5"}
    write("config_json", "t5_v1_1", json.dumps(v1_1))
    write("config_json", "mt5", json.dumps({**v1_1, "model_type": "mt5", "feed_forward_proj": "relu"}))
    write("config_json", "only_type", '{"model_type": "t5"}')
    write("config_json", "nulls", '{"model_type": "t5", "num_decoder_layers": null, "d_kv": null}')
    write("config_json", "wrong_types", '{"model_type": "t5", "d_model": "512", "num_heads": 1e99, "d_kv": -1}')
    write("config_json", "generation", '{"decoder_start_token_id": 0, "eos_token_id": [1, 2], "pad_token_id": 0}')
    write("config_json", "deep", "[" * 40)
    write("config_json", "twice", '{"model_type": "t5", "model_type": "mt5"}')
    write("config_json", "not_utf8", b'{"model_type": "t5\xff"}')


def server_config():
    write("server_config", "all", '''
listen: "0.0.0.0:0" metrics_listen: "127.0.0.1:9464" model_root: "models" torch_threads: 8 drain_timeout_seconds: 1.5
log_level: LOG_LEVEL_WARNING log_format: JSON
limits { max_texts_per_request: 2 max_text_bytes: 3 max_message_bytes: 4000 max_stream_texts_in_flight: 5 }
model { name: "student" version_policy { specific: 7 } precision: BF16 device: "cuda:1" allow_cpu_fallback: true
  executor: TORCH load_later: true prompt { source: "en" target: "fr" prefix: "to French: " }
  batching { mode: STATIC max_rows: 9 max_kv_bytes: 10 max_score_share: 1 max_hold_back: 3 }
  decoding { max_new_tokens: 14 num_beams: 4 length_penalty: 0.5 } tokenizer_sha256: "00" }
jobs { root: "jobs" data_root: "data" launcher: SLURM slurm_option: "--partition=gpu" nice: 5 }
''')
    write("server_config", "two_models", 'model { name: "a" checkpoint: "x" prompt { source: "en" target: "fr" } }\n'
                                         'model { name: "a" checkpoint: "y" prompt { source: "en" target: "fr" } }\n')
    write("server_config", "syntax", 'model { name: "a"\n  chekpoint: "x" }\n')
    write("server_config", "addresses", 'listen: "[::1]:50051" metrics_listen: "localhost"')
    write("server_config", "ranges", "torch_threads: -1 drain_timeout_seconds: nan log_level: 9 limits { max_text_bytes: -1 }")
    write("server_config", "empty", "# nothing\n")


def pairs():
    tsv = "a house\tune maison\r\nan  empty line\t\n \tblank\nlast\tdernier"
    lines = '{"translation": {"en": "a", "fr": "b"}}\n{"source": "a", "target": "b"}\n'
    write("pairs", "tsv", b"\0" + tsv.encode())
    write("pairs", "tsv_swapped", b"\1" + tsv.encode())
    write("pairs", "tsv_gzip", b"\0" + gzip.compress(tsv.encode(), mtime=0))
    write("pairs", "tsv_xz", b"\0" + lzma.compress(tsv.encode()))
    # One raw block, without a checksum.
    write("pairs", "tsv_zstd", b"\0\x28\xb5\x2f\xfd\x00\x58" + (4 << 3 | 1).to_bytes(3, "little") + b"a\tb\n")
    write("pairs", "bom", b"\0\xef\xbb\xbfa\tb\n")
    write("pairs", "utf16", b"\0\xff\xfea\0\t\0b\0\n\0")
    write("pairs", "not_utf8", b"\0good\tbien\nb\xe9\tmal\n")
    write("pairs", "nul", b"\0a\0\tb\n")
    write("pairs", "zip", b"\0PK\x03\x04")
    write("pairs", "jsonl", b"\2" + b'{"source": "a\\tb\\u0001", "target": "\\ud83d\\ude00"}\n')
    write("pairs", "jsonl_languages", b"\3" + lines.encode())
    write("pairs", "jsonl_wrong", b"\2" + b'{"source": 1, "target": [1e999]}\n{"source": "\\u0000"}\n')
    write("pairs", "two_files", b"\4" + b"one\ntwo\nun\ndeux\n")
    write("pairs", "two_files_uneven", b"\4" + b"one\ntwo\nun deux \n\n")


def tokenizer():
    for flags, name, text in [
            (0x04, "plain", "the house is small"), (0x05, "french", "L'été, déjà: «naïve» cœur"),
            (0x0c, "special", "<pad></s><unk><extra_id_0> a <extra_id_99>"), (0x04, "spaces", " \n\t a \u3000 b\u00a0"),
            (0x0e, "korean", "안녕하세요"), (0x34, "cut", "a long text that is cut to three ids"),
            (0x04, "normal_forms", "e\u0301 \ufb01 \u2126 \u1e9b\u0323 ①"), (0x04, "empty", ""),
            (0x00, "emoji", "\U0001f468\u200d\U0001f469\u200d\U0001f467"), (0x08, "nul", "a\0b")]:
        write("tokenizer", name, bytes([flags]) + text.encode())
    write("tokenizer", "not_utf8", b"\x04ok \xe2\x82 \xed\xa0\x80 \xc0\xaf")
    write("tokenizer", "ids", b"\x01" + struct.pack("<6i", 0, 1, 2, -1, 2**31 - 1, 100))


def tokenizer_model():
    tiny = CORPUS.parent.parent / "data/tiny/v1_1/spiece.model"
    write("tokenizer_model", "tiny", tiny.read_bytes())


def varint(value):
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    """One field of a message: an int as a varint, bytes or text with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fp32(number, value):
    return varint(number << 3 | 5) + struct.pack("<f", value)


def wire():
    decoding = field(1, 12) + field(3, 4) + fp32(4, 0.5) + field(5, 3) + field(12, 2**64 - 1)
    options = field(1, "student") + field(2, "en") + field(3, "fr") + field(5, 1) + field(6, decoding)
    translate = field(1, options) + field(2, "a small house") + field(2, "two\nparagraphs")
    write("wire", "translate", b"\0" + translate)
    write("wire", "translate_prompt", b"\0" + field(1, field(1, "student/versions/1") + field(4, "")) + field(2, "a"))
    write("wire", "translate_not_utf8", b"\0" + translate + field(2, b"ab\x80"))
    write("wire", "translate_model_not_utf8", b"\0" + field(1, field(1, b"st\xc3")))
    write("wire", "translate_cut", b"\0" + translate[:-3])
    write("wire", "group", b"\0" + b"\x5b\x08\x01\x5c" + translate)
    write("wire", "unknown_fields", b"\0" + field(99, "x") + varint(98 << 3 | 1) + bytes(8) + translate)
    write("wire", "beams", b"\0" + field(1, options + field(7, 5)) + field(2, "a"))
    write("wire", "stream", b"\1" + field(1, options) + field(2, 7) + field(3, "a small house"))
    write("wire", "stream_not_utf8", b"\1" + field(1, options) + field(3, b"\xff") + field(2, 7))
    write("wire", "stream_group_not_utf8", b"\1" + b"\x5b\x1a\x01\xff\x5c" + field(3, b"\xff") + field(2, 7))
    pair = field(1, "a house") + field(2, "une maison")
    write("wire", "score", b"\2" + field(1, "student") + field(3, "en") + field(4, "de") + field(6, pair))
    job = field(1, "models/teacher") + field(2, field(1, "student"))
    write("wire", "job", b"\3" + field(1, job) + field(2, "once"))
    write("wire", "empty", b"\0")


def open_inference():
    def tensor(name, shape, *elements, contents=True):
        out = field(1, name) + field(2, "BYTES") + field(3, b"".join(varint(size) for size in shape))
        return field(5, out + (field(5, b"".join(field(8, element) for element in elements)) if contents else b""))

    def raw(*elements):
        return field(7, b"".join(struct.pack("<I", len(element)) + element for element in elements))

    def parameter(name, value):
        return field(4, field(1, name) + field(2, value))

    typed = field(1, "student") + tensor("text", [2], b"one", b"two")
    write("open_inference", "typed", typed)
    write("open_inference", "raw", field(1, "student") + field(2, "1") + field(3, "id") + tensor(
        "text", [2, 1], contents=False) + raw(b"one", b"two"))
    write("open_inference", "languages", field(1, "student") + tensor("text", [1], contents=False) + tensor(
        "target_language", [1, 1], contents=False) + raw(b"one") + raw(b"de"))
    write("open_inference", "outputs", typed + field(6, field(1, "translation")) + field(6, field(1, "score")))
    write("open_inference", "parameters", typed + parameter("max_new_tokens", field(2, 12)) + parameter(
        "do_sample", field(1, 1)) + parameter("early_stopping", field(3, "never")) + parameter(
        "top_p", b"\x21" + struct.pack("<d", 0.25)) + parameter("seed", field(5, 2**64 - 1)))
    write("open_inference", "huge_shape", field(1, "student") + tensor("text", [2**63 - 1], b"one"))
    write("open_inference", "cut_raw", field(1, "student") + tensor("text", [1], contents=False) + field(7, b"\xff\xff\xff\xffa"))
    write("open_inference", "not_utf8", field(1, "student") + tensor("text", [1], b"\xff"))
    write("open_inference", "bad_name", field(1, b"\xff"))


if __name__ == "__main__":
    for make in (safetensors, config_json, server_config, pairs, tokenizer, tokenizer_model, wire, open_inference):
        make()

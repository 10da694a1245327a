"""Makes relative_position.json: T5's buckets of the relative positions -300..300, as Hugging Face computes them.

Versions: transformers 4.57.6, torch 2.11.0. Run: python3 make_relative_position.py
"""

import json
import pathlib

import torch
import transformers
from transformers.models.t5.modeling_t5 import T5Attention

assert transformers.__version__ == "4.57.6", transformers.__version__
assert torch.__version__.split("+")[0] == "2.11.0", torch.__version__

FIRST, LAST = -300, 300


def main():
    relative = torch.arange(FIRST, LAST + 1)
    cases = []
    for num_buckets, max_distance in ((32, 128), (8, 16)):
        for bidirectional in (True, False):
            buckets = T5Attention._relative_position_bucket(
                relative, bidirectional=bidirectional, num_buckets=num_buckets, max_distance=max_distance
            )
            cases.append(
                {
                    "num_buckets": num_buckets,
                    "max_distance": max_distance,
                    "bidirectional": bidirectional,
                    "buckets": buckets.tolist(),
                }
            )
    golden = {
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "first": FIRST,
        "last": LAST,
        "cases": cases,
    }
    text = json.dumps(golden, separators=(",", ":")).replace('{"num_buckets"', '\n{"num_buckets"')
    pathlib.Path(__file__).with_name("relative_position.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

"""What Hugging Face makes of the demo teacher on 200 sentences of the demo's test set.

Made with transformers 4.57.6 and torch 2.11.0 on a CPU, FP32, one sentence at a time, greedy, 128 new tokens at most:

    python make_parity_goldens.py DEMO_DATA/test.en-fr.tsv

Writes beside itself:
  sentences.tsv        the first 200 test pairs, English TAB French (Debian package descriptions)
  teacher_greedy.json  per sentence: source ids, generated ids (EOS included), text, and the gap between the best and
                       the second best logit at each step: a difference of ours is excusable only on a tiny gap
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import T5ForConditionalGeneration, T5Tokenizer

assert transformers.__version__ == "4.57.6" and torch.__version__.startswith("2.11.0")

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parents[2] / "deploy/demo/models/teacher"
PREFIX = "translate English to French: "


def main():
    pairs = pathlib.Path(sys.argv[1]).read_text().splitlines()[:200]
    (HERE / "sentences.tsv").write_text("\n".join(pairs) + "\n")
    torch.manual_seed(0)
    tokenizer = T5Tokenizer.from_pretrained(MODEL, legacy=True)
    model = T5ForConditionalGeneration.from_pretrained(MODEL, torch_dtype=torch.float32).eval()
    cases = []
    for pair in pairs:
        source = tokenizer(PREFIX + pair.split("\t")[0], return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(input_ids=source.input_ids, attention_mask=source.attention_mask, num_beams=1,
                                 do_sample=False, max_new_tokens=128, output_logits=True, return_dict_in_generate=True)
        gaps = []
        for logits in out.logits:
            best = torch.topk(logits[0], 2).values
            gaps.append(round(float(best[0] - best[1]), 5))
        ids = out.sequences[0].tolist()[1:]
        assert len(ids) == len(gaps)
        cases.append({"source_ids": source.input_ids[0].tolist(), "ids": ids, "gaps": gaps,
                      "text": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
    golden = {"transformers": transformers.__version__, "torch": torch.__version__, "cases": cases}
    (HERE / "teacher_greedy.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(len(cases), "sentences,", sum(len(case["ids"]) for case in cases), "tokens; smallest gap",
          min(min(case["gaps"]) for case in cases))


main()

#!/usr/bin/env python3
"""Makes the tokenizer's golden files with the real thing.

Versions: transformers 4.57.6, sentencepiece 0.2.1.
Usage: make_goldens.py SPIECE_MODEL OUT.json

Of each text: the ids of the slow tokenizer (legacy true), of the slow one with legacy false and of the fast one (both
only where they differ). Of each row of ids: the slow decode for (skip_special, clean_up) = (0,0) (0,1) (1,0) (1,1).
"""

import hashlib
import json
import random
import sys

import sentencepiece
import transformers
from transformers import T5Tokenizer, T5TokenizerFast

assert transformers.__version__ == "4.57.6", transformers.__version__
assert sentencepiece.__version__ == "0.2.1", sentencepiece.__version__

FIXED = [
    "", " a  b\tc\n", "a\u00a0b\u00a0", "x</s>y", "a <extra_id_0> ,b", "{x}", "한국어 문장입니다.", "emoji 😀🎉 👩‍👩‍👧 end",
    "Comment ça va ? Bien !", " ", "\n", "\t\n\u00a0", "</s>", "</s></s>", "<pad>", "<unk>", "a<unk>b", "a <pad> b",
    "text</s>", "text </s> ", "<extra_id_0>", "<extra_id_99>", "<extra_id_100>", "<extra_id_07>", "<extra_id_-1>",
    "<extra_id_>", "<extra_id_0", "<extra_id_1><extra_id_2>", " <extra_id_1> <extra_id_2> ", "Hello <extra_id_0>.",
    "<extra_id_0> Hello", "  <extra_id_0>Hello", "</s> Hello", " </s>Hello", "Hello</s> world </s>!", "<s>", "</S>",
    "<<unk>>", "<</s>>", "<extra_id_<extra_id_3>>", "\u2581", "\u2581a\u2581b", "a\u2581 b", "\u2581<extra_id_0>x",
    "a\u2003<extra_id_5>\u2003b", "a\u3000<extra_id_5>\u3000\u00a0b", "a\u200b<extra_id_5>\u200bb",
    "a\x1c<extra_id_5>\x1fb", "a\x85<extra_id_5>\x85b", "translate English to French: That is good.",
    "translate French to English: L\u2019été, c\u2019est \u00ab fini \u00bb !", "a\x00b", "\x01\x02", "a\r\nb\r\n\r\nc",
    "ﬁn ﬂeur ½ ² ™ … ㎏ Ａｂｃ １２", "e\u0301te\u0301 (décomposé)", "été (composé)", "İstanbul ΑΒΓ Привет мир",
    "日本語のテキスト", "中文，标点。", "العربية", "עברית", "ไทย", "नमस्ते", "한", "{{{", "{ } \\ ^ ~ `", "a{b}c{d}", "{한}",
    "\ufeffBOM", "soft\u00adhyphen", "zero\u200bwidth", "\u200e\u200f", "\ufffd", "😀", "😀😀 😀", "1 234 567,89 €", "1,234.56",
    "http://example.org/~user?q=a&b=c#d", "user@example.org", "C:\\Windows\\System32", "$HOME/.config", "--option=value",
    "don't can't I'm he's we've they're 'quoted'", "It is . Is it ? Yes ! Well , no .", "it ' s", "A' B", "do n't",
    "x" * 300, "ab " * 100, "é" * 50, "-" * 40, ". " * 30, "aaaa\u0300\u0301\u0302\u0303bbbb",
]

WORDS = ("the a of to and package library development files system file user is are for with this that which contains "
         "le la les des une et est pour avec paquet bibliothèque développement fichiers système utilisateur qui contient "
         "été élève Noël cœur naïve garçon où déjà Ça À Straße señor Łódź Çelik").split()
ODD = ["\u00a0", "\u202f", "\t", "\n", "  ", "😀", "日本", "한국", "</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_42>",
       " <extra_id_7> ", "{", "}", "«", "»", " ?", " !", " ;", "…", "'", "’", "\"", "-", "—", "3.14", "1,000", "(c)", "[1]",
       "/usr/bin", "<b>", "&amp;", "%", "°C", "µ", "Ω", "ﬁ", "\u0301", "\u2581", "\u3000", "."]


def mixed(rng):
    parts = []
    for _ in range(rng.randint(1, 14)):
        parts.append(rng.choice(ODD) if rng.random() < 0.35 else rng.choice(WORDS))
        if rng.random() < 0.75:
            parts.append(" ")
    return "".join(parts)


def main():
    model, out = sys.argv[1:]
    rng = random.Random(20240)
    texts = FIXED + [mixed(rng) for _ in range(200)]
    slow = T5Tokenizer(model, legacy=True)
    modern = T5Tokenizer(model, legacy=False)
    fast = T5TokenizerFast(model, add_prefix_space=True)
    encode = []
    for text in texts:
        case = {"text": text, "ids": slow(text).input_ids}
        for name, ids in (("modern", modern(text).input_ids), ("fast", fast(text).input_ids)):
            if ids != case["ids"]:
                case[name] = ids
        encode.append(case)

    long_text = " ".join(rng.choice(WORDS) for _ in range(600))
    truncate = []
    # No limit that leaves nothing: the slow class then gives up and does not cut at all.
    for text, limit in [(long_text, 512), (long_text, 2), ("text</s>", 2), ("a b c</s>", 3), ("", 1), ("a b c d", 4),
                        ("a</s></s>", 3)]:
        whole = slow(text).input_ids
        ids = slow(text, truncation=True, max_length=limit).input_ids
        truncate.append({"text": text, "limit": limit, "ids": ids, "whole": len(whole)})

    pieces, size = slow.vocab_size, slow.vocab_size + 100
    under = slow.sp_model.piece_to_id("\u2581")
    rows = [[], [0], [1], [2], [under], [under, under], [0, under, 1], [size - 1], [size - 1, under],
            [under, size - 1, under, size - 2], [size - 1, 0, size - 2], [2, 2, 5], [5, 2, 2], [0, 5, 1, 1, 0, 0],
            [size - 1, 1], [1, size - 1], [1, 2, 0, 6]]
    rows += [case["ids"] for case in encode[::3]]
    for _ in range(60):
        row = [rng.randrange(pieces) for _ in range(rng.randint(1, 10))]
        for i in range(len(row)):
            if rng.random() < 0.25:
                row[i] = rng.choice([0, 1, 2, under, rng.randrange(pieces, size)])
        rows.append(row)
    decode = []
    for row in rows:
        texts = [slow.decode(row, skip_special_tokens=skip, clean_up_tokenization_spaces=clean)
                 for skip in (False, True) for clean in (False, True)]
        again = [modern.decode(row, skip_special_tokens=skip, clean_up_tokenization_spaces=clean)
                 for skip in (False, True) for clean in (False, True)]
        case = {"ids": row, "texts": texts}
        if again != texts:
            case["modern"] = again
        decode.append(case)

    def lines(cases):
        return "[\n" + ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases) + "\n]"

    with open(model, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open(out, "w", encoding="ascii") as file:
        file.write('{"transformers":"4.57.6","sentencepiece":"0.2.1","model_sha256":"%s","pieces":%d,\n' %
                   (digest, pieces))
        file.write('"encode":%s,\n"truncate":%s,\n"decode":%s}\n' % (lines(encode), lines(truncate), lines(decode)))


main()

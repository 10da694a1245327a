#!/usr/bin/env python3
"""Makes the metrics' golden file with the real packages.

Versions: sacrebleu 2.6.0, rouge_score 0.1.2 (no stemmer).
Usage: make_goldens.py OUT.json [PAIRS.tsv]
With PAIRS.tsv (hypothesis TAB reference, for checks beside the committed file) those pairs take the place of the
synthetic ones.

The Unicode-word ROUGE-L has no package: rouge_score computes it here over words of our definition (code points
lower-cased one by one, runs of the categories L, M and N).
"""

import json
import random
import sys
import unicodedata
from importlib.metadata import version

from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF

assert version("sacrebleu") == "2.6.0" and version("rouge_score") == "0.1.2"

WORDS = ("the The cat CAT sat on a mat le la chat L'été c’est été ÉTÉ pèché péché naïve NAÏVE cœur garçon où Straße "
         "1,234.56 3.14 1-2 2-x a-b 10% 50€ e.g. U.S. don't «oui» « oui » (x) [y] {z} \"q\" 'r' ; : ! ? … — – - -- . , "
         "&quot; &amp; &lt; &gt; &amp;lt; &apos; <skipped> <b> http://a.b/c?d=e user@host foo_bar a/b A&B x=y ~ ` ^ | \\ "
         "日本語 한국어 中文 Привет ПРИВЕТ ΣΊΣΥΦΟΣ ς İstanbul I ı \u212a \u212aelvin \u212bngstr Ǆ ǅ ǆ 😀 👩‍👧 e\u0301 ﬁ ½ ² Ⅷ "
         "नमस्ते ไทย ١٢٣ ０１２ ａｂｃ ＡＢＣ _ __a__ \u00ad x\u00ady \u200b x\u200by \u0130\u0307").split(" ")
SPACES = [" "] * 12 + ["  ", "\u00a0", "\u202f", "\t", "\u3000", "\u2003", "\x1c", "\x85", "\n", "-\n", "\u2028", ""]
FIXED = [
    ("", ""), ("", "a b"), ("a b", ""), (" ", "\u00a0"), ("...", "..."), ("a", "a"), ("a b c", "a b c"),
    ("a b c d", "a b c d"), ("a b c d e f", "a b c d e f"), ("testing one", "testing one two"),
    ("testing one two", "testing one"), ("pèché", "péché"), ("\u212a", "k"), ("\u0130", "i"), ("İİ", "i i"),
    ("Bonjour le monde !", "Bonjour le monde !"), ("Bonjour le monde\u00a0!", "Bonjour le monde !"),
    ("«\u00a0Oui\u00a0»", "« Oui »"), ("1.5", "1,5"), ("1 . 5", "1.5"), (".5", "0.5"), ("5.", "5 ."), ("1-2-3", "1 - 2 - 3"),
    ("a.b,c", "a . b , c"), (",.,.", ", . , ."), ("1,,2", "1 , , 2"), ("x\n", "x"), ("x-\ny", "xy"), ("x\ny", "x y"),
    ("a a a a a", "a"), ("a", "a a a a a"), ("b", "a"), ("&amp;quot;", "\""), ("&amp;lt;", "<"), ("<skipped>", ""),
    ("<skip<skipped>ped>", "<skipped>"), ("\u200b", ""), ("日本語", "日本"), ("한국어 문장", "한국어 문장입니다"),
    ("\x00 a", "a"), ("a\x1fb", "a b"), ("the cat " * 40, "the cat sat " * 30), ("x" * 200, "x" * 100),
]


def line(rng, words):
    out = ""
    for word in words:
        out += word + rng.choice(SPACES)
    return out if rng.random() < 0.3 else out.strip()


def disturb(rng, words):
    words = list(words)
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(words) + 1)
        kind = rng.random()
        if kind < 0.4 and at < len(words):
            del words[at]
        elif kind < 0.7:
            words.insert(at, rng.choice(WORDS))
        elif at < len(words):
            words[at] = words[at].swapcase()
    return words


def synthetic():
    rng = random.Random(7)
    pairs = list(FIXED)
    for _ in range(260):
        words = [rng.choice(WORDS) for _ in range(rng.randint(0, 12))]
        pairs.append((line(rng, disturb(rng, words)), line(rng, words)))
    return pairs


class UnicodeWords:
    def tokenize(self, text):
        lower = "".join(c.lower() for c in text)
        return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in lower).split(" ")

    def __init__(self):
        inner = self.tokenize
        self.tokenize = lambda text: [word for word in inner(text) if word]


def main():
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8", newline="\n") as file:
            pairs = [tuple(row.rstrip("\n").split("\t")) for row in file]
    else:
        pairs = synthetic()
    sentence_bleu, sentence_chrf = BLEU(effective_order=True), CHRF()
    rouge = rouge_scorer.RougeScorer(["rougeL"])
    words = rouge_scorer.RougeScorer(["rougeL"], tokenizer=UnicodeWords())
    tokenize = BLEU().tokenizer
    cases, rouge_sum, words_sum = [], 0.0, 0.0
    for hypothesis, reference in pairs:
        ascii_f1 = rouge.score(reference, hypothesis)["rougeL"].fmeasure
        word_f1 = words.score(reference, hypothesis)["rougeL"].fmeasure
        rouge_sum, words_sum = rouge_sum + ascii_f1, words_sum + word_f1
        cases.append({
            "hyp": hypothesis, "ref": reference, "tok": tokenize(hypothesis.rstrip()),
            "bleu": sentence_bleu.sentence_score(hypothesis, [reference]).score,
            "chrf": sentence_chrf.sentence_score(hypothesis, [reference]).score,
            "rouge": ascii_f1, "words": word_f1,
        })
    hypotheses = [pair[0] for pair in pairs]
    references = [pair[1] for pair in pairs]
    shifted = references[1:] + references[:1]
    corpora = []
    for columns in ([references], [references, shifted], [references, shifted, hypotheses[::-1]]):
        for order in (range(1, 7) if len(columns) == 1 else (4,)):
            bleu = BLEU(max_ngram_order=order)
            score = bleu.corpus_score(hypotheses, columns)
            case = {"refs": len(columns), "order": order, "bleu": score.score, "bp": score.bp, "sys": score.sys_len,
                    "ref": score.ref_len, "precisions": score.precisions, "signature": str(bleu.get_signature())}
            if order == 4:
                chrf = CHRF()
                case["chrf"] = chrf.corpus_score(hypotheses, columns).score
                case["chrf_signature"] = str(chrf.get_signature())
            corpora.append(case)
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write('{"sacrebleu":"2.6.0","rouge_score":"0.1.2",\n"rouge":%r,"words":%r,\n"corpora":[\n%s\n],\n"pairs":[\n%s\n]}\n' % (
            rouge_sum / len(pairs), words_sum / len(pairs),
            ",\n".join(json.dumps(case, separators=(",", ":")) for case in corpora),
            ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)))


main()

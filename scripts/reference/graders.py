"""The golden values of text similarity: what the libraries that OpenAI's graders name say of pairs of texts.

python scripts/reference/graders.py test/golden/graders     (needs rapidfuzz, nltk, rouge-score, sacrebleu from PyPI)

Writes <out>/similarity.json: texts, references, and the score of each metric.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import sacrebleu
from nltk.translate.gleu_score import sentence_gleu
from rapidfuzz import fuzz
from rouge_score import rouge_scorer

PAIRS = [
    ("The red kettle arrives in 2 days.", "The red kettle will arrive within 2 days."),
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("", "something"),
    ("something else entirely", "Nothing in common"),
    ("a b c d e f g", "a b c x d e f g h"),
    ("Größe: 42, naïve café", "Grösse: 42; naive café!"),
    ("Yes", "yes"),
    ("one two three four five six seven eight", "eight seven six five four three two one"),
    ("well-known state-of-the-art", "well known, state of the art"),
    ("repeat repeat repeat repeat repeat", "repeat repeat"),
    ("short", "a much longer reference that shares nothing with it but is short"),
]
ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_3": "rouge3", "rouge_4": "rouge4", "rouge_5": "rouge5", "rouge_l": "rougeL"}
scorer = rouge_scorer.RougeScorer(list(ROUGE.values()))


def scores(text, reference):
    rouge = scorer.score(reference, text)
    return {
        "fuzzy_match": fuzz.ratio(text, reference) / 100,
        "bleu": sacrebleu.sentence_bleu(text, [reference]).score / 100,
        "gleu": float(sentence_gleu([reference.split()], text.split())),
        **{name: rouge[key].fmeasure for name, key in ROUGE.items()},
    }


out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
cases = [{"text": text, "reference": reference, "scores": scores(text, reference)} for text, reference in PAIRS]
versions = {name: version(name) for name in ["rapidfuzz", "nltk", "rouge-score", "sacrebleu"]}
(out / "similarity.json").write_text(json.dumps({"versions": versions, "cases": cases}, ensure_ascii=False, indent=1) + "\n")

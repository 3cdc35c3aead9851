#!/usr/bin/env bash
# skl2onnx 1.20.0: an exported CountVectorizer or TfidfVectorizer cuts words otherwise than the one that was trained.
#
# Guessed: the ONNX file of a pipeline gives the pipeline's features and classes; a token_pattern that ONNX has no words for is
# refused, as strip_accents and char_wb are.
# Seen: the default pattern is replaced by the letters a to z: a word with another letter is cut there, so "schön" and "böse" are no
# words any more and the class is what is left without them. \w in a pattern of one's own loses them too. And words of one letter
# count, which the pattern leaves out: "not a film" has no pair "not film". No warning; a test in plain words with one n finds nothing.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$place/venv/bin/python" -W error::UserWarning - <<'PY'
import numpy as np
import onnxruntime
import skl2onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

onnxruntime.set_default_logger_severity(3)


def both(model, texts):
    """What scikit-learn and the exported file give for texts."""
    file = to_onnx(model, initial_types=[("texts", StringTensorType([None, 1]))]).SerializeToString()
    exported = onnxruntime.InferenceSession(file).run(None, {"texts": np.array(texts).reshape(-1, 1)})[0]
    direct = model.predict(texts) if hasattr(model, "predict") else model.transform(texts).toarray().sum(1)
    return direct.tolist(), (exported.tolist() if exported.ndim == 1 else exported.sum(1).astype(int).tolist())


def words(texts, **options):
    return both(make_pipeline(CountVectorizer(lowercase=False, **options)).fit(texts), texts)


german = ["das war schön", "das war böse", "das ist schön", "das war träge"]
classes = both(make_pipeline(CountVectorizer(lowercase=False), LogisticRegression()).fit(german, [1, 0, 1, 0]), german)
seen = {
    "classes": classes,
    "plain": words(["das war gut", "das ist gut"]),
    "umlauts": words(german),
    "own pattern": words(german, token_pattern=r"\w+"),
    "pairs": words(["not a film"], ngram_range=(2, 2)),
}
print("skl2onnx", skl2onnx.__version__, "scikit-learn and the file, classes or number of words:", seen)
assert seen["plain"] == ([3, 3], [3, 3])
assert seen["umlauts"] == seen["own pattern"] == ([3] * 4, [2] * 4), "other letters are kept now"
assert seen["pairs"] == ([1], [0]) and classes[0] == [1, 0, 1, 0] and classes[1] != classes[0], "words of one letter are left out now"
PY

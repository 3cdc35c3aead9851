#!/usr/bin/env bash
# sentence-transformers 6.2.0: int8 embeddings of a text depend on the texts that were encoded beside it.
#
# Guessed: precision="int8" maps a vector by fixed bounds, so a question and a document that are the same text get the same
# vector, whenever they are encoded.
# Seen: the least and the greatest value of each dimension in that call become -128 and 127. Two calls have two scales: the
# same 100 vectors beside other ones differ in nearly all of their numbers, and the nearest document of a question
# that is itself among them is often another. Said only for fewer than 100 texts; `ranges` of one call for all mends it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 sentence-transformers==6.2.0
"$place/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
from sentence_transformers.util.quantization import quantize_embeddings

draw = np.random.default_rng(0)
topics = draw.normal(size=(10, 16))
texts = (topics[0] + 0.5 * draw.normal(size=(100, 16))).astype("float32")  # what is asked: one topic
rest = (topics[1:].repeat(100, axis=0) + 0.5 * draw.normal(size=(900, 16))).astype("float32")  # documents of nine others
documents = np.concatenate([texts, rest])
ranges = np.stack([documents.min(0), documents.max(0)])


def found(questions, documents):
    """The share of questions whose nearest document, by cosine, is the same text."""
    left, right = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in map(np.float32, (questions, documents)))
    return float(((left @ right.T).argmax(1) == np.arange(len(left))).mean())


apart = [quantize_embeddings(rows, "int8") for rows in (texts, documents)]
shared = [quantize_embeddings(rows, "int8", ranges=ranges) for rows in (texts, documents)]
equal = float((apart[0] == apart[1][:100]).mean())
seen = {"float32": found(texts, documents), "shared ranges": found(*shared), "two calls": found(*apart)}
print("sentence-transformers", version("sentence-transformers"), "texts that find themselves:", seen, "equal numbers:", equal)
assert seen["float32"] == seen["shared ranges"] == 1.0
assert equal < 0.1 and seen["two calls"] < 0.5, "a text has one int8 vector now"
PY

#!/usr/bin/env bash
# gensim 4.4.0: neighbours of changed vectors are ranked by the lengths that the vectors had before.
#
# Guessed: most_similar ranks by the cosine of the vectors as they are, whatever was done to `vectors` (their mean taken away, the first
# components removed, as one does before word vectors feed a model).
# Seen: the first call of most_similar keeps all lengths, and later calls divide by those. Whether the ranks after a change are right
# depends on whether somebody had looked at neighbours before it: if so, words that were long and are short now come last. similarity()
# of two words is right, nothing is said, and fill_norms(force=True) mends it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check gensim==4.4.0 numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" -W error::UserWarning - <<'PY'
import gensim
import numpy as np
from gensim.models import KeyedVectors

words = [f"word{number}" for number in range(50)]
raw = (np.random.default_rng(0).normal(size=(50, 8)) + 3).astype(np.float32)


def centred(looked_before):
    vectors = KeyedVectors(8)
    vectors.add_vectors(words, raw)
    if looked_before:
        vectors.most_similar("word0")
    vectors.vectors -= vectors.vectors.mean(0)
    return vectors


def nearest(vectors):
    return [(word, round(float(score), 2)) for word, score in vectors.most_similar("word0", topn=5)]


fresh, looked = centred(False), centred(True)
right = sorted(words[1:], key=lambda word: -looked.similarity("word0", word))[:5]
seen = nearest(fresh), nearest(looked)
looked.fill_norms(force=True)
print("gensim", gensim.__version__, "by similarity", right, "nearest", seen[0], "nearest where looked at before", seen[1])
assert [word for word, _ in seen[0]] == [word for word, _ in nearest(looked)] == right
assert [word for word, _ in seen[1]] != right and seen[1][0][1] < 0.6 * seen[0][0][1], "lengths follow the vectors now"
PY

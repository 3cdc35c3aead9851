"""How far the label of the most similar training text gets: what a model scores that remembers and learns nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from transferlab.ground.lean import import_sklearn
from transferlab.ground.words import WORDS

ASKED = 1000
"""Examples of a split that are looked up, spread evenly over it."""
KNOWN = 100_000
"""Training examples among which they are looked up, spread evenly over them."""
CHARACTERS = 1000
"""Of a text no more is read."""


def nearest(train: Sequence[str], labels: Sequence[Any], asked: Sequence[str], gold: Sequence[Any]) -> dict[str, Any]:
    """Looks up the training text with the largest cosine of tf-idf vectors of words, and takes its label.

    Args:
        train: Training texts.
        labels: Their labels.
        asked: Texts of another split.
        gold: Their labels.

    Returns:
        ``right``, ``of`` (examples that were looked up) and ``most``, how many of them have the commonest training
        label.
    """
    import_sklearn()
    from sklearn.feature_extraction.text import TfidfVectorizer

    known = np.unique(np.linspace(0, len(train) - 1, min(KNOWN, len(train))).astype(int))
    some = np.unique(np.linspace(0, len(asked) - 1, min(ASKED, len(asked))).astype(int))
    vectors = TfidfVectorizer(token_pattern=WORDS, dtype=np.float32)
    base = vectors.fit_transform([train[place][:CHARACTERS] for place in known]).T.tocsr()
    wanted = vectors.transform([asked[place][:CHARACTERS] for place in some])
    found = [int(np.asarray((row @ base).todense()).argmax()) for row in wanted]
    right = sum(labels[known[hit]] == gold[place] for hit, place in zip(found, some, strict=True))
    names, counts = np.unique(np.asarray([str(label) for label in labels]), return_counts=True)
    most = sum(str(gold[place]) == names[counts.argmax()] for place in some)
    return {"right": int(right), "of": len(some), "most": int(most)}

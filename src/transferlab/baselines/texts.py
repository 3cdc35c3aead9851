"""Texts without a model: the input or its first sentences, the commonest target, and that of the nearest example."""

from abc import abstractmethod
from collections import Counter
from typing import Any

import numpy as np

from transferlab.baselines.methods import Baseline
from transferlab.baselines.rows import Part
from transferlab.tasks.scoring.sentences import Words, sentences

AT_ONCE = 1000
"""Inputs that are compared with all training examples at a time."""


class OfInput(Baseline):
    """Makes an output of the input alone."""

    kinds = ("text",)
    fits_thresholds = False

    def fit(self, train: Part, validation: Part) -> None:
        """Learns nothing."""

    def predict(self, part: Part) -> Any:
        """A text for each row."""
        return [self.output(text) for text in inputs(part)]

    @abstractmethod
    def output(self, text: str) -> str:
        """What is written for an input."""


class Copy(OfInput):
    """The input as it is; of a chat its last message."""

    strategy = "copy"

    def output(self, text: str) -> str:
        """The input."""
        return text


class Lead(OfInput):
    """The first sentences of the input: of news hard to beat (Nenkova 2005)."""

    count: int

    def output(self, text: str) -> str:
        """Its first sentences, see `transferlab.tasks.scoring.sentences`."""
        return " ".join(sentences(text)[: self.count])


class Lead1(Lead):
    """The first sentence."""

    strategy = "lead_1"
    count = 1


class Lead3(Lead):
    """The first three sentences."""

    strategy = "lead_3"
    count = 3


class MostFrequentTarget(Baseline):
    """Reads no input: the most frequent target of training, the first of equals."""

    kinds = ("text",)
    strategy = "most_frequent_target"
    fits_thresholds = False

    def fit(self, train: Part, validation: Part) -> None:
        """Counts the first reference of each row."""
        ((self.target, _),) = Counter(several[0] for several in train.labels).most_common(1)

    def predict(self, part: Part) -> Any:
        """The same for every row."""
        return [self.target] * len(part.ids)


class NearestTarget(Baseline):
    """The target of the nearest training input, by the cosine of TF-IDF vectors of words and pairs of words."""

    kinds = ("text",)
    strategy = "nearest_target"
    fits_thresholds = False

    def fit(self, train: Part, validation: Part) -> None:
        """Weighs the words of the training inputs."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.vectorizer = TfidfVectorizer(
            ngram_range=(1, 2),
            sublinear_tf=True,
            tokenizer=words,
            token_pattern=None,
            lowercase=False,
            dtype=np.float32,
        )
        self.known = self.vectorizer.fit_transform(inputs(train))
        self.targets = [several[0] for several in train.labels]
        self.coefficients = len(self.vectorizer.vocabulary_)

    def predict(self, part: Part) -> Any:
        """Of equally near examples the first one."""
        read = self.vectorizer.transform(inputs(part))
        found: list[int] = []
        for start in range(0, read.shape[0], AT_ONCE):
            found += (read[start : start + AT_ONCE] @ self.known.T).toarray().argmax(1).tolist()
        return [self.targets[place] for place in found]


def words(text: str) -> list[str]:
    """Words in lower case, unspaced scripts by character; a text without any is one word."""
    return Words().tokenize(text) or [text]


def inputs(part: Part) -> list[str]:
    """The input of each row as one text; of a chat its last message."""
    columns = [[_text(cell) for cell in column] for column in part.columns]
    return ["\n".join(cells) for cells in zip(*columns, strict=True)]


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else str(cell[-1]["content"])

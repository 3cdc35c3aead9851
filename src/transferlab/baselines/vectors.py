"""Static word vectors: the mean of a text with a linear model, between counted words and encoders."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from transferlab.baselines.methods import STRENGTHS, Baseline, require_two
from transferlab.baselines.rows import Array, Part, evaluate
from transferlab.encoders.static import read_vectors
from transferlab.ground.errors import TransferlabError
from transferlab.ground.words import PATTERN
from transferlab.tasks.spec import direction

WORD = re.compile(PATTERN)


class WordVectors(Baseline):
    """The mean of the vectors of a text's words, with logistic regression, for targets ridge regression.

    A word is looked up as it is written, else in lower case; one without a vector is left out of the mean. A pair
    becomes ``[a, b, |a - b|, a * b, cos(a, b)]``. The strength of the penalty is chosen as for TF-IDF.

    Attributes:
        path: File of the vectors: GloVe's or word2vec's text, or fastText's .vec, also with .gz.
        known: Share of the training words that have a vector, after `fit`.
    """

    kinds = ("classification", "regression", "multilabel")
    path: Path | None = None

    @property
    def strategy(self) -> str:
        """Names the linear model, and the file where there is one."""
        file = f"_{self.path.name.removesuffix('.gz').rsplit('.', 1)[0]}" if self.path else ""
        return f"vectors{file}_{self.kind.linear_name}"

    def fit(self, train: Part, validation: Part) -> None:
        """Reads the vectors of the words at hand, fits one model per strength and keeps the best.

        Raises:
            TransferlabError: No file is named, or it knows none of the words.
        """
        if self.path is None:
            raise TransferlabError("--method: vectors needs a file of word vectors: --vectors FILE.")
        require_two(train)
        self.vectors: dict[str, Array] = {}
        self.missing: set[str] = set()
        self._look_up((*train.columns, *validation.columns))
        words = [word for column in train.columns for text in column for word in WORD.findall(text)]
        self.known = sum(self._vector(word) is not None for word in words) / max(len(words), 1)
        if not self.known:
            raise TransferlabError(f"--vectors: {self.path} has none of the words of the training examples.")
        features, held_out = self._features(train), self._features(validation)
        best, sign = -np.inf, direction(self.task.primary)
        for strength in STRENGTHS:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Label .* is present in all", UserWarning)
                model = self.kind.linear(strength).fit(features, train.labels)
            scores = self.kind.scores(model, held_out, self.task)
            value = sign * evaluate(self.task, scores, validation.labels)[self.task.primary]
            if value > best:
                best, self.model = value, model
        self.coefficients = self.kind.coefficients(self.model)

    def predict(self, part: Part) -> Array:
        """Log-probabilities or targets."""
        self._look_up(part.columns)
        return self.kind.scores(self.model, self._features(part), self.task)

    def _look_up(self, columns: Iterable[list[str]]) -> None:
        """Reads the vectors of words that were not looked for before."""
        assert self.path is not None
        words = {word for column in columns for text in column for word in WORD.findall(text)}
        words |= {word.lower() for word in words}
        wanted = words - self.vectors.keys() - self.missing
        if wanted:
            self.vectors |= read_vectors(self.path, wanted)
            self.missing |= wanted - self.vectors.keys()

    def _vector(self, word: str) -> Array | None:
        return self.vectors.get(word, self.vectors.get(word.lower()))

    def _features(self, part: Part) -> Array:
        means = [np.stack([self._mean(text) for text in column]) for column in part.columns]
        if len(means) == 1:
            return means[0]
        a, b = means
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosine = (a * b).sum(1) / np.maximum(lengths, 1e-12)
        return np.concatenate([a, b, np.abs(a - b), a * b, cosine[:, None]], axis=1)

    def _mean(self, text: str) -> Array:
        found = [vector for word in WORD.findall(text) if (vector := self._vector(word)) is not None]
        width = len(next(iter(self.vectors.values())))
        return np.mean(found, axis=0) if found else np.zeros(width, dtype=np.float32)

"""The methods: majority, token majority, TF-IDF with a linear model, NB-SVM."""

import warnings
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from transferlab.baselines.kinds import KINDS
from transferlab.baselines.placed import placed
from transferlab.baselines.rows import Array, Part, evaluate, padded
from transferlab.ground.errors import TransferlabError
from transferlab.ground.words import PATTERN
from transferlab.tasks import TaskSpec
from transferlab.tasks.encoded import IGNORE
from transferlab.tasks.spec import Kind, direction

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import CountVectorizer

Matrix = Any  # a sparse matrix of scipy, which ships no types
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
"""Inverse regularisation strengths that the validation part chooses from."""
MAX_FEATURES = 200_000
"""N-grams that TF-IDF keeps, the most frequent ones; bounds time and memory on the large tasks."""


class Baseline(ABC):
    """A classical method.

    Args:
        task: Facts about the task.
        seed: Seed of solvers that draw random numbers.

    Attributes:
        kinds: Kinds of task that it fits.
        coefficients: Number of fitted coefficients.
        fits_thresholds: Whether labels, where there are several, are given from thresholds fitted on validation.
    """

    kinds: tuple[Kind, ...]
    coefficients = 0
    fits_thresholds = True

    def __init__(self, task: TaskSpec, seed: int) -> None:
        self.task = task
        self.kind = KINDS[task.kind]
        self.seed = seed

    @property
    @abstractmethod
    def strategy(self) -> str:
        """Its name in tables."""

    @abstractmethod
    def fit(self, train: Part, validation: Part) -> None:
        """Fits on `train`; selects, where there is something to select, on `validation`."""

    @abstractmethod
    def predict(self, part: Part) -> Array:
        """Logits ``[rows, classes]``, for regression ``[rows]``, for tagging class numbers ``[rows, words]``."""


class Majority(Baseline):
    """Reads no text: the most frequent class (the first of equals), the mean target, "O" (else the commonest tag).

    Of several labels those that at least half of the examples have; where there is none, the most frequent one.
    """

    kinds = ("classification", "regression", "tagging", "multilabel", "relation", "slots")
    strategy = "majority"
    fits_thresholds = False

    def fit(self, train: Part, validation: Part) -> None:
        """Counts; the scores of a class are its frequency."""
        if not self.task.worded:
            self.constant = self.kind.constant(train.labels, self.task)
        else:
            self.tag = usual_tag(self.task, train.labels)
            # the intent stands before the words
            self.intent = int(np.bincount(train.labels[:, 0]).argmax()) if self.task.intents else None

    def predict(self, part: Part) -> Array:
        """The same for every row."""
        if self.task.worded:
            found = np.full_like(part.labels, self.tag)
            if self.intent is not None:
                found[:, 0] = self.intent
            return found
        return np.broadcast_to(self.constant, (len(part.ids), *self.constant.shape))


def usual_tag(task: TaskSpec, labels: Array) -> int:
    """The class number of "O"; where tags mark no entities, or every word belongs to one, that of the commonest tag.

    Args:
        task: Names the tags.
        labels: Class numbers of the training words, -100 for padding.
    """
    if task.outside >= 0:
        return task.outside
    return int(np.bincount(labels[(labels != IGNORE) & (labels < len(task.tags))], minlength=len(task.tags)).argmax())


class TokenMajority(Baseline):
    """The most frequent tag of each word in training; else of the lower-cased word; else "O" or the commonest tag.

    The intent, where there is one, is the most frequent one.
    """

    kinds: tuple[Kind, ...] = ("tagging", "slots")
    strategy = "token_majority"

    def fit(self, train: Part, validation: Part) -> None:
        """Counts the tags of every word as it is written, and of its lower-cased form."""
        # the padding of the labels is longer than the sentence
        first = bool(self.task.intents)
        self.intent = int(np.bincount(train.labels[:, 0]).argmax()) if first else 0
        sentences = zip(train.columns[0], train.labels[:, first:].tolist(), strict=True)
        pairs = [pair for words, tags in sentences for pair in zip(words, tags, strict=False)]
        self.unknown = usual_tag(self.task, train.labels)
        self.exact = most_frequent(pairs)
        self.lower = most_frequent((word.lower(), tag) for word, tag in pairs)
        self.coefficients = len(self.exact) + len(self.lower)

    def predict(self, part: Part) -> Array:
        """Looks every word up."""
        unknown = self.unknown
        lower, exact = self.lower, self.exact
        found = ([exact.get(w, lower.get(w.lower(), unknown)) for w in words] for words in part.columns[0])
        if self.task.intents:
            pairs = zip(self.intents(part), found, strict=True)
            return padded(([intent, *tags] for intent, tags in pairs), unknown)
        return padded(found, unknown)

    def intents(self, part: Part) -> list[int]:
        """The class number of the intent of each text."""
        return [self.intent] * len(part.ids)


def most_frequent(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The most frequent class number of each word, the smaller one of equals."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for word, number in pairs:
        counts[word][number] += 1
    return {word: min(found, key=lambda number: (-found[number], number)) for word, found in counts.items()}


class NGrams:
    """Word 1-2-grams of one text or two as a sparse matrix ``[rows, features]``.

    A pair becomes four blocks over one vocabulary, ``[a, b, |a - b|, a * b]``: what each text says, where they differ
    and what they share. A linear model of ``[a, b]`` alone could not compare them.

    Args:
        vectorizer: Turns a list of texts into a matrix.
        similarity: Adds a column ``sum(a * b)`` for a pair; with rows of unit length that is their cosine.
    """

    def __init__(self, vectorizer: "CountVectorizer", similarity: bool = False) -> None:
        self.vectorizer = vectorizer
        self.similarity = similarity

    def fit(self, columns: tuple[list[str], ...]) -> Matrix:
        """Learns the vocabulary from all columns together and returns their matrix.

        Raises:
            TransferlabError: There is not one word.
        """
        try:
            self.vectorizer.fit([text for column in columns for text in column])
        except ValueError as error:
            raise TransferlabError(f"data: the training texts give no features ({error}).") from error
        return self(columns)

    def __call__(self, columns: tuple[list[str], ...]) -> Matrix:
        """Returns the matrix of some rows."""
        from scipy import sparse

        blocks = [self.vectorizer.transform(column) for column in columns]
        if len(blocks) == 2:
            first, second = blocks
            shared = first.multiply(second)
            blocks += [abs(first - second), shared]
            blocks += [sparse.csr_matrix(shared.sum(axis=1)).reshape(-1, 1)] if self.similarity else []
        return sparse.hstack(blocks, format="csr")


class TfIdf(Baseline):
    """TF-IDF of word 1-2-grams (sublinear term frequency) with logistic regression, for targets ridge regression.

    The strength of the L2 penalty is the one of `STRENGTHS` with the best primary metric on the validation part.
    """

    kinds = ("classification", "regression", "multilabel", "relation")

    @property
    def strategy(self) -> str:
        """Names the linear model."""
        return f"tfidf_{self.kind.linear_name}"

    def fit(self, train: Part, validation: Part) -> None:
        """Fits one model per strength and keeps the best."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=PATTERN, max_features=MAX_FEATURES, dtype=np.float32
        )
        self.ngrams = NGrams(vectorizer, similarity=True)
        require_two(train)
        features, targets = self.ngrams.fit(self._texts(train)), train.labels
        held_out = self.ngrams(self._texts(validation))
        sign = direction(self.task.primary)
        best = -np.inf
        for strength in STRENGTHS:
            with warnings.catch_warnings():
                # that a label is in all or in none, which the report by label shows
                warnings.filterwarnings("ignore", "Label .* is present in all", UserWarning)
                model = self.kind.linear(strength).fit(features, targets)
            scores = self.kind.scores(model, held_out, self.task)
            value = sign * evaluate(self.task, scores, validation.labels)[self.task.primary]
            if value > best:
                best, self.model = value, model
        self.coefficients = self.kind.coefficients(self.model)

    def predict(self, part: Part) -> Array:
        """Log-probabilities or targets."""
        return self.kind.scores(self.model, self.ngrams(self._texts(part)), self.task)

    def _texts(self, part: Part) -> tuple[list[str], ...]:
        """What is counted; of texts with two entities the words between and around them, each place by itself."""
        return (placed(part.columns[0], PATTERN),) if self.task.kind == "relation" else part.columns


class TfIdfIntents(TokenMajority):
    """TF-IDF with logistic regression for the intent, as `TfIdf`, and the most frequent tag of each word."""

    kinds = ("slots",)
    strategy = "tfidf_logreg"

    def fit(self, train: Part, validation: Part) -> None:
        """Fits both; the strength of the penalty is chosen by the share of right intents."""
        super().fit(train, validation)
        task = self.task._replace(kind="classification", labels=self.task.intents, metrics=("accuracy",))
        self.model = TfIdf(task, self.seed)
        self.model.fit(self._texts(train), self._texts(validation))
        self.coefficients += self.model.coefficients

    def intents(self, part: Part) -> list[int]:
        """The most probable ones."""
        found: list[int] = (self.model.predict(self._texts(part)).argmax(-1) + len(self.task.tags)).tolist()
        return found

    def _texts(self, part: Part) -> Part:
        """The intents of whole texts."""
        texts = [" ".join(words) for words in part.columns[0]]
        return Part(part.ids, (texts,), part.labels[:, 0] - len(self.task.tags))


class NBSVM(Baseline):
    """Naive Bayes log-count ratios as features of a linear SVM (Wang & Manning 2012).

    A row is ``x = r * f`` with the binarised 1-2-gram counts ``f`` and the ratios ``r`` of `log_count_ratio`; an SVM
    with squared hinge loss and C = 1 gives ``w``, and the model is ``w' x + b`` with
    ``w' = (1 - beta) mean(|w|) + beta w`` and beta = 0.25, the values of the paper
    (https://aclanthology.org/P12-2018/). One model per class or label against the rest, a single one for two
    classes. The scores are margins through a softmax, of several labels a sigmoid, not calibrated.
    """

    kinds = ("classification", "multilabel")
    strategy = "nbsvm"
    beta = 0.25

    def fit(self, train: Part, validation: Part) -> None:
        """Fits one model for each class that occurs; selects nothing."""
        from sklearn.feature_extraction.text import CountVectorizer

        require_two(train)
        self.ngrams = NGrams(CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=PATTERN, dtype=np.float32))
        features, labels = self.ngrams.fit(train.columns), train.labels
        if self.task.kind == "multilabel":
            positive = {number: labels[:, number] > 0 for number in range(labels.shape[1])}
            positive = {number: rows for number, rows in positive.items() if 0 < rows.sum() < len(rows)}
        else:
            classes = [1] if len(self.task.labels) == 2 else np.unique(labels).tolist()
            positive = {number: labels == number for number in classes}
        self.models = {number: self._against_rest(features, rows) for number, rows in positive.items()}
        # what is said of a label that all or none of the training examples have
        self.rest = (
            self.kind.constant(train.labels, self.task).astype(np.float32) if self.task.kind == "multilabel" else None
        )
        self.coefficients = sum(weights.size + 1 for weights, _ in self.models.values())

    def _against_rest(self, features: Matrix, positive: Array) -> tuple[Array, float]:
        ratio = log_count_ratio(features, positive)
        from scipy.sparse import csr_matrix
        from sklearn.svm import LinearSVC

        svm = LinearSVC(C=1.0, dual=True, max_iter=5000, random_state=self.seed)
        svm.fit(csr_matrix(features.multiply(ratio)), positive)
        weights = svm.coef_[0]
        interpolated = (1 - self.beta) * np.abs(weights).mean() + self.beta * weights
        return ratio * interpolated, float(svm.intercept_[0])

    def predict(self, part: Part) -> Array:
        """Margins; 0 for the first of two classes, minus infinity for a class that training never saw.

        Of several labels the margin of each, as log-odds.
        """
        features, count = self.ngrams(part.columns), len(self.task.labels)
        logits = np.full((len(part.ids), count), 0.0 if count == 2 else -np.inf, dtype=np.float32)
        if self.rest is not None:
            logits = np.tile(self.rest, (len(part.ids), 1))
        for number, (weights, bias) in self.models.items():
            logits[:, number] = features @ weights + bias
        return logits


def log_count_ratio(features: Matrix, positive: Array) -> Array:
    """Naive Bayes log-count ratios ``r = log((p / |p|) / (q / |q|))``, ``[features]``.

    Args:
        features: Binarised counts ``[rows, features]``.
        positive: Which rows belong to the class ``[rows]``; ``p`` is 1 plus the sum of these rows, ``q`` of the others.
    """
    p, q = (1 + np.asarray(features[np.flatnonzero(rows)].sum(axis=0)).ravel() for rows in (positive, ~positive))
    return np.asarray(np.log(p / p.sum()) - np.log(q / q.sum()))


def require_two(train: Part) -> None:
    """Checks that a linear model has something to learn.

    Raises:
        TransferlabError: All rows have one label.
    """
    if (train.labels == train.labels[0]).all():
        raise TransferlabError(
            f"data.train_examples: all {len(train.labels)} training examples have the same label; take more of them."
        )

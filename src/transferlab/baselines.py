"""Classical baselines on exactly the rows of the neural runs, kept in the same kind of run folder."""

import os
import re
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from transferlab.config import expand
from transferlab.encoders.config import EncoderConfig
from transferlab.errors import TransferlabError, near
from transferlab.metrics import build_metrics
from transferlab.runs import folder as run_folder
from transferlab.runs import predictions, report
from transferlab.runs.environment import environment
from transferlab.runs.recorder import RunRecorder, peak_memory_mb
from transferlab.strategies.base import test_name
from transferlab.tasks import Source, TaskDataModule, TaskSpec
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.labels import encode_labels, is_labelled
from transferlab.tasks.spec import Kind
from transferlab.tasks.tokenization import check_text

Array = np.ndarray[Any, Any]
Matrix = Any  # a sparse matrix of scipy, which ships no types
PATTERN = r"(?u)\w+(?:['\u2019]\w+)*|[^\w\s]"
"""Words and single marks; the default of scikit-learn drops "n" and "t" of "does n't", and with them the negation."""
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
"""Inverse regularisation strengths that the validation part chooses from."""
MAX_FEATURES = 200_000
"""N-grams that TF-IDF keeps, the most frequent ones; bounds time and memory on the large tasks."""


# rows -------------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """Rows that train, select or test.

    Attributes:
        ids: Row numbers in their split ``[rows]``.
        columns: One list per text column; the cells are texts, for tagging lists of words.
        labels: Class numbers or targets ``[rows]``; for tagging class numbers ``[rows, words]``, -100 for padding.
    """

    ids: Tensor
    columns: tuple[list[Any], ...]
    labels: Tensor


class Parts(NamedTuple):
    """All rows that a baseline reads.

    Attributes:
        train: The rows to fit on.
        validation: The rows to select on.
        tests: The labelled test splits, the main one first.
    """

    train: Part
    validation: Part
    tests: list[Part]


def read_parts(data: TaskDataModule) -> Parts:
    """The rows that a neural run with the same settings trains, selects and tests on.

    Raises:
        TransferlabError: Unusable rows.
    """
    data.train_labels()
    tests = [read_part(data, split) for split in data.source.test]
    return Parts(read_part(data, *data.part_rows("train")), read_part(data, *data.part_rows("validation")), tests)


def read_part(data: TaskDataModule, split: str, numbers: Array | None = None) -> Part:
    """Texts and labels of some rows of a split, by default of all.

    Raises:
        TransferlabError: Unlabelled or unusable rows.
    """
    rows, origin = data.rows(split)
    check_text(rows, data.source, origin)
    if not is_labelled(rows, data.source):
        raise TransferlabError(f"{origin}: the rows of split {split!r} carry no labels.")
    labels = encode_labels(rows, data.source, data.spec.labels, origin)
    numbers = np.arange(len(rows)) if numbers is None else numbers
    cells = [rows[column][:] for column in data.source.text]
    if data.spec.kind == "tagging":
        tags = _per_sentence(labels, cells[0], rows[data.source.label][:], origin)
        wanted = padded([tags[number] for number in numbers], IGNORE)
    else:
        wanted = torch.as_tensor(labels[numbers])
    return Part(torch.as_tensor(numbers), tuple([cell[number] for number in numbers] for cell in cells), wanted)


def _per_sentence(flat: Array, words: list[list[str]], tags: list[list[Any]], origin: str) -> list[Array]:
    for row, (here, there) in enumerate(zip(words, tags, strict=True)):
        if len(here) != len(there):
            raise TransferlabError(f"{origin}, row {row}: {len(here)} words but {len(there)} tags.")
    return np.split(flat, np.cumsum([len(row) for row in tags])[:-1])


def padded(rows: Iterable[Sequence[int] | Array], fill: int) -> Tensor:
    """Rows of class numbers as ``[rows, words]``, filled up on the right."""
    return pad_sequence([torch.as_tensor(row) for row in rows], batch_first=True, padding_value=fill)


def evaluate(task: TaskSpec, predicted: Tensor, labels: Tensor) -> dict[str, float]:
    """The metrics of the task, by the definitions of the neural runs.

    Args:
        task: Names the metrics.
        predicted: What `Baseline.predict` returns.
        labels: As in `Part`.
    """
    metrics = build_metrics(task)
    metrics.update(predicted, labels)
    return {name: value.item() for name, value in metrics.compute().items()}


# methods ----------------------------------------------------------------------------------------------------------


class Baseline(ABC):
    """A classical method.

    Args:
        task: Facts about the task.
        seed: Seed of solvers that draw random numbers.

    Attributes:
        kinds: Kinds of task that it fits.
        coefficients: Number of fitted coefficients.
    """

    kinds: tuple[Kind, ...]
    coefficients = 0

    def __init__(self, task: TaskSpec, seed: int) -> None:
        self.task = task
        self.seed = seed

    @property
    @abstractmethod
    def strategy(self) -> str:
        """Its name in tables."""

    @abstractmethod
    def fit(self, train: Part, validation: Part) -> None:
        """Fits on `train`; selects, where there is something to select, on `validation`."""

    @abstractmethod
    def predict(self, part: Part) -> Tensor:
        """Logits ``[rows, classes]``, for regression ``[rows]``, for tagging class numbers ``[rows, words]``."""


class Majority(Baseline):
    """Reads no text: the most frequent class (the first of equals), the mean target, or "O" for every word."""

    kinds = ("classification", "regression", "tagging")
    strategy = "majority"

    def fit(self, train: Part, validation: Part) -> None:
        """Counts; the scores of a class are its frequency."""
        if self.task.kind == "classification":
            self.constant = (torch.bincount(train.labels, minlength=len(self.task.labels)) / len(train.labels)).log()
        elif self.task.kind == "regression":
            self.constant = train.labels.double().mean()

    def predict(self, part: Part) -> Tensor:
        """The same for every row."""
        if self.task.kind == "tagging":
            return torch.full_like(part.labels, outside(self.task))
        return self.constant.expand(len(part.ids), *self.constant.shape)


def outside(task: TaskSpec) -> int:
    """The class number of "O"; 0 where the task has no such tag, as neural runs have it for words cut off."""
    return task.labels.index("O") if "O" in task.labels else 0


class TokenMajority(Baseline):
    """The most frequent tag of each word in training; else of the lower-cased word; else "O"."""

    kinds = ("tagging",)
    strategy = "token_majority"

    def fit(self, train: Part, validation: Part) -> None:
        """Counts the tags of every word as it is written, and of its lower-cased form."""
        # the padding of the labels is longer than the sentence
        sentences = zip(train.columns[0], train.labels.tolist(), strict=True)
        pairs = [pair for words, tags in sentences for pair in zip(words, tags, strict=False)]
        self.exact = most_frequent(pairs)
        self.lower = most_frequent((word.lower(), tag) for word, tag in pairs)
        self.coefficients = len(self.exact) + len(self.lower)

    def predict(self, part: Part) -> Tensor:
        """Looks every word up."""
        unknown = outside(self.task)
        lower, exact = self.lower, self.exact
        found = ([exact.get(w, lower.get(w.lower(), unknown)) for w in words] for words in part.columns[0])
        return padded(found, unknown)


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

    def __init__(self, vectorizer: CountVectorizer, similarity: bool = False) -> None:
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

    kinds = ("classification", "regression")

    @property
    def strategy(self) -> str:
        """Names the linear model."""
        return "tfidf_ridge" if self.task.kind == "regression" else "tfidf_logreg"

    def fit(self, train: Part, validation: Part) -> None:
        """Fits one model per strength and keeps the best."""
        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=PATTERN, max_features=MAX_FEATURES, dtype=np.float32
        )
        self.ngrams = NGrams(vectorizer, similarity=True)
        require_two(train)
        features, targets = self.ngrams.fit(train.columns), train.labels.numpy()
        held_out = self.ngrams(validation.columns)
        sign = -1 if self.task.primary == "mse" else 1
        best = -np.inf
        for strength in STRENGTHS:
            model = self._model(strength).fit(features, targets)
            value = sign * evaluate(self.task, self._outputs(model, held_out), validation.labels)[self.task.primary]
            if value > best:
                best, self.model = value, model
        self.coefficients = self.model.coef_.size + np.size(self.model.intercept_)

    def _model(self, strength: float) -> Any:
        if self.task.kind == "regression":
            return Ridge(alpha=1 / strength)
        return LogisticRegression(C=strength, max_iter=1000)

    def predict(self, part: Part) -> Tensor:
        """Log-probabilities or targets."""
        return self._outputs(self.model, self.ngrams(part.columns))

    def _outputs(self, model: Any, features: Matrix) -> Tensor:
        if self.task.kind == "regression":
            return torch.as_tensor(model.predict(features))
        logits = torch.full((features.shape[0], len(self.task.labels)), -torch.inf)
        logits[:, model.classes_] = torch.as_tensor(model.predict_log_proba(features), dtype=torch.float32)
        return logits


class NBSVM(Baseline):
    """Naive Bayes log-count ratios as features of a linear SVM (Wang & Manning 2012).

    A row is ``x = r * f`` with the binarised 1-2-gram counts ``f`` and the ratios ``r`` of `log_count_ratio`; an SVM
    with squared hinge loss and C = 1 gives ``w``, and the model is ``w' x + b`` with
    ``w' = (1 - beta) mean(|w|) + beta w`` and beta = 0.25, the values of the paper
    (https://aclanthology.org/P12-2018/). One model per class against the rest, a single one for two classes. The
    scores are margins through a softmax, not calibrated.
    """

    kinds = ("classification",)
    strategy = "nbsvm"
    beta = 0.25

    def fit(self, train: Part, validation: Part) -> None:
        """Fits one model for each class that occurs; selects nothing."""
        require_two(train)
        self.ngrams = NGrams(CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=PATTERN, dtype=np.float32))
        features, labels = self.ngrams.fit(train.columns), train.labels.numpy()
        classes = [1] if len(self.task.labels) == 2 else np.unique(labels).tolist()
        self.models = {number: self._against_rest(features, labels == number) for number in classes}
        self.coefficients = sum(weights.size + 1 for weights, _ in self.models.values())

    def _against_rest(self, features: Matrix, positive: Array) -> tuple[Array, float]:
        ratio = log_count_ratio(features, positive)
        svm = LinearSVC(C=1.0, dual=True, max_iter=5000, random_state=self.seed)
        svm.fit(sparse.csr_matrix(features.multiply(ratio)), positive)
        weights = svm.coef_[0]
        interpolated = (1 - self.beta) * np.abs(weights).mean() + self.beta * weights
        return ratio * interpolated, float(svm.intercept_[0])

    def predict(self, part: Part) -> Tensor:
        """Margins; 0 for the first of two classes, minus infinity for a class that training never saw."""
        features, count = self.ngrams(part.columns), len(self.task.labels)
        logits = torch.full((len(part.ids), count), 0.0 if count == 2 else -torch.inf)
        for number, (weights, bias) in self.models.items():
            logits[:, number] = torch.as_tensor(features @ weights + bias, dtype=torch.float32)
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
            f"data.train_examples: all {len(train.labels)} training rows have the same label; take more of them."
        )


METHODS: dict[str, type[Baseline]] = {
    "majority": Majority,
    "tfidf": TfIdf,
    "nbsvm": NBSVM,
    "token_majority": TokenMajority,
}


def chosen_methods(method: str, kind: Kind) -> list[str]:
    """The methods to run; ``all`` is all that fit the kind of task.

    Raises:
        TransferlabError: No such method, or it does not fit.
    """
    fitting = [name for name, one in METHODS.items() if kind in one.kinds]
    if method == "all":
        return fitting
    if method not in METHODS:
        known = ["all", *METHODS]
        raise TransferlabError(f"--method: no method {method!r}{near(method, known)}; known: {', '.join(known)}.")
    if method not in fitting:
        raise TransferlabError(f"--method: {method} is not for {kind}; use all, {' or '.join(fitting)}.")
    return [method]


# runs -------------------------------------------------------------------------------------------------------------


class BaselineRecorder(RunRecorder):
    """The record of a baseline: the same files with the same keys as that of a neural run."""

    def begin(self, data: TaskDataModule, parts: Parts, config: str) -> None:
        """Creates the folder and writes what is known before fitting."""
        self.summary |= facts(data, parts)
        run_folder.create(self.folder)
        (self.folder / "config.yaml").write_text(config, encoding="utf-8")
        run_folder.write_json(self.folder / "environment.json", environment())
        self._write("running")

    def complete(self, task: TaskSpec, baseline: Baseline, parts: Parts) -> None:
        """Fits, evaluates, writes metrics and predictions, prints header and result."""
        started = time.perf_counter()
        baseline.fit(parts.train, parts.validation)
        seconds = max(time.perf_counter() - started, 1e-9)
        count = baseline.coefficients
        self.summary["params"] = {"total": count, "trainable": count, "trainable_pct": 100.0 if count else 0.0}
        self.header()
        values = evaluate(task, baseline.predict(parts.validation), parts.validation.labels)
        self.after({f"val/{name}": value for name, value in values.items()} | {"val/primary": values[task.primary]})
        for number, part in enumerate(parts.tests):
            self._test(task, test_name(number), baseline.predict(part), part)
        self.summary["perf"] |= {
            "wall_s": round(time.perf_counter() - self.started, 2),
            "train_s": round(seconds, 2),
            # a speed says nothing where nothing is fitted
            "samples_s": round(len(parts.train.ids) / seconds, 2) if count else None,
            "peak_mem_mb": round(peak_memory_mb(), 1),
        }
        self._write("finished")
        self.result()

    def _test(self, task: TaskSpec, split: str, predicted: Tensor, part: Part) -> None:
        self.summary["metrics"] |= {f"{split}/{k}": v for k, v in evaluate(task, predicted, part.labels).items()}
        name = "classes" if task.kind == "tagging" else "logits"
        outputs = {"index": part.ids, name: predicted, "word_mask": part.labels != IGNORE}
        lines = predictions.records(task, outputs, part.labels)
        predictions.write(self.folder / "predictions" / f"{split}.jsonl", lines)
        if split == "test":
            self.summary["per_class"] = report.per_class(task, lines)

    def fail(self, error: BaseException) -> None:
        """Marks the run as failed or interrupted."""
        self.summary["error"] = f"{type(error).__name__}: {error}".strip()
        self._write("interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed")


def facts(data: TaskDataModule, parts: Parts) -> dict[str, Any]:
    """What a summary says of a baseline before it is fitted; no encoder, no weights, and texts are read whole."""
    task = data.spec
    return {
        "task": task.name,
        "kind": task.kind,
        "labels": list(task.labels),
        "primary": task.primary,
        "encoder": "-",
        "protocol": data.protocol.selection,
        "data": {
            "origin": data.origin,
            "train_examples": len(parts.train.ids),
            "train_fraction": data.protocol.train_fraction,
            "validation": f"{len(parts.validation.ids)} rows of {data.part_rows('validation')[0]}",
            "test": list(data.source.test),
            "max_length": None,
            "truncation": None,
        },
        "weights": "none",
        "params": {"total": 0, "trainable": 0, "trainable_pct": 0.0},
        "metrics": {},
        "perf": dict.fromkeys(("wall_s", "samples_s", "tokens_s", "step_ms", "peak_mem_mb")),
        "checkpoint_mb": None,
        "per_class": {},
    }


def run(method: str, data: TaskDataModule, parts: Parts, settings: Any, config: str) -> Path:
    """Fits and tests one method and leaves a run folder.

    Args:
        method: A key of `METHODS`.
        data: The task.
        parts: What `read_parts` gave for it.
        settings: The parsed command line: `seed_everything` and `run`.
        config: The text of ``config.yaml``.

    Returns:
        The run folder.
    """
    baseline = METHODS[method](data.spec, int(settings.seed_everything))
    experiment = f"baseline_{method}_{data.task}"
    os.environ.pop(run_folder.VARIABLE, None)  # it names the folder of one run; each method is one of its own
    folder = run_folder.choose(Path(settings.run.root), experiment, baseline.seed)
    os.environ.pop(run_folder.VARIABLE, None)
    identity = {"experiment": experiment, "run": folder.name, "strategy": baseline.strategy}
    recorder = BaselineRecorder(folder, identity | {"seed": baseline.seed, "tags": list(settings.run.tags)})
    recorder.begin(data, parts, config)
    try:
        recorder.complete(data.spec, baseline, parts)
    except BaseException as error:
        recorder.fail(error)
        raise
    return folder


# command line -----------------------------------------------------------------------------------------------------


def build_parser() -> ArgumentParser:
    """The parser of ``transferlab baseline``: what an experiment file says of data, seed and run, and the method."""
    parser = ArgumentParser(prog="transferlab baseline", description=__doc__, exit_on_error=False)
    parser.add_argument("--config", action="config", help="Experiment file; what it says of a model is not read.")
    parser.add_argument("--method", default="all", help=f"all, {', '.join(METHODS)}")
    parser.add_argument("--seed_everything", type=int | bool, default=0, help="Seed of rows and solvers.")
    parser.add_argument("--run.root", default="runs", help="Folder that holds all runs.")
    parser.add_argument("--run.tags", type=tuple[str, ...], default=(), help="Words to filter runs by.")
    task = {"class_path": "transferlab.tasks.TaskDataModule"}
    # with a default the type is not Optional, whose errors would hide those of the constructor
    parser.add_subclass_arguments(TaskDataModule, "data", default=task, help="The task, as in an experiment file.")
    parser.link_arguments("seed_everything", "data.init_args.encoder", compute_fn=_unread_encoder)
    parser.link_arguments("seed_everything", "data.init_args.seed")
    return parser


def _unread_encoder(seed: int) -> dict[str, Any]:
    """Stands where the data module wants an encoder, of which only tokenising reads anything."""
    return asdict(EncoderConfig())


def main(arguments: list[str]) -> None:
    """Runs ``transferlab baseline``.

    Raises:
        TransferlabError: Wrong arguments, unusable rows, or a method that does not fit the task.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    parser = build_parser()
    try:
        settings = parser.parse_args(expanded(arguments))
    except ArgumentError as error:
        raise TransferlabError(explain(str(error), parser)) from error
    data: TaskDataModule = parser.instantiate_classes(settings).data
    methods = chosen_methods(settings.method, data.spec.kind)
    parts = read_parts(data)
    for method in methods:
        settings.method = method
        run(method, data, parts, settings, parser.dump(settings, skip_validation=True, skip_link_targets=True))


def expanded(arguments: list[str]) -> list[str]:
    """Replaces each experiment file by its ``data``, ``seed_everything``, ``method`` and ``run`` parts.

    The names in ``run`` are left out: they are those of the neural run.
    """
    result: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if name not in {"--config", "-c"}:
            result.append(argument)
            continue
        tree = expand(Path(value or next(rest, "")))
        part = {key: tree[key] for key in ("data", "seed_everything", "method", "run") if key in tree}
        if isinstance(part.get("run"), dict):
            part["run"] = {key: v for key, v in part["run"].items() if key not in {"experiment", "strategy"}}
        result += ["--config", yaml.safe_dump(part, sort_keys=False)]
    return result


def explain(message: str, parser: ArgumentParser) -> str:
    """Shortens a jsonargparse message to its innermost cause, and names the nearest right key."""
    text = re.sub(r"\s+", " ", message).strip()
    inner = re.search(r".*Problem with given class_path '[^']*': (.*?)(?= Given value|$)", text)
    text = inner[1].strip() if inner else text
    if "Option 'task' is required" in text:
        return "data.task is missing: give an experiment file with --config, or --data.task NAME."
    wrong = re.search(r"Option '([\w.]+)' is not accepted|Unrecognized arguments: -*([\w.]+)", text)
    if not wrong:
        return text
    known = {str(action.dest).rsplit(".", 1)[-1] for action in parser._actions}
    known |= set(signature(TaskDataModule).parameters) | {field.name for field in fields(Source)}
    key = wrong[1] or wrong[2]
    return f"no key {key!r}{near(key.rsplit('.', 1)[-1], sorted(known))} in what `transferlab baseline` reads."

"""A finished run as a function of new texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlab.analysis.page import calibration
from transferlab.config.renamed import as_meant
from transferlab.config.trees import read_yaml
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hardware import best_accelerator
from transferlab.record import folder as run_folder
from transferlab.record import predictions
from transferlab.record.predictions import Record
from transferlab.strategies import Strategy
from transferlab.strategies.teacher import restore
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.spec import Source, TaskSpec
from transferlab.tasks.table import TASKS
from transferlab.tasks.tokenization import Settings, encode_texts
from transferlab.use.prediction import words as of_words
from transferlab.use.prediction.words import Words, entities

Example = str | Sequence[str] | Mapping[str, Any]
"""A text, two texts or the words of a sentence, or these by the names of their columns."""
TOKENS = 16_384
"""Tokens of a batch, padding included."""
LEADING = ("prediction", "probability", "margin", "probabilities")
"""Keys of an answer, in this order; for tagging ``words``, ``prediction`` and ``entities``."""


class Predictor:
    """A finished run that answers new texts, in float32 and without its training data.

    An answer does not depend on the other texts of its batch, up to rounding.

    Args:
        model: The model, in evaluation mode.
        source: Names the text columns and the kind of the task.
        settings: How texts become tokens.
        temperature: Divides the logits before the softmax; None: the probabilities as the model gives them.
        batch_size: Texts of a batch, at most.
    """

    def __init__(
        self,
        model: Strategy,
        source: Source,
        settings: Settings,
        temperature: float | None = None,
        batch_size: int = 64,
    ) -> None:
        self.model = model
        self.source = source
        self.settings = settings
        self.temperature = temperature
        self.batch_size = batch_size

    @classmethod
    def load(
        cls,
        run: str | Path,
        calibrated: bool = False,
        device: str | None = None,
        batch_size: int = 64,
        root: str | Path = "runs",
    ) -> "Predictor":
        """Loads a run.

        Args:
            run: An experiment (its newest run), a run ID or a run directory.
            calibrated: Whether probabilities are scaled by the temperature that fits the run's validation examples.
            device: ``cpu``, ``cuda``, ``cuda:1`` ...; None: a GPU where there is one.
            batch_size: Texts of a batch, at most.
            root: Folder of runs.

        Raises:
            TransferlabError: No such run, one without a checkpoint, other base weights than it was trained on, or a
                temperature that is not to be trusted.
        """
        folder = run_folder.find(str(run), Path(root))
        model = restore(folder).requires_grad_(False)
        source, settings = _reading(folder)
        temperature = fitted_temperature(folder, model.task) if calibrated else None
        usual = {"gpu": "cuda"}.get(best_accelerator(), best_accelerator())
        return cls(model.to(device or usual), source, settings, temperature, batch_size)

    @property
    def task(self) -> TaskSpec:
        """Name, kind and labels of the task."""
        return self.model.task

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.model.encoder_config, words=self.task.kind == "tagging")

    def __call__(self, example: Example) -> Record:
        """The answer to one example, see `predict`."""
        return self.predict([example])[0]

    def predict(self, examples: Sequence[Example]) -> list[Record]:
        """Answers to examples, in their order.

        Args:
            examples: Each a text; for pairs two texts; for tagging a text, or the list of its words; or a mapping from
                the names of the text columns to these.

        Returns:
            For classification ``prediction`` (the label), ``probability`` (of it), ``margin`` (to the second best) and
            ``probabilities`` (by label). For regression ``prediction`` (a number). For tagging ``words``,
            ``prediction`` (a tag for each, in the scheme of the training data) and ``entities`` (``type``, ``start``
            and ``end`` in characters of the text, ``text``).

        Raises:
            TransferlabError: An example that is no text; names its number.
        """
        if not examples:
            return []
        cells = [self._cells(number, example) for number, example in enumerate(examples)]
        columns = {name: [row[place] for row in cells] for place, name in enumerate(self.source.text)}
        split: dict[str, list[Words]] = {}
        if self.task.kind == "tagging":
            name = self.source.text[0]
            split[name] = [self._words(cell) for cell in columns[name]]
            columns[name] = [each.words for each in split[name]]
        encoded = encode_texts(columns, self.source, self._tokenizer, self.settings)
        answers: list[Record] = [{}] * len(examples)
        for batch in self._batches(encoded):
            for record in self._answer(encoded, batch):
                answers[record.pop("id")] = record
        for each in split.values():
            answers = [self._tagged(words, answer) for words, answer in zip(each, answers, strict=True)]
        return answers

    def _cells(self, number: int, example: Example) -> tuple[Any, ...]:
        names = self.source.text
        if isinstance(example, Mapping):
            missing = [name for name in names if name not in example]
            if missing:
                raise TransferlabError(f"example {number}: there is no {missing[0]!r}; it has {', '.join(example)}.")
            values = tuple(example[name] for name in names)
        elif len(names) == 1:
            values = (example,)
        else:
            values = tuple(example) if not isinstance(example, str) else (example,)
        tagging = self.task.kind == "tagging"
        good = len(values) == len(names) and all(
            isinstance(value, str)
            or (tagging and isinstance(value, Sequence) and all(isinstance(word, str) for word in value))
            for value in values
        )
        if not good or not all(values):
            want = "a text or a list of words" if tagging else "a text" if len(names) == 1 else f"{len(names)} texts"
            raise TransferlabError(f"example {number}: {want} (not empty) is wanted, not {str(example)[:60]!r}.")
        return values

    def _words(self, cell: str | Sequence[str]) -> Words:
        found = of_words.of_text(cell) if isinstance(cell, str) else of_words.of_words(cell)
        return found if found.words else of_words.of_words([str(cell)])

    def _batches(self, encoded: EncodedSplit) -> list[list[int]]:
        """Rows of like length together, the longest first; no batch has more than `TOKENS` unless a single row has."""
        lengths = encoded.ids.lengths
        batches: list[list[int]] = []
        longest = 0
        for row in np.argsort(-lengths, kind="stable").tolist():
            if not batches or len(batches[-1]) >= self.batch_size or longest * (len(batches[-1]) + 1) > TOKENS:
                batches.append([])
                longest = int(lengths[row])
            batches[-1].append(row)
        return batches

    @torch.inference_mode()
    def _answer(self, encoded: EncodedSplit, rows: list[int]) -> list[Record]:
        batch = encoded.collate(rows).to(self.model.device)
        outputs = self.model.predict_step(batch, 0)
        if self.temperature is not None:
            outputs["logits"] = outputs["logits"] / self.temperature
        return [self._told(record) for record in predictions.records(self.task, outputs, None)]

    def _tagged(self, words: Words, answer: Record) -> Record:
        tags = answer["prediction"]
        found = entities(words, self.task.spelling.read(tags)) if self.task.entities else []
        return {"words": words.words, "prediction": tags, "entities": found}

    def _told(self, record: Record) -> Record:
        answer: Record = {"id": record["id"], "prediction": record["prediction"]}
        scores = record.get("scores")
        if scores and self.task.kind == "classification":
            first, second = sorted(scores, reverse=True)[:2]
            answer |= {"probability": first, "margin": float(f"{first - second:.6g}")}
        if scores:
            answer["probabilities"] = dict(zip(self.task.labels, scores, strict=True))
        return answer

    def with_columns(self, text: Sequence[str]) -> "Predictor":
        """The same model for texts in other columns.

        Raises:
            TransferlabError: Another number of columns than the task has.
        """
        if len(text) != len(self.source.text):
            raise TransferlabError(
                f"--text: {self.task.name} reads {len(self.source.text)} column(s), {', '.join(self.source.text)}; "
                f"{len(text)} given."
            )
        return Predictor(
            self.model, replace(self.source, text=tuple(text)), self.settings, self.temperature, self.batch_size
        )


def _reading(run: Path) -> tuple[Source, Settings]:
    """Columns, kind and length of a run's texts, from its configuration; its data are not looked at."""
    # only here, so that a predictor that is put together by hand needs no parser
    from jsonargparse import ArgumentParser

    given = as_meant(read_yaml(run / "config.yaml"))["data"]["init_args"]
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TaskDataModule, "data", skip={"encoder", "seed"}, instantiate=False)
    known = {key: value for key, value in given.items() if key in signature(TaskDataModule).parameters}
    data = parser.instantiate_classes(parser.parse_object({"data": known})).data
    settings = Settings(data.max_length, data.truncation, data.windows or "even")
    return data.source or TASKS[data.task], settings


def fitted_temperature(run: Path, task: TaskSpec) -> float:
    """The temperature of the least negative log-likelihood on the validation examples of a run.

    Raises:
        TransferlabError: The task is no classification, or the temperature is not to be trusted.
    """
    if task.kind != "classification":
        raise TransferlabError(f"--calibrated: a temperature is for classification; {task.name} is {task.kind}.")
    path = predictions.place(run, "validation")
    if not path.is_file():
        raise TransferlabError(f"--calibrated: {path} is missing, which the temperature is fitted on.")
    lines = predictions.read(path)
    scores = np.array([line["scores"] for line in lines])
    labels = np.array([task.labels.index(line["label"]) for line in lines])
    found = calibration.fit(scores, labels)
    if doubt := calibration.doubt(scores, labels, found):
        raise TransferlabError(f"--calibrated: the temperature {found:.2f} is not to be trusted: {doubt}.")
    return found

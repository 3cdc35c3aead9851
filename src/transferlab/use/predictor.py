"""A finished run as a function of new texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlab.analysis.page import calibration
from transferlab.encoders.loading import is_one_way, load_tokenizer, reads_last_pieces
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hardware import best_accelerator
from transferlab.record import folder as run_folder
from transferlab.record import predictions
from transferlab.record.predictions import Record
from transferlab.strategies import Strategy
from transferlab.strategies.teacher import restore
from transferlab.tasks import words
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.settings import Settings, with_case, with_entities, with_generation, with_windows
from transferlab.tasks.spans import BEST, Spans
from transferlab.tasks.spec import Source, TaskSpec
from transferlab.tasks.table import TASKS
from transferlab.tasks.tokenization import encode_texts
from transferlab.use.answering import TOKENS, Answering, is_chat
from transferlab.use.prediction import words as of_words
from transferlab.use.reread import arguments_of


class Predictor(Answering[EncodedSplit]):
    """A finished run that answers new texts, in float32 and without its training data.

    An answer does not depend on the other texts of its batch, up to rounding.

    Args:
        model: The model, in evaluation mode.
        source: Names the text columns and the kind of the task.
        settings: How texts become tokens.
        temperature: Divides the logits before the softmax; None: the probabilities as the model gives them.
        batch_size: Texts of a batch, at most.
        max_unknown: Share of words that may be one and the same unknown piece; None: a third.
    """

    def __init__(
        self,
        model: Strategy,
        source: Source,
        settings: Settings,
        temperature: float | None = None,
        batch_size: int = 64,
        max_unknown: float | None = None,
    ) -> None:
        super().__init__(model.task, source.text, batch_size)
        self.model = model
        self.n_best = model.head_config.n_best or BEST
        self.source = source
        self.settings = settings
        self.temperature = temperature
        self.max_unknown = max_unknown

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
        source, settings, unknown = _reading(folder)
        settings = settings._replace(new_tokens=model.task.new_tokens)
        temperature = fitted_temperature(folder, model.task) if calibrated else None
        usual = {"gpu": "cuda"}.get(best_accelerator(), best_accelerator())
        return cls(model.to(device or usual), source, settings, temperature, batch_size, unknown)

    @cached_property
    def tokenizer(self) -> Any:
        """The encoder's."""
        return load_tokenizer(self.model.encoder_config, words=self.task.worded)

    @property
    def at_once(self) -> int:
        """Tokens of a batch, at most; on a GPU many."""
        return super().at_once if self.model.device.type == "cpu" else TOKENS

    def encode(self, columns: Mapping[str, Sequence[Any]]) -> tuple[EncodedSplit, "np.ndarray[Any, Any]"]:
        """Tokenises texts, for tagging words; returns them, and the number of tokens of each."""
        source = replace(self.source, text=self.text)
        lists = {name: list(cells) for name, cells in columns.items()}
        # the windows of a question are read together up to so many
        most = max(1, TOKENS // self.settings.max_length) if self.task.kind == "qa" else None
        encoded = encode_texts(lists, source, self.tokenizer, self.settings, most)
        return encoded, encoded.ids.lengths

    def refuse_unread(self, columns: Mapping[str, Sequence[Any]], origin: str) -> None:
        """Refuses texts that the encoder cannot read, as training does.

        Args:
            columns: The text columns.
            origin: Where they come from.

        Raises:
            TransferlabError: More words are one and the same unknown piece than the run allowed.
        """
        words.refuse_unread(self._counts(columns), self.max_unknown, self.model.encoder_config.label, origin)

    def unread(self, columns: Mapping[str, Sequence[Any]]) -> str:
        """Words that are unknown, where training would refuse so many; else empty."""
        counts = self._counts(columns)
        return words.in_words(counts) if words.too_many(counts, self.max_unknown) else ""

    def _counts(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, int]:
        cells = [cell for name in self.text for cell in columns[name][: words.LOOKED_AT] if not is_chat(cell)]
        if self.task.worded:
            cells = [of_words.of_cell(cell).words for cell in cells]
        return words.count(cells, self.source, self.tokenizer)

    @torch.inference_mode()
    def answer(self, encoded: EncodedSplit, rows: list[int]) -> list[Record]:
        """``id`` (row), ``prediction`` and where there are any ``scores`` of some rows.

        Raises:
            TransferlabError: The task answers questions.
        """
        if self.task.kind == "qa":
            raise TransferlabError(f"{self.task.name}: questions have no classes, which this command reads.")
        outputs = self.model.predict_step(encoded.collate(rows).to(self.model.device), 0)
        if self.temperature is not None:
            outputs["logits"] = outputs["logits"] / self.temperature
        return predictions.records(self.task, outputs, None)

    @property
    def threshold(self) -> float:
        """The margin above which a question has no answer."""
        assert self.model.thresholds is not None
        return float(self.model.thresholds[0])

    def owners(self, encoded: EncodedSplit) -> Sequence[int]:
        """The question that each row belongs to."""
        found: Sequence[int] = encoded.facts["owners"]
        return found

    @torch.inference_mode()
    def spans(self, encoded: EncodedSplit, rows: list[int]) -> list[Spans]:
        """The best answers in the windows of some rows."""
        outputs: dict[str, Any] = self.model.predict_step(encoded.collate(rows).to(self.model.device), 0)
        return list(outputs["spans"])


def _reading(run: Path) -> tuple[Source, Settings, float | None]:
    """Columns, kind and length of a run's texts, and the words that may be unknown; its data are not looked at."""
    known = arguments_of(run)
    data = known.data
    source = data.source or TASKS[data.task]
    apart = data.pairs == "apart" and len(source.text) > 1
    last = source.worded and reads_last_pieces(known.encoder)
    settings = Settings(data.max_length, data.truncation, data.windows or "even", apart, last)
    settings = with_entities(settings, source.kind, data.markers, data.pooling)
    settings = with_generation(settings, source.kind, data.generation)
    settings = settings._replace(causal=source.kind == "text" and is_one_way(known.encoder))
    settings = with_windows(settings, source.kind, data.stride, data.negative_windows)
    settings = with_case(settings, source.kind, data.case)
    return source, settings, data.max_unknown


def fitted_temperature(run: Path, task: TaskSpec) -> float:
    """The temperature of the least negative log-likelihood on the validation examples of a run.

    Raises:
        TransferlabError: The task is no classification, or the temperature is not to be trusted.
    """
    if not KINDS[task.kind].single:
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

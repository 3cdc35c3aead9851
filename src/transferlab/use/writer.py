"""An exported folder of transformers that writes texts, as a function of new inputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlab.encoders.language import class_of
from transferlab.ground.errors import TransferlabError
from transferlab.record import predictions
from transferlab.strategies.writing import written
from transferlab.tasks.batch import EncodedSplit, collate
from transferlab.tasks.generation import Generation
from transferlab.tasks.settings import Settings
from transferlab.tasks.spec import Source
from transferlab.tasks.tokenization import encode_texts
from transferlab.use.answering import Answering, Record
from transferlab.use.export import facts as facts_of


class Writer(Answering[EncodedSplit]):
    """Answers new inputs with what ``transferlab export --format hf`` wrote of a run that writes texts.

    Args:
        folder: The exported folder.
        calibrated: Texts have no probabilities to be scaled, so it is refused.
        batch_size: Inputs of a batch, at most.

    Raises:
        TransferlabError: No such folder, one of another format, or a damaged one.
    """

    def __init__(self, folder: str | Path, calibrated: bool = False, batch_size: int = 64) -> None:
        from transformers import AutoConfig, AutoTokenizer

        folder = Path(folder)
        self.facts = facts_of.read(folder)
        prompts = self.facts.prompts
        if self.facts.format != "hf" or prompts is None:
            raise TransferlabError(
                f"{folder} was exported as {self.facts.format}, which is asked as its README.md shows; this needs a "
                "run, or --format hf."
            )
        if calibrated:
            raise TransferlabError(
                f"--calibrated: a temperature is for classification; {self.facts.task.name} is text."
            )
        facts_of.check(folder, "model", "tokenizer.json", "config.json")
        super().__init__(self.facts.task, self.facts.text, batch_size)
        generation = Generation(template=prompts["template"], chat=prompts["chat"])
        self._settings = Settings(
            self.facts.max_length,
            self.facts.truncation,  # type: ignore[arg-type]  # read from a file
            generation=generation,
            causal=prompts["causal"],
        )
        automatic: Any = AutoTokenizer
        self._tokenizer = automatic.from_pretrained(folder)
        self._model = class_of(AutoConfig.from_pretrained(folder)).from_pretrained(folder).eval()

    def encode(self, columns: Mapping[str, Sequence[Any]]) -> tuple[EncodedSplit, "np.ndarray[Any, Any]"]:
        """Tokenises inputs; returns them, and the number of tokens of each."""
        lists = {name: list(cells) for name, cells in columns.items()}
        encoded = encode_texts(lists, Source(kind="text", text=self.text), self._tokenizer, self._settings)
        return encoded, encoded.ids.lengths

    @torch.inference_mode()
    def answer(self, encoded: EncodedSplit, rows: list[int]) -> list[Record]:
        """``id`` (row), ``prediction``, ``end`` and ``new_tokens`` of some rows."""
        batch, search = collate(encoded, rows), self.task.search
        assert search is not None
        outputs = written(self._model, self._tokenizer, batch, search, some=False)
        found = {"index": batch.index, **outputs._asdict()}
        return predictions.records(self.task, found, None)

"""Unlabelled text as a LightningDataModule."""

import functools
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from transferlab.encoders.loading import load_from_hub
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.ground.remembered import Remembered
from transferlab.pretraining import corpus
from transferlab.pretraining.batches import Evaluation, StepSampler, TextBatch, View
from transferlab.pretraining.rows import Reading, Rows
from transferlab.pretraining.start import Start, Tokens, tokenizer_of
from transferlab.pretraining.text import Text
from transferlab.tasks.place import Placed


class PretrainingData(Placed, Remembered, L.LightningDataModule):
    """Documents as rows of an objective, without the test texts of tasks, and a part of them held out.

    Args:
        text: Where the documents are.
        encoder: Whose tokenizer reads them; linked from the top-level key.
        without: Tasks whose test texts are left out, found by content; null: the task whose splits are read, none for
            other text.
        held_out: Share of documents that are held out to measure perplexity on.
        held_rows: Rows of these that are measured on, at most, spread evenly.
        max_length: Tokens of a row, special ones included. A longer document fills several rows; nothing is cut off.
        batch_size: Rows per batch and process. Those of an optimizer step are of like length.
        eval_batch_size: Rows per batch in validation.
        packed: Lay the rows of a batch one after the other without padding, each attending to itself only. Meant for
            GPUs.
        num_workers: Loader processes.
        seed: Seed of order and masks; linked from `seed_everything`.

    Attributes:
        reading: How the objective reads text; set by `read_as` before training.
    """

    def __init__(
        self,
        text: Text,
        encoder: Start = Start(),  # noqa: B008  frozen
        without: tuple[str, ...] | None = None,
        held_out: float = 0.02,
        held_rows: int = 2000,
        max_length: int = 128,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        packed: bool = False,
        num_workers: int = 0,
        seed: int | bool = 0,
    ) -> None:
        L.LightningDataModule.__init__(self)
        at_least(1, data__batch_size=batch_size, data__eval_batch_size=eval_batch_size, data__held_rows=held_rows)
        if not 0 < held_out < 1:
            raise TransferlabError(f"data.held_out: {held_out} is not between 0 and 1.")
        self.text, self.start, self.seed = text, encoder, int(seed)
        self.without = tuple(filter(None, (text.task,))) if without is None else without
        self.held_out, self.held_rows, self.max_length = held_out, held_rows, max_length
        self.batch_size, self.eval_batch_size, self.packed = batch_size, eval_batch_size, packed
        self.num_workers = num_workers
        self.reading = Reading()

    @functools.cached_property
    def marks(self) -> Path:
        """Says of each document what becomes of it."""
        return corpus.marks(self.text, self.without, self.held_out)

    @functools.cached_property
    def tokens(self) -> Tokens:
        """Facts that a model needs; the first process that asks reads, tokenises and maybe trains a tokenizer."""
        name, revision = tokenizer_of(self.start, self.text, self.marks)
        folder = corpus.build(self.text, self._tokenizer(name, revision), self.marks)
        return Tokens(name, revision, str(folder / "counts.npy"))

    @functools.cached_property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self._tokenizer(self.tokens.tokenizer, self.tokens.revision)

    @staticmethod
    @functools.cache
    def _tokenizer(name: str, revision: str | None) -> Any:
        from transformers import AutoTokenizer

        return load_from_hub(AutoTokenizer, name, revision)

    @functools.cached_property
    def corpus(self) -> corpus.Corpus:
        """The tokenised text."""
        return corpus.read(Path(self.tokens.counts).parent)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the documents."""
        return self.corpus.facts

    def read_as(self, reading: Reading, longest: int) -> None:
        """Has rows made as an objective reads them.

        Args:
            reading: How.
            longest: Tokens that the encoder reads at most.

        Raises:
            TransferlabError: Rows are longer than that.
        """
        if self.max_length > longest:
            raise TransferlabError(
                f"data.max_length: {self.max_length} is more than the {longest} that the encoder reads."
            )
        self.reading = reading

    @functools.cached_property
    def rows(self) -> Rows:
        """The rows that are trained on."""
        return Rows(self.corpus.train, self.tokenizer, self.reading, self.max_length, self.seed)

    @functools.cached_property
    def held(self) -> Rows:
        """The rows that are held out; their masks are the same in every run."""
        rows = Rows(self.corpus.held, self.tokenizer, self.reading, self.max_length, None)
        rows.thin(self.held_rows)
        return rows

    def train_dataloader(self) -> DataLoader[TextBatch]:
        """Training batches; after a restart without those that are done.

        Raises:
            TransferlabError: There are fewer rows than a step reads.
        """
        trainer: Any = self.trainer
        accumulate, rank, world = (
            (trainer.accumulate_grad_batches, trainer.global_rank, trainer.world_size) if trainer else (1, 0, 1)
        )
        self._order = StepSampler(self.rows.lengths, self.batch_size, self.seed, accumulate, rank, world)
        self._order.resume(*self._begun)
        if not len(self._order):
            raise TransferlabError(
                f"data.batch_size: {len(self.rows.lengths)} rows are too few for a step of {accumulate} batches on "
                f"{world} processes."
            )
        return self._loader(self.rows, self._order)

    def val_dataloader(self) -> DataLoader[TextBatch]:
        """Batches of the rows that are held out."""
        trainer: Any = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        return self._loader(self.held, Evaluation(self.held.lengths, self.eval_batch_size, rank, world))

    def _loader(self, rows: Rows, sampler: Any) -> DataLoader[TextBatch]:
        settings = {
            "pad_id": int(self.tokenizer.pad_token_id or 0),
            "types": "token_type_ids" in self.tokenizer.model_input_names,
            "packed": self.packed,
        }
        return DataLoader(
            View(rows, rows.lengths, settings),
            # a sampler names whole batches
            sampler=sampler,
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def described(self) -> dict[str, Any]:
        """Facts about the text, as they stand in ``summary.json``."""
        facts = self.facts
        return {
            "origin": self.text.name,
            "version": facts["version"],
            "train_examples": len(self.rows.lengths),
            "validation": f"{len(self.held.lengths)} rows of {facts['held_documents']} documents",
            "test": [],
            "max_length": self.max_length,
            "looked_for": list(self.without),
            **{key: facts[key] for key in facts if key not in ("version",)},
        }

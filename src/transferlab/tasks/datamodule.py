"""Tasks as LightningDataModules."""

import copy
import hashlib
import json
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Literal, cast

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.loading import load_tokenizer, tokenizer_identity
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import selection as protocol_of
from transferlab.tasks import store
from transferlab.tasks.batch import Attached, Batch, EncodedSplit, Examples, Ragged, Shape
from transferlab.tasks.batching import BucketBatchSampler
from transferlab.tasks.labels import encode_labels, is_labelled, label_names, require_columns
from transferlab.tasks.selection import Protocol, Selection
from transferlab.tasks.sources import Rows, identity, read_split
from transferlab.tasks.sources import version as content
from transferlab.tasks.spec import DEFAULT_METRICS, Source, TaskSpec, test_names
from transferlab.tasks.table import lookup
from transferlab.tasks.tokenization import Settings, Truncation, encode_split

Part = Literal["train", "validation"]


class TaskDataModule(L.LightningDataModule):
    """Rows of a task as length-bucketed or packed batches.

    Args:
        task: Name of a row in `transferlab.tasks.table`, or with `source` a name of your own.
        encoder: The encoder whose tokenizer is used; linked from the top-level key.
        source: Where your own rows lie; leave it out for a task of the table.
        truncation: Which part of a long text is kept: ``head``, ``tail``, ``head_tail`` (the first 128 tokens and the
            rest from the end) or ``windows`` (all of it, pooled to one prediction).
        max_length: Tokens per sequence, special tokens included; what is longer is truncated.
        batch_size: Training examples per step and process; with `max_tokens` an upper bound, so allow a large one.
        eval_batch_size: Examples per step and process in validation, test and prediction; with `max_tokens` an upper
            bound.
        max_tokens: Token budget per step and process: rows times the longest of them, packed the real tokens. At least
            `max_length`; null: `batch_size` alone decides.
        packed: Lay the sequences of a batch one after the other into one row without padding, each attending to itself
            only, in plain random order. Meant for GPUs: on a CPU it gains nothing over buckets.
        static_shape: Fill every packed training batch up to exactly `max_tokens`, one shape for `torch.compile`; null:
            on a GPU. On a CPU the filling would be computed in vain.
        selection: ``holdout`` or ``official``, see `transferlab.tasks.selection.Protocol`.
        holdout: Part of the training rows carved for validation where the task has no validation split; at most 2,000.
        train_fraction: Part of the training rows to train on, stratified.
        train_examples: Number of training rows to train on, stratified.
        test_examples: Number of rows of each test split to test on, the same ones for every seed; null: all.
        num_workers: Loader processes; batches are cheap, so 0 is right for most tasks.
        seed: Seed of holdout, sub-sample and batch order; linked from `seed_everything`.

    Raises:
        TransferlabError: Unknown task, unreadable or unusable rows, arguments that exclude each other.
    """

    def __init__(
        self,
        task: str,
        encoder: EncoderConfig,
        source: Source | None = None,
        truncation: Truncation = "head",
        max_length: int = 128,
        batch_size: int = 32,
        eval_batch_size: int = 128,
        max_tokens: int | None = None,
        packed: bool = False,
        static_shape: bool | None = None,
        selection: Selection = "holdout",
        holdout: float = 0.1,
        train_fraction: float | None = None,
        train_examples: int | None = None,
        test_examples: int | None = None,
        num_workers: int = 0,
        seed: int | bool = 0,
    ) -> None:
        super().__init__()
        self.source = source or lookup(task)
        if not (self.source.path or self.source.files):
            raise TransferlabError("data.source: give either `path` (Hub name or folder) or `files`.")
        self.task = task
        self.encoder = encoder
        self.settings = Settings(max_length, truncation)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.max_tokens = max_tokens
        self.packed = packed
        self.static_shape = static_shape
        self.test_examples = test_examples
        self.num_workers = num_workers
        self.protocol = Protocol(selection, holdout, train_fraction, train_examples, int(seed))
        self.attached: dict[str, dict[str, Attached]] = {}
        self._rows: dict[str, Rows] = {}
        self._encoded: dict[str, EncodedSplit] = {}
        self._parts: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None
        self._spec: TaskSpec | None = None
        self._begun = (0, 0)
        self._order: BucketBatchSampler | None = None
        self._check_batches()

    def _check_batches(self) -> None:
        budget, longest = self.max_tokens, self.settings.max_length
        if budget is not None and budget < longest:
            raise TransferlabError(
                f"data.max_tokens: {budget} is less than data.max_length ({longest}), so a long example would fit into "
                "no batch; raise the first or lower the second."
            )
        if budget is not None and self.settings.truncation == "windows":
            raise TransferlabError(
                "data.max_tokens: with data.truncation: windows all windows of a document share a batch, however many "
                "they are; leave data.max_tokens out and set data.batch_size."
            )
        if self.packed and self.encoder.architecture == "bilstm":
            raise TransferlabError(
                "data.packed: a BiLSTM reads its rows one token after the other, so it cannot read packed rows; set "
                "data.packed: false."
            )

    @property
    def spec(self) -> TaskSpec:
        """Facts that the model needs; reads the training rows where the labels are to be inferred."""
        if self._spec is None:
            names = self.source.labels
            if not names and self.source.kind != "regression":
                known = self._at_hand(self.source.train)
                names = known.names if known else label_names(self._train().rows, self.source, self._train().origin)
            metrics = self.source.metrics or DEFAULT_METRICS[self.source.kind]
            tests = test_names(self.source.test)
            self._spec = TaskSpec(self.task, self.source.kind, tuple(names), tuple(metrics), tests)
        return self._spec

    @property
    def origin(self) -> str:
        """Where the training rows were read from."""
        known = self._at_hand(self.source.train)
        return known.origin if known else self.rows(self.source.train).origin

    @property
    def version(self) -> str:
        """Names what is trained, selected and tested on by its content, whichever rows of it train.

        Two runs with the same version have read the same texts and labels, from wherever they came.
        """
        selects = protocol_of.validation_split(self.source, self.protocol.selection)
        splits = dict.fromkeys((self.source.train, selects or self.source.train, *self.source.test))
        known = {split: self._at_hand(split) for split in splits}
        parts = [
            (split, (encoded and encoded.version) or content(self.rows(split).rows, self.source))
            for split, encoded in known.items()
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    @property
    def fingerprint(self) -> str:
        """Names the rows that train and those that select, as the encoder reads them; empty where they are not read."""
        train = self._encoded.get(self.source.train)
        if train is None:
            return ""
        digest = hashlib.sha256(train.fingerprint.encode())
        for split, rows in (self.part_rows("train"), self.part_rows("validation")):
            digest.update(self.encoded(split).fingerprint.encode() + np.ascontiguousarray(rows).tobytes())
        return digest.hexdigest()[:32]

    def rows(self, split: str) -> Rows:
        """The raw rows of a split, read once."""
        if split not in self._rows:
            self._rows[split] = read_split(self.source, split)
            require_columns(
                self._rows[split].rows, self.source, self._rows[split].origin, split not in self.source.predict
            )
        return self._rows[split]

    def encoded(self, split: str) -> EncodedSplit:
        """A tokenised split, tokenised once: it is kept on disk, and text is read only for that."""
        if split not in self._encoded:
            name = self._name(split)
            self._encoded[split] = store.stored(name, lambda: self._encode(split)) if name else self._encode(split)
        return self._encoded[split]

    def _encode(self, split: str) -> EncodedSplit:
        rows, origin = self.rows(split)
        tokenizer = load_tokenizer(self.encoder, words=self.source.kind == "tagging")
        if self.settings.max_length > tokenizer.model_max_length:
            raise TransferlabError(
                f"data.max_length: {self.encoder.label} reads at most {tokenizer.model_max_length} tokens, "
                f"not {self.settings.max_length}."
            )
        labelled = split not in self.source.predict
        if labelled:
            self._require_labels(split)
        encoded = encode_split(
            rows, self.source, self.spec.labels, tokenizer, self.settings, f"{origin} ({split})", labelled
        )
        return replace(encoded, origin=origin)

    def _name(self, split: str) -> str | None:
        """What names a tokenised split on disk; None where rows or tokenizer cannot be told without reading them."""
        rows, tokenizer = identity(self.source), tokenizer_identity(self.encoder)
        if rows is None or tokenizer is None:
            return None
        names = self.source.labels if split == self.source.train else self.spec.labels
        return store.name_of(rows, tokenizer, asdict(self.source), split, names, self.settings)

    def _at_hand(self, split: str) -> EncodedSplit | None:
        """The tokenised split where it is in memory or on disk; the rows are not read for it."""
        if split not in self._encoded:
            name = self._name(split)
            found = store.read(name) if name else None
            if found is None:
                return None
            self._encoded[split] = found
        return self._encoded[split]

    def _count(self, split: str) -> int:
        known = self._at_hand(split)
        return len(known) if known else len(self.rows(split).rows)

    def part_rows(self, part: Part) -> tuple[str, np.ndarray[Any, Any]]:
        """The split and the row numbers in it that train, or that select checkpoints."""
        split = protocol_of.validation_split(self.source, self.protocol.selection)
        if part == "validation" and split:
            return split, np.arange(self._count(split))
        if self._parts is None:
            name = self._name(self.source.train)
            rows = store.name_of(name, self.protocol, split) if name and self._at_hand(self.source.train) else None
            self._parts = store.stored_rows(rows, lambda: self._carve(not split)) if rows else self._carve(not split)
        return self.source.train, self._parts[part == "validation"]

    def _carve(self, validation: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        labels = self.train_labels()
        strata = labels if self.source.kind == "classification" else None
        return protocol_of.carve(strata, self._count(self.source.train), self.protocol, carve_validation=validation)

    def test_rows(self, split: str) -> np.ndarray[Any, Any]:
        """The row numbers of a labelled test split that are tested on."""
        return protocol_of.sample(self._count(split), self.test_examples)

    def train_labels(self) -> np.ndarray[Any, Any]:
        """Class numbers or targets of all rows of the training split; for tagging those of all words, flat.

        Raises:
            TransferlabError: Unlabelled rows, or a single class.
        """
        known = self._at_hand(self.source.train)
        if known and known.labels is not None:
            labels = known.labels.values if isinstance(known.labels, Ragged) else known.labels
        else:
            rows, origin = self._train()
            self._require_labels(self.source.train)
            labels = encode_labels(rows, self.source, self.spec.labels, origin)
        if len(np.unique(labels)) < 2:
            raise TransferlabError(
                f"{self.origin}: all training rows have the same label; two different ones are needed to learn."
            )
        return labels

    def _require_labels(self, split: str) -> None:
        rows, origin = self.rows(split)
        if not is_labelled(rows, self.source):
            raise TransferlabError(
                f"{origin}: the rows of split {split!r} carry no labels in column {self.source.label!r}; "
                "a split without labels belongs into data.source.predict."
            )

    def with_encoder(self, encoder: EncoderConfig) -> "TaskDataModule":
        """The same rows and parts, tokenised for another encoder."""
        other = copy.copy(self)
        other.encoder, other._encoded, other.attached = encoder, {}, {}
        # a teacher need not be one that reads packed rows, and it reads them once
        other.packed = False
        return other

    def attach(self, field: str, split: str, values: Attached) -> None:
        """Puts values of the rows of a split into that field of every batch."""
        self.attached.setdefault(field, {})[split] = values

    def prepare_data(self) -> None:
        """Fills the on-disk caches once per machine."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Tokenises what the stage needs."""
        if stage == "fit":
            self.encoded(self.source.train)
            self.train_labels()
        splits = {
            "fit": [self.part_rows("validation")[0]],
            "validate": [self.part_rows("validation")[0]],
            "test": list(self.source.test),
            "predict": list(self.source.predict),
        }[stage]
        for split in splits:
            self.encoded(split)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training batches, length-bucketed or packed; after a restart without those that are done."""
        loader = self.loader(*self.part_rows("train"), shuffle=True)
        self._order = cast(BucketBatchSampler, loader.batch_sampler)
        self._order.resume(*self._begun)
        return loader

    def state_dict(self) -> dict[str, int]:
        """The place in the training rows: the epoch, and how many of its batches each process has done."""
        if self.trainer is None:
            return {}
        # Lightning declares a tracker that knows less than the one it uses
        epoch = cast(Any, self.trainer.fit_loop.epoch_progress.current)
        batches = self.trainer.fit_loop.epoch_loop.batch_progress
        inside = epoch.started > epoch.processed
        return {"epoch": epoch.processed, "batch": batches.current.ready if inside else 0}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes to a place in the training rows, also where Lightning has asked for the loader already."""
        self._begun = (state_dict["epoch"], state_dict["batch"])
        if self._order is not None:
            self._order.resume(*self._begun)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the rows that select checkpoints."""
        return self.loader(*self.part_rows("validation"))

    def test_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader per labelled test split, the main one first.

        Raises:
            TransferlabError: The task has no labelled test split.
        """
        if not self.source.test:
            raise TransferlabError("data.source.test: this task names no labelled test split.")
        return [self.loader(split, self.test_rows(split)) for split in self.source.test]

    def predict_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader per unlabelled split.

        Raises:
            TransferlabError: The task has no such split.
        """
        splits = self.source.predict or self.source.test
        if not splits:
            raise TransferlabError("data.source.predict: this task names no split to predict.")
        return [self.whole_split(split) for split in splits]

    def whole_split(self, split: str) -> DataLoader[Batch]:
        """All rows of a split in evaluation order (longest first)."""
        return self.loader(split, np.arange(len(self.encoded(split))))

    def _train(self) -> Rows:
        return self.rows(self.source.train)

    def loader(
        self, split: str, rows: np.ndarray[Any, Any], shuffle: bool = False, packed: bool = True
    ) -> DataLoader[Batch]:
        """Batches of some rows of a split: in training order, or longest first.

        Args:
            split: Its name.
            rows: Row numbers.
            shuffle: True for training order.
            packed: False for padded batches even with `data.packed`; rows whose frozen values are known are padded too.
        """
        attached = {field: values[split] for field, values in self.attached.items() if split in values}
        packed = self.packed and packed and attached.keys().isdisjoint({"features", "states"})
        encoded = self.encoded(split)
        pack = partial(encoded.pack, shape=self._shape() if shuffle else None)
        view = Examples(encoded, rows, attached, pack if packed else None)
        sampler = BucketBatchSampler(
            view.lengths,
            self.batch_size if shuffle else self.eval_batch_size,
            shuffle=shuffle,
            seed=self.protocol.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            # a batch of features is a batch of vectors, however long the texts are
            max_tokens=None if "features" in attached else self.max_tokens,
            packed=packed,
        )
        return DataLoader(
            view,
            batch_sampler=sampler,
            collate_fn=_identity,  # type: ignore[arg-type]  # the view already returns whole batches
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def _shape(self) -> Shape | None:
        """The one shape of packed training batches under a budget."""
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        if self.max_tokens is None or not (on_gpu if self.static_shape is None else self.static_shape):
            return None
        longest = self.settings.max_length
        # the examples, and the filling: full sequences and a rest
        return Shape(self.max_tokens, self.batch_size + self.max_tokens // longest + 1, longest)


def _identity(batch: Batch) -> Batch:
    return batch

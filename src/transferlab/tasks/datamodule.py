"""Tasks as LightningDataModules."""

import copy
from functools import partial
from typing import Any, Literal, cast

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from transferlab.config.renamed import TEXT_BUCKET
from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hardware import best_accelerator
from transferlab.ground.remembered import Remembered
from transferlab.tasks.batch import Attached, Batch, EncodedSplit, Examples, Ragged, Shape
from transferlab.tasks.batching import WINDOW, BucketBatchSampler
from transferlab.tasks.copied import UNLABELLED
from transferlab.tasks.encoded import AT_ONCE
from transferlab.tasks.generation import EVAL_ROWS
from transferlab.tasks.place import Placed
from transferlab.tasks.targets import chosen
from transferlab.tasks.task import Task
from transferlab.tasks.texts import most_tokens

Part = Literal["train", "validation"]


class TaskDataModule(Placed, Task, Remembered, L.LightningDataModule):
    """Rows of a task as length-bucketed or packed batches.

    Args:
        task: A task of `transferlab.tasks.table`, or with `source` a name of your own; empty: the last part of
            `source.path`, on the command line else the name of the experiment.
        encoder: The encoder whose tokenizer is used; linked from the top-level key.
        source: Where your own examples are; leave it out for a task of the table.
        truncation: Which part of a long text is kept: ``head``, ``tail``, ``head_tail`` (the first 128 tokens and the
            rest from the end) or ``windows`` (all of it, pooled to one prediction).
        max_length: Tokens per sequence, special tokens included; what is longer is truncated.
        batch_size: Training examples per step and process; with `max_tokens` an upper bound, so allow a large one.
        eval_batch_size: Examples per step and process in validation, test and prediction; with `max_tokens`, and on a
            processor, where a batch has at most 2,048 tokens, an upper bound.
        max_tokens: Token budget per step and process: examples times the longest of them, packed the real tokens. At
            least `max_length`; null: `batch_size` alone decides.
        packed: Lay the sequences of a batch one after the other into one row without padding, each attending to itself
            only, in plain random order. Meant for GPUs: on a CPU it gains nothing over buckets.
        static_shape: Fill every packed training batch up to exactly `max_tokens`, one shape for `torch.compile`; null:
            on a GPU. On a CPU the filling would be computed in vain.
        selection: ``holdout`` or ``official``, see `transferlab.tasks.selection.Protocol`.
        holdout: Part of the training examples held out for validation where the task has no validation split; at most
            2,000.
        holdout_by: What stays on one side of a hold-out: ``text`` (examples that share a text, of pairs either one),
            ``sentence`` (phrases of a sentence; whole sentences are held out), ``example`` (each by itself) or the name
            of a column. null: what `transferlab inspect` advises; in runs of earlier releases ``example``.
        folds: Number of folds for cross-validation: the training split is divided into so many parts, one of which is
            tested on instead of the test split. Stratified, and grouped as `holdout_by` says.
        fold: The fold that is tested on, counted from 0.
        train_fraction: Part of the training examples to train on, stratified.
        train_examples: Number of training examples to train on, stratified.
        per_class: Number of training examples of each class to train on, instead of `train_examples`. The draw depends
            on the seed alone, and 8 of each class are among the 16 of the same seed; null: `train_examples` decides.
        validation_examples: Number of validation examples that select the checkpoint, at most, drawn by the seed;
            ``training``: as many as train, but 100 at least. null: all.
        test_examples: Number of examples of each test split to test on, the same ones for every seed; null: all.
        predict: Splits to predict, ``split`` or ``config/split``; null: those of the task that the data has.
        pairs: ``joint``: the two texts of a pair are one sequence, each token reads both; ``apart``: each text is
            encoded by itself, and the head reads how their vectors compare; without effect on single texts. null:
            ``joint``.
        stride: For questions: tokens that two neighbouring windows of a context share, so that no answer is cut by
            both; null: a third of `max_length`.
        negative_windows: For questions: windows without the answer that each question trains on, drawn once at random;
            a question without an answer keeps one at least. null: all of them.
        windows: How ``windows`` are cut and counted: ``even`` spreads a text over as few windows as it needs, and each
            counts by its tokens; ``full`` fills window after window, and a short last one counts as much as any other.
            null: ``even``; in runs of earlier releases ``full``, the only way that they knew.
        max_unknown: Share of words that may be one and the same unknown piece to the tokenizer; null: a third.
        sampling: ``balanced``: each epoch has as many training examples as before, in equal numbers of every class;
            those of small classes come again. null: each example once.
        markers: For relations, what stands around the two entities. ``punctuation``: ``@`` around the head, ``#``
            around the tail; ``markers``: new tokens, which are trained (Soares et al. 2019); ``typed``: new tokens for
            each type of entity; ``none``. null: ``punctuation``.
        pooling: For relations, what the head reads. ``start``: the token before each entity, without markers the first
            one of it; ``span``: the mean of each entity; ``mean`` or ``cls``: of the whole text, as `encoder.pooling`
            is for other kinds. null: ``start``.
        generation: For texts: template of the prompt, lengths, and how outputs are searched for, see
            `transferlab.tasks.generation.Generation`.
        augment: Changed copies of the training texts, which train too; null: none.
        unlabelled: Texts without labels for a teacher or for consistency training; null: none.
        bucket: Training examples that are sorted by length together, in batches. 1: batches in random order, with more
            padding; it is worth it where the length of a text tells what is in it, and the run is short. null: 4 where
            texts are written, of which the length tells more, else 50.
        case: For tagging and slots: true tells an encoder that lower-cases its text the capitals of each word, as the
            token type of its pieces; the new rows start as that of the first type, and are trained. null: false.
        num_workers: Loader processes; batches are cheap, so 0 is right for most tasks.
        seed: Seed of holdout, sub-sample and batch order; linked from `seed_everything`.

    Raises:
        TransferlabError: Unknown task, unreadable or unusable rows, arguments that exclude each other.
    """

    def with_encoder(self, encoder: EncoderConfig, apart: bool = False, case: bool = False) -> "TaskDataModule":
        """The same rows and parts, tokenised for another encoder.

        Args:
            encoder: The encoder.
            apart: Whether the texts of a pair are apart.
            case: Whether it is told the capitals of words.
        """
        other = copy.copy(self)
        other.settings = self.settings._replace(apart=apart, case=case)
        other.encoder, other._encoded, other.attached = encoder, {}, {}
        # a teacher need not be one that reads packed rows, and it reads them once
        other.packed = other.single_step = False
        return other

    def validating_on(self, most: int) -> "TaskDataModule":
        """The same, but with a sample of the validation set, spread evenly over its rows, where it is larger.

        Args:
            most: Examples of the sample.
        """
        other = copy.copy(self)
        if len(self.part_rows("validation")[1]) > most:
            other.validated = most
        return other

    def attach(self, field: str, split: str, values: Attached) -> None:
        """Puts values of the rows of a split into that field of every batch."""
        self.attached.setdefault(field, {})[split] = values

    def replace(self, split: str, encoded: EncodedSplit) -> None:
        """Takes other tokens for a split, such as targets that a teacher wrote; what is kept on disk stays."""
        self._encoded[split] = encoded

    @property
    def target_tokens(self) -> int | None:
        """Tokens that 99.5 % of the training targets do not exceed; None for other kinds than texts."""
        if self.source.kind != "text":
            return None
        split, rows = self.part_rows("train")
        labels = self.encoded(split).labels
        assert isinstance(labels, Ragged)
        return most_tokens(labels, rows)

    def prepare_data(self) -> None:
        """Fills the on-disk caches once per machine."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Tokenises what the stage needs."""
        if stage == "fit":
            self.encoded(self.source.train)
            self.train_labels()
            self.encoded(self.training_rows()[0])
            self.unlabelled_rows()
        match stage:
            case "fit":
                # what is wrong with the test shows before training, not after it
                splits = [self.part_rows("validation")[0], *self.source.test]
            case "validate":
                splits = [self.part_rows("validation")[0]]
            case "test":
                splits = list(self.source.test)
            case _:
                splits = self.predicted.splits
        for split in splits:
            self.encoded(split)
        if stage == "fit" and self.test_examples is not None:
            for split in self.source.test:
                self.test_rows(split)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training batches, length-bucketed or packed; after a restart without those that are done."""
        split, rows = self.training_rows()
        loader = self._whole(split, rows) if self.single_step else self.loader(split, rows, shuffle=True)
        self._order = cast(BucketBatchSampler, loader.batch_sampler)
        self._order.resume(*self._begun)
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation set, or of a sample of it."""
        split, rows = self.part_rows("validation")
        if self.validated is not None:
            rows = rows[np.arange(self.validated) * len(rows) // self.validated]
        if (form := self.settings.generation) is not None:
            drawn = chosen(rows, form.eval_rows or EVAL_ROWS, self.protocol.seed)
            self.attached["generate"] = {split: drawn}
        return self.loader(split, rows)

    def test_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader per labelled test split, the main one first.

        Raises:
            TransferlabError: The task has no labelled test split.
        """
        if not self.source.test:
            raise TransferlabError("data.source.test: this task names no labeled test split.")
        return [self.loader(split, self.test_rows(split)) for split in self.source.test]

    def predict_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader per split of `predicted`.

        Raises:
            TransferlabError: The task has no such split.
        """
        if not self.predicted.splits:
            raise TransferlabError("data.predict: this task names no split to predict; name one here.")
        return [self.whole_split(split) for split in self.predicted.splits]

    def unlabelled_batch(self, number: int) -> tuple[Batch, Batch | None]:
        """Some of the unlabelled texts and their copies, a function of the seed, the process and a number.

        Args:
            number: Of the batch that they stand beside, counted over the whole run.
        """
        assert self.unlabelled is not None
        count, copies = self.unlabelled_rows(), self.unlabelled_copies
        usual = self.batch_size if self.max_tokens is None else self.max_tokens // self.settings.max_length
        size = min(self.unlabelled.batch_size or usual, count)
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        places = np.arange(size) + (number * world + rank) * size
        orders = {
            # as far from the order of training examples as another seed
            turn: np.random.default_rng((self.protocol.seed, turn, count)).permutation(count)
            for turn in np.unique(places // count)
        }
        rows = np.array([orders[place // count][place % count] for place in places])
        encoded = self.encoded(UNLABELLED)
        attached = {field: values[UNLABELLED] for field, values in self.attached.items() if UNLABELLED in values}
        texts = Examples(encoded, rows, attached).__getitems__(range(size))
        turns = places // count % max(copies, 1)
        return texts, encoded.collate((rows + count * (1 + turns)).tolist()) if copies else None

    def whole_split(self, split: str) -> DataLoader[Batch]:
        """All rows of a split in evaluation order (longest first)."""
        return self.loader(split, np.arange(len(self.encoded(split))))

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
            window=self.bucket or (TEXT_BUCKET if self.source.kind == "text" else WINDOW),
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            # a batch of features is a batch of vectors, however long the texts are
            max_tokens=None if "features" in attached else self.max_tokens,
            packed=packed,
            at_once=None if shuffle or "features" in attached else self._at_once(),
            classes=np.asarray(encoded.labels)[rows] if shuffle and self.sampling else None,
        )
        return DataLoader(
            view,
            batch_sampler=sampler,
            collate_fn=_identity,  # type: ignore[arg-type]  # the view already returns whole batches
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def _whole(self, split: str, rows: np.ndarray[Any, Any]) -> DataLoader[Batch]:
        """All of some rows as one batch of labels."""
        encoded = self.encoded(split)
        view = Examples(encoded, rows, collate=partial(encoded.collate, ids=False))
        world = self.trainer.world_size if self.trainer else 1
        sampler = BucketBatchSampler(view.lengths, len(rows), shuffle=True, world_size=world)
        # no rank is named: each of them has the whole
        return DataLoader(view, batch_sampler=sampler, collate_fn=_identity)  # type: ignore[arg-type]

    def _at_once(self) -> int | None:
        """Tokens of a batch that is only evaluated, as far as a budget saves time: on a processor."""
        # a step of generation reads one token a row, so there many rows are faster
        if self.source.kind == "text":
            return None
        device = self.trainer.strategy.root_device.type if self.trainer else best_accelerator()
        return AT_ONCE if device == "cpu" else None

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

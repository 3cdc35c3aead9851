"""The rows of a task: which train, select and test, and their tokens, read once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, Literal

import numpy as np

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.language import check_room, check_writer
from transferlab.encoders.loading import (
    is_one_way,
    load_tokenizer,
    longest_input,
    reads_last_pieces,
    tokenizer_identity,
)
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import kept, store, together
from transferlab.tasks import selection as protocol_of
from transferlab.tasks.encoded import EncodedSplit, Ragged
from transferlab.tasks.generation import Generation, search_of
from transferlab.tasks.inspection.facts import kept_inspection
from transferlab.tasks.inspection.groups import Groups
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.kinds.relation import negative_of
from transferlab.tasks.labels import Labels, encode_labels, is_labelled, require_columns
from transferlab.tasks.marked import parse
from transferlab.tasks.naming import labels_of
from transferlab.tasks.pairs import new_tokens, ranges_read
from transferlab.tasks.selection import Protocol
from transferlab.tasks.settings import Settings
from transferlab.tasks.sources import Rows, identity, read_split
from transferlab.tasks.sources import version as content
from transferlab.tasks.spec import Source, TaskSpec, test_names
from transferlab.tasks.splits import Predicted, predicted
from transferlab.tasks.tagged import in_iob2
from transferlab.tasks.tokenization import encode_split
from transferlab.tasks.words import refuse_unread

Part = Literal["train", "validation"]


class TaskRows:
    """The rows of a task by split and part, raw and tokenised; each is read once.

    Args:
        task: Name of the task.
        source: Where its rows lie.
        encoder: The encoder whose tokenizer is used.
        settings: How texts become tokens.
        protocol: Which rows train and which select checkpoints.
        test_examples: Number of rows of each test split to test on; None: all.
        predict: Splits to predict; None: those of the task that the data has.
        max_unknown: Share of words that may be one and the same unknown piece; None: a third.
    """

    def __init__(
        self,
        task: str,
        source: Source,
        encoder: EncoderConfig,
        settings: Settings,
        protocol: Protocol,
        test_examples: int | None = None,
        predict: tuple[str, ...] | None = None,
        max_unknown: float | None = None,
    ) -> None:
        # of a data module, which is one of Lightning's too
        super().__init__()
        self.task = task
        self.source = source
        self.encoder = encoder
        self.settings = settings
        self.protocol = protocol
        self.test_examples = test_examples
        self.predict = predict
        self.max_unknown = max_unknown
        self._raw: dict[str, Rows] = {}
        self._rows: dict[str, Rows] = {}
        self._versions: dict[str, str] = {}
        self._encoded: dict[str, EncodedSplit] = {}
        self._parts: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None
        self._labels: Labels | None = None
        self._spec: TaskSpec | None = None

    @property
    def spec(self) -> TaskSpec:
        """Facts that the model needs; reads the training examples where the labels are to be inferred."""
        if self._spec is None:
            tests = test_names(self.source.test)
            facts = (self.labels.names, (), tests, self.labels.scheme, self.settings.apart)
            spec = TaskSpec(self.task, self.source.kind, *facts, case=self.settings.case)
            if pooled := self.settings.pooled:
                negative = negative_of(spec.labels, self.source.negative)
                spec = spec._replace(negative=negative, ranges=ranges_read(pooled), new_tokens=self.new_tokens)
            if (form := self.settings.generation) is not None:
                search = search_of(form, form.max_new_tokens or self.target_tokens)
                spec = spec._replace(search=search, language=self.source.language or "")
            metrics = self.source.metrics or KINDS[self.source.kind].usual(spec)
            self._spec = spec._replace(metrics=tuple(metrics))
        return self._spec

    @cached_property
    def new_tokens(self) -> tuple[str, ...]:
        """Names of the tokens around entities that no vocabulary has; reads the training examples for their types.

        Raises:
            TransferlabError: Typed markers, and no training example has a type.
        """
        markers = self.settings.markers
        if markers != "typed":
            return new_tokens(markers) if markers else ()
        rows = identity(self.source)
        if rows is None:
            types = self._types()
        else:
            name = kept.name_of(rows, asdict(self.source), "types")
            types = kept.stored_facts(name, lambda: {"types": self._types()})["types"]
        if not types:
            raise TransferlabError(
                f"data.markers: typed needs types of the entities, and {self.origin} has none (columns head_type and "
                "tail_type, or <e1:TYPE>); use markers."
            )
        return new_tokens(markers, types)

    def _types(self) -> list[str]:
        marked = [parse(text) for text in self.rows(self.source.train).rows[self.source.text[0]][:]]
        return sorted({span.type for one in marked for span in (one.head, one.tail) if span.type})

    @property
    def reading(self) -> Settings:
        """How texts become tokens for this encoder."""
        last = self.source.worded and reads_last_pieces(self.encoder)
        causal = self.source.kind == "text" and is_one_way(self.encoder)
        return self.settings._replace(last_pieces=last, new_tokens=self.new_tokens, causal=causal)

    @property
    def target_tokens(self) -> int | None:
        """Tokens that may be generated, by the training targets; None where nothing is tokenised."""
        return None

    @property
    def labels(self) -> Labels:
        """The labels of the task; reads the training examples where they are to be inferred."""
        if self._labels is None:
            selects = protocol_of.validation_split(self.source, self.protocol.selection)
            labelled = [split for split in (selects, *self.source.test) if split]
            self._labels = labels_of(self.source, self._read, labelled)
        return self._labels

    @property
    def origin(self) -> str:
        """Where the training examples were read from."""
        known = self._at_hand(self.source.train)
        return known.origin if known else self.rows(self.source.train).origin

    @property
    def version(self) -> str:
        """Names what is trained, selected and tested on by its content, whichever rows of it train.

        Two runs with the same version have read the same texts and labels, from wherever they came.
        """
        return hashlib.sha256(json.dumps(list(self.versions.items())).encode()).hexdigest()[:12]

    @property
    def versions(self) -> dict[str, str]:
        """Names the content of each split that is trained, selected or tested on, by split."""
        selects = protocol_of.validation_split(self.source, self.protocol.selection)
        splits = dict.fromkeys((self.source.train, selects or self.source.train, *self.source.test))
        return {split: self.split_version(split) for split in splits}

    def split_version(self, split: str) -> str:
        """Names texts and labels of a split by their content, from wherever they came."""
        known = self._at_hand(split)
        if known and known.version:
            return known.version
        if split not in self._versions:
            self._versions[split] = content(self.rows(split).rows, self.source)
        return self._versions[split]

    @property
    def fingerprint(self) -> str:
        """Names the training and validation examples, as the encoder reads them; empty where they are not read."""
        train = self._encoded.get(self.source.train)
        if train is None:
            return ""
        digest = hashlib.sha256(train.fingerprint.encode())
        for split, rows in (self.part_rows("train"), self.part_rows("validation")):
            digest.update(self.encoded(split).fingerprint.encode() + np.ascontiguousarray(rows).tobytes())
        return digest.hexdigest()[:32]

    @cached_property
    def inspection(self) -> dict[str, Any]:
        """What stands in the rows twice, contradicts itself, or is shared between splits."""
        used = dict.fromkeys(filter(None, (self.source.train, self.source.validation, *self.source.test)))
        return kept_inspection(self.source, self.rows, list(used))

    @cached_property
    def predicted(self) -> Predicted:
        """The splits to predict, and those of the task that the data does not have."""
        return predicted(self.source, self.predict, lambda split: self._at_hand(split) is not None)

    def rows(self, split: str) -> Rows:
        """The rows of a split, read once; tags of entities are in IOB2."""
        if split not in self._rows:
            rows = self._read(split)
            tagged = self.source.worded and is_labelled(rows.rows, self.source)
            scheme = self.labels.scheme if tagged else None
            self._rows[split] = rows if scheme is None else in_iob2(rows, self.source, scheme)
        return self._rows[split]

    def _read(self, split: str) -> Rows:
        """The rows of a split as they were read."""
        if split not in self._raw:
            rows = read_split(self.source, split)._replace(split=split)
            require_columns(rows, self.source, split not in {*self.source.predict, *(self.predict or ())})
            self._raw[split] = rows
        return self._raw[split]

    def encoded(self, split: str) -> EncodedSplit:
        """A tokenised split, tokenised once: it is kept on disk, and text is read only for that."""
        if split not in self._encoded:
            name = self._name(split)
            encoded = store.stored(name, lambda: self._encode(split)) if name else self._encode(split)
            refuse_unread(encoded.facts.get("words", {}), self.max_unknown, self.encoder.label, encoded.origin)
            self._encoded[split] = encoded
        return self._encoded[split]

    def facts(self, split: str) -> Mapping[str, Any]:
        """What was seen when a split was tokenised; nothing where it was not yet."""
        known = self._encoded.get(split)
        return known.facts if known else {}

    @property
    def cut(self) -> dict[str, dict[str, int]]:
        """What truncation cuts off each split that was tokenised, see `transferlab.tasks.cuts`."""
        return {split: dict(encoded.facts.get("cut", {})) for split, encoded in self._encoded.items()}

    @property
    def notes(self) -> list[str]:
        """What the user should know of the rows that were read so far."""
        seen = [note for split in self._encoded.values() for note in split.facts.get("notes", ())]
        return list(dict.fromkeys([*self.labels.notes, *seen]))

    def _encode(self, split: str) -> EncodedSplit:
        if self.source.kind in {"qa", "relation"} and is_one_way(self.encoder):
            raise TransferlabError(
                f"encoder.name: {self.encoder.label} reads from left to right, so a token has not seen what stands "
                f"behind it, which {self.source.kind} needs; take an encoder that reads both ways."
            )
        if self.source.kind == "text":
            check_writer(self.encoder)
            form = self.settings.generation or Generation()
            check_room(self.encoder, self.settings.max_length, form.target_length or self.settings.max_length)
        rows = self.rows(split)
        tokenizer = load_tokenizer(self.encoder, words=self.source.worded)
        most = min(tokenizer.model_max_length, longest_input(self.encoder) or tokenizer.model_max_length)
        if self.settings.max_length > most:
            raise TransferlabError(
                f"data.max_length: {self.encoder.label} reads at most {most} tokens, not {self.settings.max_length}."
            )
        labelled = split not in self.source.predict
        if labelled and split in (self.predict or ()):
            # a split that the user wants predicted may have labels, or not
            labelled = is_labelled(rows.rows, self.source, self.labels.names)
        elif labelled:
            self._require_labels(split)
        return encode_split(rows, self.source, self.labels if labelled else None, tokenizer, self.reading)

    def _name(self, split: str) -> str | None:
        """What names a tokenised split on disk; None where rows or tokenizer cannot be told without reading them."""
        rows, tokenizer = identity(self.source), tokenizer_identity(self.encoder)
        if rows is None or tokenizer is None:
            return None
        return kept.name_of(rows, tokenizer, asdict(self.source), split, self.labels.names, self.reading.key)

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
        split, rows = self._all_of(part)
        if part == "validation" and self.protocol.validation_examples is not None:
            rows = protocol_of.selecting(rows, len(self._all_of("train")[1]), self.protocol)
        return split, rows

    def _all_of(self, part: Part) -> tuple[str, np.ndarray[Any, Any]]:
        split = protocol_of.validation_split(self.source, self.protocol.selection)
        if part == "validation" and split:
            return split, np.arange(self._count(split))
        if self._parts is None:
            name = self._name(self.source.train)
            chosen = self.protocol._replace(holdout_by=self.holdout_by)
            rows = kept.name_of(name, chosen, split) if name and self._at_hand(self.source.train) else None
            self._parts = kept.stored_rows(rows, lambda: self._carve(not split)) if rows else self._carve(not split)
        return self.source.train, self._parts[part == "validation"]

    def training_rows(self) -> tuple[str, np.ndarray[Any, Any]]:
        """What a strategy trains on: the training examples, and what was added to them."""
        return self.part_rows("train")

    def _carve(self, validation: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        strata, groups = self._divided()
        tested = self.test_rows(self.source.train) if self.protocol.folds else None
        count, names = self._count(self.source.train), self.labels.names if self.protocol.per_class else ()
        return protocol_of.carve(strata, count, self.protocol, validation, groups, tested, names)

    def _divided(self) -> tuple[np.ndarray[Any, Any] | None, Groups | None]:
        """By what a part of the training split is stratified, and what stays on one side of it."""
        by = self.holdout_by
        read = by not in ("", together.EXAMPLE)
        groups = together.groups_of(self.source, self.rows(self.source.train), by) if read else None
        return KINDS[self.source.kind].strata(self.train_labels()), groups

    @cached_property
    def holdout_by(self) -> str:
        """What a hold-out and folds keep together; empty where no part of the training split is held out."""
        carved = not protocol_of.validation_split(self.source, self.protocol.selection)
        if not (carved or self.protocol.folds):
            return ""
        return self.protocol.holdout_by or str(self.inspection["holdout_by"])

    @property
    def protocol_name(self) -> str:
        """The protocol as tables show it, such as ``holdout by sentence``."""
        return protocol_of.name_of(self.protocol, self.holdout_by)

    def test_rows(self, split: str) -> np.ndarray[Any, Any]:
        """The row numbers of a labelled test split that are tested on: with folds those of the fold."""
        if self.protocol.folds:
            return self._tested
        return protocol_of.sample(self._count(split), self.test_examples)

    @cached_property
    def _tested(self) -> np.ndarray[Any, Any]:
        strata, groups = self._divided()
        count, protocol = self._count(self.source.train), self.protocol
        found = together.folds(count, protocol.folds or 1, strata, groups, protocol.seed)
        mine = np.flatnonzero(found == protocol.fold)
        return mine if groups is None else mine[groups.whole[mine]]

    def train_labels(self) -> np.ndarray[Any, Any]:
        """Class numbers or targets of all rows of the training split; for tagging those of all words, flat.

        For questions whether there is an answer.

        Raises:
            TransferlabError: Unlabeled examples, or a single class.
        """
        known = self._at_hand(self.source.train)
        if known and known.labels is not None:
            labels = known.labels.values if isinstance(known.labels, Ragged) else known.labels
            if known.golds is not None:
                labels = (known.golds.lengths > 0).astype(np.int64)
        else:
            self._require_labels(self.source.train)
            labels = encode_labels(self.rows(self.source.train), self.source, self.labels)
        if len(np.unique(labels)) < 2 and KINDS[self.source.kind].varied:
            raise TransferlabError(
                f"{self.origin}: all training examples have the same label; two different ones are needed."
            )
        return labels

    def part_labels(self) -> np.ndarray[Any, Any]:
        """Class numbers or targets of the examples that train; for tagging those of all their words, flat.

        Words that were cut off are left out, since no loss reads them.
        """
        split, rows = self.training_rows()
        encoded = self.encoded(split)
        labels, words = encoded.labels, encoded.words
        assert labels is not None
        if not isinstance(labels, Ragged):
            return np.asarray(labels[rows])
        assert words is not None
        return np.concatenate([labels.row(row)[words.row(row) >= 0] for row in rows])

    def _require_labels(self, split: str) -> None:
        rows = self.rows(split)
        if not is_labelled(rows.rows, self.source, self.labels.names):
            raise TransferlabError(
                f"{rows.origin}: the examples of split {split!r} carry no labels in column {self.source.label!r}; "
                "a split without labels belongs into data.source.predict."
            )

"""An exported ONNX folder as a function of new texts; imports no torch, only onnxruntime, tokenizers and numpy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.capitals import token_types
from transferlab.tasks.decoding import constrained_decode
from transferlab.tasks.encoded import EncodedSplit
from transferlab.tasks.pairs import encode_pairs, form_of, refuse_unfit
from transferlab.tasks.parts import Truncation, Windows, split_body, word_positions
from transferlab.tasks.questions import Asked, Reader, encode
from transferlab.tasks.spans import Spans, read_spans
from transferlab.tasks.spec import INTENT, written_tags
from transferlab.tasks.windows import Layout, frame_from
from transferlab.use.answering import TOKENS, Answering, Record
from transferlab.use.export import facts as facts_of
from transferlab.use.export.facts import Facts

MODEL = "model.onnx"


class Texts(NamedTuple):
    """Tokenised texts.

    Attributes:
        ids: Token ids of the sequences of each example; several for windows, two for pairs apart.
        types: Segment numbers beside the ids.
        words: For tagging, the position of the first piece of each word, -1 where it was cut.
        ranges: For relations, the ranges of tokens that are read, flat.
        split: For questions, what answers are read from.
    """

    ids: list[list[list[int]]]
    types: list[list[int]]
    words: list[list[int]]
    ranges: Sequence[list[int]] = ()
    split: EncodedSplit | None = None


class Exported(Answering[Texts]):
    """Answers new texts with an exported ONNX model.

    Args:
        folder: What ``transferlab export --format onnx`` or ``transferlab quantise`` wrote.
        calibrated: Whether probabilities are scaled by the temperature of the run.
        batch_size: Texts of a batch, at most; 1 where the folder says that each is to be asked alone.
        threads: Threads of one batch.

    Raises:
        TransferlabError: No such folder, one of another format, or a damaged one.
    """

    def __init__(
        self,
        folder: str | Path,
        calibrated: bool = False,
        batch_size: int = 64,
        threads: int | None = None,
    ) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise TransferlabError(f"{error.name} is missing: pip install 'transferlab[export]'.") from error
        folder = Path(folder)
        self.facts: Facts = facts_of.read(folder)
        if self.facts.prompts is not None:
            raise TransferlabError(
                f"{folder} writes texts, which `transferlab predict --run {folder}` asks; servers of transformers' "
                "folders (vLLM) take it as it is, and quantise it."
            )
        if self.facts.format != "onnx":
            raise TransferlabError(f"{folder} was exported as {self.facts.format}; this needs --format onnx.")
        facts_of.check(folder, MODEL, "tokenizer.json")
        super().__init__(self.facts.task, self.facts.text, 1 if self.facts.alone else batch_size)
        self.n_best = (self.facts.questions or {}).get("n_best", self.n_best)
        self.temperature = self.facts.temperature if calibrated else None
        if calibrated and self.temperature is None:
            raise TransferlabError(f"--calibrated: {folder} has no temperature that is to be trusted.")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        # once: several threads may ask
        if self.facts.truncation == "head" and self.facts.pairs is None:
            self._tokenizer.enable_truncation(self.facts.max_length, strategy="longest_first")
        else:
            self._tokenizer.no_truncation()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        # gives back what a batch of long texts took, at equal speed
        self._run = onnxruntime.RunOptions()
        self._run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.model = folder / MODEL
        self._session = onnxruntime.InferenceSession(str(self.model), options, providers=["CPUExecutionProvider"])

    def encode(self, columns: Mapping[str, Sequence[Any]]) -> tuple[Texts, "np.ndarray[Any, Any]"]:
        """Tokenises texts, for tagging words; returns them, and the number of tokens of each."""
        facts = self.facts
        if facts.questions is not None:
            found = self._asked(facts.questions, columns)
        elif facts.pairs is not None:
            marked = encode_pairs(columns[self.text[0]], self._whole, form_of(facts.pairs))
            refuse_unfit(marked["ids"], facts.max_length)
            found = Texts([[ids] for ids in marked["ids"]], [], [], marked["ranges"])
        elif facts.truncation != "head":
            found = Texts([self._parts(text) for text in columns[self.text[0]]], [], [])
        elif self.task.apart:
            found = Texts(list(map(list, zip(*map(self._ids, columns.values()), strict=True))), [], [])
        else:
            tagging = self.task.worded
            if tagging:
                given: Any = [[facts.blank + word for word in words] for words in columns[self.text[0]]]
            else:
                given = columns[self.text[0]] if len(self.text) == 1 else list(zip(*columns.values(), strict=True))
            encoded = self._tokenizer.encode_batch(list(given), is_pretokenized=tagging)
            pairs = list(zip(encoded, columns[self.text[0]], strict=True)) if tagging else []
            words = [word_positions(one.word_ids, len(row), facts.last_pieces) for one, row in pairs]
            types = [one.type_ids for one in encoded]
            if self.task.case:
                types = [token_types(one.word_ids, row) for one, row in pairs]
            found = Texts([[one.ids] for one in encoded], types, words)
        return found, np.array([sum(map(len, sequences)) for sequences in found.ids])

    def _asked(self, facts: dict[str, Any], columns: Mapping[str, Sequence[Any]]) -> Texts:
        """Questions with the windows of their contexts."""
        reader = Reader(self._whole, frame_from(facts["frame"]), self.facts.pad_id)
        layout = Layout(self.facts.max_length, facts["stride"])
        most = max(1, TOKENS // self.facts.max_length)
        split = encode(Asked(*(columns[name] for name in self.text)), reader, layout, most=most)
        assert split.windows is not None
        rows = range(len(split))
        ids = [
            [part.tolist() for part in np.split(split.ids.row(row), np.cumsum(split.windows.row(row))[:-1])]
            for row in rows
        ]
        types = [] if split.types is None else [split.types.row(row).tolist() for row in rows]
        return Texts(ids, types, [], split=split)

    @property
    def threshold(self) -> float:
        """The margin above which a question has no answer."""
        value = (self.facts.questions or {})["threshold"]
        return float("inf") if value is None else float(value)

    def owners(self, encoded: Texts) -> Sequence[int]:
        """The question that each row belongs to."""
        assert encoded.split is not None
        found: Sequence[int] = encoded.split.facts["owners"]
        return found

    def spans(self, encoded: Texts, rows: list[int]) -> list[Spans]:
        """The best answers in the windows of some rows."""
        split, facts, logits = encoded.split, self.facts.questions, self.logits(encoded, rows)
        assert split is not None
        assert facts is not None
        return read_spans(split, rows, logits, facts["longest"], facts["n_best"])

    def _whole(self, texts: list[str]) -> Any:
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self._tokenizer.encode_batch(list(texts))]

    def _parts(self, text: str) -> list[list[int]]:
        """Sequences of a text of which the start alone is not what counts."""
        before, after = self.facts.prefix
        body = self._tokenizer.encode(text, add_special_tokens=False).ids
        room = self.facts.max_length - len(before) - len(after)
        truncation, windows = cast(Truncation, self.facts.truncation), cast(Windows, self.facts.windows)
        parts = split_body(body, room, truncation, windows)
        return [[*before, *part, *after] for part in parts]

    def answer(self, encoded: Texts, rows: list[int]) -> list[Record]:
        """``id`` (row), ``prediction`` and where there are any ``scores`` of some rows."""
        logits = self.logits(encoded, rows)
        kind = self.task.kind
        if kind == "slots":
            return [self._spoken_of(row, encoded.words[row], own) for row, own in zip(rows, logits, strict=True)]
        if kind == "tagging":
            pairs = zip(rows, logits, strict=True)
            return [{"id": row, "prediction": self._tags(encoded.words[row], scores)} for row, scores in pairs]
        if kind == "regression":
            return [{"id": row, "prediction": float(value)} for row, value in zip(rows, logits, strict=True)]
        logits = logits.astype(np.float64) / (self.temperature or 1)
        if kind == "multilabel":
            scores = 1 / (1 + np.exp(-logits))
            given = scores >= np.asarray(self.facts.thresholds)
            found: list[Any] = [[n for n, flag in zip(self.task.labels, row, strict=True) if flag] for row in given]
        else:
            raised = np.exp(logits - logits.max(1, keepdims=True))
            scores = raised / raised.sum(1, keepdims=True)
            found = [self.task.labels[number] for number in logits.argmax(1)]
        rounded = [[float(f"{value:.6g}") for value in row] for row in scores]
        triples = zip(rows, found, rounded, strict=True)
        return [{"id": row, "prediction": answer, "scores": scored} for row, answer, scored in triples]

    @property
    def size_mb(self) -> float:
        """Size of the graph with its weights, in MB of 2**20 bytes."""
        return self.model.stat().st_size / 2**20

    def logits(self, encoded: Texts, rows: list[int], length: int = 0) -> "np.ndarray[Any, Any]":
        """What the graph gives for some rows, padded to `length` or to the longest of them."""
        return facts_of.joined(self._session.run(None, self.feed(encoded, rows, length), self._run))

    def feed(self, encoded: Texts, rows: list[int], length: int = 0) -> dict[str, "np.ndarray[Any, Any]"]:
        """What the graph reads for some rows, by the names of its inputs."""
        sequences = [sequence for row in rows for sequence in encoded.ids[row]]
        length = max(length, *map(len, sequences))
        ids = np.full((len(sequences), length), self.facts.pad_id, dtype=np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for number, sequence in enumerate(sequences):
            ids[number, : len(sequence)] = sequence
            mask[number, : len(sequence)] = 1
        feed: dict[str, np.ndarray[Any, Any]] = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.facts.inputs:
            flat = [number for row in rows for number in encoded.types[row]]
            types[mask > 0] = flat
            feed["token_type_ids"] = types
        if "words" in self.facts.inputs:
            widest = max(len(encoded.words[row]) for row in rows)
            feed["words"] = np.zeros((len(rows), widest), dtype=np.int64)
            for number, row in enumerate(rows):
                feed["words"][number, : len(encoded.words[row])] = np.maximum(encoded.words[row], 0)
        if "ranges" in self.facts.inputs:
            feed["ranges"] = np.array([encoded.ranges[row] for row in rows], dtype=np.int64).reshape(len(rows), -1, 2)
        if "share" in self.facts.inputs:
            feed["share"] = self._share([encoded.ids[row] for row in rows])
        if "texts" in self.facts.inputs:
            feed["texts"] = np.arange(len(ids)).reshape(-1, 2)
        return feed

    def _share(self, texts: list[list[list[int]]]) -> "np.ndarray[Any, Any]":
        share = np.zeros((len(texts), sum(map(len, texts))), dtype=np.float32)
        start = 0
        for number, sequences in enumerate(texts):
            even = self.facts.windows == "even"
            weights = np.array([len(sequence) if even else 1 for sequence in sequences], dtype=np.float32)
            share[number, start : start + len(sequences)] = weights / weights.sum()
            start += len(sequences)
        return share

    def _spoken_of(self, row: int, words: list[int], logits: "np.ndarray[Any, Any]") -> Record:
        """Intent, its probabilities, and tags of a text."""
        tags = len(self.task.tags)
        raised = np.exp(logits[0, tags:].astype(np.float64) - logits[0, tags:].max())
        names = [name.removeprefix(INTENT) for name in self.task.intents]
        shares = [float(f"{value:.6g}") for value in raised / raised.sum()]
        answer = {"intent": names[int(raised.argmax())], "slots": self._tags(words, logits[1:, :tags])}
        return {"id": row, "prediction": answer, "intents": dict(zip(names, shares, strict=True))}

    def _tags(self, words: list[int], logits: "np.ndarray[Any, Any]") -> list[str]:
        seen = [place for place, position in enumerate(words) if position >= 0]
        scores = logits[seen]
        if self.facts.decoding == "constrained":
            best = constrained_decode(scores, self.task.tags, self.task.spelling.name != "IO")
        else:
            best = scores.argmax(-1).tolist() if seen else []
        numbers = [self.task.outside] * len(words)
        for place, number in zip(seen, best, strict=True):
            numbers[place] = int(number)
        return written_tags(self.task, numbers)

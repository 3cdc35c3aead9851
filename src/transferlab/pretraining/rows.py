"""Rows of pretraining, made from the tokens of a corpus as an objective reads them."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.pretraining.batches import Row
from transferlab.pretraining.corpus import SENTENCE, WORD, Part, pieces
from transferlab.pretraining.masking import Draws, Masking
from transferlab.tasks.tokenization import special_affixes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Array = np.ndarray[Any, Any]
Pairs = Literal["next", "order"]
TRIES = 16
"""Draws of a piece of another document."""


class Reading(NamedTuple):
    """How an objective reads text.

    Attributes:
        causal: Whether every token is predicted from those before it; else hidden ones from all others.
        share: Share of words that are hidden.
        whole_words: Whether all tokens of a word are hidden together.
        masked: Of the hidden words, the share that becomes the mask token.
        kept: Of the hidden words, the share that stays.
        pairs: Whether rows are two segments: ``next``, the second one is of another document in half of the rows;
            ``order``, the two are swapped in half of the rows. None: one segment.
    """

    causal: bool = False
    share: float = 0.15
    whole_words: bool = True
    masked: float = 0.8
    kept: float = 0.1
    pairs: Pairs | None = None


class Rows:
    """The rows of a part of a corpus.

    Args:
        part: Its tokens.
        tokenizer: The encoder's.
        reading: How they are read.
        max_length: Tokens of a row, special ones included.
        seed: Seed of the masks; None for those of evaluation, which are the same in every run.

    Attributes:
        lengths: Tokens of every row, special ones included; of rows with a segment of another document an estimate
            ``[rows]``.

    Raises:
        TransferlabError: No room for text, or no mask token.
    """

    def __init__(
        self, part: Part, tokenizer: "PreTrainedTokenizerFast", reading: Reading, max_length: int, seed: int | None
    ) -> None:
        self.part, self.reading = part, reading
        self._key = (0, -1) if seed is None else (seed,)
        prefix, suffix = special_affixes(tokenizer)
        if reading.causal:
            end = tokenizer.eos_token_id
            suffix = [] if end is None else [int(end)]
        self._prefix, self._suffix = np.array(prefix, dtype=np.int64), np.array(suffix, dtype=np.int64)
        special = len(prefix) + len(suffix) * (2 if reading.pairs else 1)
        if max_length <= special:
            raise TransferlabError(f"data.max_length: {max_length} leaves no room beside {special} special tokens.")
        self._room = max_length - special
        self.pieces = pieces(part.offsets, self._room)
        self.numbers = np.arange(len(self.pieces.lengths))
        self.lengths = self.pieces.lengths + special
        self._masking = None if reading.causal else masking_of(tokenizer, reading)

    def thin(self, most: int) -> None:
        """Leaves so many rows, spread evenly, where there are more."""
        if len(self.numbers) > most:
            self.numbers = np.arange(most) * len(self.numbers) // most
            self.lengths = self.lengths[self.numbers]

    def __call__(self, epoch: int, number: int) -> Row:
        """The row of a number in an epoch."""
        number = int(self.numbers[number])
        if self.reading.causal:
            return self._causal(number)
        assert self._masking is not None
        draws = Draws(*self._key, *(() if len(self._key) == 2 else (epoch,)), number)
        segments, pair = self._segments(number, draws)
        ids, types, places, labels = [self._prefix], [np.zeros(len(self._prefix), dtype=np.int64)], [], []
        done = len(self._prefix)
        hidden, chosen = self._masking.apply(
            np.concatenate([part for part, _ in segments]), np.concatenate([starts for _, starts in segments]), draws
        )
        begun = 0
        for kind, (part, _) in enumerate(segments):
            inside = chosen[(chosen >= begun) & (chosen < begun + len(part))] - begun
            ids += [hidden[begun : begun + len(part)], self._suffix]
            types.append(np.full(len(part) + len(self._suffix), kind, dtype=np.int64))
            places.append(inside + done)
            labels.append(part[inside])
            begun, done = begun + len(part), done + len(part) + len(self._suffix)
        noise, whole = draws.uniform(len(chosen)), np.concatenate
        return Row(whole(ids), whole(types), whole(places), whole(labels), pair, noise)

    @property
    def paired(self) -> bool:
        """Whether any row can be two segments: a sentence begins inside of it."""
        return any(_middle(self._piece(number)[1]) for number in range(len(self.lengths)))

    def _causal(self, number: int) -> Row:
        ids, _ = self._piece(number)
        numbers = self.pieces.documents
        last = number + 1 == len(numbers) or numbers[number] != numbers[number + 1]
        ids = np.concatenate([self._prefix, ids, self._suffix if last else self._suffix[:0]])
        nothing = np.zeros(len(ids) - 1, dtype=np.float32)
        return Row(ids, np.zeros_like(ids), np.arange(len(ids) - 1), ids[1:], -1, nothing)

    def _piece(self, number: int) -> tuple[Array, Array]:
        """Ids and flags of a piece."""
        start, length = int(self.pieces.starts[number]), int(self.pieces.lengths[number])
        ids = self.part.ids[start : start + length].astype(np.int64)
        return ids, np.asarray(self.part.flags[start : start + length])

    def _segments(self, number: int, draws: Draws) -> tuple[list[tuple[Array, Array]], int]:
        """One or two segments, each with whether its tokens begin words, and whether the second one is wrong."""
        ids, flags = self._piece(number)
        starts = (flags & WORD) > 0
        cut = _middle(flags) if self.reading.pairs else 0
        if not cut:
            return [(ids, starts)], -1
        starts = starts.copy()
        starts[cut] = True
        first, second = (ids[:cut], starts[:cut]), (ids[cut:], starts[cut:])
        wrong = bool(draws.uniform(1)[0] < 0.5)
        if self.reading.pairs == "order":
            return ([second, first] if wrong else [first, second]), int(wrong)
        if not wrong:
            return [first, second], 0
        other = self._elsewhere(number, draws)
        if other is None:
            return [first, second], 0
        strange, marks = self._piece(other)
        begin = _middle(marks)
        strange, marks = strange[begin:][: self._room - cut], (marks[begin:][: self._room - cut] & WORD) > 0
        return [first, (strange, marks)], 1

    def _elsewhere(self, number: int, draws: Draws) -> int | None:
        """A piece of another document; None where none was drawn."""
        documents = self.pieces.documents
        drawn = draws.below(len(documents), TRIES)
        return next((int(other) for other in drawn if documents[other] != documents[number]), None)


def _middle(flags: Array) -> int:
    """The beginning of a sentence that is nearest to the middle; 0 where none begins within."""
    begins = np.flatnonzero(flags[1:] & SENTENCE) + 1
    return int(begins[np.argmin(np.abs(begins - len(flags) / 2))]) if len(begins) else 0


def masking_of(tokenizer: "PreTrainedTokenizerFast", reading: Reading) -> Masking:
    """How an objective hides tokens of a tokenizer.

    Raises:
        TransferlabError: It has no mask token.
    """
    if tokenizer.mask_token_id is None:
        raise TransferlabError(
            "encoder.name: this tokenizer has no mask token; decoders are pretrained with "
            "transferlab.pretraining.objectives.CausalLM."
        )
    vocabulary = tokenizer.get_vocab()
    barred = set(tokenizer.all_special_ids)
    allowed = [number for word, number in vocabulary.items() if number not in barred and "[unused" not in word]
    random_ids = np.array(sorted(allowed), dtype=np.int64)
    mask_id = int(tokenizer.mask_token_id)
    return Masking(reading.share, reading.whole_words, mask_id, random_ids, reading.masked, reading.kept)

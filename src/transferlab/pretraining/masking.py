"""Which words are hidden: a pure function of the seed, the epoch and the row, whatever the batch or the process."""

import hashlib
from typing import Any, NamedTuple

import numpy as np

Array = Any
"""An array of numpy's."""


class Draws:
    """Random numbers of a row, drawn one after the other.

    The bits of Philox under a key that is a hash of (seed, epoch, row), so that no state is kept between rows.

    Args:
        key: What they belong to.
    """

    def __init__(self, *key: int) -> None:
        digest = hashlib.blake2b(" ".join(map(str, key)).encode(), digest_size=16).digest()
        self._bits = np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64))

    def uniform(self, count: int) -> Array:
        """Numbers in [0, 1) ``[count]``."""
        drawn = np.asarray(self._bits.random_raw(count), dtype=np.uint64)
        return np.multiply(drawn >> np.uint64(11), 2.0**-53)

    def below(self, bounds: Array | int, count: int) -> Array:
        """Whole numbers in ``[0, bounds)`` ``[count]``."""
        return np.minimum((self.uniform(count) * bounds).astype(np.int64), np.asarray(bounds) - 1)


class Masking(NamedTuple):
    """How tokens are hidden.

    Attributes:
        share: Share of words whose tokens are hidden.
        whole_words: Whether all tokens of a word share their lot; else each stands alone.
        mask_id: Id of the mask token.
        random_ids: Ids that may take the place of a token: neither special nor unused ones.
        masked: Of the hidden words, the share that becomes the mask token.
        kept: Of the hidden words, the share that stays as it is; the rest becomes random tokens.
    """

    share: float
    whole_words: bool
    mask_id: int
    random_ids: Array
    masked: float = 0.8
    kept: float = 0.1

    def apply(self, ids: Array, starts: Array, draws: Draws) -> tuple[Array, Array]:
        """Hides words of a row: each with the same probability, at least one.

        BERT's masking (Devlin et al. 2019, section 3.1, https://arxiv.org/abs/1810.04805): of the hidden words 80 %
        become mask tokens, 10 % random tokens, 10 % stay.

        Args:
            ids: Token ids without special ones ``[tokens]``.
            starts: Whether a token begins a word ``[tokens]``.
            draws: The random numbers of the row.

        Returns:
            The ids with hidden tokens replaced, and the places of these ``[hidden]``.
        """
        word = np.cumsum(starts) if self.whole_words else np.arange(len(ids))
        # the first token may continue a word of the piece before
        word = word - word[0]
        count = int(word[-1]) + 1
        chance, lot = draws.uniform(count), draws.uniform(count)
        hidden = chance < self.share
        hidden[np.argmin(chance)] = True
        places = np.flatnonzero(hidden[word])
        lots = lot[word[places]]
        replaced = np.array(ids, dtype=np.int64)
        others = self.random_ids[draws.below(len(self.random_ids), len(places))]
        replaced[places] = np.where(
            lots < self.masked, self.mask_id, np.where(lots < self.masked + self.kept, replaced[places], others)
        )
        return replaced, places

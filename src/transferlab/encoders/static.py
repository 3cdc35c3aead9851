"""Static word vectors: read from the files that others publish, and kept as the embeddings of a BiLSTM."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.loading import locate
from transferlab.ground.errors import TransferlabError

VECTORS = "vectors.safetensors"
"""In the folder of an encoder: the vector of each token id, ``[tokens, width]``, under the name ``vectors``."""
Array = np.ndarray[Any, Any]


def read_vectors(path: Path, words: set[str], key: str = "--vectors") -> dict[str, Array]:
    """Reads the vectors of some words, a line at a time, so that memory grows with these words only.

    GloVe's text has a word and its numbers in a line; word2vec's text and fastText's .vec have the same below a line
    with the number of words and the width. A word may hold blanks; of one that stands there twice the first counts.

    Args:
        path: The file.
        words: The words that are wanted.
        key: What the user named it by.

    Returns:
        Word to vector ``[width]`` in float32.

    Raises:
        TransferlabError: No such file, or a line of another width.
    """
    found: dict[str, Array] = {}
    width = 0
    for number, line in enumerate(_lines(path, key), 1):
        parts = line.rstrip().split(" ")
        if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
            width = int(parts[1])
            continue
        width = width or len(parts) - 1
        if not width:
            raise TransferlabError(f"{key}: {path} line {number} has a word and no numbers.")
        word, values = " ".join(parts[:-width]), parts[-width:]
        if not word and line.strip():
            raise TransferlabError(f"{key}: {path} line {number} has {len(parts) - 1} numbers, not {width}.")
        if word not in words or word in found:
            continue
        try:
            found[word] = np.array(values, dtype=np.float32)
        except ValueError as error:
            raise TransferlabError(f"{key}: {path} line {number} holds what is no number ({error}).") from error
    return found


def _lines(path: Path, key: str) -> Iterator[str]:
    try:
        # a name that is cut inside a character is some other word
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise TransferlabError(f"{key}: {path} cannot be read: {error.strerror or error}.") from error


def vectors_file(config: EncoderConfig) -> Path | None:
    """The vectors in the folder of an encoder; None for any other encoder."""
    path = Path(locate(config.name, config.revision).target) / VECTORS
    return path if path.is_file() else None


def refuse_vectors(config: EncoderConfig) -> None:
    """Refuses static vectors as what they are not.

    Raises:
        TransferlabError: The encoder is a folder of static vectors, and no BiLSTM over them is asked for.
    """
    if vectors_file(config):
        raise TransferlabError(
            f"encoder.name: {config.name} holds static word vectors; set encoder.architecture: bilstm, and train it "
            "with a strategy that is not from_scratch."
        )

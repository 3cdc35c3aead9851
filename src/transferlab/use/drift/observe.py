"""What a model makes of texts: its answers, their lengths, and the features that its head reads."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferlab.ground.progress import counted
from transferlab.record.predictions import Record
from transferlab.strategies.forward import document_mean
from transferlab.tasks import Batch
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.kinds.qa import answer_of
from transferlab.tasks.spans import Spans, merged
from transferlab.use.prediction import words as of_words
from transferlab.use.predictor import Predictor

Array = np.ndarray[Any, Any]
Columns = Mapping[str, Sequence[Any]]


class Observed(NamedTuple):
    """What a model makes of texts.

    Attributes:
        records: Their answers, in order, see `transferlab.record.predictions.records`.
        features: The mean vector of each text under the head ``[texts, width]``.
    """

    records: list[Record]
    features: Array


@torch.inference_mode()
def observe(predictor: Predictor, columns: Columns, what: str) -> Observed:
    """Answers texts, and keeps what the head reads on the way.

    Args:
        predictor: The run.
        columns: The texts by column; for tagging each a text, or a list of its words.
        what: Words for the progress.
    """
    name = predictor.text[0]
    if predictor.task.worded:
        columns = {name: [of_words.of_text(cell).words if isinstance(cell, str) else cell for cell in columns[name]]}
    encoded, lengths = predictor.encode(columns)
    if predictor.task.kind == "qa":
        return _asked(predictor, encoded, lengths, columns[predictor.text[1]], what)
    records: list[Record] = [{}] * len(lengths)
    features: list[Array] = [np.zeros(0)] * len(lengths)
    with _heard(predictor.model.head) as seen:
        for rows in counted(predictor.batches(lengths), what):
            for record in predictor.answer(encoded, rows):
                records[record["id"]] = record
            read, mask = seen.pop()
            vectors = _means(read, mask, encoded.collate(rows))
            for row, vector in zip(rows, vectors, strict=True):
                features[row] = vector
    return Observed(records, np.stack(features))


def _asked(predictor: Predictor, encoded: EncodedSplit, lengths: Array, contexts: Sequence[str], what: str) -> Observed:
    """Answers to questions; the features are the mean over all windows, each as long as it is."""
    owners, count = predictor.owners(encoded), len(contexts)
    found: list[list[Spans]] = [[] for _ in range(count)]
    sums: list[Any] = [0.0] * count
    tokens = np.zeros(count, dtype=int)
    with _heard(predictor.model.head) as seen:
        for rows in counted(predictor.batches(lengths), what):
            spans = predictor.spans(encoded, rows)
            read, mask = seen.pop()
            vectors = _means(read, mask, encoded.collate(rows))
            for row, vector, best in zip(rows, vectors, spans, strict=True):
                owner = owners[row]
                found[owner].append(best)
                sums[owner] = sums[owner] + vector * lengths[row]
                tokens[owner] += lengths[row]
    pairs = zip(found, contexts, strict=True)
    told = [answer_of(merged(parts, predictor.n_best), context, predictor.threshold) for parts, context in pairs]
    records = [{"id": n, **answer, "tokens": int(tokens[n])} for n, answer in enumerate(told)]
    return Observed(records, np.stack(sums) / tokens[:, None])


@contextmanager
def _heard(head: torch.nn.Module) -> Iterator[list[tuple[Any, ...]]]:
    """What a head is given, so that the encoder need not run twice."""
    seen: list[tuple[Any, ...]] = []
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given))
    try:
        yield seen
    finally:
        hook.remove()


def _means(vectors: Tensor, mask: Tensor | None, batch: Batch) -> Array:
    """One vector for each text of a batch, whether the head reads texts, tokens or words."""
    vectors = vectors.float().cpu()
    if mask is None and vectors.ndim > 2:
        # prompting with several demonstrations
        vectors = vectors.mean(1)
    if mask is not None:
        shares = mask.cpu().to(vectors.dtype).unsqueeze(-1)
        vectors = (vectors * shares).sum(1) / shares.sum(1).clamp(min=1)
    if batch.documents is not None and len(vectors) != len(batch.index):
        vectors = document_mean(vectors, batch.documents, batch.weights)
    found: Array = vectors.double().numpy()
    return found

"""A tag for each word."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.encoded import IGNORE
from transferlab.tasks.iob import spans, split_tag
from transferlab.tasks.kinds.base import Answers, Array, OfSums, Report, f1, mean_of, precision, recall, row
from transferlab.tasks.kinds.classification import f1_macro
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.spec import TaskSpec, tag_name, written_tags

if TYPE_CHECKING:
    from torch import Tensor


class Tagging(Answers):
    """A list of tags, in the scheme of the user's files; what is counted is in IOB2."""

    metrics = ("f1", "precision", "recall")
    sums: ClassVar[Mapping[str, OfSums]] = {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "accuracy": mean_of,
        "f1_macro": f1_macro,
    }
    pipeline = "token-classification"
    confusion = True
    listed = "a list with a tag for each word"
    texts = 1
    not_sampled = "a sentence has words of many tags; use model.loss: weighted"

    def usual(self, task: TaskSpec) -> tuple[str, ...]:
        """Those of entities, or those of tags that mark none."""
        return self.metrics if task.entities else ("accuracy", "f1_macro")

    def predicted(self, task: TaskSpec, outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The decoded tag of each word."""
        return self.gold(task, outputs["classes"], outputs)

    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The tag of each word."""
        pairs = zip(labels.tolist(), outputs["word_mask"].tolist(), strict=True)
        return [written_tags(task, [number for number, real in zip(*pair, strict=True) if real]) for pair in pairs]

    def read(self, scheme: Scheme, answer: Any) -> Any:
        """The tags in IOB2."""
        return scheme.read(answer)

    def per_label(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """One row a type of entity."""
        counts: dict[str, list[int]] = {}
        for tags, guesses in zip(gold, found, strict=True):
            wanted, there = spans(tags), spans(guesses)
            for column, group in enumerate((wanted & there, there - wanted, wanted - there)):
                for kind, _, _ in group:
                    counts.setdefault(kind, [0, 0, 0])[column] += 1
        return {
            kind: row(tp / max(tp + fp, 1), tp / max(tp + fn, 1), 2 * tp / max(2 * tp + fp + fn, 1), tp + fn)
            for kind, (tp, fp, fn) in sorted(counts.items())
        }

    def per_tag(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """One row a tag, for tags that mark no entities."""
        pairs = [pair for tags, guesses in zip(gold, found, strict=True) for pair in zip(tags, guesses, strict=True)]
        hits, there, wanted = (
            Counter(truth for truth, guess in pairs if truth == guess),
            Counter(guess for _, guess in pairs),
            Counter(truth for truth, _ in pairs),
        )
        return {
            tag: row(
                hits[tag] / max(there[tag], 1),
                hits[tag] / max(wanted[tag], 1),
                2 * hits[tag] / max(there[tag] + wanted[tag], 1),
                wanted[tag],
            )
            for tag in labels
        }

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether there is no entity at all, or one tag for all words."""
        return len({tag for tags in found for tag in tags}) == 1 < len({tag for tags in gold for tag in tags})

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """Entities found rightly, predicted, and there; for tags that mark none those of Classification, of words."""
        if metric in ("accuracy", "f1_macro"):
            return _words(found, gold, metric, labels)
        pairs = [(spans(guess), spans(truth)) for guess, truth in zip(found, gold, strict=True)]
        return np.array([(len(one & other), len(one), len(other)) for one, other in pairs], dtype=float)


def entity_counts(
    labels: Sequence[str], scheme: Scheme, guesses: Sequence[Sequence[int]], truths: Sequence[Sequence[int]]
) -> dict[str, list[int]]:
    """Entities found rightly, found where there is none, and missed, by type in the order of the labels.

    A span counts if type and both ends agree, as conlleval has it.

    Args:
        labels: IOB2 tags in class order.
        scheme: How predictions are written; what is counted is what is read there.
        guesses: Class numbers of each sentence; anything where `truths` is padding.
        truths: Class numbers, -100 for padding.
    """
    counts = {split_tag(tag)[1]: [0, 0, 0] for tag in labels if tag != "O"}
    for guess, truth in zip(guesses, truths, strict=True):
        real = [position for position, label in enumerate(truth) if label != IGNORE]
        found = scheme.entities([tag_name(labels, guess[position]) for position in real])
        wanted = spans([tag_name(labels, truth[position]) for position in real])
        for column, group in enumerate((found & wanted, found - wanted, wanted - found)):
            for kind, _, _ in group:
                counts[kind][column] += 1
    return counts


def _words(found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
    """Counts of the words of each sentence."""
    places = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(gold), 3, len(labels)))
    for sentence, guesses, tags in zip(counts, found, gold, strict=True):
        for guess, tag in zip(guesses, tags, strict=True):
            sentence[2, places[tag]] += 1
            # a word that was not read has no answer
            if guess in places:
                sentence[1, places[guess]] += 1
                sentence[0, places[tag]] += guess == tag
    if metric == "accuracy":
        return np.stack([counts[:, 2].sum(-1), counts[:, 0].sum(-1)], 1)
    return counts.reshape(len(gold), -1)

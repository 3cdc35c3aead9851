"""An intent for each text, and a tag for each of its words that marks slots."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.iob import spans
from transferlab.tasks.kinds.base import Answers, Array, OfSums, Report, f1, mean_of, precision, recall
from transferlab.tasks.kinds.classification import Classification
from transferlab.tasks.kinds.tagging import Tagging
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.spec import INTENT, TaskSpec, written_tags

if TYPE_CHECKING:
    from torch import Tensor


class Slots(Answers):
    """``{"intent": name, "slots": tags}``, the tags in the scheme of the user's files; what is counted is in IOB2.

    ``f1``, ``precision`` and ``recall`` are of slots as conlleval counts them: type and both ends agree.
    ``intent_accuracy`` is the share of texts with the right intent, ``sentence_accuracy`` that of texts with the right
    intent and exactly the right slots (the sentence-level semantic frame accuracy of Goo et al. 2018,
    https://aclanthology.org/N18-2118/).
    """

    metrics = ("sentence_accuracy", "f1", "intent_accuracy")
    sums: ClassVar[Mapping[str, OfSums]] = {
        "sentence_accuracy": mean_of,
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "intent_accuracy": mean_of,
    }
    pipeline = "token-classification"
    listed = "an intent and a tag for each word"
    texts = 1
    not_sampled = "a text has words of many tags; use model.loss: weighted"

    def predicted(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[Any]:
        """Intent and decoded tags."""
        return self.gold(task, outputs["classes"], outputs)

    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, Any]) -> list[Any]:
        """Intent and tags; labels are ``[batch, 1 + words]``, the intent first."""
        found = []
        for numbers, real in zip(labels.tolist(), outputs["word_mask"].tolist(), strict=True):
            tags = [number for number, there in zip(numbers[1:], real[1:], strict=True) if there]
            found.append(answer_of(task, numbers[0], tags))
        return found

    def told(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The probability of each intent, where a model gives logits ``[batch, 1 + words, labels]``."""
        if "logits" not in outputs:
            return None
        shares = outputs["logits"][:, 0, len(task.tags) :].softmax(-1).tolist()
        names = [name.removeprefix(INTENT) for name in task.intents]
        return [{"intents": dict(zip(names, (float(f"{p:.6g}") for p in row), strict=True))} for row in shares]

    def read(self, scheme: Scheme, answer: Any) -> Any:
        """The answer with tags in IOB2."""
        return answer | {"slots": scheme.read(answer["slots"])}

    def per_label(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """One row a type of slot, then one an intent, which stands behind ``intent:``."""
        slots = Tagging().per_label((), [one["slots"] for one in gold], [one["slots"] for one in found])
        names = [label for label in labels if label.startswith(INTENT)]
        return slots | Classification().per_label(
            names, *([INTENT + one["intent"] for one in s] for s in (gold, found))
        )

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether all texts get one intent, or all words one tag, though the right ones differ."""
        sides = [([one["intent"] for one in side], [one["slots"] for one in side]) for side in (gold, found)]
        (intents, tags), (guesses, given) = sides
        return len(set(guesses)) == 1 < len(set(intents)) or Tagging().collapsed(tags, given)

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """Slots found rightly, predicted, and there; for a share of texts 1 and whether this one is right."""
        rows: list[tuple[int, ...]] = []
        for guess, truth in zip(found, gold, strict=True):
            one, other = spans(guess["slots"]), spans(truth["slots"])
            same = guess["intent"] == truth["intent"]
            if metric == "intent_accuracy":
                rows.append((1, same))
            elif metric == "sentence_accuracy":
                rows.append((1, same and one == other))
            else:
                rows.append((len(one & other), len(one), len(other)))
        return np.array(rows, dtype=float)


def answer_of(task: TaskSpec, intent: int, tags: Sequence[int]) -> dict[str, Any]:
    """What a record says of a text.

    Args:
        task: Names the labels.
        intent: Number of the intent among all labels.
        tags: Class numbers of the words.
    """
    return {"intent": task.labels[intent].removeprefix(INTENT), "slots": written_tags(task, tags)}

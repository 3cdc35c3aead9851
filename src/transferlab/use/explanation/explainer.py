"""Explanations of a finished run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.iob import spans
from transferlab.use.answering import Example, Record
from transferlab.use.explanation import attribution, reading
from transferlab.use.explanation.attribution import Array, Attribution, Faithfulness
from transferlab.use.explanation.reading import Reading
from transferlab.use.explanation.scored import Scored, Target, sequences
from transferlab.use.prediction import words as of_words
from transferlab.use.prediction.words import Words
from transferlab.use.predictor import Predictor

Baseline = Literal["pad", "mask"]


class Explanation(NamedTuple):
    """Why an example got a label.

    Attributes:
        target: What is explained.
        texts: The texts with their words.
        read: Numbers of the words that the model reads; the others were cut off.
        attribution: What each word adds to the score, by integrated gradients.
        left_out: By how much the score falls without each word ``[words]``.
        agreement: Rank correlation of the two; None where it is not defined.
        faithfulness: Of the attributions; None with fewer than two words.
    """

    target: Target
    texts: list[Words]
    read: set[int]
    attribution: Attribution
    left_out: Array
    agreement: float | None
    faithfulness: Faithfulness | None

    def record(self) -> Record:
        """The explanation as JSON holds it."""
        own = self.attribution
        rows, number = [], 0
        for at, text in enumerate(self.texts):
            for word, (start, end) in zip(text.words, text.places, strict=True):
                there = number in self.read
                found = {"text": at, "word": word, "start": start, "end": end}
                values = (float(own.words[number]), float(self.left_out[number])) if there else (None, None)
                rows.append(found | dict(zip(("attribution", "left_out"), values, strict=True)))
                number += 1
        target: Record = {"label": self.target.label} if self.target.label else {}
        if self.target.span:
            first, behind = self.target.span
            start, end = self.texts[0].places[first][0], self.texts[0].places[behind - 1][1]
            target |= {"start": start, "end": end, "text": self.texts[0].text[start:end]}
        return {
            "target": target,
            "score": own.score,
            "score_without_words": own.empty,
            "residue": own.residue,
            "steps": own.steps,
            "words": rows,
            "no_word": own.rest,
            "agreement": self.agreement,
            "faithfulness": self.faithfulness._asdict() if self.faithfulness else None,
        }


class Explainer:
    """A finished run that tells which words its answers come from, in float32 and evaluation mode.

    Args:
        predictor: The run.
        baseline: What stands for no word: the padding token (of a decoder without one the end of a text) or the mask
            token. Special tokens stay.
        tolerance: Of the residue of integrated gradients.
        orders: Random orders that a faithfulness is compared with.
        seed: Of the random orders.

    Raises:
        TransferlabError: The tokenizer has no such token.
    """

    def __init__(
        self,
        predictor: Predictor,
        baseline: Baseline = "pad",
        tolerance: float = 0.01,
        orders: int = 10,
        seed: int = 0,
    ) -> None:
        self.predictor = predictor
        self.tolerance, self.orders, self.seed = tolerance, orders, seed
        token = getattr(predictor.tokenizer, f"{baseline}_token_id")
        if token is None and baseline == "pad":
            # a decoder has no padding in its vocabulary; what pads its batches is the end of a text
            token = predictor.tokenizer.eos_token_id
        if token is None:
            other = "; use --baseline pad" if baseline == "mask" else ""
            raise TransferlabError(f"--baseline: the tokenizer of this run has no {baseline} token{other}.")
        self.baseline = int(token)

    @classmethod
    def load(cls, run: str | Path, device: str | None = None, root: str | Path = "runs", **options: Any) -> "Explainer":
        """Loads a run, see `Predictor.load`; the options are those of the constructor."""
        return cls(Predictor.load(run, device=device, root=root), **options)

    def __call__(self, example: Example, label: str | None = None) -> tuple[Record, list[Explanation]]:
        """Explains one example.

        Args:
            example: As `Predictor.predict` takes it.
            label: The label to explain; None: what was predicted, for several labels each of them (the likeliest where
                none was), for tagging each entity.

        Returns:
            The answer of the run, and an explanation of each of its parts.

        Raises:
            TransferlabError: An example that is no text, or no such label.
        """
        self._check(label)
        answer = self.predictor(example)
        texts = self._texts(example)
        task = self.predictor.task
        encoded, _ = self.predictor.encode(
            {
                name: [text.words if task.kind == "tagging" else text.text]
                for name, text in zip(self.predictor.text, texts, strict=True)
            }
        )
        read = reading.read(texts, task.kind == "tagging", self.predictor.tokenizer, self.predictor.settings)
        reading.check(read, sequences(encoded))
        scored = Scored(self.predictor.model, encoded, read, self.baseline)
        if task.kind == "tagging":
            targets = [target for target in self._tagged(encoded, label) if scored.read.intersection({target.first})]
        else:
            targets = self._targets(answer, label)
        return answer, [self._explain(scored, read, target) for target in targets]

    def _explain(self, scored: Scored, read: Reading, target: Target) -> Explanation:
        own = attribution.integrated(scored, target, self.tolerance)
        out = attribution.left_out(scored, target)
        known = sorted(scored.read)
        return Explanation(
            target,
            read.texts,
            scored.read,
            own,
            out,
            _rank_correlation(own.words[known], out[known]),
            attribution.faithfulness(scored, target, own.words, self.orders, self.seed),
        )

    def _texts(self, example: Example) -> list[Words]:
        if isinstance(example, Mapping):
            cells: Sequence[Any] = [example[name] for name in self.predictor.text]
        else:
            cells = [example] if len(self.predictor.text) == 1 or isinstance(example, str) else list(example)
        if self.predictor.task.kind == "tagging":
            return [of_words.of_cell(cells[0])]
        return [reading.split(cell) for cell in cells]

    def _targets(self, answer: Record, label: str | None) -> list[Target]:
        """The label, or each of several."""
        task = self.predictor.task
        if task.kind == "regression":
            return [Target("")]
        names = [label] if label else answer["prediction"]
        if not names:
            names = [max(answer["probabilities"], key=answer["probabilities"].__getitem__)]
        return [Target(name, (task.labels.index(name),)) for name in ([names] if isinstance(names, str) else names)]

    @torch.no_grad()
    def _tagged(self, encoded: EncodedSplit, label: str | None) -> list[Target]:
        """Each entity; where tags mark none each word."""
        model, task = self.predictor.model, self.predictor.task
        classes = model.predict_step(encoded.collate([0]).to(model.device), 0)["classes"][0].tolist()
        tags = [task.labels[number] for number in classes]
        if task.entities:
            found = sorted(spans(tags), key=lambda span: span[1])
        else:
            found = [(tag, place, place + 1) for place, tag in enumerate(tags)]
        return [
            Target(kind, tuple(classes[first:behind]), first)
            for kind, first, behind in found
            if label in {None, kind, tags[first]}
        ]

    def _check(self, label: str | None) -> None:
        task = self.predictor.task
        names = [*task.labels, *({name[2:] for name in task.labels if task.entities and name[1:2] == "-"})]
        if label is not None and label not in names:
            known = ", ".join(task.labels) or "none; leave it out"
            raise TransferlabError(f"--label: no label {label!r}{near(label, names)}; this run has {known}.")


def _rank_correlation(one: Array, other: Array) -> float | None:
    """Spearman's; None for fewer than three words, or where one side is constant."""
    from scipy.stats import spearmanr

    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)

"""Whether an exported model gives what the run gives: the gate that decides the exit code."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from transferlab.tasks import marked as marks
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.marked import Span
from transferlab.use.export.facts import joined
from transferlab.use.export.graph import Form, inputs_of

Array = np.ndarray[Any, Any]
Ask = Callable[[Mapping[str, Array]], Array]
NAME = "parity.json"
WITHIN = 1e-4
"""Largest difference of two logits (or numbers of a vector), relative where they are above 1."""
BATCH = 8
SENTENCES = (
    "Good.",
    "The service was quick, friendly and, above all, honest.",
    "I would not go there again even if the meal were free!",
    "Ada Lovelace met Charles Babbage in London on 5 June 1833.",
    "Is this what they call a masterpiece?",
    "A man is playing a guitar on the street while two children dance.",
    "Prices rose by 3.5 % in October; wages did not.",
    "it 's slow -- very , very slow",
    "UPPER CASE, lower case, CamelCase and snake_case.",
    "Zürich, São Paulo and Kraków signed the treaty.",
    "http://example.org/a?b=c#d is not a sentence",
    "no",
)
"""What a model is asked; long texts are made of several."""


class Check(NamedTuple):
    """One comparison.

    Attributes:
        name: What was done to the batch.
        texts: How many were asked.
        difference: The largest one of two numbers.
        changed: How many predictions are other ones; None where there are none.
    """

    name: str
    texts: int
    difference: float
    changed: int | None

    @property
    def passed(self) -> bool:
        """Whether the numbers agree within `WITHIN` and no prediction changes."""
        return self.difference <= WITHIN and not self.changed


def samples(columns: Sequence[str], own: Sequence[Mapping[str, str]] = ()) -> dict[str, list[str]]:
    """Texts of all lengths for the columns of a task; `own` are those of the run, where it kept any."""
    long = [" ".join(SENTENCES[start:]) * times for start, times in ((0, 1), (3, 2), (6, 8))]
    texts = [*SENTENCES, *long]
    found = {name: texts[shift:] + texts[:shift] for shift, name in enumerate(columns)}
    for name, cells in found.items():
        cells += [row[name] for row in own]
    return found


def marked(text: str) -> str:
    """A text with its first and its last word marked, in either order."""
    text = text if " " in text.strip() else f"{text} indeed"
    spans = [Span(found.start(), found.end()) for found in re.finditer(r"\S+", text)]
    ends = (spans[0], spans[-1]) if len(spans) % 2 else (spans[-1], spans[0])
    return marks.write(text, *ends)


def gate(ask: Ask, reference: Ask, encoded: EncodedSplit, form: Form, decide: Any = None) -> list[Check]:
    """Compares a model with its reference, as they are asked in service.

    Args:
        ask: Maps the inputs of the graph to logits or vectors, the exported model.
        reference: The same, the run.
        encoded: Tokenised samples.
        form: Names the inputs.
        decide: Maps logits to predictions; None where there are no predictions.
    """
    rows = list(range(len(encoded)))
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    plain = [_named(encoded, batch, form) for batch in batches]
    alone = [_named(encoded, [row], form) for row in rows]
    wide = max(one["input_ids"].shape[1] for one in plain)
    padded = [_padded(one, wide) for one in plain]
    changed = [_other_ids(one) for one in padded]
    cases = {
        f"in batches of {BATCH}": plain,
        "alone": alone,
        f"padded to {wide} tokens": padded,
        "other ids where the mask is 0": changed,
    }
    if not (form.windows or form.tagging or form.apart):
        cases["beside a row without tokens"] = [_with_empty(one) for one in plain]
    return [_check(name, ask, reference, given, decide) for name, given in cases.items()]


def _check(name: str, ask: Ask, reference: Ask, given: list[dict[str, Array]], decide: Any) -> Check:
    difference, changed, texts = 0.0, 0, 0
    for one in given:
        mine, theirs = ask(one), reference(_real(one))
        # an empty row has no answer to compare, only neighbours; an answer may be of several rows
        real = one["attention_mask"].any(1) if len(mine) == len(one["input_ids"]) else np.ones(len(mine), dtype=bool)
        mine, theirs = mine[real], theirs[real]
        gap = np.abs(mine - theirs) / np.maximum(np.abs(theirs), 1)
        difference = max(difference, float(gap.max()) if np.isfinite(mine).all() else float("inf"))
        texts += int(real.sum())
        if decide is not None:
            changed += sum(bool(a != b) for a, b in zip(decide(mine, one), decide(theirs, one), strict=True))
    return Check(name, texts, difference, changed if decide is not None else None)


def _real(one: dict[str, Array]) -> dict[str, Array]:
    """The inputs with the ids that a tokenizer gives where the mask is 0."""
    return {**one, "input_ids": np.where(one["attention_mask"] > 0, one["input_ids"], one.get("_pad", 0))}


def _named(encoded: EncodedSplit, rows: list[int], form: Form) -> dict[str, Array]:
    values = inputs_of(encoded.collate(rows), form)
    return {name: value.numpy() for name, value in zip(form.inputs, values, strict=True)}


def _padded(one: dict[str, Array], length: int) -> dict[str, Array]:
    def pad(name: str) -> Array:
        value = one[name]
        return np.pad(value, ((0, 0), (0, length - value.shape[1])))

    return {name: pad(name) if name in ("input_ids", "attention_mask", "token_type_ids") else one[name] for name in one}


def _other_ids(one: dict[str, Array]) -> dict[str, Array]:
    draw = np.random.default_rng(0).integers(5, 50, one["input_ids"].shape)
    return {**one, "input_ids": np.where(one["attention_mask"] > 0, one["input_ids"], draw)}


def _with_empty(one: dict[str, Array]) -> dict[str, Array]:
    return {name: np.concatenate([value, np.zeros_like(value[:1])]) for name, value in one.items()}


def of_module(module: torch.nn.Module, form: Form) -> Ask:
    """A torch module, asked with arrays."""

    def ask(given: Mapping[str, Array]) -> Array:
        with torch.inference_mode():
            out = module(*(torch.from_numpy(np.ascontiguousarray(given[name])) for name in form.inputs))
        return joined([each.numpy() for each in (out if isinstance(out, tuple | list) else (out,))])

    return ask


def write(folder: Path, checks: Sequence[Check]) -> None:
    """Keeps the report in the folder."""
    content = {
        "within": WITHIN,
        "passed": all(check.passed for check in checks),
        "checks": [{**check._asdict(), "passed": check.passed} for check in checks],
    }
    (folder / NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table(checks: Sequence[Check]) -> str:
    """The report as text."""
    lines = []
    for check in checks:
        changed = "" if check.changed is None else f", {check.changed} of {check.texts} predictions changed"
        verdict = "ok" if check.passed else "DIFFERS"
        lines.append(
            f"{verdict:8}{check.name}: {check.texts} texts, largest difference {check.difference:.1e}{changed}"
        )
    return "\n".join(lines)

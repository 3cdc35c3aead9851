"""What an inspection found, in words: one line for a run, and tables for ``transferlab inspect``."""

from collections.abc import Mapping
from typing import Any

Facts = dict[str, Any]
SHOWN = 6
"""Labels that a table lists."""
TOLD = 0.001
"""Share of examples from which a line tells of shared texts."""


def in_line(facts: Facts) -> str:
    """The line in the header of a run, in a report and on a model card; empty for a run that was not inspected."""
    if not facts:
        return ""
    train, count = facts["splits"][facts["train"]], facts["splits"][facts["train"]]["examples"]
    parts = []
    if repeats := train["plain"]["surplus"]:
        several = train["plain"]["contradictory"]
        parts.append(
            f"{repeats:,} of {count:,} training texts repeat another one"
            + (f", {several:,} texts have different labels" if several else "")
        )
    if facts["holdout_by"] == "sentence":
        parts.append(f"{percent(train['inside'])} of the texts are part of another one")
    elif train["shared"] >= TOLD and not repeats:
        parts.append(f"{percent(train['shared'])} of {count:,} training examples share a text with another one")
    for split, found in facts["against"].items():
        parts += _met(split, found, facts["splits"][split]["examples"])
    parts += [f"{met:,} of {other} stand in {one} too" for one, other, met in facts["between"] if met]
    return "; ".join(parts) or "no text stands there twice"


def _met(split: str, found: Facts, count: int) -> list[str]:
    met = found["plain"] + found["swapped"]
    parts = []
    if met:
        looked_up = "" if found["right"] is None else f", {found['right']:,} with the same label"
        parts.append(f"{met:,} of {count:,} in {split} stand in training too{looked_up}")
    elif found.get("either", 0) >= TOLD:
        parts.append(f"{percent(found['either'])} in {split} share a text with training")
    return parts


def percent(share: float) -> str:
    """A share in percent with as many digits as tell something: ``0.3 %``, ``28 %``."""
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 10 or 90 < value < 100 else f"{value:.0f} %"


def labels_in_words(labels: Facts | None, kind: str) -> str:
    """How the labels of a split are spread."""
    if labels is None:
        return "none"
    if kind == "regression":
        return f"{labels['least']:g} to {labels['largest']:g}, mean {labels['mean']:.2f}"
    total = sum(labels.values())
    shown = [
        f"{name} {count:,}" if kind in {"tagging", "multilabel", "slots"} else f"{name} {percent(count / total)}"
        for name, count in list(labels.items())[:SHOWN]
    ]
    rest = len(labels) - SHOWN
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def of_training(train: Facts) -> dict[str, str]:
    """What stands in the training split more than once, by name."""
    rows = {"exactly": _repeats(train["exact"]), "case, punctuation, blanks aside": _repeats(train["plain"])}
    rows["examples that share a text"] = percent(train["shared"])
    if train.get("inside") is not None:
        rows["texts that are part of another"] = percent(train["inside"])
    return rows


def _repeats(found: Facts) -> str:
    several = found["contradictory"]
    said = f"; {several:,} of {found['texts']:,} repeated texts have different labels" if several else ""
    return f"{found['surplus']:,} repeat another one{said}"


def of_other(found: Facts, count: int) -> dict[str, str]:
    """What of a split stands in training too, by name."""
    rows = {
        "exactly": f"{found['exact']:,} of {count:,}",
        "case, punctuation, blanks aside": f"{found['plain']:,} of {count:,}",
    }
    pairs = "columns" in found
    if pairs:
        rows["the other way round only"] = f"{found['swapped']:,} of {count:,}"
    met = found["plain"] + found["swapped"]
    if found["right"] is not None and met:
        rows["labels when these are looked up"] = f"{found['right']:,} of {met:,} right"
    if pairs:
        first, second = (percent(share) for share in found["columns"])
        rows["a text in common"] = f"{percent(found['either'])} (first text {first}, second {second})"
    if "entities" in found:
        rows["entities that training has"] = percent(found["entities"])
    if near := found.get("nearest"):
        rows["label of the nearest training text"] = nearest_in_words(near)
    return rows


def nearest_in_words(near: Mapping[str, int]) -> str:
    """What looking up the nearest training text gives."""
    return (
        f"{percent(near['right'] / near['of'])} of {near['of']:,} right (commonest label "
        f"{percent(near['most'] / near['of'])})"
    )

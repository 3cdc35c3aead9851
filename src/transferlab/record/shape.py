"""The shape of ``summary.json``: what its readers rely on, so that a damaged one is told and takes nobody down."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Check = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _rates(value: Any) -> bool:
    return isinstance(value, dict) and all(_number(value.get(name)) for name in ("recall", "support"))


def _whole(value: Any) -> bool:
    return isinstance(value, int)


WORDS: dict[Check, str] = {
    _number: "a number",
    _whole: "a whole number",
    _text: "text",
    _texts: "a list of texts",
    _mapping: "a mapping",
    _rates: "a mapping with the numbers recall and support",
}
SHAPE: dict[str, Check] = {
    **dict.fromkeys(
        ("experiment", "run", "strategy", "setting", "task", "kind", "primary", "encoder", "protocol", "weights"), _text
    ),
    **dict.fromkeys(("status", "precision", "hardware", "error", "imbalance", "slow"), _text),
    **dict.fromkeys(("tags", "labels", "frozen_work", "not_in_config", "accepted"), _texts),
    **dict.fromkeys(("spec", "data", "params", "metrics", "perf", "before", "after", "test", "per_class"), _mapping),
    **dict.fromkeys(
        ("early_stopping", "without_effect", "layer_mix", "evaluated", "thresholds", "start", "lineage"), _mapping
    ),
    "seed": _whole,
    "before_examples": _whole,
    "checkpoint_mb": _number,
    "model_mb": _number,
    "form": _text,
    "data.train_examples": _whole,
    "data.test": _texts,
    **dict.fromkeys(("data.version", "data.origin", "data.validation", "data.fingerprint"), _text),
    "test.examples": _whole,
    **dict.fromkeys(("test.latency_ms", "test.seconds_per_1000", "test.generated_tokens_s"), _number),
    "test.not_finite": _number,
    "layer_mix.gamma": _number,
    **dict.fromkeys((f"{group}.*" for group in ("params", "metrics", "before", "after")), _number),
    "per_class.*": _rates,
    "per_class.*.*": _number,
    "thresholds.*.*": _number,
    "perf.*": _number,
}
"""What stands at a dotted key, where it stands there; ``*`` is every key. Older runs lack some, and null is right."""


def fault(summary: Any) -> str:
    """What is wrong with a summary, in words; empty where nothing is."""
    if not isinstance(summary, dict):
        return "it holds no mapping"
    if _right(summary, TREE):
        return ""
    for place, right in SHAPE.items():
        for key, value in _at(summary, place.split(".")):
            if (value is not None or place == "per_class.*") and not right(value):
                return f"{key} must be {WORDS[right]}"
    return ""


class _Form(NamedTuple):
    right: Check | None
    optional: bool
    below: "dict[str, _Form]"


def _tree() -> "dict[str, _Form]":
    """`SHAPE` by its parts."""
    found: dict[str, _Form] = {}
    for place, right in SHAPE.items():
        *above, last = place.split(".")
        level = found
        for name in above:
            level = level.setdefault(name, _Form(None, True, {})).below
        form = level.setdefault(last, _Form(None, True, {}))
        level[last] = form._replace(right=right, optional=place != "per_class.*")
    return found


TREE = _tree()


def _right(node: Mapping[str, Any], shape: "dict[str, _Form]") -> bool:
    """Whether nothing is wrong, in one walk: a thousand summaries are read at a time."""
    every = shape.get("*")
    asked = [(form, node[name]) for name, form in shape.items() if name in node and name != "*"]
    if every is not None:
        asked += [(every, value) for value in node.values()]
    for form, value in asked:
        if value is None and form.optional:
            continue
        if form.right is not None and not form.right(value):
            return False
        if form.below and isinstance(value, dict) and not _right(value, form.below):
            return False
    return True


def _at(node: Any, parts: list[str], key: str = "") -> Iterator[tuple[str, Any]]:
    if not parts:
        yield key, node
    elif isinstance(node, Mapping):
        for name in node if parts[0] == "*" else parts[:1]:
            if name in node:
                yield from _at(node[name], parts[1:], f"{key}.{name}" if key else str(name))

"""What an encoder was made from, where a run of this package made it."""

import json
from pathlib import Path
from typing import Any

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.loading import locate

LINEAGE = "lineage.json"
"""Beside the weights of an encoder that a run has left."""


def lineage_of(config: EncoderConfig) -> dict[str, Any]:
    """The runs, texts and tasks behind an encoder, the last one first; empty where no run of ours made it."""
    if config.architecture != "pretrained":
        return {}
    try:
        known = json.loads((Path(locate(config.name, config.revision).target) / LINEAGE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def in_words(lineage: dict[str, Any], task: str = "") -> str:
    """A line on what an encoder was made from; empty where it is not known.

    Args:
        lineage: What `lineage_of` gives.
        task: A task that the encoder is used for: its test texts should have been left out.
    """
    parts = []
    node = lineage
    while node.get("experiment"):
        parts.append(_step(node, task))
        node = (node.get("from") or {}).get("lineage") or {}
    return "; before that ".join(parts)


def _step(node: dict[str, Any], task: str) -> str:
    text = node.get("text")
    if not text:
        return f"{node.get('strategy')} on {node.get('task')} ({node.get('experiment')}/{node.get('run')})"
    said = f"{node.get('strategy')} on {text.get('origin')}, {text.get('train_documents'):,} documents"
    left = sum(count for name, count in (text.get("left_out") or {}).items() if name.startswith(f"{task}/"))
    if task in (node.get("looked_for") or []):
        said += f", {left:,} with test texts of {task} left out"
    elif task:
        said += f", in which test texts of {task} were not looked for"
    return said

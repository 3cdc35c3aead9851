"""The encoder that pretraining leaves: a folder as the Hub has them, with what it was made from."""

import shutil
from pathlib import Path
from typing import Any

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.content import content_of
from transferlab.encoders.lineage import LINEAGE, lineage_of
from transferlab.encoders.loading import ENCODER, locate
from transferlab.pretraining.objectives.base import Pretraining
from transferlab.record.folder import write_json


def write(model: Pretraining, folder: Path, summary: dict[str, Any]) -> None:
    """Writes ``encoder/`` (ELECTRA: ``generator/`` too) into a run directory; whole or not at all.

    Args:
        model: With the weights that are to be left.
        folder: The run directory.
        summary: Its record; hashes and lineage are added.
    """
    facts = lineage(model, summary)
    for name, part in model.result().items():
        temporary = folder / f".{name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        part.save_pretrained(str(temporary))
        # one that was trained here knows no length, and longer texts would end in an error of torch
        model.tokenizer.model_max_length = min(model.tokenizer.model_max_length, model.longest)
        model.tokenizer.save_pretrained(str(temporary))
        write_json(temporary / LINEAGE, facts)
        shutil.rmtree(folder / name, ignore_errors=True)
        temporary.rename(folder / name)
    locate.cache_clear()
    summary["lineage"] = facts
    summary["encoder_content"] = content_of(EncoderConfig(str(folder / ENCODER)))._asdict()


def lineage(model: Pretraining, summary: dict[str, Any]) -> dict[str, Any]:
    """What an encoder was made from, as it stands beside its weights."""
    data, start = summary["data"], model.start
    return {
        **{key: summary[key] for key in ("experiment", "run", "setting", "seed", "strategy")},
        "text": {key: data[key] for key in ("origin", "version", "train_documents", "train_tokens", "left_out")},
        "looked_for": data["looked_for"],
        "steps": summary["perf"].get("steps"),
        "held_out": summary["metrics"],
        "from": {"name": start.label, "content": summary["base"], "lineage": lineage_of(start.config)}
        if start.new is None
        else {"name": start.label},
    }

"""What a checkpoint holds of a strategy, and whether one fits."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import TaskSpec


def keep_learned(checkpoint: dict[str, Any], learned: Collection[str], encoder: EncoderConfig, task: TaskSpec) -> None:
    """Leaves in a checkpoint what was trained, and notes which encoder and labels it belongs to."""
    checkpoint["state_dict"] = {name: value for name, value in checkpoint["state_dict"].items() if name in learned}
    checkpoint["transferlab"] = {
        "encoder": encoder.name,
        "revision": encoder.revision,
        "task": task.name,
        "labels": list(task.labels),
    }


def check_fits(
    checkpoint: dict[str, Any], own: Mapping[str, Tensor], learned: set[str], encoder: EncoderConfig, task: TaskSpec
) -> None:
    """Checks that a checkpoint fits a model.

    Args:
        checkpoint: What was read.
        own: The state of the model.
        learned: Names in it that training changes.
        encoder: The model's encoder.
        task: The model's task.

    Raises:
        TransferlabError: Other labels, other encoder, missing or unequal tensors.
    """
    stored = checkpoint["state_dict"]
    facts = checkpoint.get("transferlab", {})
    if facts.get("labels", list(task.labels)) != list(task.labels):
        raise TransferlabError(
            f"ckpt_path: the checkpoint was trained on labels {facts['labels']}, this task has "
            f"{list(task.labels)} (num_labels {len(facts['labels'])} against {len(task.labels)})."
        )
    if Path(facts.get("encoder", encoder.name)).name != Path(encoder.name).name:
        raise TransferlabError(
            f"ckpt_path: the checkpoint belongs to encoder {facts['encoder']}, not to {encoder.name}."
        )
    wrong = [f"{name} (missing)" for name in sorted(learned - set(stored))]
    wrong += [
        f"{name} {list(stored[name].shape)} against {list(own[name].shape)}"
        for name in sorted(learned & set(stored))
        if stored[name].shape != own[name].shape
    ]
    wrong += [f"{name} (not part of this model)" for name in sorted(set(stored) - set(own))]
    if wrong:
        raise TransferlabError(
            f"ckpt_path: the checkpoint does not fit this model (it belongs to encoder {facts.get('encoder')}): "
            + ", ".join(wrong[:3])
            + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        )

"""What a checkpoint holds of a strategy, and whether one fits."""

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from transferlab.encoders import EncoderConfig
from transferlab.encoders.content import Content
from transferlab.encoders.loading import locate
from transferlab.ground import intact
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import TaskSpec


class Belongs(NamedTuple):
    """What a checkpoint belongs to.

    Attributes:
        encoder: The encoder by name.
        base: The encoder by content.
        task: The task.
    """

    encoder: EncoderConfig
    base: Content
    task: TaskSpec


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, tensors and plain values only.

    Raises:
        TransferlabError: It is damaged, or no checkpoint.
    """
    intact.check(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    # content of another kind, or of an older format: each has an exception of its own
    except Exception as error:
        raise TransferlabError(
            f"{path} is no checkpoint of a run ({type(error).__name__}). Name another file, or train the run again."
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise TransferlabError(f"{path} is no checkpoint of a run: it holds no state_dict.")
    return checkpoint


def keep_learned(checkpoint: dict[str, Any], learned: Collection[str], to: Belongs) -> None:
    """Leaves in a checkpoint what was trained, and notes which encoder and labels it belongs to."""
    checkpoint["state_dict"] = {name: value for name, value in checkpoint["state_dict"].items() if name in learned}
    checkpoint["transferlab"] = {
        "encoder": to.encoder.name,
        "revision": to.encoder.revision,
        "base_weights": to.base.weights,
        "tokenizer": to.base.tokenizer,
        "task": to.task.name,
        "labels": list(to.task.labels),
    }


def check_fits(checkpoint: dict[str, Any], own: Mapping[str, Tensor], learned: set[str], to: Belongs) -> None:
    """Checks that a checkpoint fits a model.

    Args:
        checkpoint: What was read.
        own: The state of the model.
        learned: Names in it that training changes.
        to: The model's encoder and task.

    Raises:
        TransferlabError: Other labels, other encoder, missing or unequal tensors.
    """
    encoder, task = to.encoder, to.task
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


def leans_on_base(own: Collection[str], learned: Collection[str]) -> bool:
    """Whether a part of the encoder is not in the checkpoint, but read from the pretrained weights."""
    return any(name.startswith("encoder.backbone.") and name not in learned for name in own)


def changed_base(facts: Mapping[str, Any], to: Belongs, leans: bool) -> str:
    """How base weights and tokenizer of a checkpoint differ by content from those of the model; empty where they agree.

    Checkpoints of before hashes were kept agree; for an encoder in a local folder, which may change unseen, a line says
    so.

    Args:
        facts: What the checkpoint says of itself.
        to: The model's encoder and task.
        leans: Whether the base weights matter to it.
    """
    place = locate(to.encoder.name, to.encoder.revision)
    for key, now in (("base_weights", to.base.weights if leans else ""), ("tokenizer", to.base.tokenizer)):
        name, known = key.replace("_", " "), facts.get(key, "")
        if now and known and now != known:
            return f"the checkpoint belongs to the {name} {known} of {facts.get('encoder')}; {place.origin} holds {now}"
    if leans and "base_weights" not in facts and to.base.weights and place.origin.startswith("local folder"):
        _say_unchecked(to.encoder.name)
    return ""


def check_base(facts: Mapping[str, Any], to: Belongs, leans: bool) -> None:
    """Refuses where `changed_base` finds something.

    Raises:
        TransferlabError: Base weights or tokenizer are others; names both.
    """
    if changed := changed_base(facts, to, leans):
        raise TransferlabError(
            f"ckpt_path: {changed}. Put the files back that it was trained with, or accept the others with "
            "--run.accept_changed_base true."
        )


@functools.cache
def _say_unchecked(encoder: str) -> None:
    print(f"The checkpoint is of an older version: whether {encoder} still holds its base weights cannot be checked.")

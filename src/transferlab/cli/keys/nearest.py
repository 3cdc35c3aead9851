"""The keys that someone means who gives one that is not there."""

from collections.abc import Sequence
from difflib import SequenceMatcher

SYNONYMS = {
    "accumulate": "trainer.accumulate_grad_batches",
    "accumulation_steps": "trainer.accumulate_grad_batches",
    "balanced_sampling": "data.sampling",
    "bf16": "trainer.precision",
    "bs": "data.batch_size",
    "class_weight": "model.loss",
    "class_weights": "model.loss",
    "clip": "trainer.gradient_clip_val",
    "cpu": "trainer.accelerator",
    "cuda": "trainer.accelerator",
    "dataset": "data.task",
    "device": "trainer.accelerator",
    "epoch": "trainer.max_epochs",
    "epochs": "trainer.max_epochs",
    "focal_loss": "model.loss",
    "fp16": "trainer.precision",
    "gpu": "trainer.accelerator",
    "gpus": "trainer.devices",
    "grad_clip": "trainer.gradient_clip_val",
    "gradient_accumulation_steps": "trainer.accumulate_grad_batches",
    "learning_rate": "model.optimizer.lr",
    "lora_alpha": "model.method.alpha",
    "lora_r": "model.method.r",
    "lora_rank": "model.method.r",
    "lr": "model.optimizer.lr",
    "lr_scheduler": "model.schedule.kind",
    "lr_scheduler_type": "model.schedule.kind",
    "max_grad_norm": "trainer.gradient_clip_val",
    "max_len": "data.max_length",
    "max_seq_length": "data.max_length",
    "model_name": "encoder.name",
    "model_name_or_path": "encoder.name",
    "name": "run.experiment",
    "num_epochs": "trainer.max_epochs",
    "num_gpus": "trainer.devices",
    "num_train_epochs": "trainer.max_epochs",
    "output_dir": "run.root",
    "per_device_eval_batch_size": "data.eval_batch_size",
    "per_device_train_batch_size": "data.batch_size",
    "pos_weight": "model.loss",
    "pretrained": "encoder.name",
    "random_seed": "seed_everything",
    "rank": "model.method.r",
    "scheduler": "model.schedule.kind",
    "seed": "seed_everything",
    "seq_len": "data.max_length",
    "steps": "trainer.max_steps",
    "target_modules": "model.method.targets",
    "train_batch_size": "data.batch_size",
    "train_size": "data.train_examples",
    "warmup_ratio": "model.schedule.warmup",
    "warmup_steps": "model.schedule.warmup",
    "wd": "model.optimizer.weight_decay",
    "workers": "data.num_workers",
}
"""Other projects' words for a key, as its last part."""


def nearest(given: str, known: Sequence[str]) -> list[str]:
    """The keys that are meant most likely, at most three, the likeliest first.

    Args:
        given: The dotted key that is not there.
        known: All dotted keys that could stand in its place.
    """
    parents, _, last = given.replace("-", "_").rpartition(".")
    meant = SYNONYMS.get(last.lower(), "")
    if meant in known:
        return [meant]
    # the same word, in another place
    same = [name for name in known if name.rsplit(".", 1)[-1] == last]
    if same:
        return sorted(same, key=lambda name: -_alike(name, given))[:3]
    scores = {name: _score(name, parents, last, given) for name in known}
    best = sorted(scores, key=lambda name: -scores[name])[:3]
    return [name for name in best if scores[name] > 0.7 and scores[name] > scores[best[0]] - 0.1]


def _score(name: str, parents: str, last: str, given: str) -> float:
    """How likely a key is meant: its last part against that of the given one, the parents, and both as a whole."""
    above, _, own = name.rpartition(".")
    if above == parents:
        return _alike(own, last) + 0.15
    return max((_alike(own, last) + _alike(above, parents)) / 2 if parents else _alike(own, last), _alike(name, given))


def _alike(first: str, second: str) -> float:
    return SequenceMatcher(None, first.lower(), second.lower()).ratio()

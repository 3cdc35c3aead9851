"""What is known of a run before it is trained: names, task, encoder, examples, parameters."""

from pathlib import Path
from typing import Any

from transferlab.encoders.lineage import lineage_of
from transferlab.encoders.loading import locate
from transferlab.encoders.static import vectors_file
from transferlab.ground.hardware import in_words
from transferlab.learning.imbalance import in_words as in_words_of_loss
from transferlab.record import slow, stopping
from transferlab.record.setting import fingerprint
from transferlab.strategies.base import Strategy
from transferlab.tasks import TaskDataModule
from transferlab.tasks.generation import EVAL_ROWS
from transferlab.tasks.windows import Layout


def identity(tree: dict[str, Any], folder: Path, trainer: Any) -> dict[str, Any]:
    """What a run is, by its configuration: names, seed, hardware, setting, early stopping."""
    run = tree["run"]
    return {
        "experiment": run["experiment"],
        "run": folder.name,
        "strategy": run.get("strategy") or strategy_name(tree["model"]),
        "seed": tree["seed_everything"],
        "tags": list(run.get("tags") or []),
        "precision": str(trainer.precision),
        "hardware": in_words(str(tree["trainer"]["accelerator"]), int(trainer.num_devices)),
        "setting": fingerprint(tree),
        "early_stopping": stopping.rule(trainer.callbacks),
    }


def strategy_name(model: dict[str, Any]) -> str:
    """What tables call a strategy that has no name: its class, or the method of peft that it tunes with."""
    method = (model.get("init_args") or {}).get("method") or {}
    name: str = (method.get("init_args") or {}).get("name") or model["class_path"].rsplit(".", 1)[-1]
    return name


def describe(model: Strategy, data: TaskDataModule) -> dict[str, Any]:
    """Facts about task, encoder and parameters, as they stand in ``summary.json``."""
    trained = model.trained()
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for name, p in model.named_parameters() if name in trained)
    return {
        "task": model.task.name,
        "kind": model.task.kind,
        "labels": list(model.task.labels),
        **({"negative": model.task.negative} if model.task.negative else {}),
        "scheme": model.task.scheme,
        "spec": model.task._asdict(),
        "primary": model.task.primary,
        "encoder": model.encoder_config.label,
        "protocol": data.protocol_name,
        "fold": data.protocol.fold if data.protocol.folds else None,
        "data": examples(data) | _of_questions(model, data) | _of_texts(model, data),
        "inspection": data.inspection,
        "weights": _weights(model),
        "base": model.encoder.content._asdict(),
        "lineage": lineage_of(model.encoder_config),
        "frozen_work": model.frozen_work,
        "imbalance": _imbalance(model, data),
        "without_effect": model.without_effect(),
        "slow": slow.of_attention(model, data),
        "kept": _kept(data),
        "params": {"total": total, "trainable": trainable, "trainable_pct": 100 * trainable / total},
        "metrics": {},
        "perf": dict.fromkeys(("wall_s", "samples_s", "tokens_s", "step_ms", "peak_mem_mb")),
        "checkpoint_mb": None,
    }


def examples(data: TaskDataModule) -> dict[str, Any]:
    """Facts about the examples."""
    split, selecting = data.part_rows("validation")
    return {
        "origin": data.origin,
        "form": data.facts(data.source.train).get("form"),
        "notes": data.notes,
        "version": data.version,
        "versions": data.versions,
        "fingerprint": data.fingerprint,
        "train_examples": len(data.part_rows("train")[1]),
        "train_fraction": data.protocol.train_fraction,
        "validation": f"{len(selecting)} examples of {split}",
        "test": list(data.source.test),
        "unused": list(data.unused),
        "words": data.facts(data.source.train).get("words"),
        "cut": data.cut,
        "max_length": data.settings.max_length,
        "truncation": data.settings.truncation,
        **({"markers": markers, "pooling": data.settings.pooled} if (markers := data.settings.markers) else {}),
        **({"case": True} if data.settings.case else {}),
        "windows": data.settings.windows if data.settings.truncation == "windows" else None,
    }


def _of_questions(model: Strategy, data: TaskDataModule) -> dict[str, Any]:
    """What is told of questions and their windows; nothing for another kind of task."""
    if model.task.kind != "qa":
        return {}
    seen, settings = data.facts(data.source.train).get("questions"), data.settings
    shared = Layout(settings.max_length, settings.stride).shared(settings.max_length)
    return {"questions": seen, "stride": shared, "longest": model.head_config.longest}


def _of_texts(model: Strategy, data: TaskDataModule) -> dict[str, Any]:
    """What is told of prompts and outputs; nothing for another kind of task."""
    form, search = data.settings.generation, model.task.search
    if form is None or search is None:
        return {}
    tokens = data.target_tokens if form.max_new_tokens is None else None
    rows = min(form.eval_rows or EVAL_ROWS, len(data.part_rows("validation")[1]))
    return {
        "prompts": {"template": form.template, "chat": form.chat, **data.facts(data.source.train).get("texts", {})},
        "outputs": {**search._asdict(), "of_targets": tokens is not None, "eval_rows": rows},
    }


def moved(known: dict[str, Any], data: TaskDataModule) -> dict[str, Any]:
    """The facts about the examples when a run is resumed on others, which the user accepted; empty if it is not.

    A run trained on two versions of its examples is of neither: both are in its version, so that it stands apart from
    the runs of each, and stays so. Where only test examples changed the new version is the whole truth.
    """
    now, before, version = data.versions, known.get("versions") or {}, str(known.get("version") or "")
    if not version or data.version == version.rpartition("+")[2]:
        return {}
    trained = any(before.get(split) != version for split, version in now.items() if split not in data.source.test)
    return examples(data) | {"version": f"{version}+{data.version}" if trained or "+" in version else data.version}


def _weights(model: Strategy) -> str:
    config = model.encoder_config
    origin = locate(config.name, config.revision).origin
    if config.architecture == "bilstm" and vectors_file(config):
        return f"{origin}: word vectors; the LSTM is random"
    return origin if config.architecture == "pretrained" else "random"


def _kept(data: TaskDataModule) -> dict[str, str]:
    """Fingerprints of the frozen work that training reads, by field."""
    names = {
        field: sorted({getattr(values, "name", "") for values in splits.values()})
        for field, splits in data.attached.items()
        if field != "generate"
    }
    return {field: "+".join(found) for field, found in names.items()}


def _imbalance(model: Strategy, data: TaskDataModule) -> str:
    """What makes up for classes of unequal size, in words; empty without."""
    drawn = "as many training examples of each class in every epoch" if data.sampling else ""
    loss = in_words_of_loss(model.loss_form, model.label_weights, model.task.labels)
    return "; ".join(filter(None, (loss, drawn)))

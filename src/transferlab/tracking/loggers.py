"""Points loggers at the run directory, and gives Weights & Biases names and keys that compare."""

import inspect
import json
import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from pydoc import locate
from typing import Any, cast

from jsonargparse import Namespace
from lightning.pytorch.loggers import CSVLogger, Logger

from transferlab.config.places import find_run
from transferlab.encoders import loading
from transferlab.encoders.artifact import is_artifact
from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.lineage import lineage_of
from transferlab.ground.errors import TransferlabError
from transferlab.tracking import wandb_artifacts
from transferlab.tracking.files import TensorBoardLogger
from transferlab.tracking.metrics_log import MetricsLog
from transferlab.tracking.servers import CometLogger, MLFlowLogger
from transferlab.tracking.wandb_logger import WandbLogger

OURS: dict[str, type[Logger]] = {
    "WandbLogger": WandbLogger,
    "TensorBoardLogger": TensorBoardLogger,
    "MLFlowLogger": MLFlowLogger,
    "CometLogger": CometLogger,
}
"""Lightning's loggers, and what takes their place."""
PACKAGES = {
    "TensorBoardLogger": ("transferlab[tensorboard]", ("tensorboard", "tensorboardX")),
    "MLFlowLogger": ("transferlab[mlflow]", ("mlflow",)),
    "CometLogger": ("transferlab[comet]", ("comet_ml",)),
}
"""Logger to the extra that it needs, and the modules of which one must be there."""


def prepare(settings: Any, folder: Path, command: str) -> None:
    """Fills in what a logger needs of the run: its folder, name, group, tags.

    Raises:
        TransferlabError: A logger whose package is not installed, or an argument that it has no use for.
    """
    configured = settings.trainer.logger
    for logger in configured if isinstance(configured, list) else [configured]:
        if logger is None or isinstance(logger, bool):
            continue
        kind = logger.class_path.rsplit(".", 1)[-1]
        if kind in PACKAGES and not any(find_spec(name) for name in PACKAGES[kind][1]):
            raise TransferlabError(
                f"trainer.logger: {kind} needs a package that is not installed: pip install '{PACKAGES[kind][0]}'"
            )
        if kind in OURS and logger.class_path != path_of(OURS[kind]):
            _take_over(logger, OURS[kind])
        if "save_dir" in logger.init_args:
            logger.init_args.save_dir = str(folder)
        if kind in {"CSVLogger", "TensorBoardLogger"}:
            logger.init_args.name, logger.init_args.version = {"CSVLogger": "csv"}.get(kind, "tensorboard"), ""
        if kind == "WandbLogger":
            _prepare_wandb(logger, settings, folder, command)


def path_of(kind: type) -> str:
    """The class path of a class, as a configuration names it."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _prepare_wandb(logger: Any, settings: Any, folder: Path, command: str) -> None:
    data = settings.data.init_args
    # pretraining reads text, which may be that of a task
    run, task = settings.run, data.get("task") or data.get("text.task") or settings.run.experiment
    arguments = logger.init_args
    strategy = run.strategy or settings.model.class_path.rsplit(".", 1)[-1]
    # of a pretraining from scratch, whose encoder has no name
    new = settings.encoder.get("new")
    encoder = f"{new.family}-{new.layers}x{new.hidden}" if new else settings.encoder.name.rstrip("/").rsplit("/", 1)[-1]
    job = "distill" if strategy == "distillation" else "train"
    arguments.save_dir = str(folder)
    arguments.name = arguments.name or f"{strategy}-{task}-{encoder}-s{settings.seed_everything}"
    arguments.group = arguments.group or f"{task}/{strategy}"
    arguments.job_type = arguments.job_type or os.environ.get("WANDB_JOB_TYPE") or job
    arguments.tags = list(dict.fromkeys([*arguments.tags, task, strategy, encoder, *run.tags]))
    if command != "fit":
        # a run of its own, beside the one that was trained
        arguments.id, arguments.job_type = secrets.token_hex(4), "eval"
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        # staged files belong to the run directory, not to the home folder
        os.environ.setdefault(variable, str(folder / "wandb"))
    # reports about the client itself go to its makers, and complain when they cannot be sent
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")


def _take_over(logger: Any, ours: type[Logger]) -> None:
    """A logger of Lightning's becomes ours, with those of its arguments that mean the same."""
    given = {**logger.init_args, **(logger.get("dict_kwargs") or {})}
    known = inspect.signature(ours).parameters
    before = inspect.signature(cast(type, locate(logger.class_path))).parameters
    for key, value in given.items():
        # configurations of before name arguments of W&B's that mean nothing here
        if ours is not WandbLogger and key not in known and value != getattr(before.get(key), "default", None):
            raise TransferlabError(f"trainer.logger: {ours.__name__} takes no {key} here; known: {', '.join(known)}.")
    kept = {key: value for key, value in given.items() if key in known and value is not None}
    if ours is WandbLogger:
        # its id was the name of the folder, which `run_id` knows
        kept |= {"id": None, "offline": False}
    defaults = {key: parameter.default for key, parameter in known.items()}
    logger.class_path = path_of(ours)
    logger.init_args = Namespace(**{**defaults, **kept})  # type: ignore[no-untyped-call]
    logger.pop("dict_kwargs", None)


def describe(loggers: list[Any], settings: Any, summary: dict[str, Any], folder: Path) -> None:
    """Gives every logger the run's facts, under namespaces and keys that are the same in every run."""
    facts = namespaces(settings, summary, _environment(folder))
    for logger in loggers:
        logger.log_hyperparams(facts)
        if isinstance(logger, WandbLogger):
            wandb_artifacts.log_sources(logger, _sources(logger, settings, summary))


def _sources(logger: WandbLogger, settings: Any, summary: dict[str, Any]) -> list[wandb_artifacts.Source]:
    """What a training was made from; a test was made from the checkpoint."""
    limit = logger.artifact_limit_mb
    if logger.facts["job_type"] == "eval":
        there = (logger.folder / "checkpoints" / "best.ckpt").is_file()
        return [wandb_artifacts.model_of(logger.folder, summary, "best", limit)] if there else []
    started = [] if settings.encoder.get("new") else _encoder(str(settings.encoder.name), limit)
    teacher = settings.model.init_args.get("teacher")
    run = find_run(str(teacher)) if teacher else None
    if run is None or (run / "checkpoints" / "best.ckpt").is_file():
        return [*started, *wandb_artifacts.sources(summary, run or teacher, limit)]
    # it taught before; its answers are in the cache
    return [*started, *wandb_artifacts.sources(summary, run.name, limit)]


def _encoder(name: str, limit: float) -> list[wandb_artifacts.Source]:
    """The encoder that a run starts from, where a pretraining of ours left it; nothing else."""
    lineage = lineage_of(EncoderConfig(name))
    if not lineage.get("text"):
        return []
    folder, run = Path(loading.locate(name, None).target), find_run(name)
    known = wandb_artifacts.id_of(run) if run else ""
    if is_artifact(name):
        known = name.rpartition("/")[2].partition(":")[0].removeprefix("encoder-")
    return [wandb_artifacts.encoder_of(folder, known or str(lineage.get("run")), lineage, limit)]


def _environment(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "environment.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def namespaces(settings: Any, summary: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    """The run's facts by namespace; every key stands in every run, null where a strategy has no such thing.

    W&B drops runs from a grouping by a key that they lack.
    """
    model = settings.model.init_args
    given = model.get("optimizer")
    # without one in the configuration it is the default, a function
    optimizer = (given.get("init_args") if hasattr(given, "get") else None) or {}
    method = model.get("method")
    method_arguments = (method.get("init_args") if method else None) or {}
    return {
        "strategy": {
            "name": summary["strategy"],
            "method": method.class_path.rsplit(".", 1)[-1] if method else None,
            "head": model.get("head.kind"),
            **{key: method_arguments.get(key) for key in ("r", "alpha", "size", "tokens")},
            **{key: model.get(key) for key in ("top_layers", "layer_decay", "teacher", "temperature", "beta")},
            "teacher_alpha": model.get("alpha"),
        },
        "model": {
            "encoder": summary["encoder"],
            **{key: settings.encoder.get(key) for key in ("revision", "pooling", "layers")},
            **summary["params"],
        },
        "data": {"task": summary["task"], "protocol": summary["protocol"], **summary["data"]},
        "optim": {
            "lr": optimizer.get("lr"),
            "weight_decay": optimizer.get("weight_decay"),
            "head_lr": model.get("head.lr"),
            "schedule": model.get("schedule.kind"),
            "warmup": model.get("schedule.warmup"),
            "batch_size": settings.data.init_args.get("batch_size"),
        },
        "trainer": {key: settings.trainer.get(key) for key in ("max_epochs", "max_steps", "precision", "devices")},
        "env": {
            "seed": summary["seed"],
            "experiment": summary["experiment"],
            "run": summary["run"],
            "python": environment.get("python"),
            "commit": environment.get("git", {}).get("commit"),
            **{key: environment.get("packages", {}).get(key) for key in ("torch", "lightning", "transformers")},
            **{key: environment.get("hardware", {}).get(key) for key in ("system", "processor", "cores", "gpus")},
        },
    }


def finish(loggers: list[Any], summary: dict[str, Any], folder: Path, upload: bool) -> list[str]:
    """Gives every logger best and test metrics, parameters and cost; W&B tables and checkpoints too.

    Returns:
        A line for each that ran offline, with the command that uploads it.
    """
    hints: dict[str, str] = {}
    values = closing(summary)
    numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.tell(lambda run: run.summary.update(values))
            wandb_artifacts.log_tables(logger, folder, summary["labels"], summary["kind"])
            if upload:
                wandb_artifacts.log_checkpoints(logger, summary)
            hints["W&B"] = logger.close() or ""
        elif isinstance(logger, TensorBoardLogger):
            logger.finish(dict(logger.hparams), numbers)
        elif not isinstance(logger, MetricsLog):
            # a table has a row for each step
            logger.log_metrics(numbers, *[summary["perf"].get("steps", 0)] if isinstance(logger, CSVLogger) else [])
            logger.save()
            if isinstance(logger, CometLogger):
                hints["Comet"] = logger.close()
    return [f"{name} ran offline; upload with: {hint}" for name, hint in hints.items() if hint]


def closing(summary: dict[str, Any]) -> dict[str, Any]:
    """What a run came to: metrics of the best checkpoint, parameters, cost; the same keys in every run."""
    best = {name.replace("val/", "best/", 1): value for name, value in summary.get("after", {}).items()}
    params = {f"params/{name}": value for name, value in summary["params"].items()}
    perf = {f"perf/{name}": value for name, value in summary["perf"].items()}
    primary = summary["metrics"].get(f"test/{summary['primary']}")
    return {**best, **params, **perf, "perf/checkpoint_mb": summary.get("checkpoint_mb"), "test/primary": primary}

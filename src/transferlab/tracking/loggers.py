"""Points loggers at the run folder, and gives Weights & Biases names and keys that compare."""

import inspect
import json
import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.loggers import MLFlowLogger

from transferlab.config.places import find_run
from transferlab.ground.errors import TransferlabError
from transferlab.tracking import wandb_artifacts
from transferlab.tracking.files import TensorBoardLogger
from transferlab.tracking.metrics_log import MetricsLog
from transferlab.tracking.wandb_logger import WandbLogger

TENSORBOARD = "transferlab.tracking.files.TensorBoardLogger"
WANDB = "transferlab.tracking.wandb_logger.WandbLogger"


def prepare(settings: Any, folder: Path, command: str) -> None:
    """Fills in what a logger needs of the run: its folder, name, group, tags."""
    configured = settings.trainer.logger
    for logger in configured if isinstance(configured, list) else [configured]:
        if logger is None or isinstance(logger, bool):
            continue
        kind = logger.class_path.rsplit(".", 1)[-1]
        if kind in PACKAGES and not any(find_spec(name) for name in PACKAGES[kind][1]):
            raise TransferlabError(
                f"trainer.logger: {kind} needs a package that is not installed: pip install '{PACKAGES[kind][0]}'"
            )
        PREPARE.get(kind, _prepare_other)(logger, settings, folder, command)


def _prepare_other(logger: Any, settings: Any, folder: Path, command: str) -> None:
    if "save_dir" in logger.init_args:
        logger.init_args.save_dir = str(folder)


def _prepare_files(logger: Any, settings: Any, folder: Path, command: str) -> None:
    if logger.class_path.endswith("TensorBoardLogger") and logger.class_path != TENSORBOARD:
        logger.class_path = TENSORBOARD
        logger.init_args = Namespace(save_dir="", name="", version="")  # type: ignore[no-untyped-call]
        logger.pop("dict_kwargs", None)
    arguments = logger.init_args
    arguments.save_dir, arguments.version = str(folder), ""
    arguments.name = "csv" if logger.class_path.endswith("CSVLogger") else "tensorboard"


def _prepare_mlflow(logger: Any, settings: Any, folder: Path, command: str) -> None:
    arguments = logger.init_args
    if arguments.tracking_uri is None and not os.environ.get("MLFLOW_TRACKING_URI"):
        arguments.tracking_uri = f"sqlite:///{folder.absolute()}/mlflow.db"
        arguments.artifact_location = arguments.artifact_location or f"file:{folder.absolute()}/mlflow"
        folder.mkdir(parents=True, exist_ok=True)
    arguments.run_name = arguments.run_name or folder.name
    kept = folder / MLFLOW_RUN
    if command == "fit" and kept.is_file():
        arguments.run_id = kept.read_text(encoding="utf-8").strip()


def _prepare_comet(logger: Any, settings: Any, folder: Path, command: str) -> None:
    if logger.init_args.online is None and not os.environ.get("COMET_API_KEY"):
        logger.init_args.online = False
        logger.dict_kwargs = {**(logger.get("dict_kwargs") or {}), "offline_directory": str(folder / "comet")}


def _prepare_wandb(logger: Any, settings: Any, folder: Path, command: str) -> None:
    run, task = settings.run, settings.data.init_args.task
    if logger.class_path != WANDB:
        _take_over(logger)
    arguments = logger.init_args
    strategy = run.strategy or settings.model.class_path.rsplit(".", 1)[-1]
    encoder = settings.encoder.name.rstrip("/").rsplit("/", 1)[-1]
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
        # staged files belong to the run folder, not to the home folder
        os.environ.setdefault(variable, str(folder / "wandb"))
    # reports about the client itself go to its makers, and complain when they cannot be sent
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")


def _take_over(logger: Any) -> None:
    """Lightning's own W&B logger becomes ours, with those of its arguments that mean the same."""
    given = {**logger.init_args, **(logger.get("dict_kwargs") or {})}
    known = inspect.signature(WandbLogger.__init__).parameters
    logger.class_path = WANDB
    defaults = {key: parameter.default for key, parameter in known.items() if key != "self"}
    kept = {key: value for key, value in given.items() if key in defaults and value is not None}
    # its id was the name of the folder, which `run_id` knows
    logger.init_args = Namespace(**{**defaults, **kept, "id": None, "offline": False})  # type: ignore[no-untyped-call]
    logger.pop("dict_kwargs", None)


def describe(loggers: list[Any], settings: Any, summary: dict[str, Any], folder: Path) -> None:
    """Gives every logger the run's facts, under namespaces and keys that are the same in every run."""
    facts = namespaces(settings, summary, _environment(folder))
    for logger in loggers:
        logger.log_hyperparams(facts)
        if isinstance(logger, MLFlowLogger):
            (folder / MLFLOW_RUN).write_text(str(logger.run_id), encoding="utf-8")
        if isinstance(logger, WandbLogger):
            wandb_artifacts.log_sources(logger, _sources(logger, settings, summary))


PREPARE = {
    "WandbLogger": _prepare_wandb,
    "CSVLogger": _prepare_files,
    "TensorBoardLogger": _prepare_files,
    "MLFlowLogger": _prepare_mlflow,
    "CometLogger": _prepare_comet,
}
PACKAGES = {
    "TensorBoardLogger": ("transferlab[tensorboard]", ("tensorboard", "tensorboardX")),
    "MLFlowLogger": ("transferlab[mlflow]", ("mlflow",)),
    "CometLogger": ("transferlab[comet]", ("comet_ml",)),
}
"""Logger to the extra that it needs, and the modules of which one must be there."""
MLFLOW_RUN = "mlflow_run_id"
"""File in the run directory: the run that MLflow continues after a resume."""


def _sources(logger: WandbLogger, settings: Any, summary: dict[str, Any]) -> list[wandb_artifacts.Source]:
    """What a training was made from; a test was made from the checkpoint."""
    limit = logger.artifact_limit_mb
    if logger.facts["job_type"] == "eval":
        there = (logger.folder / "checkpoints" / "best.ckpt").is_file()
        return [wandb_artifacts.model_of(logger.folder, summary, "best", limit)] if there else []
    teacher = settings.model.init_args.get("teacher")
    run = find_run(str(teacher)) if teacher else None
    if run is None or (run / "checkpoints" / "best.ckpt").is_file():
        return wandb_artifacts.sources(summary, run or teacher, limit)
    # it taught before; its answers are in the cache
    return wandb_artifacts.sources(summary, run.name, limit)


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
            "revision": settings.encoder.revision,
            "pooling": settings.encoder.pooling,
            "layers": settings.encoder.layers,
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


def finish(loggers: list[Any], summary: dict[str, Any], folder: Path, upload: bool) -> str:
    """Puts best and test metrics, parameters and cost into the W&B summary; tables and checkpoints beside it.

    Returns:
        The command that uploads an offline run; empty without one.
    """
    hint, values = "", closing(summary)
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.tell(lambda run: run.summary.update(values))
            wandb_artifacts.log_tables(logger, folder, summary["labels"], summary["kind"])
            if upload:
                wandb_artifacts.log_checkpoints(logger, summary)
            hint = logger.close() or hint
        elif isinstance(logger, TensorBoardLogger):
            logger.finish(
                dict(logger.hparams), {name: float(v) for name, v in values.items() if isinstance(v, int | float)}
            )
        elif not isinstance(logger, MetricsLog):
            logger.log_metrics({name: float(v) for name, v in values.items() if isinstance(v, int | float)})
            logger.save()
    return hint


def closing(summary: dict[str, Any]) -> dict[str, Any]:
    """What a run came to: metrics of the best checkpoint, parameters, cost; the same keys in every run."""
    best = {name.replace("val/", "best/", 1): value for name, value in summary.get("after", {}).items()}
    params = {f"params/{name}": value for name, value in summary["params"].items()}
    perf = {f"perf/{name}": value for name, value in summary["perf"].items()}
    primary = summary["metrics"].get(f"test/{summary['primary']}")
    return {**best, **params, **perf, "perf/checkpoint_mb": summary.get("checkpoint_mb"), "test/primary": primary}

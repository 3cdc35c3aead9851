"""Points loggers at the run folder, and gives Weights & Biases names and keys that compare."""

import os
from pathlib import Path
from typing import Any


def prepare(settings: Any, folder: Path) -> None:
    """Fills in what a logger needs of the run: its folder, name, group, tags; W&B goes offline without a key."""
    configured = settings.trainer.logger
    for logger in configured if isinstance(configured, list) else [configured]:
        if logger is None or isinstance(logger, bool):
            continue
        kind = logger.class_path.rsplit(".", 1)[-1]
        arguments = logger.init_args
        arguments.save_dir = str(folder)
        if kind == "WandbLogger":
            _prepare_wandb(logger, settings, folder)
        else:
            arguments.name, arguments.version = ("", "") if kind == "CSVLogger" else ("tensorboard", "")


def _prepare_wandb(logger: Any, settings: Any, folder: Path) -> None:
    run, task, arguments = settings.run, settings.data.init_args.task, logger.init_args
    strategy = run.strategy or settings.model.class_path.rsplit(".", 1)[-1]
    encoder = settings.encoder.name.rstrip("/").rsplit("/", 1)[-1]
    arguments.name = arguments.name or f"{strategy}-{task}-{encoder}-s{settings.seed_everything}"
    arguments.id = arguments.version = folder.name
    logger.dict_kwargs = {
        "group": f"{task}/{strategy}",
        "job_type": "distill" if strategy == "distillation" else "train",
        "tags": [task, strategy, encoder, *run.tags],
        **dict(logger.get("dict_kwargs") or {}),
    }
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        # staged files belong to the run folder, not to the home folder
        os.environ.setdefault(variable, str(folder / "wandb"))
    os.environ.setdefault("WANDB_SILENT", "true")
    if not (os.environ.get("WANDB_MODE") or has_key()):
        arguments.offline = True


def has_key() -> bool:
    """Whether W&B finds a key in the environment or in the netrc file, so that it need not ask."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//", 1)[-1].split("/", 1)[0].split(":", 1)[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def describe(loggers: list[Any], settings: Any, summary: dict[str, Any]) -> None:
    """Gives every logger the run's facts, under namespaces and keys that are the same in every run."""
    facts = namespaces(settings, summary)
    for logger in loggers:
        logger.log_hyperparams(facts)


def namespaces(settings: Any, summary: dict[str, Any]) -> dict[str, Any]:
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
            **{key: model.get(key) for key in ("top_layers", "layer_decay", "teacher", "temperature")},
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
        "env": {"seed": summary["seed"], "experiment": summary["experiment"]},
    }


def finish(loggers: list[Any], summary: dict[str, Any], folder: Path, upload: bool) -> str:
    """Puts best and test metrics, parameters and cost into the W&B summary, and the best checkpoint into an artifact.

    Returns:
        The command that uploads an offline run; empty without one.
    """
    hint = ""
    for logger in loggers:
        if type(logger).__name__ != "WandbLogger":
            continue
        import wandb

        run = logger.experiment
        best = {name.replace("val/", "best/"): value for name, value in summary.get("after", {}).items()}
        params = {f"params/{name}": value for name, value in summary["params"].items()}
        perf = {f"perf/{name}": value for name, value in summary["perf"].items()}
        run.summary.update({**best, **params, **perf})
        checkpoint = folder / "checkpoints" / "best.ckpt"
        if upload and checkpoint.is_file():
            artifact = wandb.Artifact(f"model-{run.id}", "model", metadata={"task": summary["task"]})
            artifact.add_file(str(checkpoint))
            run.log_artifact(artifact, aliases=["best", "latest"])
        offline = run.settings.mode == "offline" or logger._offline
        place = os.path.dirname(run.dir)
        run.finish()
        if offline:
            hint = f"wandb sync {os.path.relpath(place)}"
    return hint

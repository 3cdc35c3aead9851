"""Values that a configuration leaves open and the saved one names, so that a run that goes on keeps them."""

from pathlib import Path
from typing import Any

from filelock import FileLock

from transferlab.config import experiments, trees
from transferlab.config.places import find_run
from transferlab.config.renamed import TEXT_BUCKET, as_meant, writes
from transferlab.config.taught import is_taught
from transferlab.encoders.artifact import is_artifact, pinned
from transferlab.encoders.config import MIX_LR, EncoderConfig
from transferlab.encoders.loading import ENCODER, resolved
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder


def teacher(settings: Any, training: bool) -> None:
    """Names the very run that teaches, not the newest one of that name.

    Raises:
        TransferlabError: The run is to be trained, and its teacher is an experiment of which there is no run.
    """
    model, task = settings.model.init_args, settings.data.init_args.task
    name = str(model.get("teacher") or "").replace("{task}", task)
    if not name:
        return
    if run := find_run(name, Path(settings.run.root)):
        model.teacher = str(run)
    elif training and is_taught(model.get) and not Path(name).exists() and name in experiments.names():
        raise TransferlabError(
            f"model.teacher: there is no run of {name} under {settings.run.root}/ yet. Train the teacher first: "
            f"transferlab fit --experiment {name}"
        )


def adapters(settings: Any, folder: Path, training: bool) -> None:
    """Names the very runs whose adapters are put together; like `start`.

    Raises:
        TransferlabError: There is no such run.
    """
    method = settings.model.init_args.get("method")
    given = method.get("init_args") if method else None
    if given and given.get("runs") and training and not (folder / "config.yaml").is_file():
        task = str(settings.data.init_args.get("task") or "")
        names = [name.replace("{task}", task) for name in given.runs]
        given.runs = tuple(str(run_folder.find(name, Path(settings.run.root))) for name in names)


def start(settings: Any, folder: Path, training: bool) -> None:
    """Names the very run that training starts from, not the newest one of that name.

    A run that is resumed or tested has what it needs of it, so that it may be gone by then.

    Raises:
        TransferlabError: There is no such run.
    """
    if settings.run.start and training and not (folder / "config.yaml").is_file():
        settings.run.start = str(run_folder.find(settings.run.start, Path(settings.run.root)))


def encoder(settings: Any, folder: Path) -> None:
    """Fills in the rate of the layer mix, the layers that a student keeps, and the very run that left the encoder."""
    path, config = folder / "config.yaml", settings.encoder
    saved = trees.read_yaml(path).get("encoder") or {} if path.is_file() else None
    weights(config, Path(settings.run.root))
    if config.layers == "mix" and config.mix_lr is None:
        config.mix_lr = MIX_LR if saved is None else saved.get("mix_lr")
    if config.keep_layers == "half":
        kept = resolved(EncoderConfig(**config.as_dict())).keep_layers
        config.keep_layers = kept if saved is None else tuple(saved.get("keep_layers") or ())


def weights(config: Any, root: Path) -> None:
    """Names the very run, or the version of the artifact, that an encoder is taken from.

    Args:
        config: Settings of the encoder; `name`, `from_run` and `revision` are filled in.
        root: Folder of runs.

    Raises:
        TransferlabError: There is no such run, or it left no encoder.
    """
    run = find_run(config.name, root)
    if config.from_run:
        from transferlab.cli.intermediate import leave_encoder

        run = run_folder.find(config.from_run, root)
        # the processes of a job come at the same time; whoever is second finds it there
        with FileLock(run / ".encoder.lock"):
            leave_encoder(run)
        config.from_run, config.revision = str(run), None
    if run and (run / ENCODER / "config.json").is_file():
        config.name = str(run)
    if is_artifact(config.name):
        config.name, config.revision = pinned(config.name), None


def windows(settings: Any) -> None:
    """Fills in how windows lie; a configuration without that key is one of before it was there."""
    data = settings.data.init_args
    if data.get("truncation") == "windows" and data.get("windows") is None:
        data.windows = "even"


def bucket(settings: Any, folder: Path) -> None:
    """Fills in how many batches are sorted by length together where texts are written; a resumed run keeps its own."""
    data = settings.data.init_args
    if data.get("bucket", "") is None and writes(data):
        data.bucket = _saved(folder, "bucket") or TEXT_BUCKET


def holdout_by(settings: Any, folder: Path) -> None:
    """Fills in what a hold-out keeps together in a run that is resumed, whatever the inspection advises today."""
    data = settings.data.init_args
    if data.get("holdout_by", "") is None:
        data.holdout_by = _saved(folder, "holdout_by")


def _saved(folder: Path, key: str) -> Any:
    """A setting of the data in the run of a folder; None where there is no run."""
    if not (path := folder / "config.yaml").is_file():
        return None
    saved = as_meant(trees.read_yaml(path)).get("data") or {}
    return (saved.get("init_args") or {}).get(key)

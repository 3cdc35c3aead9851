"""Callbacks that make a plain Trainer leave a run directory, keep the best checkpoint, and resume."""

import contextlib
import dataclasses
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from transferlab.api.tree import Written
from transferlab.cli import parsing
from transferlab.config.places import find_run
from transferlab.ground import signals
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig
from transferlab.record import folder as run_folder
from transferlab.record import history, setting
from transferlab.record.config import RunConfig
from transferlab.record.facts import identity
from transferlab.record.recorder import RunRecorder
from transferlab.strategies import Strategy
from transferlab.tasks import Source, TaskDataModule
from transferlab.tracking.best import BestValues
from transferlab.tracking.metrics_log import MetricsLog
from transferlab.training import bound, checkpoints, inside, lock, resume, selection
from transferlab.training.checkpoints import AtomicCheckpointIO
from transferlab.training.frozen_work import FrozenWork, parts
from transferlab.training.resume import Resumable

NEVER = 10**9
"""A patience that no run reaches."""


def run_callbacks(
    experiment: str = "python",
    folder: str | Path | None = None,
    patience: int | None = 3,
    run: RunConfig = RunConfig(),  # noqa: B008  frozen
    cache: CacheConfig = CacheConfig(),  # noqa: B008  frozen
) -> list[Callback]:
    """Callbacks with which ``lightning.Trainer`` leaves the same run directory as ``transferlab fit``.

    They compute frozen layers once, select the best checkpoint on the validation set, stop early, log every step to
    ``metrics.jsonl``, write checkpoints to resume from, and keep configuration, environment, costs and predictions.
    ``compare``, ``report``, ``test --run`` and ``fit --resume`` read the directory.

    Args:
        experiment: Name of the experiment; the run directory is ``runs/<experiment>/<new id>``.
        folder: The run directory itself instead. If a run was stopped in it, give ``trainer.fit`` ``ckpt_path="last"``.
        patience: Validations without a better value after which training ends; None: never, or as an ``EarlyStopping``
            among the Trainer's callbacks says.
        run: Strategy name in tables, tags, how often a checkpoint to resume from is written.
        cache: Whether and how the output of frozen layers is kept on disk.

    Returns:
        For one Trainer: ``lightning.Trainer(callbacks=run_callbacks(...))``.
    """
    run = dataclasses.replace(run, experiment=experiment)
    place = Path(folder) if folder else Path(run.root) / experiment / run_folder.new_id(_global_seed() or 0)
    best = ModelCheckpoint(dirpath=place / "checkpoints", **selection.CHECKPOINT)
    directory = RunDirectory(place, run, cache, best, patience)
    # that there are two callbacks for checkpoints, one of them for the best, is meant to be so
    warnings.filterwarnings("ignore", message=r".*called with Trainer configured with multiple `ModelCheckpoint`")
    return directory.callbacks


class RunDirectory(Callback):
    """Opens the run directory when the Trainer starts, and closes it when it ends.

    Args:
        folder: The run directory.
        run: How the run is named.
        cache: What the frozen work was kept by; for the configuration.
        best: Selects the checkpoint.
        patience: Validations without a better value after which training ends; None: never.
    """

    def __init__(
        self, folder: Path, run: RunConfig, cache: CacheConfig, best: ModelCheckpoint, patience: int | None
    ) -> None:
        self.folder = folder
        self.run = run
        self.cache = cache
        self.best = best
        self.patience = patience
        self.recorder = RunRecorder(folder, {})
        self.metrics = MetricsLog(folder / history.NAME)
        self.resumable = Resumable(
            folder, 0, run.checkpoint_every_steps, run.checkpoint_every_minutes, metrics=self.metrics
        )
        self.callbacks: list[Callback] = [
            FrozenWork(cache),
            self,
            LearningRateMonitor("step"),
            BestValues(best.monitor or "", best.mode),
            self.recorder,
            *([] if patience is None else [EarlyStopping(**selection.STOPPING | {"patience": patience})]),
            best,
            self.resumable,
        ]
        self._opened = False
        self._before: dict[str, float] = {}
        self._signals = contextlib.ExitStack()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Prepares the Trainer."""
        model, data = parts(trainer, pl_module)
        model.accept_changed_base |= self.run.accept_changed_base
        self._move(trainer.strategy.broadcast(self.folder))
        evaluated_again = stage != TrainerFn.FITTING and not self._opened and (self.folder / "config.yaml").exists()
        if self.metrics not in trainer.loggers and not evaluated_again:
            trainer.loggers = [*trainer.loggers, self.metrics]
        if not isinstance(trainer.strategy.checkpoint_io, AtomicCheckpointIO):
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        if stage == TrainerFn.FITTING:
            inside.install_no_signal_handlers(trainer)
            self.resumable.seed = data.protocol.seed
            if not signals.request.installed and threading.current_thread() is threading.main_thread():
                self._signals.enter_context(signals.handled())

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens the directory: whatever is wrong shows before it exists.

        Raises:
            TransferlabError: It holds another run, a finished one, or one that was stopped and is not resumed.
        """
        # not in `setup`: only by now Lightning tells which checkpoint it has read
        self._open(trainer, *parts(trainer, pl_module), training=True)
        if self._before:
            self.recorder.before(self._before)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens the directory for the validation of a checkpoint; that of an untrained model waits for the training."""
        if trainer.state.fn == TrainerFn.VALIDATING and trainer.ckpt_path:
            self._reopen(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens the directory."""
        self._reopen(trainer, pl_module)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens the directory."""
        self._reopen(trainer, pl_module)

    def _reopen(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._opened:
            self._open(trainer, *parts(trainer, pl_module), training=False)

    def _move(self, folder: Path) -> None:
        """Every process of a run writes into the directory that the first one named."""
        self.folder = self.recorder.folder = self.resumable.folder = folder
        self.metrics.path = folder / history.NAME

    def _open(self, trainer: L.Trainer, model: Strategy, data: TaskDataModule, training: bool) -> None:
        text, tree, lost = self._configuration(trainer, model, data)
        resumed = Path(trainer.ckpt_path) if training and trainer.ckpt_path else None
        if training and (self.folder / "config.yaml").is_file():
            self._check(trainer, tree)
            if resumed:
                bound.check(self.folder, resumed, model, data, self.run.accept_changed_data, trainer.world_size)
        first, self._opened = not self._opened, True
        if not trainer.is_global_zero:
            return
        begun = (
            any((self.folder / "checkpoints").glob("*.ckpt"))
            or run_folder.read_summary(self.folder).get("status") == "finished"
        )
        if first and not begun:
            # of a start that was killed before its first checkpoint
            self.metrics.path.unlink(missing_ok=True)
        self.recorder.summary |= identity(tree, self.folder, trainer) | ({"not_in_config": lost} if lost else {})
        self.recorder.evaluations.tree = tree
        self.recorder.open(model, data, training, resumed=resumed is not None)
        if training:
            lock.acquire(self.folder)
            checkpoints.sweep(self.folder / "checkpoints")
        if training or not (self.folder / "config.yaml").exists():
            run_folder.write_text(self.folder / "config.yaml", text)
        if lost:
            print(f"config.yaml cannot hold {', '.join(lost)}: only this script can repeat or resume the run.")
        self._warn_of_seed(data.protocol.seed)

    def _configuration(
        self, trainer: L.Trainer, model: Strategy, data: TaskDataModule
    ) -> tuple[str, dict[str, Any], list[str]]:
        """The text of ``config.yaml``, its tree, and what of the run is not in it."""
        written = Written()
        # what is accepted is accepted once
        kept = dataclasses.replace(self.run, accept_changed_base=False, accept_changed_data=False)
        tree = written.run(trainer, model, data, kept, self.callbacks) | {"cache": dataclasses.asdict(self.cache)}
        arguments = tree["model"]["init_args"]
        if arguments.get("teacher") and (teacher := find_run(arguments["teacher"], Path(self.run.root))):
            # the very run that taught, not the newest one of that name
            arguments["teacher"] = str(teacher)
        tree["trainer"] |= {"default_root_dir": str(self.folder), "enable_progress_bar": None}
        tree["checkpoint"] = {"dirpath": str(self.folder / "checkpoints")}
        tree["early_stopping"] = {"patience": NEVER if self.patience is None else self.patience}
        text = yaml.safe_dump(tree, sort_keys=False)
        # read as the command line reads it: all other keys are there, and the two mean one setting
        expected = (TransferlabError,) if written.lost else ()
        with warnings.catch_warnings(), contextlib.suppress(*expected):
            warnings.simplefilter("ignore")
            text = parsing.check_text(text).dumped
        return text, setting.parse(text), written.lost

    def _check(self, trainer: L.Trainer, tree: dict[str, Any]) -> None:
        """Refuses to train in the directory of another run."""
        if trainer.is_global_zero:
            lock.acquire(self.folder)
        if keys := resume.differences(setting.of_folder(self.folder), tree):
            raise TransferlabError(
                f"{self.folder} is a run with another configuration; different are {', '.join(keys)}. Take another "
                "folder."
            )
        if run_folder.read_summary(self.folder).get("status") == "finished":
            raise TransferlabError(f"{self.folder} is finished. Take another folder, or leave it out for a new run.")
        newest, damaged = checkpoints.newest(self.folder / "checkpoints")
        if newest and (trainer.ckpt_path is None or Path(trainer.ckpt_path) in damaged):
            raise TransferlabError(
                f"{self.folder} holds a run that was stopped. To resume it: trainer.fit(model, data, "
                f"ckpt_path={str(newest)!r}); for a new one take another folder."
            )

    @staticmethod
    def _warn_of_seed(seed: int) -> None:
        if _global_seed() != seed:
            print(
                f"The seed of this run is {seed}, but its new weights were not drawn with it: call "
                f"lightning.seed_everything({seed}) before the strategy is built, and give the data module the same."
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the validation metrics of the untrained model."""
        if trainer.state.fn != TrainerFn.VALIDATING or not trainer.is_global_zero:
            return
        if not trainer.ckpt_path and not self._opened:
            self._before = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Writes what is open, and closes a run that has nothing to be tested on."""
        self._signals.close()
        if not self._opened or not trainer.is_global_zero:
            return
        self.metrics.close()
        untested = stage == TrainerFn.VALIDATING and trainer.ckpt_path and not self._source(trainer).test
        if untested and self.recorder.summary.get("status") == "trained":
            self.recorder.close()
        if not self.run.keep_last and self.recorder.summary.get("status") == "finished":
            run_folder.drop_last(self.folder)

    @staticmethod
    def _source(trainer: L.Trainer) -> Source:
        data: TaskDataModule = trainer.datamodule  # type: ignore[attr-defined]
        return data.source

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Gives the signals back."""
        self._signals.close()


def _global_seed() -> int | None:
    """The seed that ``lightning.seed_everything`` was called with last."""
    seed = os.environ.get("PL_GLOBAL_SEED")
    return int(seed) if seed else None

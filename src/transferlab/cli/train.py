"""TransferCLI: `bases:` expansion, links, the run directory, the saved config."""

import functools
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.utilities import rank_zero_only

from transferlab.cli import blame, chosen, endings
from transferlab.cli.bounds import check_interval, check_monitors
from transferlab.cli.parsing import ExperimentCLI
from transferlab.cli.trainer import callbacks_of, plugins_of
from transferlab.config import trees
from transferlab.config.renamed import as_meant
from transferlab.encoders.packing import enable_packing
from transferlab.ground import hints, signals
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hardware import in_words, settle
from transferlab.ground.keys import has_key
from transferlab.ground.lean import collect_again
from transferlab.ground.progress import on_terminal
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.record import history, setting, stopping
from transferlab.record.facts import strategy_name
from transferlab.record.progress import RunProgress
from transferlab.record.recorder import RunRecorder
from transferlab.record.validated import BestValidation
from transferlab.strategies import content
from transferlab.tracking import files, loggers
from transferlab.tracking.best import BestValues
from transferlab.tracking.metrics_log import MetricsLog
from transferlab.tracking.wandb_logger import WandbLogger
from transferlab.training import bound, checkpoints, inside, lock, resume, start
from transferlab.training.frozen_work import work_of
from transferlab.training.parallel import Sharded
from transferlab.training.resume import Resumable

UNTRAINED = 128
"""Examples of the validation set that the untrained model is evaluated on; nothing is selected by it."""


class TransferCLI(ExperimentCLI):
    """Trains, tests and predicts: the run directory, loggers, checkpoints to resume from, and the record of a run."""

    model: Any
    datamodule: Any

    def before_instantiate_classes(self) -> None:
        """Names the run directory and points loggers and checkpoints at it.

        Raises:
            TransferlabError: A group of keys holds a single value.
        """
        settings = self.settings
        for group in ("trainer", "encoder", "run", "cache", "checkpoint", "early_stopping"):
            if group in settings and not hasattr(settings.get(group), "as_dict"):
                # the parser of some releases lets a single value pass
                raise TransferlabError(f"{group}: keys belong here, not {settings.get(group)!r}.")
        settings.run.experiment = settings.run.experiment or "unnamed"
        # of this start only: in the saved configuration they would accept whatever changes later
        self.accepts = {key: bool(settings.run[key]) for key in ("accept_changed_base", "accept_changed_data")}
        for key in self.accepts:
            settings.run[key] = False
        self.folder = run_folder.choose(Path(settings.run.root), settings.run.experiment, int(settings.seed_everything))
        settings.trainer.default_root_dir = str(self.folder)
        settings.checkpoint.dirpath = str(self.folder / "checkpoints")
        settle(settings.trainer, training=self.subcommand == "fit")
        self.choose(settings)
        loggers.prepare(settings, self.folder, str(self.subcommand))
        self.checkpoint: Path | None = None
        self.bars = settings.trainer.enable_progress_bar is not False and on_terminal()
        # the saved configuration leaves it open: a later start may have another kind of output
        settings.trainer.enable_progress_bar = None
        if self.subcommand == "fit" and (self.folder / "config.yaml").is_file():
            self._go_on()

    def choose(self, settings: Any) -> None:
        """Fills in what the configuration leaves open."""
        chosen.teacher(settings, training=self.subcommand == "fit")
        chosen.start(settings, self.folder, training=self.subcommand == "fit")
        chosen.adapters(settings, self.folder, training=self.subcommand == "fit")
        chosen.encoder(settings, self.folder)
        chosen.windows(settings)
        chosen.bucket(settings, self.folder)
        chosen.holdout_by(settings, self.folder)

    def _go_on(self) -> None:
        """Finds where the run in this folder is to go on from, or ends because it is finished."""
        if not rank_zero_only.rank:  # type: ignore[attr-defined]
            lock.acquire(self.folder)
        saved = as_meant(trees.read_yaml(self.folder / "config.yaml"))
        given = self._tree()
        if keys := resume.differences(saved, given):
            raise TransferlabError(
                f"{self.folder} is a run with another configuration; different are {', '.join(keys)}. Start a new run, "
                f"or resume it with its own: {hints.resume_there(self.folder)}"
            )
        length = [[tree["trainer"].get(key) for key in ("max_epochs", "max_steps")] for tree in (saved, given)]
        summary = run_folder.read_summary(self.folder)
        if lost := summary.get("not_in_config"):
            raise TransferlabError(
                f"{self.folder} was trained from Python with {', '.join(lost)}, which its config.yaml cannot hold: "
                "resume it with the same script, `trainer.fit(model, data, ckpt_path='last')`."
            )
        if summary.get("status") == "finished" and length[0] == length[1]:
            print(endings.finished(self.folder, saved["trainer"]))
            raise SystemExit(0)
        self.checkpoint, damaged = checkpoints.newest(self.folder / "checkpoints")
        if summary.get("status") == "finished" and self.checkpoint is None:
            raise TransferlabError(
                f"{self.folder} is finished and its last.ckpt was not kept (run.keep_last), so it cannot be trained "
                "on. Start a new run."
            )
        if not rank_zero_only.rank:  # type: ignore[attr-defined]
            for path in damaged:
                print(f"{path} is damaged; resuming from the one before, {self.checkpoint}.")
                checkpoints.set_aside(path)
            print(f"resuming from {self.checkpoint}" if self.checkpoint else "no checkpoint yet: from the beginning")

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Adds the checkpoint to go on from."""
        arguments: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        return arguments | ({"ckpt_path": self.checkpoint, "weights_only": True} if self.checkpoint else {})

    def instantiate_classes(self) -> None:
        """Builds data, model and trainer; a value that a constructor refuses is the user's mistake."""
        blame.check_optimizer(self.settings.model.init_args.get("optimizer"))
        with blame.explained(self.settings):
            super().instantiate_classes()
        self.model.accept_changed_base = self.accepts["accept_changed_base"]
        if self.subcommand == "fit":
            check_monitors(cast(Any, self.trainer).callbacks, self.model, self.settings)

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Adds the recorder, the log of metrics and checkpoints to go on from."""
        settings = self.settings
        if self.subcommand == "fit" and settings.data.init_args.get("holdout_by", "") is None:
            settings.data.init_args.holdout_by = self.datamodule.holdout_by or None
        trainer: Any = super().instantiate_trainer(
            **kwargs, plugins=plugins_of(self._get(self.config_init, "trainer.plugins"))
        )
        inside.install_no_signal_handlers(trainer)
        inside.tell_of_waiting(trainer)
        identity = {
            "experiment": settings.run.experiment,
            "run": self.folder.name,
            "strategy": settings.run.strategy or strategy_name(self._tree()["model"]),
            "seed": settings.seed_everything,
            "tags": list(settings.run.tags),
            "precision": str(trainer.precision),
            "hardware": in_words(str(trainer.accelerator.name()), int(trainer.num_devices)),
            "setting": setting.fingerprint(self._tree()),
            "early_stopping": stopping.rule(trainer.callbacks),
        }
        self.recorder: Any = self.recorder_of(identity)
        if trainer.is_global_zero:
            inside.when_a_process_ends(functools.partial(endings.ended_by, self.recorder))
        trainer.callbacks.append(self.recorder)
        self.metrics = MetricsLog(self.folder / history.NAME)
        fitting = self.subcommand == "fit" and not trainer.fast_dev_run
        # what was logged while training stays as it is
        views = trainer.loggers if fitting or self.subcommand == "test" else []
        trainer.loggers = [*views, self.metrics] if fitting else [v for v in views if isinstance(v, WandbLogger)]
        if fitting:
            run = settings.run
            if self.checkpoint is not None:
                files.remove_events(self.folder)
                trainer.callbacks.append(files.Replay(self.folder, self.metrics))
            # before the one that writes the best checkpoint, whose score it compares with
            trainer.callbacks[:0] = self.watching()
            self.best = BestValues(str(settings.checkpoint.monitor), str(settings.checkpoint.mode))
            trainer.callbacks += [
                LearningRateMonitor("step"),
                self.best,
                Resumable(
                    self.folder,
                    int(settings.seed_everything),
                    run.checkpoint_every_steps,
                    run.checkpoint_every_minutes,
                    self.metrics,
                ),
            ]
        return trainer

    def recorder_of(self, identity: dict[str, Any]) -> Any:
        """What writes the record of the run."""
        recorder = RunRecorder(self.folder, identity)
        recorder.evaluations.tree = self._tree()
        return recorder

    def watching(self) -> list[Callback]:
        """Callbacks that look at validations before the one that writes the best checkpoint."""
        self.validated = BestValidation()
        return [self.validated]

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        """Puts built-in callbacks and those of the user together."""
        config["callbacks"] = callbacks_of(config, callbacks, self.bars)
        try:
            # the Trainer adds to the list that it is given
            return super()._instantiate_trainer({**config, "callbacks": list(config["callbacks"])}, [])
        except blame.REFUSALS as error:
            raise blame.trainer(error, config, self.trainer_defaults) from error

    def before_fit(self) -> None:
        """Prepares the data, then opens the run: whatever is wrong with the input shows before a folder exists.

        Raises:
            TransferlabError: Weights that cannot be split and should be, or data that is not that of the checkpoint.
        """
        if isinstance(self.trainer.strategy, Sharded) and (reason := self.model.cannot_be_sharded):
            raise TransferlabError(f"trainer.strategy: {reason}, so it cannot be split; use trainer/ddp instead.")
        with endings.keeping(self.folder) if self.checkpoint else nullcontext():
            self.datamodule.prepare_data()
            self.datamodule.setup("fit")
        if self.checkpoint:
            world, accept = self.trainer.world_size, self.accepts["accept_changed_data"]
            bound.check(self.folder, self.checkpoint, self.model, self.datamodule, accept, world)
        begins = Path(self.settings.run.start) if self.settings.run.start and self.checkpoint is None else None
        if begins:
            self.recorder.summary["start"] = start.load(self.model, begins)
        if self.checkpoint:
            self.model.begins_otherwise = "the head is that of the checkpoint"
        check_interval(self.trainer, self.datamodule)
        if self.datamodule.packed:
            enable_packing(self.model.encoder.backbone)
        self.datamodule = self.model.take_data(self.datamodule, work_of(self.trainer, self.settings.cache))
        self._open(training=True)
        if begins and self.trainer.is_global_zero:
            start.answer_before(begins, self.trainer, self.datamodule, self.folder)
            self.recorder.summary["start"]["beside"] = start.beside(begins, self.folder)
        if self.checkpoint is None:
            some = self.datamodule.validating_on(UNTRAINED)
            before = self.trainer.validate(self.model, some, verbose=False)
            self.recorder.before(dict(before[0]), some.validated)

    def _run_subcommand(self, subcommand: str) -> None:
        """Says how to continue where a signal ends the run outside of its training steps."""
        collect_again()
        try:
            super()._run_subcommand(subcommand)
        except (KeyboardInterrupt, SystemExit) as end:
            if not signals.request.received or isinstance(end, resume.Stopped):
                raise
            first = not rank_zero_only.rank  # type: ignore[attr-defined]
            if subcommand == "fit" and first and (hint := endings.interrupted(self.folder)):
                print(hint, flush=True)
            raise endings.asked() from end
        except Exception as error:
            endings.failed(self.recorder, error)
            raise

    def before_test(self) -> None:
        """Opens the record: the folder of a finished run, or a new one."""
        self._check_loadable()
        self.datamodule.setup("test")
        self._open()

    def before_validate(self) -> None:
        """Opens the record: the folder of a finished run, or a new one."""
        self._check_loadable()
        self._open()

    def before_predict(self) -> None:
        """Opens the record: the folder of a finished run, or a new one."""
        self._check_loadable()
        self.datamodule.setup("predict")
        self._open()

    def _check_loadable(self) -> None:
        path = self.settings.ckpt_path
        if path is None:
            raise TransferlabError(f"{self.subcommand} needs --run RUN, or --config FILE and --ckpt_path FILE.")
        if not os.path.isfile(path):
            raise TransferlabError(f"ckpt_path: no such file: {path}")
        self.model.on_load_checkpoint(content.read(Path(path)))
        self.settings.weights_only = True
        if "verbose" in self.settings:
            # the record prints the result
            self.settings.verbose = False

    def _open(self, training: bool = False) -> None:
        if not self.trainer.is_global_zero:
            return
        self.recorder.open(self.model, self.datamodule, training, resumed=self.checkpoint is not None)
        if training:
            lock.acquire(self.folder)
            checkpoints.sweep(self.folder / "checkpoints")
            if self.checkpoint is None:
                self.metrics.path.unlink(missing_ok=True)
        config = self.folder / "config.yaml"
        if training or not config.exists():
            run_folder.write_text(config, self.dumped)
        loggers.describe(self.trainer.loggers, self.settings, self.recorder.summary, self.folder)

    def _close(self) -> None:
        if self.trainer.is_global_zero:
            upload = self.settings.run.log_checkpoint and self.subcommand == "fit"
            summary, folder = self.recorder.view
            for line in loggers.finish(self.trainer.loggers, summary, folder, upload):
                if has_key() or not line.startswith("W&B"):
                    print(line)

    def after_fit(self) -> None:
        """Tests the best checkpoint once."""
        best = self.settings.checkpoint.dirpath + "/best.ckpt"
        if self.trainer.interrupted or not os.path.isfile(best):
            self.metrics.close()
            self._close()
            return
        tested = bool(self.datamodule.source.test) and self.settings.run.test
        with endings.keeping(self.folder):
            self._record_validation(Path(best))
            if tested:
                self.trainer.test(self.model, self.datamodule, ckpt_path=best, verbose=False, weights_only=True)
        if not tested and self.trainer.is_global_zero:
            self.recorder.close()
        self.metrics.close()
        self._close()
        if self.trainer.is_global_zero:
            endings.conclude(self.folder, self.settings.run, tested)

    def _record_validation(self, best: Path) -> None:
        """Takes the validation that the best checkpoint was written after, and only otherwise validates it again."""
        known = self.validated.of(best)
        if known is None:
            self.trainer.validate(self.model, self.datamodule, ckpt_path=best, verbose=False, weights_only=True)
            return
        bar = self.trainer.progress_bar_callback
        if isinstance(bar, RunProgress) and self.trainer.is_global_zero:
            bar.selected(known.metrics, self.model.task.primary)
        inside.log_evaluation(self.trainer, known.metrics)
        self.recorder.selected(self.trainer, self.model, known, best)

    def after_test(self) -> None:
        """Ends the view of the test."""
        self._close()


def main() -> None:
    """Runs ``transferlab fit|validate|test|predict``."""
    quiet()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    TransferCLI()

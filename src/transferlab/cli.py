"""TransferCLI: `bases:` expansion, links, the run folder, the saved config."""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger

from transferlab import config as experiment_file
from transferlab import experiments
from transferlab.cache import CacheConfig, Work
from transferlab.encoders import EncoderConfig
from transferlab.encoders.packing import enable_packing
from transferlab.errors import TransferlabError
from transferlab.hardware import best_precision
from transferlab.messages import explain
from transferlab.places import find_run
from transferlab.runs import folder as run_folder
from transferlab.runs import loggers
from transferlab.runs.config import RunConfig
from transferlab.runs.recorder import LineProgress, RunRecorder
from transferlab.strategies import Strategy
from transferlab.tasks import TaskDataModule

STRICT = {"exit_on_error": False, "allow_abbrev": False}


class TransferCLI(LightningCLI):
    """LightningCLI with an `encoder` and a `run` group, experiment files with `bases:`, and a record of each run."""

    model: Strategy
    datamodule: TaskDataModule

    def __init__(self, args: ArgsType = None) -> None:
        super().__init__(
            Strategy,
            TaskDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults={
                "use_distributed_sampler": False,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
            },
            # a shortened key would be taken for the whole one
            parser_kwargs={"exit_on_error": False, **{name: STRICT for name in ("fit", "validate", "test", "predict")}},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds groups, forced callbacks and links."""
        parser.add_argument("--encoder", type=EncoderConfig, default=EncoderConfig(), help="What is transferred.")
        parser.add_argument("--run", type=RunConfig, default=RunConfig(), help="How the run is named and kept.")
        parser.add_argument("--cache", type=CacheConfig, default=CacheConfig(), help="Frozen work kept on disk.")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/primary",
                "checkpoint.mode": "max",
                "checkpoint.filename": "best",
                "checkpoint.save_weights_only": True,
                "checkpoint.enable_version_counter": False,
                "early_stopping.monitor": "val/primary",
                "early_stopping.mode": "max",
                "early_stopping.patience": 3,
            }
        )
        parser.link_arguments("encoder", "model.init_args.encoder")
        parser.link_arguments("encoder", "data.init_args.encoder")
        parser.link_arguments("seed_everything", "data.init_args.seed")
        parser.link_arguments("data.spec", "model.init_args.task", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Replaces each experiment file by itself laid over its bases; ``--run RUN`` by that run's config.

        ``sys.argv`` stays as it is, since the DDP launcher runs it again.
        """
        given = list(sys.argv[1:] if args is None else args)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.config = parser.parse_args(expand_arguments(given))
            except ArgumentError as error:
                raise TransferlabError(explain(error, parser)) from error

    @property
    def settings(self) -> Any:
        """The parsed configuration of the subcommand."""
        return self.config[str(self.subcommand)]

    def before_instantiate_classes(self) -> None:
        """Names the run folder and points loggers and checkpoints at it."""
        settings = self.settings
        settings.run.experiment = settings.run.experiment or "unnamed"
        self.folder = run_folder.choose(Path(settings.run.root), settings.run.experiment, int(settings.seed_everything))
        settings.trainer.default_root_dir = str(self.folder)
        settings.checkpoint.dirpath = str(self.folder / "checkpoints")
        if settings.trainer.precision is None:
            # the saved configuration names it, so the same run means the same elsewhere
            settings.trainer.precision = best_precision(str(settings.trainer.accelerator))
        self._find_teacher()
        loggers.prepare(settings, self.folder)
        if settings.trainer.enable_progress_bar is None:
            settings.trainer.enable_progress_bar = sys.stdout.isatty()

    def _find_teacher(self) -> None:
        # the saved configuration then names the very run that taught, not the newest one of that name
        model, task = self.settings.model.init_args, self.settings.data.init_args.task
        name = str(model.get("teacher") or "").replace("{task}", task)
        if name and (run := find_run(name, Path(self.settings.run.root))):
            model.teacher = str(run)

    def instantiate_classes(self) -> None:
        """Builds data, model and trainer; a value that a constructor refuses is the user's mistake."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise TransferlabError(explain(error, self.parser)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Adds the recorder, the checkpoint to resume from, and plain progress lines on a pipe."""
        trainer: Any = super().instantiate_trainer(**kwargs)
        settings = self.settings
        strategy = settings.model.class_path.rsplit(".", 1)[-1]
        identity = {
            "experiment": settings.run.experiment,
            "run": self.folder.name,
            "strategy": settings.run.strategy or strategy,
            "seed": settings.seed_everything,
            "tags": list(settings.run.tags),
            "precision": str(trainer.precision),
        }
        self.recorder = RunRecorder(self.folder, identity)
        last = ModelCheckpoint(
            self.folder / "checkpoints", "last", enable_version_counter=False, save_on_train_epoch_end=True
        )
        trainer.callbacks += [self.recorder, *([] if trainer.fast_dev_run else [last])]
        fitting = self.subcommand == "fit" and not trainer.fast_dev_run
        if not fitting:
            # what was logged while training stays as it is
            trainer.loggers = []
        elif not any(isinstance(logger, CSVLogger) for logger in trainer.loggers):
            # metrics.csv is the local record of the curves, whatever else logs
            trainer.loggers = [*trainer.loggers, CSVLogger(self.folder, name="", version="")]
            trainer.callbacks.append(LearningRateMonitor("step"))
        bar = trainer.progress_bar_callback
        if bar is None:
            trainer.callbacks.append(LineProgress())
        else:
            # showing a loss waits for the device, so the bar moves as often as is logged
            trainer.callbacks[trainer.callbacks.index(bar)] = type(bar)(refresh_rate=trainer.log_every_n_steps)
        return trainer

    def before_fit(self) -> None:
        """Prepares the data, then opens the run: whatever is wrong with the input shows before a folder exists."""
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        if self.datamodule.packed:
            enable_packing(self.model.encoder.backbone)
        self.datamodule = self.model.wrap_data(self.datamodule, self._work())
        self._open()
        before = self.trainer.validate(self.model, self.datamodule, verbose=False)
        self.recorder.before(dict(before[0]))

    def _work(self) -> Work:
        """How frozen work is done: on the device and in the precision of the Trainer."""
        precision, epochs = str(self.trainer.precision), self.trainer.max_epochs
        autocast = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
        # without an end in epochs there is one in steps, most likely after several epochs
        return Work(
            self.settings.cache, self.trainer.strategy.root_device, autocast, 2 if epochs in {None, -1} else epochs
        )

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
        self.model.on_load_checkpoint(torch.load(path, map_location="cpu", weights_only=True))
        self.settings.weights_only = True
        if "verbose" in self.settings:
            # the record prints the result
            self.settings.verbose = False

    def _open(self) -> None:
        if not self.trainer.is_global_zero:
            return
        self.recorder.open(self.model, self.datamodule)
        config = self.folder / "config.yaml"
        if not config.exists():
            self._parser(self.subcommand).save(self.settings, config, skip_validation=True)
        loggers.describe(self.trainer.loggers, self.settings, self.recorder.summary)

    def _close(self) -> str:
        upload = self.settings.run.log_checkpoint
        return loggers.finish(self.trainer.loggers, self.recorder.summary, self.folder, upload)

    def after_fit(self) -> None:
        """Tests the best checkpoint once."""
        best = self.settings.checkpoint.dirpath + "/best.ckpt"
        if self.trainer.interrupted or not os.path.isfile(best):
            return
        after = self.trainer.validate(self.model, self.datamodule, ckpt_path=best, verbose=False, weights_only=True)
        self.recorder.after(dict(after[0]))
        if self.datamodule.source.test:
            self.trainer.test(self.model, self.datamodule, verbose=False)
        elif self.trainer.is_global_zero:
            self.recorder.close()
        if self.trainer.is_global_zero and (hint := self._close()):
            print(f"W&B ran offline; upload with: {hint}")


def expand_arguments(arguments: list[str]) -> list[str]:
    """Expands a command line.

    ``--config FILE``, ``--config=FILE`` and ``-c FILE`` become the file laid over its bases; ``--experiment NAME`` the
    file of that name, or task and strategy put together; ``--run RUN`` the configuration and checkpoint of a run.
    """
    expanded: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, given, value = argument.partition("=")
        if name in {"--config", "-c", "--experiment", "--run"}:
            value = value if given else next(rest, "")
            if not value:
                raise TransferlabError(f"{name} needs a {'FILE' if name in {'--config', '-c'} else 'NAME'} behind it.")
            expanded += ARGUMENTS[name](value)
        else:
            expanded.append(argument)
    return expanded


def _config(value: str) -> list[str]:
    path = Path(value)
    tree = experiment_file.expand(path)
    run = tree.setdefault("run", {})
    if isinstance(run, dict):
        run.setdefault("experiment", path.stem)
    return ["--config", yaml.safe_dump(tree, sort_keys=False)]


def _experiment(value: str) -> list[str]:
    return ["--config", yaml.safe_dump(experiments.compose(value), sort_keys=False)]


def _run(value: str) -> list[str]:
    folder = run_folder.find(value)
    os.environ[run_folder.VARIABLE] = str(folder.absolute())
    checkpoint = folder / "checkpoints" / "best.ckpt"
    return [*_config(str(folder / "config.yaml")), "--ckpt_path", str(checkpoint)]


ARGUMENTS = {"--config": _config, "-c": _config, "--experiment": _experiment, "--run": _run}


def quiet() -> None:
    """Silences what the libraries say of themselves and what is meant to be so here."""
    for text in (
        r".*LeafSpec.*is deprecated",
        r".*module\(s\) in eval mode at the start of training",
        r".*does not have many workers",
        r"You are using a custom batch sampler",
        r"Experiment logs directory",
        r".*No device id is provided via",
        r"The number of training batches .* is smaller than the logging interval",
    ):
        warnings.filterwarnings("ignore", message=text)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from transformers.utils import logging as transformers_logging

    talk: Any = transformers_logging
    talk.disable_progress_bar()
    talk.set_verbosity_error()


def main() -> None:
    """Runs ``transferlab fit|validate|test|predict``."""
    quiet()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # a data set or an encoder is loaded by name; the progress bars of their libraries would be noise on a pipe
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    TransferCLI()

"""The command line of ``multitask``: that of ``fit``, with several tasks in place of one."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser

from transferlab.cli import chosen, endings
from transferlab.cli.bounds import check_interval
from transferlab.cli.other import OtherCLI
from transferlab.cli.train import UNTRAINED
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.record.config import RunConfig
from transferlab.several.data import SeveralTasks
from transferlab.several.leaving import leave, measure
from transferlab.several.mixing import TaskBatch
from transferlab.several.model import MultiTask
from transferlab.several.own import filled_once
from transferlab.several.recorder import SeveralRecorder
from transferlab.strategies import content
from transferlab.training import selection
from transferlab.training.bound import changed_data


class SeveralCLI(OtherCLI):
    """Trains one encoder on several tasks: the same Trainer, run directory, checkpoints and loggers."""

    kinds = (MultiTask, SeveralTasks)
    command = "multitask"
    linked: ClassVar = {MultiTask: ("tasks", "encoder"), SeveralTasks: ("encoder", "seed")}
    ours = ("transferlab.several.model", "transferlab.several.data")
    leaves = True
    """Whether each task gets a run of its own; else its test score is measured only."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds groups, callbacks and links."""
        parser.add_argument("--encoder", type=EncoderConfig, default=EncoderConfig(), help="What is transferred.")
        parser.add_argument("--run", type=RunConfig, default=RunConfig(), help="How the run is named, what it keeps.")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        groups = {"checkpoint": selection.CHECKPOINT, "early_stopping": selection.STOPPING}
        parser.set_defaults({f"{group}.{key}": value for group, keys in groups.items() for key, value in keys.items()})
        parser.link_arguments("encoder", "model.init_args.encoder")
        parser.link_arguments("encoder", "data.init_args.encoder")
        parser.link_arguments("seed_everything", "data.init_args.seed")
        parser.link_arguments("data.specs", "model.init_args.tasks", apply_on="instantiate")

    def choose(self, settings: Any) -> None:
        """Names the very runs that encoder and weights come from, and what the user's own files say of the tasks."""
        data = settings.data.init_args
        data.tasks = filled_once(data.tasks, self.folder)
        chosen.start(settings, self.folder, training=True)
        chosen.adapters(settings, self.folder, training=True)
        chosen.encoder(settings, self.folder)

    def recorder_of(self, identity: dict[str, Any]) -> SeveralRecorder:
        """What writes the record of the run."""
        return SeveralRecorder(self.folder, identity)

    def before_fit(self) -> None:
        """Prepares the data, then opens the run: whatever is wrong with the input shows before a folder exists.

        Raises:
            TransferlabError: Several processes, or data that is not that of the checkpoint.
        """
        model, data, trainer = self.model, self.datamodule, self.trainer
        if trainer.world_size > 1:
            raise TransferlabError("trainer.devices: several tasks train on one process; set it to 1.")
        with endings.keeping(self.folder) if self.checkpoint else nullcontext():
            data.prepare_data()
            data.setup("fit")
        if self.checkpoint:
            self._check_same_data()
        check_interval(trainer, data)
        if self.settings.run.start:
            self._begin(Path(self.settings.run.start))
        model.probes = data.probes()
        self._open(training=True)
        if self.checkpoint is None:
            trainer.validate(model, data.validating_on(UNTRAINED), verbose=False)
            self.recorder.before({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")})

    def _begin(self, start: Path) -> None:
        """Takes over the weights of a run of the same tasks, and what holds on to them."""
        best = start / "checkpoints" / "best.ckpt"
        if not best.is_file():
            raise TransferlabError(f"run.start: {start} holds no checkpoint (checkpoints/best.ckpt); did it finish?")
        self.model.remains.begin(self.model, start)
        if self.checkpoint is None:
            state = content.read(best)
            self.model.on_load_checkpoint(state)
            self.model.load_state_dict(state["state_dict"], strict=False)

    def _check_same_data(self) -> None:
        known = (run_folder.read_summary(self.folder).get("data") or {}).get("versions") or {}
        for name, part in self.datamodule.parts.items():
            if changed := changed_data({"versions": known.get(name)}, part):
                raise TransferlabError(
                    f"data.tasks.{name}: since the run was started its examples changed by content: "
                    f"{'; '.join(changed)}. Put the old ones back, or start a new run."
                )

    def after_fit(self) -> None:
        """Leaves a run for each task, with the weights of the best checkpoint."""
        best = Path(self.settings.checkpoint.dirpath) / "best.ckpt"
        if self.trainer.interrupted or not best.is_file():
            self.metrics.close()
            self._close()
            return
        with endings.keeping(self.folder):
            checkpoint = content.read(best)
            self.model.load_state_dict(checkpoint["state_dict"], strict=False)
            self.recorder.after(self.best.values)
            named = RunConfig(**self.settings.run.as_dict())
            self.model.remains.leave(self.model, self._examples(), self.folder)
            summary = self.recorder.summary
            if self.leaves:
                found = leave(self.model, self.datamodule, named, summary, checkpoint)
            else:
                found = measure(self.model, self.datamodule, summary)
            self.recorder.summary["tasks"] = found
            self.recorder.summary["metrics"] |= {
                f"test/{name}": one["test"] for name, one in found.items() if one["test"] is not None
            }
            self.recorder.close()
        self.metrics.close()
        self._close()
        if not self.settings.run.keep_last:
            run_folder.drop_last(self.folder)

    def _examples(self) -> Iterator[TaskBatch]:
        """Training examples of the tasks that were learned, one at a time, spread evenly."""
        keeping = self.model.remains.keeping
        for name, batch in self.datamodule.rows_of_each(keeping.examples if keeping else 0):
            yield TaskBatch(name, batch)

"""The command line of ``pretrain``: that of ``fit``, with text in place of a task and an objective for a strategy."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from transferlab.cli import blame, endings
from transferlab.cli.bounds import check_interval
from transferlab.cli.other import OtherCLI
from transferlab.config.places import find_run
from transferlab.encoders.artifact import is_artifact, pinned
from transferlab.encoders.loading import ENCODER
from transferlab.encoders.packing import enable_packing
from transferlab.ground.errors import TransferlabError
from transferlab.pretraining import saving
from transferlab.pretraining.data import PretrainingData
from transferlab.pretraining.objectives.base import Pretraining
from transferlab.pretraining.recorder import PretrainingRecorder
from transferlab.pretraining.start import Start
from transferlab.record import folder as run_folder
from transferlab.record.config import RunConfig
from transferlab.strategies import content

CHECKPOINT: dict[str, Any] = {
    "monitor": "val/loss",
    "mode": "min",
    "filename": "best",
    "save_weights_only": True,
    "enable_version_counter": False,
}
"""Arguments of Lightning's ``ModelCheckpoint``: the first of the lowest held-out losses."""
TOKENIZER = "tokenizer"
"""Folder of a run with the tokenizer that it trained."""


class PretrainCLI(OtherCLI):
    """Pretrains an encoder: the same Trainer, run directory, checkpoints and loggers as those of a task."""

    kinds = (Pretraining, PretrainingData)
    command = "pretrain"
    linked: ClassVar = {Pretraining: ("tokens", "encoder"), PretrainingData: ("encoder", "seed")}
    ours = ("transferlab.pretraining.objectives", "transferlab.pretraining.data")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds groups, the best checkpoint and links."""
        parser.add_argument("--encoder", type=Start, default=Start(), help="What is pretrained.")
        parser.add_argument("--run", type=RunConfig, default=RunConfig(), help="How the run is named, what it keeps.")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults({f"checkpoint.{key}": value for key, value in CHECKPOINT.items()})
        parser.link_arguments("encoder", "model.init_args.encoder")
        parser.link_arguments("encoder", "data.init_args.encoder")
        parser.link_arguments("seed_everything", "data.init_args.seed")
        parser.link_arguments("data.tokens", "model.init_args.tokens", apply_on="instantiate")

    def choose(self, settings: Any) -> None:
        """Names the very run that is pretrained further, and the tokenizer that a run has trained."""
        encoder = settings.encoder
        if (run := find_run(encoder.name, Path(settings.run.root))) and encoder.new is None:
            encoder.name = str(run)
        if is_artifact(encoder.name) and encoder.new is None:
            encoder.name = pinned(encoder.name)

    def instantiate_classes(self) -> None:
        """Builds data, model and trainer."""
        new, own = self.settings.encoder.new, self.folder / TOKENIZER
        if self.checkpoint is not None and new is not None and own.is_dir():
            # trained once: some kinds give other ids the next time
            self._say_tokenizer(own)
        blame.check_optimizer(self.settings.model.init_args.get("optimizer"))
        with blame.explained(self.settings):
            LightningCLI.instantiate_classes(self)
        self.datamodule.read_as(self.model.reading, self.model.longest)

    def _say_tokenizer(self, own: Path) -> None:
        for group in (
            self.settings.encoder,
            self.settings.model.init_args.encoder,
            self.settings.data.init_args.encoder,
        ):
            group.new.tokenizer = str(own)

    def recorder_of(self, identity: dict[str, Any]) -> PretrainingRecorder:
        """What writes the record of the run."""
        return PretrainingRecorder(self.folder, identity)

    def before_fit(self) -> None:
        """Reads the text, then opens the run: whatever is wrong with the input shows before a folder exists.

        Raises:
            TransferlabError: Too little text, or none that pairs of segments can be cut from.
        """
        model, data = self.model, self.datamodule
        with endings.keeping(self.folder) if self.checkpoint else nullcontext():
            rows = len(data.rows.lengths), len(data.held.lengths)
        if min(rows) < self.trainer.world_size:
            raise TransferlabError(f"data.text: {rows[0]} rows to train on and {rows[1]} held out are too few.")
        if model.reading.pairs and not (data.rows.paired and data.held.paired):
            raise TransferlabError(
                f"model.pairs: {model.reading.pairs} reads two segments of a document, and no sentence begins inside "
                f"of a row of {data.text.name}; leave it out, or give longer documents (data.text.documents)."
            )
        if self.checkpoint:
            self._check_same_text()
        check_interval(self.trainer, data)
        if data.packed:
            enable_packing(model.encoder.backbone)
        self._open(training=True)
        if self.checkpoint is None:
            self.recorder.before(dict(self.trainer.validate(model, data, verbose=False)[0]))

    def _check_same_text(self) -> None:
        known = (run_folder.read_summary(self.folder).get("data") or {}).get("version")
        now = self.datamodule.facts["version"]
        if known and known != now:
            raise TransferlabError(
                f"data.text: since the run was started its documents changed by content ({known} -> {now}). Put the "
                "old ones back, or start a new run."
            )

    def begin_folder(self) -> None:
        """Keeps the tokenizer that the text was read with."""
        self.datamodule.tokenizer.save_pretrained(str(self.folder / TOKENIZER))

    @property
    def saved(self) -> str:
        """The configuration as it was given; a resumed run may read its own tokenizer."""
        path = self.folder / "config.yaml"
        return path.read_text(encoding="utf-8") if self.checkpoint and path.is_file() else str(self.dumped)

    def after_fit(self) -> None:
        """Writes the encoder of the best checkpoint into the run directory."""
        best = Path(self.settings.checkpoint.dirpath) / "best.ckpt"
        if self.trainer.interrupted or not best.is_file():
            self.metrics.close()
            self._close()
            return
        if self.trainer.is_global_zero:
            with endings.keeping(self.folder):
                self.model.load_state_dict(content.read(best)["state_dict"])
                self.recorder.after(self.best.values)
                saving.write(self.model, self.folder, self.recorder.summary)
            # the same weights
            best.unlink()
            self.recorder.close()
        self.metrics.close()
        self._close()
        if not rank_zero_only.rank:  # type: ignore[attr-defined]
            if not self.settings.run.keep_last:
                run_folder.drop_last(self.folder)
            self.recorder.show_next(self.folder / ENCODER)

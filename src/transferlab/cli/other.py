"""What the command lines of ``pretrain`` and ``multitask`` have in common beside that of ``fit``."""

import os
from typing import Any, ClassVar

from lightning.pytorch import Callback

from transferlab.cli.keys.catalog import Catalog, save
from transferlab.cli.keys.collect import PUBLIC, collect
from transferlab.cli.parsing import parsers_of
from transferlab.cli.train import TransferCLI
from transferlab.ground import signals
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.tasks.table import TASKS
from transferlab.tracking import loggers
from transferlab.training import checkpoints, lock


class OtherCLI(TransferCLI):
    """Trains something other than a strategy on one task: the same Trainer, run directory, checkpoints and loggers."""

    linked: ClassVar[dict[type, tuple[str, ...]]] = {}
    """Arguments that are filled from elsewhere."""
    ours: ClassVar[tuple[str, ...]] = ()
    """Modules whose classes are offered by name, beside those of ``fit``."""

    @classmethod
    def run(cls, arguments: list[str]) -> None:
        """Runs a command line of keys."""
        quiet()
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        with signals.handled():
            cls(["fit", *arguments])

    def check_line(self, given: list[str]) -> None:
        """Leaves keys to the parser; to collect all of them takes seconds, which only a message about one needs."""

    @classmethod
    def known(cls, command: str) -> Catalog:
        """All keys of the command without a command line, kept on disk for starts that import no torch."""
        found: Catalog = parsers_of(cls).catalog()
        save(found, command)
        return found

    def catalog(self) -> Catalog:
        """All keys of the command."""
        return collect(self._subcommand_parsers, self.linked, tuple(TASKS), (*PUBLIC, *self.ours))

    def watching(self) -> list[Callback]:
        """No callback: validations are not kept."""
        return []

    @property
    def saved(self) -> str:
        """The configuration as it is written into the run directory."""
        return str(self.dumped)

    def _open(self, training: bool = False) -> None:
        if not self.trainer.is_global_zero:
            return
        recorder: Any = self.recorder
        recorder.open(self.model, self.datamodule, resumed=self.checkpoint is not None)
        lock.acquire(self.folder)
        checkpoints.sweep(self.folder / "checkpoints")
        if self.checkpoint is None:
            self.metrics.path.unlink(missing_ok=True)
            self.begin_folder()
        run_folder.write_text(self.folder / "config.yaml", self.saved)
        loggers.describe(self.trainer.loggers, self.settings, recorder.summary, self.folder)

    def begin_folder(self) -> None:
        """Writes what a new run directory has beside its record."""

"""The command line of ``fit``, ``validate``, ``test`` and ``predict``: groups, links, experiment files."""

import contextlib
import functools
import sys
import warnings
from typing import Any, ClassVar

from jsonargparse import ArgumentError
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from transferlab.cli import bounds
from transferlab.cli.expansion import expand_arguments
from transferlab.cli.keys.catalog import Catalog, load, save
from transferlab.cli.keys.check import Checker
from transferlab.cli.messages import explain
from transferlab.cli.nulls import take_nulls
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hardware import keep_freed_memory
from transferlab.ground.lean import keep_parsers, name_callers
from transferlab.learning.cache import CacheConfig
from transferlab.record import setting
from transferlab.record.config import RunConfig
from transferlab.strategies import Strategy
from transferlab.tasks import TaskDataModule
from transferlab.tasks.table import TASKS
from transferlab.training import selection

# a shortened key would be taken for the whole one; which of the two parsers decides depends on jsonargparse's release
STRICT = {"exit_on_error": False, "allow_abbrev": False}
LINKS = (
    ("encoder", "model.init_args.encoder"),
    ("encoder", "data.init_args.encoder"),
    ("seed_everything", "data.init_args.seed"),
    ("data.spec", "model.init_args.task"),
)
"""Keys that fill arguments of other keys; those have no name of their own."""
LINKED: dict[type, tuple[str, ...]] = {
    kind: tuple(target.rsplit(".", 1)[-1] for _, target in LINKS if target.startswith(f"{key}."))
    for key, kind in (("model", Strategy), ("data", TaskDataModule))
}
"""The arguments that are filled so, by class."""


class ExperimentCLI(LightningCLI):
    """LightningCLI with `encoder`, `run` and `cache` groups, and experiment files with `bases:`."""

    kinds: tuple[type[Any], type[Any]] = (Strategy, TaskDataModule)
    """What `model` and `data` derive from."""
    command: ClassVar[str] = "fit"
    """What the user types to train."""

    def __init__(self, args: ArgsType = None) -> None:
        keep_freed_memory()
        name_callers()
        keep_parsers()
        take_nulls()
        self._given = sys.argv[1:2] if args is None else [*args][:1]
        super().__init__(
            *self.kinds,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults={
                "use_distributed_sampler": False,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
            },
            parser_kwargs={"prog": "transferlab", **STRICT, **{name: dict(STRICT) for name in self.subcommands()}},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's needs no line
        """The command of this line alone, where it names one: the parsers of the others are a tenth of a start."""
        known = LightningCLI.subcommands()
        return {name: known[name] for name in self._given if name in known} or known

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds groups, forced callbacks and links."""
        parser.add_argument("--encoder", type=EncoderConfig, default=EncoderConfig(), help="What is transferred.")
        parser.add_argument(
            "--run", type=RunConfig, default=RunConfig(), help="How the run is named, and what its directory keeps."
        )
        parser.add_argument(
            "--cache",
            type=CacheConfig,
            default=CacheConfig(),
            help="Cached features and hidden states of frozen layers.",
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        groups = {"checkpoint": selection.CHECKPOINT, "early_stopping": selection.STOPPING}
        parser.set_defaults({f"{group}.{key}": value for group, keys in groups.items() for key, value in keys.items()})
        for source, target in LINKS:
            parser.link_arguments(source, target, apply_on="instantiate" if source == "data.spec" else "parse")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Replaces each experiment file by itself laid over its bases; ``--run RUN`` by that run's config.

        ``sys.argv`` stays as it is, since the DDP launcher runs it again.

        Raises:
            TransferlabError: A key or a value that the parser refuses, in the words of this package.
        """
        given = expand_arguments(list(sys.argv[1:] if args is None else args), self.command)
        self.check_line(given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.config = parser.parse_args(given)
            except ArgumentError as error:
                raise TransferlabError(explain(error, self.catalog(), given)) from error
        bounds.check(self.config[self.config["subcommand"]], self.config["subcommand"])

    def check_line(self, given: list[str]) -> None:
        """Checks keys before the parser does; `given` as for `explain`."""
        if known := load() or (collected() if any("{}" in word for word in given) else None):
            # the parser drops an empty mapping before it looks at its key
            Checker(known, given[0]).line(given[1:])

    def catalog(self) -> Catalog:
        """All keys."""
        return collected()

    def _parse_ckpt_path(self) -> None:
        """Reads no checkpoint: it could change the configuration, and is not checked yet."""

    @property
    def settings(self) -> Any:
        """The parsed configuration of the subcommand."""
        return self.config[str(self.subcommand)]

    @functools.cached_property
    def dumped(self) -> str:
        """The parsed configuration, every key of it, as the text of a file."""
        return str(self._parser(self.subcommand).dump(self.settings, skip_validation=True))

    def _tree(self) -> dict[str, Any]:
        return setting.parse(self.dumped)


def parsers_of(kind: type[Any]) -> Any:
    """The parsers of a command line, without one that is parsed.

    Args:
        kind: A class of command lines.
    """

    class Parsers(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            with contextlib.suppress(StopIteration):
                super().__init__([])

        def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
            raise StopIteration

    return Parsers()


@functools.cache
def collected() -> Catalog:
    """All keys, from the parsers themselves; kept on disk for starts that import no torch."""
    from transferlab.cli.keys.collect import collect

    catalog = collect(parsers_of(ExperimentCLI)._subcommand_parsers, LINKED, tuple(TASKS))
    save(catalog)
    return catalog


class _Parsed(ExperimentCLI):
    """Stops behind the parser."""

    def _set_seed(self) -> None: ...

    def before_instantiate_classes(self) -> None:
        """Does nothing."""

    def instantiate_classes(self) -> None:
        """Does nothing."""

    def _run_subcommand(self, subcommand: str) -> None: ...


def check(arguments: list[str]) -> None:
    """Parses a command line without running it.

    Raises:
        TransferlabError: A wrong key or value.
    """
    _Parsed(arguments)


class _Whole(_Parsed):
    """Takes the text of a whole configuration."""

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # as above
        """Only the one that such a configuration is of."""
        return {"fit": LightningCLI.subcommands()["fit"]}

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Reads it.

        Raises:
            TransferlabError: A key or a value that the parser refuses, in the words of this package.
        """
        try:
            self.config = parser.parse_args(["fit", "--config", str(args)])
        except ArgumentError as error:
            raise TransferlabError(explain(error, collected(), ["fit", "--config", str(args)])) from error


def check_text(text: str) -> ExperimentCLI:
    """Parses the text of a whole configuration of ``fit``, as a run directory holds it.

    Raises:
        TransferlabError: A wrong key or value.
    """
    return _Whole(text)  # type: ignore[arg-type]  # handed through to `parse_arguments`

"""Collects the catalog from the parser itself: its actions, and those of every class that a config can name."""

import argparse
import dataclasses
import importlib
import inspect
import pathlib
import re
import warnings
from collections.abc import Iterator, Set
from datetime import timedelta
from typing import Any

import yaml
from lightning.pytorch.cli import LightningArgumentParser

from transferlab.cli.keys.catalog import Catalog, Key, Kind
from transferlab.cli.keys.hints import read

PUBLIC = (
    "transferlab.strategies",
    "transferlab.adapters",
    "transferlab.tasks",
    "transferlab.tracking.wandb_logger",
    "transferlab.tracking.files",
    "transferlab.tracking.servers",
    "transferlab.training.parallel",
    "torch.optim",
    "lightning.pytorch.accelerators",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.plugins",
    "lightning.pytorch.plugins.environments",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
)
"""Modules whose classes are offered by name; others can be named by their whole class path."""
TEXTS = {
    "model": "The strategy: how the encoder is transferred to the task.",
    "data": "The task, or files of your own.",
    "seed_everything": "Seed of weights, order and samples; true draws one.",
    "ckpt_path": "Checkpoint to load; `--run RUN` and `--resume RUN` fill it in.",
    "weights_only": "Read tensors only from the checkpoint; set by the command itself.",
}
"""What a key means here, where the library's text says it for every project."""


def collect(
    parsers: dict[str, Any],
    linked: dict[type, tuple[str, ...]],
    tasks: tuple[str, ...],
    public: tuple[str, ...] = PUBLIC,
) -> Catalog:
    """Collects all keys.

    Args:
        parsers: Parser of each command.
        linked: Arguments of a class, and of those that derive from it, which are filled from elsewhere.
        tasks: Names of the tasks of the table.
        public: Modules whose classes are offered by name.
    """
    collector = _Collector(linked, public)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: dict[str, Key] = {}
        for command, parser in parsers.items():
            for key in collector.keys(parser):
                known = found.get(key.name, key)
                found[key.name] = dataclasses.replace(known, commands=(*known.commands, command))
    return Catalog(tuple(found.values()), collector.kinds, tasks)


class _Collector:
    """Walks actions; each class is walked once."""

    def __init__(self, linked: dict[type, tuple[str, ...]], public: tuple[str, ...]) -> None:
        self.linked = linked
        self.kinds: dict[str, Kind] = {}
        self.offered = dict(_offered(public))

    def keys(self, parser: Any, required: Set[str] = frozenset()) -> Iterator[Key]:
        """The keys of a parser; those that must be given have no default."""
        for action in parser._actions:
            # an argument without a type is a text
            hint = getattr(action, "_typehint", str if type(action) is argparse._StoreAction else None)
            if hint is None or str(action.dest).endswith(".help") or not action.option_strings:
                continue
            default = "" if action.dest in required else _yaml(action.default)
            yield from self._key(str(action.dest), hint, default, action.help or "")

    def _key(self, name: str, annotation: Any, default: str, text: str) -> Iterator[Key]:
        hint = read(annotation)
        classes = self._classes([base for base, _ in hint.bases])
        skip = max((count for _, count in hint.bases), default=0)
        for path in classes:
            self._walk(path, self.offered[path], skip)
        text = TEXTS.get(name) or paragraph(text)
        usual, said = self._usual(default, classes) if classes else ("", "")
        text = f"{text} Default: {said}" if said else text
        yield Key(name, hint.schema, default, text, tuple(classes), usual, hint.many and bool(classes))
        for kind in hint.fields:
            parser = _parser_of(kind, 0, ())
            for key in self.keys(parser) if parser else ():
                yield dataclasses.replace(key, name=f"{name}.{key.name}")

    def _classes(self, bases: list[type]) -> list[str]:
        """The classes to name where these are asked for; a base is none where others derive from it."""
        found = [(path, kind) for path, kind in self.offered.items() if issubclass(kind, tuple(bases))]
        kinds = [kind for _, kind in found]
        return [
            path
            for path, kind in found
            if not any(o is not kind and issubclass(o, kind) for o in kinds) or kind not in bases
        ]

    def _usual(self, default: str, classes: list[str]) -> tuple[str, str]:
        """The class path of a default; of a function that makes an instance, also what it says of itself."""
        named = next((path for path in classes if path.rsplit(".", 1)[-1] == default or path == default), "")
        module, _, name = default.rpartition(".")
        if named or not module.startswith("transferlab."):
            return named, ""
        function = getattr(importlib.import_module(module), name)
        made = inspect.get_annotations(function, eval_str=True).get("return")
        return next((path for path in classes if self.offered[path] is made), ""), paragraph(inspect.getdoc(function))

    def _walk(self, path: str, kind: type, skip: int) -> None:
        if path in self.kinds:
            return
        linked = next((names for base, names in self.linked.items() if issubclass(kind, base)), ())
        # known from here on, so that classes that hold one another end
        self.kinds[path] = Kind(path, paragraph(inspect.getdoc(kind)), (), linked)
        parser = _parser_of(kind, skip, linked)
        if parser is None:
            del self.kinds[path]
            return
        self.kinds[path] = dataclasses.replace(self.kinds[path], keys=tuple(self.keys(parser, _required(kind))))


def _offered(public: tuple[str, ...]) -> Iterator[tuple[str, type]]:
    seen: set[Any] = set()
    for module in public:
        content = importlib.import_module(module)
        own = [name for name, kind in vars(content).items() if getattr(kind, "__module__", "") == module]
        for name in getattr(content, "__all__", own):
            kind = getattr(content, name, None)
            if not inspect.isclass(kind) or inspect.isabstract(kind) or seen & {kind, name} or name.startswith("_"):
                continue
            # of two with one name the first one is meant: ours
            seen |= {kind, name}
            yield f"{module}.{name}", kind


def _parser_of(kind: type, skip: int, linked: tuple[str, ...]) -> Any:
    """A parser of a class's arguments without the first `skip` ones; None where it has none that can be read."""
    parser = LightningArgumentParser(exit_on_error=False)
    try:
        positional = list(inspect.signature(kind).parameters)[:skip]
        parser.add_class_arguments(kind, None, fail_untyped=False, skip={*positional, *linked})
    except Exception:  # whatever the signature of a library's class makes of it: it is not offered
        return None
    return parser


def _required(kind: type) -> set[str]:
    parameters = inspect.signature(kind).parameters.values()
    return {parameter.name for parameter in parameters if parameter.default is parameter.empty}


def _yaml(value: Any) -> str:
    """A default in one line of YAML."""
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, dict) and "class_path" in value and not value.get("init_args"):
        value = value["class_path"].rsplit(".", 1)[-1]
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, pathlib.Path | timedelta):
        value = str(value)
    try:
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    except yaml.YAMLError:
        text = str(value)
    return text.removesuffix("...\n").strip()


def paragraph(text: str | None) -> str:
    """The first paragraph of a docstring in plain words: without Sphinx roles, double backquotes and defaults."""
    first = re.split(r"\n\s*\n|\n\s*\.\. |Example::?", text or "")[0]
    first = re.sub(r":\w+:`~?([^`<]*?)(?:\s*<[^>]*>)?`", lambda match: match[1].rsplit(".", 1)[-1], first)
    first = re.sub(r"\s*Defaults?(?: is|s to|:)?:? ?(?:``[^`]*``|\w+)\.?\s*$", "", first)
    first = re.sub(r"`[^`]*<https?://[^`]*`_", lambda match: match[0].split("<")[0].strip("` "), first)
    for python, word in (("None", "null"), ("True", "true"), ("False", "false")):
        first = re.sub(rf"\b{python}\b", word, first)
    return re.sub(r"\s+", " ", first.replace("``", "`")).strip()

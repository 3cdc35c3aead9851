"""Checks the keys of a command line and of its files against the catalog, without torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from transferlab.cli.keys.catalog import Catalog, Key, Kind
from transferlab.cli.keys.nearest import nearest
from transferlab.cli.keys.words import NOTHING
from transferlab.config import plain
from transferlab.config.trees import Tree, merge
from transferlab.ground.errors import TransferlabError, did_you_mean

OF_A_CLASS = ("class_path", "init_args", "dict_kwargs")
NULL = {"type": "null"}
ARGUMENTS = ("experiment", "config", "resume", "run", "task", "strategy", "logger", "print_config")
"""What can be given on the command line and is no key."""
MOST = 12
"""Keys of a group that are listed, at most."""


@dataclass
class Node:
    """A place in the tree of keys."""

    key: Key | None = None
    children: "dict[str, Node]" = field(default_factory=dict)


def tree_of(keys: Sequence[Key]) -> Node:
    """Dotted keys as a tree."""
    root = Node()
    for key in keys:
        node = root
        for part in key.name.split("."):
            node = node.children.setdefault(part, Node())
        node.key = key
    return root


class Checker:
    """Reads a command line from left to right, as the parser does, and knows the classes that it names.

    Args:
        catalog: All keys.
        command: ``fit``, ``validate``, ``test`` or ``predict``.
    """

    def __init__(self, catalog: Catalog, command: str) -> None:
        self.catalog, self.command = catalog, command
        self.root = tree_of(catalog.of(command))
        self.tree: Tree = {}

    def line(self, given: Sequence[str]) -> Tree:
        """Checks what follows the command, files already read, and returns all settings as one tree.

        Raises:
            TransferlabError: A key that is not there, or a word that belongs to no key.
        """
        for name, value in options(given):
            if name in {"--config", "-c"}:
                self.file(yaml.safe_load(value or "") or {})
            else:
                self.option(name, value)
        return self.tree

    def file(self, tree: Tree) -> None:
        """Checks a file's tree and lays it over what came before."""
        self.tree = merge(self.tree, tree)
        self._walk(self.root, tree, self.tree, "")

    def option(self, name: str, value: str | None) -> None:
        """Checks an option and sets its value.

        Raises:
            TransferlabError: No such key, or no value behind it.
        """
        dotted = name.lstrip("-").removesuffix("+")
        if name.startswith("--print_config") or dotted.split(".")[-1] == "help":
            return
        parts = dotted.split(".")
        path = self._find(name, parts)
        if value is None:
            raise TransferlabError(f"{name} needs a value behind it.")
        if path is not None:
            self._set(path, value, append=name.endswith("+"))

    # the command line -------------------------------------------------------------------------------------------------

    def _find(self, name: str, parts: list[str]) -> list[str] | None:
        """The path of a dotted option in the tree, ``init_args`` filled in; None where the class is not known here."""
        node, path = self.root, list[str]()
        value: Any = self.tree
        for place, part in enumerate(parts):
            if node.key and node.key.classes:
                if part == "init_args":
                    continue
                if part in OF_A_CLASS:
                    return [*path, part]
                kinds = self._kinds(node.key, value)
                if not kinds or part in _linked(kinds):
                    return None
                if path[1:] or node.key.name not in {"model", "data"}:
                    self._require_class(name, parts, part, node.key, kinds, value)
                node, value = self.inside(kinds, value)
                path.append("init_args")
            elif node.key and not node.children and _is_free(node.key):
                return [*path, *parts[place:]]
            if part not in node.children:
                self._refuse(name, parts, options=True)
            node = node.children[part]
            value = value.get(part) if isinstance(value, dict) else None
            path.append(part)
        return path

    def _require_class(self, name: str, parts: list[str], part: str, key: Key, kinds: list[Kind], value: Any) -> None:
        """Refuses an argument of a class where none is named; the parser would take it for one of the base class."""
        named = isinstance(value, list | str) or (isinstance(value, dict) and "class_path" in value)
        if named or key.default.rsplit(".", 1)[-1] in {kind.name for kind in kinds}:
            return
        having = [kind for kind in kinds if part in {inner.name.split(".")[0] for inner in kind.keys}]
        if having:
            above = ".".join(other for other in parts[: parts.index(part)] if other not in OF_A_CLASS)
            raise TransferlabError(f"{name}: no class is named yet; write --{above} {having[0].name} before it.")

    def _set(self, path: list[str], value: str, append: bool) -> None:
        try:
            parsed: Any = yaml.safe_load(value)
        except (yaml.YAMLError, RecursionError):
            parsed = value
        node = self.root
        for part in path:
            node = node.children.get(part, Node())
        if node.key and node.key.classes and isinstance(parsed, str):
            kind = self.catalog.find(parsed, node.key)
            parsed = {"class_path": kind.path if kind else parsed}
        tree: Any = [parsed] if append else parsed
        for part in reversed(path):
            tree = {part: tree}
        self.tree = merge(self.tree, tree)

    # files ------------------------------------------------------------------------------------------------------------

    def _walk(self, node: Node, value: Any, known: Any, path: str) -> None:
        """Checks every key below a node; `known` is the same place in all that was read so far."""
        if node.key and node.key.classes:
            for entry in value if isinstance(value, list) else [value]:
                if isinstance(entry, dict):
                    self._walk_class(node.key, entry, known if isinstance(known, dict) else entry, path)
        elif node.children and isinstance(value, Mapping):
            for name, below in value.items():
                whole = f"{path}.{name}".lstrip(".")
                if name not in node.children:
                    self._refuse(whole, whole.split("."))
                self._walk(node.children[name], below, known.get(name) if isinstance(known, dict) else None, whole)

    def _walk_class(self, key: Key, value: Tree, known: Tree, path: str) -> None:
        for name in value:
            if name not in OF_A_CLASS:
                self._refuse(f"{path}.{name}", f"{path}.{name}".split("."))
        kinds = self._kinds(key, known)
        arguments = value.get("init_args")
        if not kinds or not isinstance(arguments, dict):
            return
        inside, below = self.inside(kinds, known)
        own = {name: below for name, below in arguments.items() if name not in _linked(kinds)}
        self._walk(inside, own, below, f"{path}.init_args")

    # classes ----------------------------------------------------------------------------------------------------------

    def _kinds(self, key: Key, value: Any) -> list[Kind]:
        """The classes that may be meant at a key: the named one, the default, else all; none if it is unknown here."""
        if isinstance(value, list):
            value = value[-1] if value else None
        named = value.get("class_path") if isinstance(value, dict) else value if isinstance(value, str) else None
        if isinstance(named, str):
            kind = self.catalog.find(named, key)
            return [kind] if kind else []
        usual = self.catalog.kinds.get(key.usual)
        return [usual] if usual else self.catalog.behind(key)

    def inside(self, kinds: list[Kind], value: Any) -> tuple[Node, Any]:
        """The keys of classes as a tree, those of the first one where two differ, and what is given for them."""
        keys = {key.name: key for kind in reversed(kinds) for key in kind.keys}
        return tree_of(list(keys.values())), value.get("init_args") if isinstance(value, dict) else None

    # suggestions ------------------------------------------------------------------------------------------------------

    def reachable(self) -> dict[str, str]:
        """All keys that could be given now: as an option, and as a path in a file."""
        return {short: long for short, long, _ in self._reachable(self.root, self.tree, "", "", ())}

    def options(self) -> dict[str, Key]:
        """All keys that could be given now, as options without dashes."""
        return {short: key for short, _, key in self._reachable(self.root, self.tree, "", "", ())}

    def _reachable(
        self, node: Node, value: Any, short: str, long: str, above: tuple[str, ...]
    ) -> Iterator[tuple[str, str, Key]]:
        for name, child in node.children.items():
            below = value.get(name) if isinstance(value, dict) else None
            if child.key:
                yield f"{short}{name}", f"{long}{name}", child.key
            if child.key and child.key.classes:
                kinds = [kind for kind in self._kinds(child.key, below) if kind.path not in above]
                # of a class that is one of many, and not named, nothing can be set
                if not child.key.many and (below is not None or child.key.schema in (NOTHING, NULL)):
                    inside, arguments = self.inside(kinds, below)
                    paths = (*above, *(kind.path for kind in kinds))
                    yield from self._reachable(inside, arguments, f"{short}{name}.", f"{long}{name}.init_args.", paths)
            else:
                yield from self._reachable(child, below, f"{short}{name}.", f"{long}{name}.", above)

    def _refuse(self, given: str, parts: list[str], options: bool = False) -> NoReturn:
        known = self.reachable()
        plain = ".".join(part for part in parts if part not in OF_A_CLASS)
        # a group such as `trainer` is a place, not a key, yet it may be what was misspelt
        groups = {name: name for name in self.root.children}
        extra = {name: name for name in ARGUMENTS} if options else {}
        found = nearest(plain, list({**known, **groups, **extra}))
        said = [f"--{name}" if options else known.get(name, name) for name in found]
        above = plain.rpartition(".")[0]
        if above and all(plain.startswith(f"{name}.") for name in found):
            # what it stands in is no other name for it
            said = []
        beside = [name[len(above) + 1 :] for name in known if name.rpartition(".")[0] == above]
        takes = f"; {above} takes {', '.join(beside[:MOST])}" if above in known and beside else ""
        hint = did_you_mean(said) or self._owners(parts) or takes
        more = (
            f" `transferlab {self.command} --help {parts[0]}` shows all keys of {parts[0]}."
            if parts[0] in groups
            else ""
        )
        raise TransferlabError(f"no key {given!r}{hint}.{'' if said else more}")

    def _owners(self, parts: list[str]) -> str:
        """The classes that know a key which the named class does not know."""
        names = [kind.name for kind in self.catalog.kinds.values() if parts[-1] in {key.name for key in kind.keys}]
        return (
            f": it is a key of {', '.join(names[:3])}, which this experiment does not name"
            if names and len(parts) > 1
            else ""
        )


def _linked(kinds: list[Kind]) -> set[str]:
    return {name for kind in kinds for name in kind.linked}


def _is_free(key: Key) -> bool:
    """Whether names of the user's own can stand below a key."""
    branches = key.schema.get("anyOf", [key.schema])
    return any(branch in ({}, {"type": "object"}) for branch in branches)


def options(given: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Options with their values, in order.

    Raises:
        TransferlabError: A word that belongs to no option.
    """
    rest = list(given)
    while rest:
        name, assigned, given_value = rest.pop(0).partition("=")
        if not is_option(name):
            raise TransferlabError(misplaced(name))
        takes = not assigned and rest and not is_option(rest[0]) and not name.startswith("--print_config")
        value = given_value if assigned else rest.pop(0) if takes else None
        if value and name not in {"--config", "-c"} and any(mark in value for mark in "[{&"):
            _check_plain(name, value)
        yield name, value


def _check_plain(name: str, value: str) -> None:
    try:
        plain.load(value)
    except plain.Refused as error:
        raise TransferlabError(f"{name}: {error}.") from error
    except yaml.YAMLError:
        # text that the parser may well take
        return


def is_option(word: str) -> bool:
    """Whether a word is the name of an option; a negative number is a value."""
    try:
        float(word)
    except ValueError:
        return word.startswith("-") and len(word) > 1
    return False


def misplaced(word: str) -> str:
    """What to say of a word that belongs to no option."""
    return f"{word!r} stands alone: every value follows its key, as in --trainer.max_epochs 3."

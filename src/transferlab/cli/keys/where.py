"""In which file of the user's, and in which line, a key stands that a message is about."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from transferlab.cli.keys.check import OF_A_CLASS
from transferlab.config import experiments, trees
from transferlab.config.shipped import SHIPPED
from transferlab.ground.errors import TransferlabError

KEY = re.compile(r"(?:no key ')?([A-Za-z_]\w*(?:\.\w+)*)")


def told(arguments: Sequence[str], message: str) -> str:
    """Where the key of a message stands, in words; empty where it was given on the command line or in no such file.

    Args:
        arguments: The command line.
        message: It begins with the key, or with ``no key``.
    """
    found = KEY.match(message)
    if not found:
        return ""
    key = _plain(found[1].split("."))
    if any(_plain(word.lstrip("-").partition("=")[0].split(".")) == key for word in arguments if word[:2] == "--"):
        return ""
    # a message is no place for another one: a name that is none has been told already
    with suppress(TransferlabError, OSError):
        for file in _files(arguments):
            if line := next((line for path, line in lines(file) if path == key), 0):
                return f" It stands in {os.path.relpath(file)}, line {line}."
    return ""


def lines(file: Path) -> list[tuple[tuple[str, ...], int]]:
    """All keys of a file as paths without ``init_args`` and the like, and the line of each, from 1."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        return list(_below(root, ()))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return []


def _below(node: yaml.Node | None, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _below(entry, above)
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            path = _plain([*above, *str(name.value).split(".")])
            yield path, name.start_mark.line + 1
            yield from _below(value, path)


def _plain(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for part in parts if part not in OF_A_CLASS)


def _files(arguments: Sequence[str]) -> Iterator[Path]:
    """The user's files that a command line names, and those that they are laid over, the ones that win first."""
    for place, word in enumerate(arguments):
        name, given, value = word.partition("=")
        if name in {"--config", "-c", "--experiment"}:
            value = value if given else "".join(arguments[place + 1 : place + 2])
            file = experiments.resolve(value) if name == "--experiment" else Path(value)
            if file is not None:
                yield from _with_bases(file, ())


def _with_bases(file: Path, chain: tuple[Path, ...]) -> Iterator[Path]:
    if file in chain or SHIPPED in file.absolute().parents:
        return
    yield file
    bases = trees.read_yaml(file).get("bases") or []
    for base in reversed(bases if isinstance(bases, list) else []):
        yield from _with_bases(trees.find_base(str(base), file), (*chain, file))

"""All keys of ``fit``, ``validate``, ``test`` and ``predict``, kept on disk so that help and checks need no torch."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from transferlab.config.places import cache_folder

LIBRARIES = ("jsonargparse", "docstring-parser", "lightning", "torch", "transformers", "peft", "wandb", "torchmetrics")
"""Whose signatures and docstrings a catalog is made of, beside our own."""
SOURCE = Path(__file__).parents[2]
KEPT = 8
"""Catalogs that stay on disk; several environments may share a cache folder."""


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        name: Dotted name; of a top-level key the whole one, in a class the one below ``init_args``.
        schema: JSON schema of its plain values; empty where only a class can stand here.
        default: The default as YAML; empty where the key must be given.
        text: What it means, in one paragraph.
        classes: Class paths that can stand here, those of the public modules.
        usual: The class path of the default; empty where it is none.
        many: A list of classes can stand here too.
        commands: The commands that know it; empty in a class.
    """

    name: str
    schema: dict[str, Any]
    default: str = ""
    text: str = ""
    classes: tuple[str, ...] = ()
    usual: str = ""
    many: bool = False
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A class that a config can name.

    Attributes:
        path: Its class path.
        text: The first paragraph of its docstring.
        keys: What its ``init_args`` hold.
        linked: Arguments that are filled from elsewhere.
    """

    path: str
    text: str
    keys: tuple[Key, ...]
    linked: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The class's own name."""
        return self.path.rsplit(".", 1)[-1]


@dataclass(frozen=True)
class Catalog:
    """All keys, and the classes that can stand behind them."""

    keys: tuple[Key, ...]
    kinds: dict[str, Kind]
    tasks: tuple[str, ...] = ()

    def of(self, command: str) -> list[Key]:
        """The top-level keys of a command."""
        return [key for key in self.keys if command in key.commands]

    def behind(self, key: Key) -> list[Kind]:
        """The classes that can stand at a key, those whose arguments are known."""
        return [self.kinds[path] for path in key.classes if path in self.kinds]

    def find(self, path: str, key: Key) -> Kind | None:
        """The class behind a class path, or behind the bare name of one that can stand at `key`."""
        if path in self.kinds:
            return self.kinds[path]
        return next((kind for kind in self.behind(key) if kind.name == path), None)


@functools.cache
def fingerprint(source: Path = SOURCE) -> str:
    """What a catalog depends on: Python, the libraries' releases, and the content of our own source files."""
    digest = hashlib.sha256(repr(sys.version_info).encode())
    for library in LIBRARIES:
        try:
            digest.update(f"{library}={metadata.version(library)}\n".encode())
        except metadata.PackageNotFoundError:
            digest.update(f"{library} is missing\n".encode())
    for path in sorted(source.rglob("*.py")):
        digest.update(str(path.relative_to(source)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def place(command: str = "") -> Path:
    """The file of this installation's catalog, whether or not it is there.

    Args:
        command: Of which command; empty: of those of an experiment.
    """
    return cache_folder() / "keys" / f"{fingerprint()}{command and f'-{command}'}.json"


def load(command: str = "") -> Catalog | None:
    """The catalog of this installation, if it was collected before; `command` as for `place`."""
    try:
        content = json.loads(place(command).read_text(encoding="utf-8"))
        kinds = {
            path: Kind(path, kind["text"], _keys(kind["keys"]), tuple(kind["linked"]))
            for path, kind in content["kinds"].items()
        }
        return Catalog(_keys(content["keys"]), kinds, tuple(content["tasks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keys(entries: list[dict[str, Any]]) -> tuple[Key, ...]:
    return tuple(
        Key(**{**entry, "classes": tuple(entry["classes"]), "commands": tuple(entry["commands"])}) for entry in entries
    )


def save(catalog: Catalog, command: str = "") -> None:
    """Keeps a catalog for later starts; where the cache folder cannot be written it is collected again each time."""
    path = place(command)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(dataclasses.asdict(catalog)), encoding="utf-8")
        os.replace(temporary, path)
        for old in sorted(path.parent.glob("*.json"), key=lambda other: -other.stat().st_mtime)[KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()

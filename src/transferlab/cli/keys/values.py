"""Which value the parser refused, and what it may be, in words of YAML."""

import importlib
from collections.abc import Iterator
from typing import Any

import yaml

from transferlab.cli.keys.catalog import Key, Kind
from transferlab.cli.keys.check import Checker, Node, tree_of
from transferlab.cli.keys.words import NOTHING, Schema, alternatives, choices, describe, shown
from transferlab.ground.errors import near

PYTHON: dict[str, Any] = {
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "string": str,
    "null": type(None),
    "object": dict,
}


def wrong_values(checker: Checker) -> Iterator[str]:
    """A line for each value that does not fit its key; empty where none is found.

    Keys are named as on the command line, without ``init_args``.
    """
    yield from _walk(checker, checker.root, checker.tree, "")
    for name, node in checker.root.children.items():
        if node.key and name not in checker.tree and (kind := checker.catalog.kinds.get(node.key.usual)):
            yield from _arguments(checker, kind, {}, name)


def _walk(checker: Checker, node: Node, value: Any, path: str) -> Iterator[str]:
    key = node.key
    if key and key.classes:
        for entry in value if isinstance(value, list) else [value]:
            yield from _class(checker, key, entry, path)
    elif isinstance(value, dict) and node.children:
        for name, below in value.items():
            if name in node.children:
                yield from _walk(checker, node.children[name], below, f"{path}.{name}".lstrip("."))
    elif key is None:
        # a file can be named in place of a group
        if value is not None and not str(value).endswith((".yaml", ".yml", ".json")):
            such = f"`{path}: {{{next(iter(node.children))}: ...}}`"
            yield f"{path}: must be a mapping such as {such}, not {shown(value)}."
    elif not fits(key.schema, value):
        yield f"{path}: must be {describe(key.schema)}, not {shown(value)}{_remedy(key.schema, value)}."


def _class(checker: Checker, key: Key, value: Any, path: str) -> Iterator[str]:
    if fits(key.schema, value):
        return
    if isinstance(value, str):
        value = {"class_path": value}
    if not isinstance(value, dict):
        yield f"{path}: must be {takes(checker, key)}, not {shown(value)}."
        return
    named = value.get("class_path")
    kind = checker.catalog.find(key.usual if named is None else str(named), key)
    if named is None and kind is None:
        yield f"{path}.class_path is missing; it names one of {_listed(checker, key)}."
    elif kind:
        yield from _arguments(checker, kind, value.get("init_args") or {}, path)
    elif reason := unknown_class(checker, key, str(named)):
        yield f"{path}: {reason}."


def _arguments(checker: Checker, kind: Kind, arguments: Any, path: str) -> Iterator[str]:
    if not isinstance(arguments, dict):
        yield f"{path}: must be a mapping of the arguments of {kind.name}, not {shown(arguments)}."
        return
    yield from _walk(checker, tree_of(kind.keys), arguments, path)
    for key in kind.keys:
        if not key.default and key.name not in arguments and "." not in key.name:
            yield f"{path}.{key.name} is missing; {kind.name} needs it."


def takes(checker: Checker, key: Key) -> str:
    """What a key with classes takes, in words."""
    plain = describe(key.schema) if key.schema != NOTHING else ""
    return alternatives([*filter(None, [f"a class ({_listed(checker, key)})", plain])])


def _listed(checker: Checker, key: Key) -> str:
    names = [kind.name for kind in checker.catalog.behind(key)]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def unknown_class(checker: Checker, key: Key, named: str) -> str:
    """What is wrong with a class path; empty where it can be imported."""
    module, _, name = named.rpartition(".")
    names = [kind.name for kind in checker.catalog.behind(key)]
    if not module:
        return f"no class {shown(named)}{near(named, names) or f'; there are {_listed(checker, key)}'}"
    try:
        found = importlib.import_module(module)
    except (ImportError, TypeError, ValueError) as error:
        # the latter two for what is no path of a module at all
        paths = list(checker.catalog.kinds)
        return f"no module {module!r} ({error}){near(named, paths)}"
    if not hasattr(found, name):
        return f"no class {named!r}{near(name, list(dict.fromkeys([*names, *getattr(found, '__all__', [])])))}"
    return f"{named!r} cannot stand here; there are {_listed(checker, key)}" if named in checker.catalog.kinds else ""


def fits(schema: Schema, value: Any) -> bool:
    """Whether a value fulfils a schema; text from the command line counts as what YAML makes of it."""
    if "anyOf" in schema:
        return any(fits(branch, value) for branch in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"] or str(value) in map(str, schema["enum"])
    if schema == NOTHING:
        return False
    kind = schema.get("type")
    if kind == "array":
        return _fits_list(schema, value)
    if isinstance(value, str) and kind in {"integer", "number", "boolean", "null", "object"}:
        value = _read(value)
    if isinstance(value, bool):
        return kind in {None, "boolean"}
    return kind is None or isinstance(value, PYTHON[kind])


def _fits_list(schema: Schema, value: Any) -> bool:
    value = _read(value) if isinstance(value, str) else value
    if not isinstance(value, list):
        return False
    items = schema.get("items", {})
    if isinstance(items, list):
        return len(items) == len(value) and all(fits(item, entry) for item, entry in zip(items, value, strict=True))
    return all(fits(items, entry) for entry in value)


def _read(text: str) -> Any:
    try:
        return float(text) if not text.lstrip("+-").isdigit() else int(text)
    except ValueError:
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return text


def _remedy(schema: Schema, value: Any) -> str:
    words = choices(schema)
    if words and len(str(value)) > 2:
        return near(str(value), [word for word in words if word not in {"null", "true", "false"}])
    if isinstance(value, str) and fits(schema, value.replace(",", ".")):
        return f"; the decimal sign is a point: {value.replace(',', '.')}"
    if not isinstance(value, list | dict) and fits(schema, [value]):
        return f"; write [{value}]"
    return ""

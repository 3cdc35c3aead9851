"""Type hints as data: the JSON schema of plain values, and the classes that can stand in their place."""

import collections.abc
import dataclasses
import enum
import inspect
import pathlib
import types
import typing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch

from transferlab.cli.keys.words import NOTHING, Schema

SCALARS: dict[Any, Schema] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    dict: {"type": "object"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    type(None): {"type": "null"},
    None: {"type": "null"},
    pathlib.Path: {"type": "string"},
    timedelta: {"type": "string"},
    collections.abc.Callable: {"type": "string"},
    # a library's word for a number that may live on a device; nobody writes one into a file
    torch.Tensor: NOTHING,
    Any: {},
    object: {},
}
SEQUENCES = (list, tuple, set, collections.abc.Iterable, collections.abc.Sequence)
MAPPINGS = (dict, collections.abc.Mapping)
UNIONS = (typing.Union, types.UnionType)


@dataclass(frozen=True)
class Hint:
    """What a type hint says.

    Attributes:
        schema: Of the plain values.
        bases: Base classes, each with the number of arguments that it is called with later.
        fields: Dataclasses whose fields are keys.
        many: A list of classes can be given.
    """

    schema: Schema
    bases: tuple[tuple[type, int], ...] = ()
    fields: tuple[type, ...] = ()
    many: bool = False


def read(hint: Any) -> Hint:
    """Reads a type hint; of what JSON has no word for, any value is right."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in UNIONS:
        return _union([read(argument) for argument in arguments])
    if origin is Literal:
        return Hint({"enum": list(arguments)})
    if origin in SEQUENCES:
        return _sequence(origin, [read(argument) for argument in arguments if argument is not ...])
    if origin in MAPPINGS:
        return Hint({"type": "object"})
    if origin is collections.abc.Callable:
        if not arguments:
            return Hint({"type": "string"})
        count = len(arguments[0]) if isinstance(arguments[0], list) else 0
        return Hint(NOTHING, tuple((base, count) for base, _ in read(arguments[-1]).bases))
    return _single(hint)


def _single(hint: Any) -> Hint:
    if hint in SCALARS:
        return Hint(SCALARS[hint])
    if not inspect.isclass(hint):
        return Hint({})
    if issubclass(hint, enum.Enum):
        return Hint({"enum": [member.name for member in hint]})
    if dataclasses.is_dataclass(hint):
        return Hint({"type": "object"}, fields=(hint,))
    return Hint(NOTHING, ((hint, 0),))


def _union(parts: list[Hint]) -> Hint:
    schemas = [part.schema for part in parts if part.schema != NOTHING]
    return Hint(
        schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else NOTHING,
        tuple(base for part in parts for base in part.bases),
        tuple(kind for part in parts for kind in part.fields),
        any(part.many for part in parts),
    )


def _sequence(origin: Any, parts: list[Hint]) -> Hint:
    if bases := tuple(base for part in parts for base in part.bases):
        return Hint(NOTHING, bases, many=True)
    schemas = [part.schema for part in parts]
    if origin is tuple and len(schemas) > 1:
        return Hint({"type": "array", "items": schemas, "minItems": len(schemas), "maxItems": len(schemas)})
    return Hint({"type": "array", "items": schemas[0]} if schemas else {"type": "array"})

"""A JSON schema of experiment files and configs, from which editors complete and check keys."""

import json
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

import yaml

from transferlab.cli.keys.catalog import Catalog, Key, Kind
from transferlab.cli.keys.check import OF_A_CLASS, Node, tree_of
from transferlab.cli.keys.words import NOTHING, Schema

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The one that editors know best."""
MAPPING: Schema = {"type": "object"}
OWN_CLASS = r"^(?!(?:{modules})\.\w+$)\w+(?:\.\w+)+$"
"""A class path that is none of the public modules, whose classes are all known."""


def of_experiments(catalog: Catalog, bases: Sequence[str]) -> Schema:
    """The schema of experiment files, and of configs, which are parts of one.

    Every key may be missing, since bases can hold it. Without ``class_path`` the arguments of all classes that can
    stand there are right.

    Args:
        catalog: All keys.
        bases: Names of configs, for completion; others are right too.
    """
    writer = _Writer(catalog)
    known = writer.node(tree_of(catalog.of("fit")))
    first = {"bases": {"type": "array", "items": named(bases), "description": "Configs, each laid over those before."}}
    return {
        "$schema": DRAFT,
        "title": "transferlab experiment",
        **known,
        "properties": {**first, **known["properties"]},
        "definitions": writer.definitions,
    }


def of_overrides(catalog: Catalog) -> Schema:
    """The schema of a mapping from dotted keys, as on the command line, to values."""
    keys = dict(_dotted(catalog, catalog.of("fit"), "", ()))
    plain = {name: _told({} if key.schema == NOTHING or key.classes else key.schema, key) for name, key in keys.items()}
    groups = {name.split(".")[0]: MAPPING for name in plain if "." in name}
    # what stands below other classes is left to the parser
    loose = [name for name, key in keys.items() if key.classes and not _is_unfolded(key)]
    patterns = [rf"^{name.replace('.', '[.]')}[.]" for name in loose] + [rf"[.]({'|'.join(OF_A_CLASS)})([.]|$)"]
    return {
        "type": "object",
        "properties": {**groups, **plain},
        "patternProperties": {pattern: {} for pattern in patterns},
        "additionalProperties": False,
    }


def _dotted(catalog: Catalog, keys: Iterable[Key], prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, Key]]:
    """All keys as on the command line, those of strategies, methods, optimizers and loggers among them."""
    for key in keys:
        yield f"{prefix}{key.name}", key
        for kind in catalog.behind(key) if _is_unfolded(key) else ():
            if kind.path not in above:
                yield from _dotted(catalog, kind.keys, f"{prefix}{key.name}.", (*above, kind.path))


def _is_unfolded(key: Key) -> bool:
    return bool(key.classes) and all(path.startswith(("transferlab.", "torch.optim.")) for path in key.classes)


def named(known: Iterable[str]) -> Schema:
    """Text, of which an editor offers what is known."""
    return {"anyOf": [{"enum": list(known)}, {"type": "string"}]}


class _Writer:
    """Writes schemas of keys; those of classes stand among the definitions, once each."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.definitions: dict[str, Schema] = {}

    def node(self, node: Node) -> Schema:
        """The schema of what stands at a place in the tree of keys."""
        key, branches = node.key, []
        if node.children:
            inside = {name: self.node(child) for name, child in node.children.items()}
            branches.append({"type": "object", "properties": inside, "additionalProperties": False})
        if key is None:
            return branches[0] if branches else {}
        plain = [one for one in key.schema.get("anyOf", [key.schema]) if one != NOTHING]
        # a mapping with known keys is no free one
        branches += [one for one in plain if not (node.children and one == MAPPING)]
        if key.classes:
            slot = self._slot(key)
            branches += [slot, {"type": "array", "items": slot}] if key.many else [slot]
        # of an object of a library, such as torch.dtype, the parser alone knows how to write it
        return _told({"anyOf": branches} if len(branches) > 1 else branches[0] if branches else {}, key)

    def _slot(self, key: Key) -> Schema:
        """A class by name or path, or with arguments."""
        name = f"one of {', '.join(path.rsplit('.', 1)[-1] for path in key.classes)}"
        if name not in self.definitions:
            # known from here on, so that classes that hold one another end
            self.definitions[name] = {}
            self.definitions[name] = {"anyOf": [_paths(self.catalog, key), self._with_arguments(key)]}
        return {"$ref": f"#/definitions/{_escaped(name)}"}

    def _with_arguments(self, key: Key) -> Schema:
        kinds = self.catalog.behind(key)
        unnamed = {"not": {"required": ["class_path"]}}
        cases = [(_is(kind.path), self._arguments([kind])) for kind in kinds]
        cases += [(unnamed, self._arguments(kinds))] if kinds else []
        return {
            "type": "object",
            "properties": {"class_path": _paths(self.catalog, key), "init_args": MAPPING, "dict_kwargs": MAPPING},
            "additionalProperties": False,
            "allOf": [{"if": case, "then": {"properties": {"init_args": inside}}} for case, inside in cases],
        }

    def _arguments(self, kinds: Sequence[Kind]) -> Schema:
        """The arguments of a class; of several, those of any."""
        name = " or ".join(kind.path for kind in kinds)
        if name not in self.definitions:
            self.definitions[name] = {}
            found: dict[str, list[Schema]] = {}
            for kind in kinds:
                for argument, schema in self.node(tree_of(kind.keys)).get("properties", {}).items():
                    if schema not in found.setdefault(argument, []):
                        found[argument].append(schema)
            self.definitions[name] = {
                "type": "object",
                "properties": {key: each[0] if len(each) == 1 else {"anyOf": each} for key, each in found.items()},
                "additionalProperties": False,
            }
        return {"$ref": f"#/definitions/{_escaped(name)}"}


def _told(schema: Schema, key: Key) -> Schema:
    """A schema with what editors show beside it."""
    told = {**schema, "description": key.text} if key.text else dict(schema)
    if key.default and not key.classes:
        default = yaml.safe_load(key.default)
        # what no JSON can hold, such as an infinite number, is no default of a schema
        told |= {"default": default} if _is_json(default) else {}
    return told


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _aliases(path: str) -> list[str]:
    module, _, name = path.rpartition(".")
    return [path, name, *([f"transferlab.{name}"] if module.startswith("transferlab.") else [])]


def _is(path: str) -> Schema:
    return {"properties": {"class_path": {"enum": _aliases(path)}}, "required": ["class_path"]}


def _paths(catalog: Catalog, key: Key) -> Schema:
    modules = sorted({path.rpartition(".")[0] for path in (*catalog.kinds, *key.classes)} | {"transferlab"})
    own = OWN_CLASS.format(modules="|".join(module.replace(".", r"\.") for module in modules))
    return {
        "anyOf": [
            {"enum": [alias for path in key.classes for alias in _aliases(path)]},
            {"type": "string", "pattern": own},
        ]
    }


def _escaped(name: str) -> str:
    """A name as part of a JSON pointer in a URI fragment."""
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="~")

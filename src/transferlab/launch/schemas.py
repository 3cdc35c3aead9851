"""``transferlab schema``: JSON schemas of experiments, configs, sweeps, searches and clusters, for editors."""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transferlab.cli.keys.catalog import Catalog, load
from transferlab.cli.keys.schema import DRAFT, named, of_experiments, of_overrides
from transferlab.cli.keys.words import Schema
from transferlab.cli.pages import whole_catalog
from transferlab.config import experiments, grids, shipped
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.launch.cluster.settings import MEMORY, MINIMA, TIME, Slurm
from transferlab.launch.search.spec import PRUNERS, SAMPLERS, Range, Search

OTHERS = ("sweep", "search", "cluster", "pretrain", "multitask")
"""Folders of ``configs/`` whose files are no parts of an experiment."""
HELP = """An editor with the YAML language server (VS Code: the extension YAML of Red Hat)
completes and checks a file whose first line is, with the place as seen from it,
  # yaml-language-server: $schema=../.schema/experiment.json
`--output .schema/` writes all kinds. Write them again when you have updated
transferlab. docs/configs.md tells more."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab schema``.

    Raises:
        TransferlabError: No such kind, or a file that cannot be written.
    """
    parser = Parser(
        "transferlab schema",
        description="JSON schemas, from which editors complete and check the keys of YAML files.",
        epilog=HELP,
        formatter=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "kind", nargs="?", choices=tuple(KINDS), help="of which files; experiment: also of other configs [experiment]"
    )
    parser.add_argument("--output", metavar="FILE", help="write it there; all kinds where it ends with / [the screen]")
    asked = parser.parse_args(arguments)
    kind, output = asked.kind or "experiment", asked.output
    if output is None:
        sys.stdout.write(text(kind))
    elif output.endswith("/") or Path(output).is_dir():
        for each in [asked.kind] if asked.kind else KINDS:
            _write(Path(output) / f"{each}.json", text(each))
    else:
        _write(Path(output), text(kind))


def text(kind: str) -> str:
    """The schema of a kind of file, as the text of a JSON file."""
    schema = {"$schema": DRAFT, "title": f"transferlab {kind}", **KINDS[kind](whole_catalog())}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise TransferlabError(f"--output: cannot write {path}: {error.strerror}.") from error
    print(f"wrote {path}")


def _experiment(catalog: Catalog) -> Schema:
    known = shipped.listed("configs")
    return of_experiments(catalog, [name for name in known if name.partition("/")[0] not in OTHERS])


def _pretrain(_: Catalog) -> Schema:
    if (known := load("pretrain")) is None:
        from transferlab.pretraining.cli import PretrainCLI

        known = PretrainCLI.known("pretrain")
    return _of_its_own(known)


def _multitask(_: Catalog) -> Schema:
    if (known := load("multitask")) is None:
        from transferlab.several.cli import SeveralCLI

        known = SeveralCLI.known("multitask")
    return _of_its_own(known)


def _of_its_own(catalog: Catalog) -> Schema:
    """Of the configs of a command with other keys than ``fit``."""
    return of_experiments(
        catalog, [n for n in shipped.listed("configs") if n.startswith(("encoder/", "logger/", "trainer/"))]
    )


def _sweep(catalog: Catalog) -> Schema:
    overrides = of_overrides(catalog)
    size: Schema = {"anyOf": [{"enum": [grids.ALL]}, {"type": "integer", "minimum": 2}]}
    part: Schema = {"anyOf": [{"enum": [grids.ALL]}, {"type": "number", "exclusiveMinimum": 0, "maximum": 1}]}
    number: Schema = {"type": "integer", "minimum": 1}
    seeds = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True}
    found = {
        "tasks": _several(named(experiments.tasks())),
        "strategies": _several(named(experiments.strategies())),
        "experiments": _several(named(shipped.listed("experiments"))),
        "encoders": _several(named(shipped.listed("configs/encoder"))),
        "baselines": _several({"enum": list(grids.METHODS)}),
        "seeds": {"anyOf": [number, seeds]},
        "folds": {"type": "integer", "minimum": 2},
        "train_examples": _several(size),
        "train_fraction": _several(part),
        "set": overrides,
        "set_for": {"type": "object", "additionalProperties": overrides},
    }
    return _mapping(found, grids.Sweep) | {"not": {"required": ["train_examples", "train_fraction"]}}


def _search(catalog: Catalog) -> Schema:
    overrides = of_overrides(catalog)
    plain = {"type": ["string", "number", "boolean", "null"]}
    bounds = _mapping({"low": _NUMBER, "high": _NUMBER, "log": {"type": "boolean"}, "step": _NUMBER}, Range)
    dimension = {"anyOf": [{"type": "array", "items": plain, "minItems": 2}, bounds | {"required": ["low", "high"]}]}
    found = {
        "experiment": named(experiments.names()),
        "space": {
            **overrides,
            "properties": dict.fromkeys(overrides["properties"], dimension),
            "patternProperties": dict.fromkeys(overrides["patternProperties"], dimension),
        },
        "set": overrides,
        "trials": {"type": "integer", "minimum": 1},
        "sampler": {"enum": list(SAMPLERS)},
        "pruner": {"enum": list(PRUNERS)},
        "startup": {"type": "integer", "minimum": 1},
        "seed": {"type": "integer", "minimum": 0},
    }
    return _mapping(found, Search) | {"required": ["experiment", "space"]}


def _cluster(_: Catalog) -> Schema:
    word = {"type": ["string", "null"], "pattern": r"^\S*$"}
    found: dict[str, Schema] = {
        **dict.fromkeys(("partition", "account", "qos", "constraint"), word),
        "memory": {"type": ["string", "integer", "null"], "pattern": f"^({MEMORY})$"},
        # an editor may read 2:00:00 as a text or, as YAML 1.1 has it, as a number
        "time": {"type": ["string", "integer"], "pattern": f"^({TIME})$"},
        "offline": {"type": "boolean"},
        "setup": _several({"type": "string"}, least=0),
        "options": _several({"type": "string", "pattern": "^--"}, least=0),
    }
    optional = {"processes_per_node", "parallel"}
    for name, least in MINIMA.items():
        found[name] = {"type": ["integer", "null"] if name in optional else "integer", "minimum": least}
    inside = _mapping(found, Slurm)
    return {
        "type": "object",
        "properties": {"cluster": inside},
        "required": ["cluster"],
        "additionalProperties": False,
    }


_NUMBER: Schema = {"type": "number"}


def _several(one: Schema, least: int = 1) -> Schema:
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": least}]}


def _mapping(keys: dict[str, Schema], kind: type) -> Schema:
    """A mapping of exactly these keys, each with what the class says of the attribute of that name."""
    said = _attributes(inspect.getdoc(kind) or "")
    told = {name: {**schema, "description": said[name]} for name, schema in keys.items()}
    return {"type": "object", "properties": told, "additionalProperties": False}


def _attributes(doc: str) -> dict[str, str]:
    """The attributes of a Google style docstring."""
    listed = doc.partition("Attributes:\n")[2].split("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", listed, flags=re.M)
    return {name: " ".join(told.replace("``", "`").split()) for name, told in found}


KINDS: dict[str, Callable[[Catalog], dict[str, Any]]] = {
    "experiment": _experiment,
    "sweep": _sweep,
    "search": _search,
    "cluster": _cluster,
    "pretrain": _pretrain,
    "multitask": _multitask,
}
"""Kinds of files, and what makes the schema of each."""

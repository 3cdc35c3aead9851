"""Experiment files: `bases:` and deep merging. Knows YAML and paths, nothing of torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from transferlab.config import plain
from transferlab.config.renamed import renamed
from transferlab.config.shipped import SHIPPED, find, listed
from transferlab.ground.errors import TransferlabError, near

Tree = dict[str, Any]


def expand(path: Path, chosen: Mapping[str, str] | None = None) -> Tree:
    """Reads an experiment file and lays it over its bases, in their order; later values win.

    Args:
        path: The file.
        chosen: Kind of a base to the one that takes its place, such as ``encoder`` to ``bert_base``. One whose kind is
            not among the bases is laid over the whole.

    Raises:
        TransferlabError: Missing file, unknown base, a circle of bases, or no valid YAML.
    """
    left = dict(chosen or {})
    return over(_expand(path, (), left, chosen or {}), left, path)


def of_base(path: Path, chosen: Mapping[str, str] | None = None) -> Tree:
    """As `expand`, of a file that is one base among others: chosen ones of other kinds are not laid over it."""
    return _expand(path, (), {}, chosen or {})


def over(tree: Tree, chosen: Mapping[str, str], path: Path) -> Tree:
    """Lays chosen bases over a tree; `path` is the experiment file that they are looked up from."""
    for kind, name in chosen.items():
        tree = merge(tree, _expand(find_base(f"{kind}/{name}", path), (path,), {}, {}))
    return tree


def _expand(path: Path, chain: tuple[Path, ...], left: dict[str, str], chosen: Mapping[str, str]) -> Tree:
    if path in chain:
        raise TransferlabError(f"{path}: bases go round in a circle: {' -> '.join(str(p) for p in (*chain, path))}")
    tree = read_yaml(path)
    bases = tree.pop("bases", None) or []
    if not isinstance(bases, list):
        raise TransferlabError(f"{path}: bases must be a list such as [trainer/auto, task/sst2], not {bases!r}.")
    merged: Tree = {}
    for base in map(str, bases):
        kind = base.partition("/")[0]
        if kind in chosen:
            base = f"{kind}/{chosen[kind]}"
            left.pop(kind, None)
        merged = merge(merged, _expand(find_base(base, path), (*chain, path), left, chosen))
    whole: Tree = merge(merged, tree)
    return whole


def read_yaml(path: Path) -> Tree:
    """Reads a YAML file that holds a mapping.

    Raises:
        TransferlabError: Missing file, invalid YAML, or something else than a mapping.
    """
    if not path.is_file():
        # a name such as configs/task/sst2.yaml stands for the shipped file where the user has none
        found = None if path.is_absolute() else find(str(path))
        if found is None:
            raise TransferlabError(f"no such file: {path}{near_files(path)}")
        path = found
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TransferlabError(f"{path} is not UTF-8: {error}. Save it as UTF-8.") from error
    try:
        tree = plain.load(text)
    except yaml.YAMLError as error:
        raise TransferlabError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if tree is None:
        raise TransferlabError(f"{path} is empty.")
    if not isinstance(tree, dict):
        raise TransferlabError(f"{path} must hold `key: value` pairs, not {tree!r}.")
    current: Tree = renamed(tree)
    return current


def near_files(path: Path) -> str:
    """A hint at files of nearly that name in the same folder, or in that of the package."""
    shipped = [] if path.is_absolute() else list(listed(str(path.parent)))
    return near(path.stem, list(dict.fromkeys([*(other.stem for other in path.parent.glob("*.yaml")), *shipped])))


def find_base(base: str, experiment: Path) -> Path:
    """Finds ``configs/<base>.yaml`` beside the experiment file, above it, in the working directory, or in the package.

    Raises:
        TransferlabError: No such base; names the nearest.
    """
    # what the package ships takes the user's own bases before its own
    above = [] if experiment.absolute().is_relative_to(SHIPPED) else list(experiment.absolute().parents)
    folders = [parent / "configs" for parent in (*above, Path.cwd(), SHIPPED)]
    for folder in folders:
        if (folder / f"{base}.yaml").is_file():
            return folder / f"{base}.yaml"
    found = [(f.resolve(), p) for f in folders if f.is_dir() for p in sorted(f.resolve().rglob("*.yaml"))]
    known = list(dict.fromkeys(str(path.relative_to(folder).with_suffix("")) for folder, path in found))
    group = base.partition("/")[0]
    same = [name for name in known if name.startswith(f"{group}/")] or sorted(
        {f"{name.split('/')[0]}/..." for name in known}
    )
    raise TransferlabError(f"{experiment}: unknown base {base!r}{near(base, known)}. Known: {', '.join(same)}.")


def merge(below: Any, above: Any) -> Any:
    """Lays `above` over `below`: mappings merge key by key, all else is replaced.

    A mapping with another ``class_path`` replaces the whole mapping, since arguments of one class mean nothing to
    another.
    """
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    if "class_path" in above and "class_path" in below and above["class_path"] != below["class_path"]:
        return above
    return {**below, **{key: merge(below[key], value) if key in below else value for key, value in above.items()}}


def describe(path: Path) -> str:
    """The comment on the first line of an experiment file."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""

"""One line in place of a parser's page of usage."""

import dataclasses
import importlib
import inspect
import re
from typing import Any

from transferlab.ground.errors import TransferlabError, near

NOISE = (
    r"Does not validate against any of the Union subtypes Subtypes: \[.*?\] Errors: ",
    r"- Expected a <class 'NoneType'>(?:\. Got value: \S+)? - ",
    r"Problem with given class_path '([\w.]+)': ",
    r" Given value type: .*$",
)


def explain(error: BaseException, parser: Any) -> str:
    """Shortens an error of jsonargparse to its innermost cause, and names the nearest right key."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, TransferlabError):
            return str(link)
        link = link.__cause__ or link.__context__
    text = re.sub(r"\s+", " ", str(error)).strip()
    given = re.search(r" Given value: ([^{(]{1,60})$", text)
    for pattern in NOISE:
        text = re.sub(pattern, "", text)
    keys = re.findall(r'Parser key "([\w.]+)": ', text)
    text = re.sub(r'Parser key "[\w.]+": ', "", text).strip()
    path = ".".join(keys)
    if missing := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", text):
        return f"{path}.class_path: no class {missing[1]}.{missing[2]}{near(missing[2], _names_in(missing[1]))}."
    if re.search(r"Option '\w*\.?(data|model)' is required", text):
        return "no data and no model: give --experiment NAME (`transferlab list` shows them), or --config FILE."
    wrong = re.search(r"[Oo]ption '([\w.]+)'|Unrecognized arguments: -*([\w.]+)|Key '([\w.]+)'", text)
    key = next((group for group in wrong.groups() if group), "") if wrong else ""
    if key and ("accept" in text or "Unrecognized" in text or "not expected" in text):
        whole = f"{path}.{key}" if path else key
        known = known_keys(parser)
        stranger = next((part for part in key.split(".") if part not in known), key.rsplit(".", 1)[-1])
        return f"no key {whole!r}{near(stranger, known)}."
    if given and "Got value" not in text:
        text += f". Got value: {given[1]}"
    return f"{path}: {text}" if path else text


def check_empty(tree: Any, parsed: Any, parser: Any) -> None:
    """Checks the keys of empty mappings, which jsonargparse drops unseen.

    Args:
        tree: What an experiment file holds.
        parsed: The configuration that was made of it.
        parser: The parser, to propose the nearest key.

    Raises:
        TransferlabError: There is no such key.
    """
    known = {key.replace("init_args.", "") for key in parsed.keys(branches=True)}
    for key in empty_mappings(tree):
        if key.replace("init_args.", "") not in known and not key.endswith("init_args"):
            raise TransferlabError(f"no key {key!r}{near(key.rsplit('.', 1)[-1], known_keys(parser))}.")


def empty_mappings(tree: Any, prefix: str = "") -> list[str]:
    """Dotted keys of the empty mappings in a tree."""
    if not isinstance(tree, dict):
        return []
    if not tree:
        return [prefix] * bool(prefix)
    return [key for name, value in tree.items() for key in empty_mappings(value, f"{prefix}.{name}".lstrip("."))]


def _names_in(module: str) -> list[str]:
    return list(getattr(importlib.import_module(module), "__all__", []))


def known_keys(parser: Any) -> list[str]:
    """The last parts of all keys that an experiment file may hold."""
    import torch

    from transferlab import adapters, strategies
    from transferlab.encoders import EncoderConfig
    from transferlab.learning.heads import HeadConfig
    from transferlab.learning.optim import Schedule
    from transferlab.tasks import TaskDataModule
    from transferlab.tasks.spec import Source

    keys = {"class_path", "init_args", "bases", *inspect.signature(torch.optim.AdamW).parameters}
    subcommands = getattr(parser, "_subcommands_action", None)
    for choice in [parser, *(subcommands.choices.values() if subcommands else [])]:
        keys |= {part for action in choice._actions for part in str(action.dest).split(".")}
    for module in (adapters, strategies):
        for name in module.__all__:
            keys |= set(inspect.signature(getattr(module, name)).parameters)
    keys |= set(inspect.signature(TaskDataModule).parameters)
    for kind in (EncoderConfig, HeadConfig, Schedule, Source):
        keys |= {field.name for field in dataclasses.fields(kind)}
    return sorted(keys)

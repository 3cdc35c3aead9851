"""One line in place of a parser's page of usage."""

import dataclasses
import inspect
import re
from typing import Any

from transferlab.errors import near


def explain(message: str, parser: Any) -> str:
    """Shortens a jsonargparse message to what is wrong, and names the nearest right key."""
    text = re.sub(r"\s+", " ", message).strip()
    match = re.search(r"[Kk]ey ['\"]([\w.]+)['\"] is not expected|[Uu]nrecognized arguments?: -*([\w.]+)", text)
    wrong = next((group for group in match.groups() if group), "") if match else ""
    return text + (near(wrong.rsplit(".", 1)[-1], known_keys(parser)) if wrong else "")


def known_keys(parser: Any) -> list[str]:
    """The last parts of all keys that an experiment file may hold."""
    from transferlab import adapters, strategies
    from transferlab.encoders import EncoderConfig
    from transferlab.heads import HeadConfig
    from transferlab.optim import Schedule
    from transferlab.tasks.spec import Source

    keys = {"class_path", "init_args", "bases"}
    for choices in (parser._subcommands_action.choices if parser._subcommands_action else {}).values():
        keys |= {part for action in choices._actions for part in str(action.dest).split(".")}
    for module in (adapters, strategies):
        for name in module.__all__:
            keys |= set(inspect.signature(getattr(module, name)).parameters)
    for kind in (EncoderConfig, HeadConfig, Schedule, Source):
        keys |= {field.name for field in dataclasses.fields(kind)}
    return sorted(keys)

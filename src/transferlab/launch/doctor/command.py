"""Prints what was examined, and whether all of it is fine."""

import functools
import itertools
import shutil
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import loading
from transferlab.launch.doctor import machine, versions
from transferlab.launch.doctor.finding import NOTE, WRONG, Finding

WIDTH = 17
"""Of the column that says what was examined."""
MARKS = {NOTE: "note", WRONG: "WRONG"}


def main(arguments: list[str]) -> None:
    """Runs ``transferlab doctor``; exit code 1 where something is wrong.

    Raises:
        TransferlabError: A wrong option.
    """
    parser = Parser(
        "transferlab doctor",
        description="Examines this machine: releases, hardware, the Hub, W&B, data, encoders, disk. "
        "Each line is ok or says what to do; the exit code is 1 where something is wrong.",
    )
    parser.add_argument("--wait", type=float, default=5.0, metavar="SECONDS", help="for the Hub, at most [5]")
    wait = parser.parse_args(arguments).wait
    if not wait > 0:
        raise TransferlabError(f"--wait: {wait:g} is not above 0.")
    wrong = 0
    for finding in examine(wait):
        print(line(finding), flush=True)
        wrong += finding.state == WRONG
    print(f"\n{wrong} of these lines to mend" if wrong else "\nnothing to mend")
    sys.exit(bool(wrong))


def examine(wait: float) -> Iterator[Finding]:
    """Everything that is examined, the quick parts first.

    Args:
        wait: Seconds that the Hub has for its answer.
    """
    yield from versions.required()
    yield from versions.optional()
    yield from machine.places()
    if missing := [name for name in ("torch", "lightning", "transformers", "huggingface_hub") if not find_spec(name)]:
        remedy = "install transferlab with its dependencies first"
        yield Finding("the rest", WRONG, f"not examined without {', '.join(missing)}", remedy)
        return
    loading()
    # these import torch
    from transferlab.launch.doctor import hardware, supply

    yield from hardware.devices()
    hub = supply.hub(wait)
    yield hub
    yield from supply.variables()
    yield from supply.data(online=supply.is_online(hub))
    yield from supply.encoders(online=supply.is_online(hub))
    yield supply.wandb()


def line(finding: Finding) -> str:
    """A finding as it is printed in the width of the terminal, with what to do below it."""
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)
    first, rest = f"{MARKS.get(finding.state, 'ok'):<6} {finding.what:<{WIDTH}} ", " " * (WIDTH + 8)
    parts = [(first, finding.text), *([(f"{rest}-> ", finding.remedy)] if finding.remedy else [])]
    wrap = functools.partial(textwrap.wrap, width=width, break_on_hyphens=False, break_long_words=False)
    lines = [wrap(text, initial_indent=start, subsequent_indent=rest) for start, text in parts]
    return "\n".join(itertools.chain.from_iterable(lines))

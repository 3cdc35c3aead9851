"""The words that can stand next on a command line."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from transferlab.cli.commands import COMMANDS
from transferlab.cli.completion import options
from transferlab.cli.completion.options import FILES, Candidate, Option
from transferlab.cli.keys.check import is_option


class Place(NamedTuple):
    """Where on the command line the next word stands.

    Attributes:
        option: The option whose value it can be; empty where it is none.
        alone: How many words stand before it that belong to no option.
    """

    option: str
    alone: int


def candidates(words: Sequence[str]) -> list[Candidate]:
    """What the last word can become.

    Args:
        words: What follows ``transferlab``, up to the cursor; the last word is the one under it, maybe empty.

    Returns:
        Whole words; a word that ends with a dot, and `options.FILES`, are to be completed further.
    """
    *before, current = words or [""]
    if not before:
        found: Iterable[Candidate] = options.commands()
    elif before[0] == "help":
        found = options.commands() if len(before) == 1 else ()
    elif before[0] in COMMANDS:
        found = _within(before[0], before[1:], current)
    else:
        found = ()
    return [one for one in found if one.word.startswith(current) or one == FILES]


def _within(command: str, before: Sequence[str], current: str) -> Iterator[Candidate]:
    known = options.of(command, before)
    name, sign, _ = current.partition("=")
    if sign and is_option(name):
        for word, text in _values(known.get(name)):
            yield Candidate(f"{name}={word}", text) if word != FILES.word else FILES
        return
    place = _place(before, known)
    if not current.startswith("-"):
        yield from _values(known[place.option]) if place.option else options.alone(command, before, place.alone)
    if current.startswith("-") or not place.option:
        yield from stepwise(known, current)


def _values(option: Option | None) -> Iterable[Candidate]:
    return option.values() if option and option.values else ()


def _place(before: Sequence[str], known: dict[str, Option]) -> Place:
    option, alone = "", 0
    for word in before:
        if is_option(word):
            option = word if (found := known.get(word)) and found.values else ""
        elif not option:
            alone += 1
        elif not known[option].many:
            option = ""
    return Place(option, alone)


def stepwise(known: dict[str, Option], current: str) -> Iterator[Candidate]:
    """Options by one step of their dotted names: ``--trainer.`` before ``--trainer.max_epochs``."""
    below: dict[str, list[str]] = {}
    for name in known:
        if name.startswith(current):
            step, dot, _ = name[len(current) :].partition(".")
            # a group that is there already
            if name == current and name.endswith("."):
                continue
            below.setdefault(f"{current}{step}{dot}", []).append(name)
    for word, names in below.items():
        if len(names) == 1:
            yield Candidate(names[0], known[names[0]].text)
        else:
            yield Candidate(word, f"{len(names)} keys")

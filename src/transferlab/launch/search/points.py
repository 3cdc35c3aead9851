"""Which values the trials of a search get: those of trial n depend on the file and n, not on who asks and when.

So a search that was interrupted, that several processes share, or that is asked for more trials later, tries what one
uninterrupted search would have tried. TPE looks at the results so far and cannot promise that; it repeats no point.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from transferlab.launch.search.spec import Dimension, Range, Search

Values = dict[str, Any]
"""The values of a trial by dotted key."""
REPEATS = 100
"""Draws of known points in a row after which the first one that is left is taken."""
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


def size(search: Search) -> int | None:
    """How many points a space has; None where a range has no step."""
    counts = [_count(known) for known in search.space.values()]
    return None if None in counts else math.prod(count for count in counts if count is not None)


def grid(search: Search) -> list[Values]:
    """Every combination of a space that has a number of them."""
    values = itertools.product(*(choices(known) for known in search.space.values()))
    return [dict(zip(search.space, combination, strict=True)) for combination in values]


def choices(dimension: Dimension) -> list[Any]:
    """All values of a list, or of a range with a step."""
    if isinstance(dimension, tuple):
        return list(dimension)
    count = _count(dimension)
    assert count is not None
    step = 1 if dimension.step is None else dimension.step
    # 0.1 three times is more than 0.3
    return [min(round(dimension.low + number * step, 12), dimension.high) for number in range(count)]


def _count(dimension: Dimension) -> int | None:
    if isinstance(dimension, tuple):
        return len(dimension)
    step = 1 if dimension.whole and dimension.step is None else dimension.step
    return None if step is None else math.floor((dimension.high - dimension.low) / step + 1e-9) + 1


def planned(search: Search, count: int) -> list[Values]:
    """The first points of a search whose points do not depend on results, each of them once.

    Args:
        search: A ``grid``: its combinations in order; or a ``random`` one: the draws of its seed without repeats.
        count: How many; fewer come back where the space has no more.
    """
    if search.sampler == "grid":
        return grid(search)[:count]
    draw = _draws(search, optuna.samplers.RandomSampler(search.seed), ())
    found: list[Values] = []
    while len(found) < count and (values := _new(search, found, draw)) is not None:
        found.append(values)
    return found


def proposed(search: Search, number: int, known: Sequence[FrozenTrial]) -> Values | None:
    """What TPE proposes for trial `number`.

    Args:
        search: The search.
        number: With the file's seed it seeds the sampler, so that a later start does not draw what an earlier one did.
        known: The other trials: results, and values that are being tried.

    Returns:
        Values that no other trial has; None where there are no more.
    """
    seed = int(np.random.SeedSequence((search.seed, number)).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(n_startup_trials=search.startup, seed=seed, constant_liar=True)
    seen = [trial for trial in known if trial.state in (*DONE, TrialState.RUNNING)]
    return _new(search, [values_of(trial) for trial in known], _draws(search, sampler, seen))


def values_of(trial: FrozenTrial) -> Values:
    """The values of a trial, or those that it is going to get."""
    return dict(trial.params or trial.system_attrs.get("fixed_params", {}))


def _draws(search: Search, sampler: optuna.samplers.BaseSampler, known: Sequence[FrozenTrial]) -> Callable[[], Values]:
    """Draws points in a study of its own, in memory, so that the real one holds trials only."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(known)

    def draw() -> Values:
        trial = study.ask()
        values = suggest(trial, search)
        study.tell(trial, state=TrialState.FAIL)
        return values

    return draw


def _new(search: Search, known: Sequence[Values], draw: Callable[[], Values]) -> Values | None:
    """A point that is not known yet."""
    total = size(search)
    left = None if total is None or total > REPEATS * 100 else [one for one in grid(search) if one not in known]
    if left == []:
        return None
    for _ in range(REPEATS):
        if (values := draw()) not in known:
            return values
    return left[0] if left else None


def suggest(trial: optuna.Trial, search: Search) -> Values:
    """The values of a trial, as its study gives them."""
    return {key: _suggest(trial, key, known) for key, known in search.space.items()}


def _suggest(trial: optuna.Trial, key: str, known: Dimension) -> Any:
    if not isinstance(known, Range):
        return trial.suggest_categorical(key, known)
    if known.whole:
        step = 1 if known.step is None else int(known.step)
        return trial.suggest_int(key, int(known.low), int(known.high), log=known.log, step=step)
    return trial.suggest_float(key, known.low, known.high, log=known.log, step=known.step)

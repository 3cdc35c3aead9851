"""What recorded runs say of the strategies on a task near a number of labels."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from transferlab.analysis.claims import effects, grid, power
from transferlab.analysis.comparison.groups import Estimate, Group, Summary, estimate, group, is_baseline, score_of
from transferlab.analysis.comparison.standing import block_of, goodness
from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.spec import direction

FAR = 2.0
"""From so many times as many or few labels on, a plan says that it rests on other numbers."""
CLOSE = 0.02
"""What of a metric "as good" may lose: with three seeds an interval reaches over much more than anyone would give."""


class Option(NamedTuple):
    """A strategy on an encoder.

    Attributes:
        strategy: Its name.
        encoder: Its label; "-" for a method without one.
        score: The leading metric on the test over seeds, with the 95 % interval.
        behind: Difference to the best option, seed by seed; None for the best itself, or without shared seeds.
        as_good: Whether it is close to the best, and no interval tells the two apart.
        seconds: Median time of a run.
        failed: Runs without a usable result.
        runs: How many runs the budget has room for.
        decided: Seeds that it takes to tell it from the best; None where not known.
        experiment: What ``transferlab fit --experiment`` takes; empty for a method without encoder.
    """

    strategy: str
    encoder: str
    score: Estimate
    behind: Estimate | None
    as_good: bool
    seconds: float
    failed: int
    runs: int
    decided: int | None
    experiment: str


class Plan(NamedTuple):
    """An answer.

    Attributes:
        task: Name of the task.
        metric: Its leading metric.
        labels: Training examples of the runs that it rests on.
        options: All strategies, the best first.
        order: Those that fit the budget, in the order in which to try them.
        limits: What the answer does not say, in words.
    """

    task: str
    metric: str
    labels: int
    options: tuple[Option, ...]
    order: tuple[Option, ...]
    limits: tuple[str, ...]


def plan(summaries: Sequence[Summary], task: str, labels: int, budget: float, strategies: Sequence[str]) -> Plan:
    """Ranks the strategies that were run on a task with the number of labels nearest to the wanted one.

    Those that are about as good as the best one come first, the cheapest of them at the head: what nobody can tell
    apart is tried in the order of its cost. Then the others by their score. What always gives one answer is no option.

    Args:
        summaries: Runs, each with ``folder``.
        task: Name of the task.
        labels: Labelled training examples at hand.
        budget: Seconds at hand.
        strategies: Names of all strategies, to say which were never run.

    Raises:
        TransferlabError: No finished run of the task, or none in whose time the budget has room.
    """
    known = sorted({str(run.get("task")) for run in summaries if score_of(run) is not None})
    if task not in known:
        raise TransferlabError(
            f"--task: no finished run of {task!r}{near(task, known)}. There are runs of "
            f"{', '.join(known) or 'no task'}; `transferlab sweep` and `transferlab fit` make some."
        )
    block, size = _nearest(group([run for run in summaries if run.get("task") == task]), labels)
    cells = _cells([one for one in block if one.key.train_examples == size])
    best = max(cells, key=goodness)
    options = tuple(_option(one, best, budget) for one in sorted(cells, key=goodness, reverse=True))
    fitting = [one for one in options if one.runs and not one.strategy.endswith("majority")]
    if not fitting:
        quickest = min(options, key=lambda one: one.seconds)
        raise TransferlabError(
            f"--budget: {budget:.0f} s have room for no run; the quickest, {quickest.strategy}, took "
            f"{quickest.seconds:.0f} s."
        )
    good = sorted((one for one in fitting if one.as_good), key=lambda one: one.seconds)
    order = (*good, *(one for one in fitting if not one.as_good))
    limits = _limits(block, cells, labels, size, strategies)
    return Plan(task, best.key.metric, size, options, order, tuple(limits))


def _nearest(groups: Sequence[Group], labels: int) -> tuple[list[Group], int]:
    """The groups that share a test, and their number of labels nearest to the wanted one with the most strategies."""
    blocks: dict[tuple[str, ...], list[Group]] = {}
    for one in groups:
        if one.score is not None and one.key.train_examples:
            blocks.setdefault(block_of(one.key), []).append(one)
    if not blocks:
        raise TransferlabError("no finished run tells how many training examples it had; these are older than that.")

    def distance(found: list[Group], size: int) -> tuple[float, int]:
        alike = {(one.key.strategy, one.key.encoder) for one in found if one.key.train_examples == size}
        # one method alone ranks nothing
        return (abs(math.log(size / labels)) + (10 if len(alike) < 2 else 0), -len(alike))

    pairs = [(found, int(one.key.train_examples or 0)) for found in blocks.values() for one in found]
    return min(pairs, key=lambda pair: distance(*pair))


def _cells(groups: Sequence[Group]) -> list[Group]:
    """Of several settings of a strategy on an encoder the one with the most seeds, then the best."""
    found: dict[tuple[str, str], Group] = {}
    for one in groups:
        name = one.key.strategy, one.key.encoder
        if name not in found or (len(one.seeds), goodness(one)) > (len(found[name].seeds), goodness(found[name])):
            found[name] = one
    return list(found.values())


def _as_good(behind: Estimate, sign: int) -> bool:
    """Whether a difference is small and not told from 0, by the sign that says which way is better."""
    high = behind.high if sign > 0 or behind.low is None else -behind.low
    return sign * behind.mean >= -CLOSE and (high is None or high >= 0)


def _option(one: Group, best: Group, budget: float) -> Option:
    assert one.score is not None
    mine, theirs = grid.by_seed(one), grid.by_seed(best)
    pairs = [(score_of(mine[seed]), score_of(theirs[seed])) for seed in sorted(mine.keys() & theirs.keys())]
    behind = None if one is best else estimate([a - b for a, b in pairs if a is not None and b is not None])
    effect = effects.of(behind)
    times = [taken for run in one.counted if (taken := grid.seconds(one, run)) is not None]
    seconds = statistics.median(times) if times else math.inf
    return Option(
        strategy=one.key.strategy,
        encoder=one.key.encoder,
        score=one.score,
        behind=behind,
        as_good=behind is None or _as_good(behind, direction(one.key.metric)),
        seconds=seconds,
        failed=grid.failures(one),
        # what took no time that can be seen has room once at least
        runs=int(budget / max(seconds, 0.1)),
        decided=None if effect is None else power.seeds_needed(effect, 0.0),
        experiment="" if is_baseline(one.counted[0]) else str(one.counted[0].get("experiment", "")),
    )


def _limits(
    block: Sequence[Group], cells: Sequence[Group], labels: int, size: int, strategies: Sequence[str]
) -> list[str]:
    limits = []
    if max(size / labels, labels / size) >= FAR:
        limits.append(
            f"the nearest number of labels with runs is {size:,}, not {labels:,}: the order may be another one"
        )
    ran = {one.key.strategy for one in cells}
    elsewhere: dict[str, list[int]] = {}
    for one in block:
        if one.key.strategy not in ran:
            elsewhere.setdefault(one.key.strategy, []).append(one.key.train_examples or 0)
    limits += [
        f"{name} was run with {', '.join(f'{count:,}' for count in sorted(set(counts)))} labels only"
        for name, counts in sorted(elsewhere.items())
    ]
    if missing := [name for name in strategies if name not in ran | elsewhere.keys()]:
        limits.append(f"never run on this test: {', '.join(missing)}")
    seeds = min(len(one.seeds) for one in cells)
    if seeds < 5:
        limits.append(f"seeds: {seeds} at least, so intervals are wide, and runs that fail are rarely seen")
    encoders = sorted({one.key.encoder for one in cells} - {"-"})
    limits.append(f"encoders: {', '.join(encoders) or 'none'}; a larger one may put another strategy first")
    limits.append("times are those of the machine that ran them; `transferlab compare` has all numbers")
    return limits

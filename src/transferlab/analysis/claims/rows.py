"""Ways to put a claim to the test: each makes a row of numbers from the runs of a sweep."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from transferlab.analysis.claims import effects, grid
from transferlab.analysis.claims.effects import Effect, Verdict
from transferlab.analysis.claims.grid import Grid
from transferlab.analysis.comparison.groups import Group, Summary, score_of, value

REACHED = 0.95
"""Part of the way from the untrained head to the best validation score that counts as converged."""


@dataclass(frozen=True)
class Row:
    """One number that tests a claim.

    Attributes:
        sweep: Name of the sweep that gives it, in the full grid.
        task: Name of the task.
        text: What is measured, in words.
        unit: ``points`` (hundredths of the metric), ``times``, ``%``, ``nats`` or empty.
        threshold: What it must exceed for the claim to hold.
        measure: Computes it; None where runs are missing.
        needs: Strategies that must have been run.
        size: Training examples; None for the one number of the sweep.
        at_most: It must not exceed the threshold.
        beside: Sweep of the runs that it is compared with, where these are of another one, in the full grid.
    """

    sweep: str
    task: str
    text: str
    unit: str
    threshold: float
    measure: Callable[[Grid, "Row"], Effect | None]
    needs: tuple[str, ...]
    size: int | None = None
    at_most: bool = False
    beside: str = ""


@dataclass(frozen=True)
class Finding:
    """What a row came to.

    Attributes:
        row: The row.
        effect: The number; None where it cannot be computed.
        verdict: What it says.
        note: What is missing, in words.
    """

    row: Row
    effect: Effect | None
    verdict: Verdict
    note: str = ""


def find(row: Row, runs: Grid) -> Finding:
    """Measures a row, and says what of it is missing."""
    cells = {strategy: runs.group(row.sweep, row.task, strategy, row.size) for strategy in row.needs}
    if row.beside:
        cells |= {f"{name} of `{runs.tag(row.beside)}`": _plain(runs, row, name) for name in row.needs}
    absent = [strategy for strategy, found in cells.items() if found is None or not found.counted]
    if absent:
        return Finding(row, None, "not run", f"no finished run of {', '.join(absent)}")
    effect = row.measure(runs, row)
    if effect is None:
        return Finding(row, None, "not run", _why(row))
    return Finding(row, effect, effects.judge(effect, row.threshold, row.at_most), _note(runs.tag(row.sweep), cells))


def _why(row: Row) -> str:
    if row.measure in MEASURED_LATER:
        return "`transferlab forgetting` was not run on them"
    return "too few runs for this number"


def _note(sweep: str, cells: dict[str, Group | None]) -> str:
    wanted = grid.seeds_wanted(sweep)
    notes = []
    for strategy, found in cells.items():
        if found is None:
            continue
        if wanted and len(found.seeds) < wanted:
            notes.append(f"{len(found.seeds)} of {wanted} seeds of {strategy}")
        if broken := grid.failures(found):
            notes.append(f"{broken} failed of {strategy}")
    return "; ".join(notes)


# what is measured ---------------------------------------------------------------------------------------------------


def difference(runs: Grid, row: Row) -> Effect | None:
    """Test score of the first strategy less that of the second, seed by seed, in points."""
    return effects.mean([100 * (a - b) for a, b in _scores(runs, row)])


def gain(runs: Grid, row: Row) -> Effect | None:
    """Test score of a strategy less that of the same one in the sweep `beside`, seed by seed, in points."""
    mine, plain = grid.by_seed(_group(runs, row, row.needs[0])), grid.by_seed(_plain(runs, row, row.needs[0]))
    pairs = [(score_of(mine[seed]), score_of(plain[seed])) for seed in sorted(mine.keys() & plain.keys())]
    return effects.mean([100 * (a - b) for a, b in pairs if a is not None and b is not None])


def steadier(runs: Grid, row: Row) -> Effect | None:
    """How much further the scores of a strategy in the sweep `beside` spread over seeds than in its own, in points."""
    cells = (_plain(runs, row, row.needs[0]), _group(runs, row, row.needs[0]))
    plain, mine = (
        [100 * score for run in grid.by_seed(cell).values() if (score := score_of(run)) is not None] for cell in cells
    )
    return effects.spread_difference(plain, mine)


def retained(runs: Grid, row: Row) -> Effect | None:
    """Test score of the first strategy as a part of that of the second, seed by seed, in %."""
    return effects.mean([100 * a / b for a, b in _scores(runs, row) if b > 0])


def speed_up(runs: Grid, row: Row) -> Effect | None:
    """How many times fewer optimizer steps the first strategy needs than the second, seed by seed.

    Needs for what: validation first reaches a score 95 % of the way from the second one's untrained head to its best.
    Steps are known as finely as validation runs, so where the first validation is enough, the number is a bound. A seed
    with which the second learned nothing does not count.
    """
    ratios, bound = [], ""
    for fast, slow in _pairs(runs, row):
        points = grid.validations(slow)
        if not points:
            return None
        start, best = value(slow, "before", "val/primary") or 0.0, max(point.score for point in points)
        if best <= start:
            continue
        target = start + REACHED * (best - start)
        first, second = grid.steps_until(fast, target), grid.steps_until(slow, target)
        if first is None or second is None:
            return None
        if not first[1]:
            bound = "<="
        elif first[0] == grid.validations(fast)[0].step < second[0]:
            bound = bound or ">="
        ratios.append(second[0] / first[0])
    return effects.geometric(ratios, bound)


def label_multiplier(runs: Grid, row: Row) -> Effect | None:
    """How many times as many labels the second strategy needs for what the first reaches with the row's size.

    On average over seeds, with the bootstrap interval of `transferlab.analysis.comparison.labels.equivalent`.
    """
    # takes a moment to import
    from transferlab.analysis.comparison import labels

    assert row.size is not None
    method, reference = (_learning_curve(runs, row, name) for name in row.needs)
    if row.size not in method or len(reference) < 2:
        return None
    found = labels.equivalent(method, reference, row.size)
    least, most = found.tried
    bound = ">=" if math.isinf(found.number) else "<=" if found.number == 0 else ""
    if math.isnan(found.low):
        return Effect(min(max(found.number, least), most) / row.size, None, None, len(method[row.size]), bound)
    value, low = (min(max(count, least), most) / row.size for count in (found.number, found.low))
    high = found.high / row.size if found.high else least / row.size
    return Effect(value, low, high, len(method[row.size]), bound)


def time_ratio(runs: Grid, row: Row) -> Effect | None:
    """How many times longer the first strategy takes than the second, encoding and tests included, seed by seed."""
    first, second = (_group(runs, row, name) for name in row.needs)
    assert first is not None
    assert second is not None
    pairs = [(grid.seconds(first, a), grid.seconds(second, b)) for a, b in _pairs(runs, row)]
    return effects.geometric([a / b for a, b in pairs if a and b])


def spread(runs: Grid, row: Row) -> Effect | None:
    """How much further the scores of the first strategy spread over seeds than those of the second, in points."""
    first, second = (
        [100 * score for run in grid.by_seed(_group(runs, row, name)).values() if (score := score_of(run)) is not None]
        for name in row.needs
    )
    return effects.spread_difference(first, second)


def share(runs: Grid, row: Row) -> Effect | None:
    """Trainable parameters, in % of all."""
    return _fact(runs, row, "trainable_pct")


def relative_size(runs: Grid, row: Row) -> Effect | None:
    """Parameters of the first strategy's model in % of those of the second."""
    first, second = (_fact(runs, replace(row, needs=(name,)), "total") for name in row.needs)
    return effects.exact(100 * first.value / second.value, 1) if first and second else None


def overfitting(runs: Grid, row: Row) -> Effect | None:
    """Test loss less training loss at the end, in nats."""
    return effects.mean(list(_gaps(runs, row, row.needs[0], row.size).values()))


def more_overfitting(runs: Grid, row: Row) -> Effect | None:
    """The same of the first strategy less that of the second, seed by seed."""
    first, second = (_gaps(runs, row, name, row.size) for name in row.needs)
    return effects.mean([first[seed] - second[seed] for seed in first.keys() & second.keys()])


def overfitting_of_few(runs: Grid, row: Row) -> Effect | None:
    """The same with few rows less that with the most rows of the sweep, seed by seed."""
    sizes = runs.sizes(row.sweep, row.task, row.needs[0])
    if not sizes or sizes[-1] == row.size:
        return None
    few, many = (_gaps(runs, row, row.needs[0], size) for size in (row.size, sizes[-1]))
    return effects.mean([few[seed] - many[seed] for seed in few.keys() & many.keys()])


def forgotten(probe: str) -> Callable[[Grid, Row], Effect | None]:
    """How much a linear probe of an earlier task loses by the tuning, in points, run by run.

    A measure for rows; the probe of each run is the mean of its own, see `transferlab.use.forgetting`.
    """

    def measure(runs: Grid, row: Row) -> Effect | None:
        found = [grid.probes(run).get(probe) for run in grid.by_seed(_group(runs, row, row.needs[0])).values()]
        told = [one["difference"] for one in found if one]
        # probes that give one answer to everything tell nothing
        lost = [-100 * float(one["mean"]) for one in told if one.get("low", 0.0) is not None]
        # what never moves has no spread over seeds: a single run tells all
        return effects.exact(0.0, len(lost)) if lost and not any(lost) else effects.mean(lost)

    MEASURED_LATER.append(measure)
    return measure


MEASURED_LATER: list[Callable[[Grid, Row], Effect | None]] = []
"""Measures that need `transferlab forgetting` beside the runs."""


def _group(runs: Grid, row: Row, strategy: str) -> Group | None:
    return runs.group(row.sweep, row.task, strategy, row.size)


def _plain(runs: Grid, row: Row, strategy: str) -> Group | None:
    return runs.group(row.beside, row.task, strategy, row.size)


def _learning_curve(runs: Grid, row: Row, strategy: str) -> dict[int, dict[int, float]]:
    """Number of training examples to seed to test score."""
    curve: dict[int, dict[int, float]] = {}
    for size in runs.sizes(row.sweep, row.task, strategy):
        for seed, run in grid.by_seed(runs.group(row.sweep, row.task, strategy, size)).items():
            if (score := score_of(run)) is not None:
                curve.setdefault(size, {})[seed] = score
    return curve


def _pairs(runs: Grid, row: Row) -> list[tuple[Summary, Summary]]:
    first, second = (grid.by_seed(_group(runs, row, name)) for name in row.needs)
    return [(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]


def _scores(runs: Grid, row: Row) -> list[tuple[float, float]]:
    pairs = [(score_of(a), score_of(b)) for a, b in _pairs(runs, row)]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _fact(runs: Grid, row: Row, name: str) -> Effect | None:
    numbers = [value(run, "params", name) for run in grid.by_seed(_group(runs, row, row.needs[0])).values()]
    known = [number for number in numbers if number is not None]
    return effects.exact(known[0], len(known)) if known else None


def _gaps(runs: Grid, row: Row, strategy: str, size: int | None) -> dict[int, float]:
    found = grid.by_seed(runs.group(row.sweep, row.task, strategy, size))
    losses = {seed: (grid.test_loss(run), grid.train_loss(run)) for seed, run in found.items()}
    return {seed: a - b for seed, (a, b) in losses.items() if a is not None and b is not None}

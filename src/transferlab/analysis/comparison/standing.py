"""How settings stand to one another: against a reference, the best one, and the baselines."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from transferlab.analysis.comparison import folds, naming, software
from transferlab.analysis.comparison.groups import Group, Key, drawn, faults, fold_of, fold_ratio, is_baseline, score_of
from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.lean import import_numpy
from transferlab.tasks.spec import direction

LEVEL = 0.05


class Row(NamedTuple):
    """A setting among those of its task.

    Attributes:
        group: Its runs.
        label: What to call it.
        reference: Label of what it is compared with; empty for the reference itself and where nothing was tested.
        difference: Its mean minus that of the reference.
        p: p-value against the reference, corrected by Holm over the comparisons of the block; None beside a difference
            where one run stands against two, which tell too little of how much a single run varies.
        p_raw: The same without correction.
        method: Name of the test.
        half: Half of the 95 % interval of `difference`, not corrected for the number of comparisons.
        assumed: Whether p takes a single run to vary over seeds as much as the other setting does.
        best: Whether it has the best mean of its block.
        tied: Whether it was tested against the best one and is not significantly worse.
        below: The baseline that it is worse than; empty without.
        flags: What is wrong with some of its runs.
    """

    group: Group
    label: str
    reference: str = ""
    difference: float | None = None
    p: float | None = None
    p_raw: float | None = None
    method: str = ""
    half: float | None = None
    assumed: bool = False
    best: bool = False
    tied: bool = False
    below: str = ""
    flags: tuple[str, ...] = ()


def block_of(key: Key) -> tuple[str, str, str, str, str]:
    """What settings must share to be compared: task, metric, protocol, data, number of test examples."""
    return key.task, key.metric, key.protocol, key.data, key.tested


def standing(
    groups: Sequence[Group], reference: str | None = None, tests: bool = True, bootstrap: bool = False
) -> list[Row]:
    """A row for each setting, block by block, the best one first.

    Args:
        groups: What `transferlab.analysis.comparison.groups.group` returns.
        reference: Strategy, experiment or label to compare with; None: the best one of each block.
        tests: Whether to test for significance, which reads predictions.
        bootstrap: Whether single runs are tested by the paired bootstrap.

    Raises:
        TransferlabError: No setting has the name of the reference.
    """
    blocks: dict[tuple[str, ...], list[Group]] = {}
    for one in sorted(groups, key=lambda one: (not one.key.task, block_of(one.key))):
        blocks.setdefault(block_of(one.key), []).append(one)
    labelled = [labels(block) for block in blocks.values()]
    if reference is not None:
        _require(reference, [pair for block in labelled for pair in block])
    return [row for block in labelled for row in _block(block, reference, tests, bootstrap)]


def goodness(one: Group) -> float:
    """The mean, turned so that more is better; minus infinity without one."""
    if one.score is None:
        return float("-inf")
    return direction(one.key.metric) * one.score.mean


def labels(block: Sequence[Group]) -> list[tuple[Group, str]]:
    """Names the settings of a block: the strategy, or the experiment where it is one of its own, and what differs."""
    # columns of their own show encoder and number of rows
    names = [(_name(one), one.key.encoder, one.key.train_examples) for one in block]
    found = [name[0] for name in names]
    for name in dict.fromkeys(names):
        places = [place for place, other in enumerate(names) if other == name]
        told = naming.told_apart([block[place] for place in places])
        alike = len({tuple(words) for words in told}) < len(told)
        for place, words in zip(places, told, strict=True):
            # settings whose configurations are gone differ all the same
            words = words or [block[place].key.setting] * alike
            found[place] += f" ({', '.join(words)})" if any(words) else ""
    return list(zip(block, found, strict=True))


def _name(one: Group) -> str:
    strategy, task = one.key.strategy, one.key.task
    experiments = dict.fromkeys(str(run.get("experiment", "")) for run in one.runs)
    own = [name for name in experiments if name and name != f"{strategy}_{task}"]
    if _classical(one) or not own:
        return strategy or (own[0] if own else "unknown")
    return own[0]


def _classical(one: Group) -> bool:
    return is_baseline(one.runs[0])


def _require(reference: str, labelled: Sequence[tuple[Group, str]]) -> None:
    known = sorted({name for pair in labelled for name in _names(*pair)})
    if reference not in known:
        raise TransferlabError(
            f"--reference: no setting {reference!r}{near(reference, known)}. Known: {', '.join(known)}."
        )


def _names(one: Group, label: str) -> set[str]:
    return {one.key.strategy, label, *(str(run.get("experiment", "")) for run in one.runs)} - {""}


def _block(block: list[tuple[Group, str]], wanted: str | None, tests: bool, bootstrap: bool) -> list[Row]:
    ranked = sorted(block, key=lambda pair: (-goodness(pair[0]), pair[1]))
    baselines = [pair for pair in ranked if _classical(pair[0]) and pair[0].score is not None]
    rows = [_row(one, label, baselines) for one, label in ranked]
    scored = [row for row in rows if row.group.score is not None]
    if not scored:
        return rows
    # one that has failed is no winner, also where it stands alone
    best = next((row for row in scored if _is_sound(row.group)), scored[0])
    named = [row for row in scored if wanted in _names(row.group, row.label)]
    reference = named[0] if named else best
    results = _tested(rows, reference, bootstrap) if tests else {}
    # the same comparisons, if the reference is the best one
    ties = results if reference is best else _tested(rows, best, bootstrap) if tests else {}
    finished = []
    for row in rows:
        if row is best:
            row = row._replace(best=_is_sound(row.group))
        elif _is_sound(row.group) and (tie := ties.get(row.group.key)) and tie.p is not None:
            row = row._replace(tied=tie.p >= LEVEL)
        if result := results.get(row.group.key):
            row = row._replace(**result._asdict())
        finished.append(row)
    return finished


def _is_sound(one: Group) -> bool:
    """Whether at least one of the runs that count neither failed nor collapsed."""
    return any(not faults(run) for run in one.counted)


class _Result(NamedTuple):
    reference: str
    difference: float
    p: float | None
    p_raw: float | None
    method: str
    half: float | None
    assumed: bool


def _tested(rows: Sequence[Row], reference: Row, bootstrap: bool = False) -> dict[Key, _Result]:
    """Tests all rows of a block against one of them; those without usable predictions are left out."""
    if any(fold_of(run) is not None for run in reference.group.counted):
        return _tested_in_folds(rows, reference)
    predicted = (row for row in rows if _predicted(row.group))
    if next(predicted, None) is None or next(predicted, None) is None:
        return {}
    from transferlab.analysis.comparison import again

    found = again.tests(rows, reference, bootstrap, lambda: _worked_out(rows, reference, bootstrap))
    return {rows[number].group.key: _Result(reference.label, *result) for number, result in found}


def _worked_out(rows: Sequence[Row], reference: Row, bootstrap: bool) -> list[tuple[int, tuple[Any, ...]]]:
    """The number of each row that can be tested, and the fields of its result behind the name of the reference."""
    # numpy takes longer to import than all else here
    import_numpy()
    from transferlab.analysis.comparison import outcomes, significance
    from transferlab.analysis.comparison.over_seeds import Sample
    from transferlab.tasks.kinds import SUMS

    one = reference.group.counted[0]
    known = [(number, row, outcomes.sample(row.group)) for number, row in enumerate(rows) if row.group.counted]
    base = next((found for _, row, found in known if row is reference), None)
    if base is None:
        return []
    others = [
        (number, row, found)
        for number, row, found in known
        if row is not reference and found and found.examples == base.examples
    ]
    metric = SUMS[str(one.get("kind")), reference.group.key.metric]
    first, *samples = [
        Sample(found.counts, _classical(row.group), row.group.seeds)
        for _, row, found in [(0, reference, base), *others]
    ]
    # the examples are the same; a run of before does not say which texts stand there twice
    told = (found.texts for found in (base, *(found for *_, found in others)) if found.texts is not None)
    accuracy = reference.group.key.metric == "accuracy"
    against = significance.against(first, samples, metric, accuracy, next(told, None), bootstrap)
    corrected = iter(significance.holm([result.p for result in against if result.p is not None]))
    return [
        (
            number,
            (
                result.difference,
                None if result.p is None else next(corrected),
                result.p,
                result.method,
                result.half,
                result.assumed,
            ),
        )
        for (number, *_), result in zip(others, against, strict=True)
    ]


def _tested_in_folds(rows: Sequence[Row], reference: Row) -> dict[Key, _Result]:
    """Tests on the folds that both have, of the same seeds; those with fewer than two in common are left out."""
    from transferlab.analysis.comparison.significance import holm

    base = {drawn(run): score_of(run) for run in reference.group.counted}
    ratio = fold_ratio(reference.group.counted)
    found: dict[Key, folds.Tested] = {}
    for row in rows:
        own = {drawn(run): score_of(run) for run in row.group.counted}
        pairs = [(own[place], base[place]) for place in sorted(own.keys() & base.keys())]
        gains = [one - other for one, other in pairs if one is not None and other is not None]
        if row is not reference and len(gains) > 1:
            found[row.group.key] = folds.corrected_t(gains, ratio)
    corrected = holm([result.p for result in found.values()])
    return {
        key: _Result(reference.label, result.difference, p, result.p, folds.METHOD, result.half, False)
        for (key, result), p in zip(found.items(), corrected, strict=True)
    }


def _predicted(one: Group) -> bool:
    places = [os.path.join(str(run.get("folder", "")), "predictions", "test.jsonl") for run in one.counted]
    return bool(places) and all(map(os.path.isfile, places))


def _row(one: Group, label: str, baselines: Sequence[tuple[Group, str]]) -> Row:
    return Row(one, label, below="" if _classical(one) else _better_baseline(one, baselines), flags=_flags(one))


def _better_baseline(one: Group, baselines: Sequence[tuple[Group, str]]) -> str:
    """The best baseline, if it is better: of those on as many training examples where there is one, else of all."""
    alike = [pair for pair in baselines if pair[0].key.train_examples == one.key.train_examples]
    best = max(alike or baselines, key=lambda pair: goodness(pair[0]), default=None)
    if best is None or one.score is None or goodness(one) >= goodness(best[0]):
        return ""
    return best[1] if alike else f"{best[1]} on {best[0].key.train_examples} training examples"


def _flags(one: Group) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for run in one.runs:
        for fault in faults(run):
            counts[fault] = counts.get(fault, 0) + 1
    told = [f"{count} of {len(one.runs)} {fault}" for fault, count in counts.items()]
    return (*told, *(["mixed versions"] if software.mixed(one.counted) else []))

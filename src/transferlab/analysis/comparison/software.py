"""Whether the runs of a setting were made with the same versions of libraries and base weights."""

import functools
from collections.abc import Sequence
from typing import Any

from transferlab.analysis.comparison.groups import Summary
from transferlab.record import environment

THEN = ", then "


def mixed(runs: Sequence[Summary]) -> list[str]:
    """What the runs of a setting differ in though their mean takes them for equal, in words.

    Args:
        runs: Summaries, each with ``folder``.

    Returns:
        Such as ``torch (2.12.0 with seeds 0 1; 2.13.0 with seed 2)``; empty where they agree, or do not tell. A run
        that was resumed under another version has ``2.12.0, then 2.13.0``.
    """
    names = [*environment.EXACT, "base weights"]
    told = [(run.get("seed"), versions_of(str(run.get("folder", "")), _base(run))) for run in runs]
    found: list[str] = []
    if told and not any(versions != told[0][1] for _, versions in told) and THEN not in str(told[0][1]):
        return found
    for name in names:
        seeds: dict[str, list[str]] = {}
        for seed, versions in told:
            if name in versions:
                seeds.setdefault(versions[name], []).append(str(seed))
        if len(seeds) > 1 or any(THEN in version for version in seeds):
            parts = [f"{version} with seed{'s' * (len(who) > 1)} {' '.join(who)}" for version, who in seeds.items()]
            found.append(f"{name} ({'; '.join(parts)})")
    return found


def _base(run: Summary) -> str:
    base = run.get("base")
    return str(base.get("weights") or "") if isinstance(base, dict) else ""


@functools.cache
def environment_of(folder: str) -> dict[str, Any]:
    """What ``environment.json`` of a run holds; empty where it cannot be read."""
    return environment.read(folder)


@functools.cache
def versions_of(folder: str, base: str) -> dict[str, str]:
    """The versions that the weights of a run were made with; of several starts each, and the base weights."""
    starts = [
        environment.versions(start) for start in environment.effective(environment.starts_in(environment_of(folder)))
    ]
    joined = {
        name: THEN.join(dict.fromkeys(start[name] for start in starts if name in start))
        for name in environment.EXACT
        if any(name in start for start in starts)
    }
    return joined | ({"base weights": base} if base else {})

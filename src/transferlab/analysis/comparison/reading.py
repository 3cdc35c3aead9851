"""Summaries of runs, read and filtered. Imports nothing that takes long to import."""

from collections import Counter
from pathlib import Path

from transferlab.analysis.comparison.groups import Summary, is_baseline, value
from transferlab.ground.errors import TransferlabError, near
from transferlab.record import folder as run_folder

FLOAT32 = 4
"""Bytes of a number in a run's model."""


def read(root: Path) -> list[Summary]:
    """The summaries of all runs below `root`, each with its folder as ``folder`` and that one's name as ``run``.

    Quantised forms of a run stand beside it. ``model_mb`` is the size of the whole model, in MB of 2**20 bytes.

    Raises:
        TransferlabError: There are none.
    """
    found: list[Summary] = []
    for path, summary in run_folder.summaries(root, forms=True):
        size = {"model_mb": None if (total := value(summary, "params", "total")) is None else total * FLOAT32 / 2**20}
        found.append({"status": "unknown", **size, **summary, "run": path.name, "folder": str(path)})
    if not found:
        siblings = [other.name for other in root.absolute().parent.glob("*") if other.is_dir()]
        hint = "" if root.is_dir() else near(root.name, siblings)
        raise TransferlabError(f"no runs under {root}/{hint}. `transferlab demo` makes some, `transferlab fit` one.")
    return found


def select(summaries: list[Summary], filters: dict[str, str | None], baselines: bool = False) -> list[Summary]:
    """The runs that pass all filters.

    Args:
        summaries: What `read` returns.
        filters: ``task``, ``strategy``, ``encoder`` or ``tag`` to the wanted value; None lets every run pass.
        baselines: Keep the baselines of the tasks that are left, whatever the other filters say.

    Raises:
        TransferlabError: A value that no run has, or no run that has all of them.
    """
    kept = summaries
    for name, wanted in filters.items():
        if wanted is None:
            continue
        known = sorted({value for summary in summaries for value in _values(summary, name)})
        if wanted not in known:
            listed = f"Known: {', '.join(known)}." if known else f"No run has a {name}."
            raise TransferlabError(f"--{name}: no run with {name} {wanted!r}{near(wanted, known)}. {listed}")
        kept = [summary for summary in kept if wanted in _values(summary, name)]
    if not kept:
        asked = " ".join(f"--{name} {wanted}" for name, wanted in filters.items() if wanted is not None)
        raise TransferlabError(f"no run passes {asked} together; leave one of them out.")
    if not baselines:
        return kept
    chosen, tasks = {str(run["folder"]) for run in kept}, {run.get("task") for run in kept}
    return [run for run in summaries if str(run["folder"]) in chosen or (is_baseline(run) and run.get("task") in tasks)]


def finished(summaries: list[Summary]) -> tuple[list[Summary], list[str]]:
    """The finished runs, and a sentence on those that are left out.

    Raises:
        TransferlabError: None is finished.
    """
    kept = [run for run in summaries if run.get("status") == "finished"]
    if not kept:
        raise TransferlabError(f"--finished: none of {len(summaries)} runs is finished; leave it out to see them.")
    counts = Counter(str(run.get("status")) for run in summaries if run.get("status") != "finished")
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return kept, [f"left out by --finished: {told}."] if told else []


def _values(summary: Summary, name: str) -> list[str]:
    if name == "tag":
        tags = summary.get("tags")
        return [str(tag) for tag in tags] if isinstance(tags, list) else []
    value = summary.get(name)
    return [] if value is None else [str(value)]

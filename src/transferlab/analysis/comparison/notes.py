"""What a reader of a table must know beside it."""

import hashlib
import os
import stat
from collections.abc import Sequence

from transferlab.analysis.comparison import elsewhere, software
from transferlab.analysis.comparison.columns import ASSUMED
from transferlab.analysis.comparison.groups import UNDER_WAY, Summary, drawn, faults
from transferlab.analysis.comparison.standing import Row, block_of
from transferlab.ground.contents import content
from transferlab.record import folder as run_folder
from transferlab.record import history

RARE = 0.2
"""Share of runs that fail, for a sentence on what an interval is worth then."""
HISTORIES = (history.NAME, "metrics.csv")


def notes(rows: Sequence[Row]) -> list[str]:
    """Sentences on what was tested, on failed and repeated runs, and on what may not be compared."""
    runs = [run for row in rows for run in row.group.runs]
    return [
        *legend(rows),
        *_tests(rows),
        *_assumptions(rows),
        *_failed(rows),
        *_coverage(rows),
        *_repeated(rows),
        *_stopped(rows),
        *apart(rows),
        *_mixed(rows),
        *_contradicted(runs),
        *equal_histories(runs),
        *elsewhere.notes(rows),
    ]


def legend(rows: Sequence[Row]) -> list[str]:
    """What the marks mean, of those that occur."""
    parts = []
    if any(row.tied for row in rows):
        parts.append("★ the best, or not shown to be worse than it at 5 %")
    elif any(row.best for row in rows):
        parts.append("★ the best")
    if any(row.below for row in rows):
        parts.append("▼ below the baseline that is named")
    return [f"{'; '.join(parts)}."] if parts else []


def _tests(rows: Sequence[Row]) -> list[str]:
    found = []
    for block in dict.fromkeys(block_of(row.group.key) for row in rows):
        tested = [row for row in rows if block_of(row.group.key) == block and row.p is not None]
        if tested:
            methods = ", ".join(dict.fromkeys(row.method for row in tested))
            found.append(
                f"{block[0]}: diff and p against {tested[0].reference}; p by {methods}, corrected for "
                f"{len(tested)} comparisons (Holm)."
            )
    if found and any(row.method in {"McNemar", "randomisation"} for row in rows):
        found.append("p of single runs speaks of these trained models only, not of another seed.")
    return found


def _assumptions(rows: Sequence[Row]) -> list[str]:
    """What a p of one run against several rests on, and why there is none for one against two."""
    found = []
    if any(row.assumed for row in rows):
        found.append(
            f"{ASSUMED} one run against several: p takes the single run to vary over seeds as much as the other "
            "setting, which one run cannot show. If it varies more, equal settings are called different far more often "
            "than at 5 % (docs/comparing.md)."
        )
    alone = [row for row in rows if row.difference is not None and row.p is None]
    for task in dict.fromkeys(row.group.key.task for row in alone):
        named = ", ".join(row.label for row in alone if row.group.key.task == task)
        found.append(
            f"{task}: no p for {named}: of one run against two nobody knows how much they vary over seeds; run more."
        )
    if any("text" in row.method for row in rows):
        found.append("Test examples with the same text count as one in p and in the interval of a difference.")
    return found


def _coverage(rows: Sequence[Row]) -> list[str]:
    """How little an interval over a few seeds says where some runs fail: those that did not fail may be all it saw."""
    found = []
    for row in rows:
        bad = [fault for run in row.group.runs for fault in faults(run) if fault not in UNDER_WAY]
        score = row.group.score
        if bad and score is not None and score.low is not None:
            # no interval of sound runs alone reaches down to a mean with failures in it
            seen = 1 - (1 - RARE) ** score.n
            found.append(
                f"{row.group.key.task}: {row.label} fails now and then; if one run in five does, a 95 % interval over "
                f"{score.n} seeds covers the mean in about {100 * seen:.0f} % of cases. Run more seeds."
            )
    return found


def _failed(rows: Sequence[Row]) -> list[str]:
    found = []
    for row in rows:
        score, sound = row.group.score, row.group.sound
        if score and sound and sound.n < score.n:
            seeds = [str(run.get("seed")) for run in row.group.counted if faults(run)]
            found.append(
                f"{row.group.key.task}: {row.label} failed with seed {', '.join(seeds)}, which is in its mean; "
                f"without: {sound.mean:.4f} over {sound.n}."
            )
    return found


def _repeated(rows: Sequence[Row]) -> list[str]:
    found = []
    for row in rows:
        places = [drawn(run) for run in row.group.runs if run.get("status") == "finished"]
        if again := sorted({place[0] for place in places if places.count(place) > 1}):
            found.append(
                f"{row.group.key.task}: {row.label} has several runs with seed {', '.join(map(str, again))}; "
                "of each the last one counts."
            )
    return found


def _stopped(rows: Sequence[Row]) -> list[str]:
    found = []
    for row in rows:
        ends = [run.get("early_stopping") for run in row.group.counted]
        epochs = [end["epoch"] for end in ends if isinstance(end, dict) and isinstance(end.get("epoch"), int)]
        if epochs:
            found.append(
                f"{row.group.key.task}: early stopping ended {len(epochs)} of {len(ends)} runs of {row.label}, "
                f"in epoch {', '.join(map(str, sorted(epochs)))}."
            )
    return found


def apart(rows: Sequence[Row]) -> list[str]:
    """A warning for each task whose settings fall into blocks that cannot be compared with one another."""
    blocks: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        block = block_of(row.group.key)
        if block not in blocks.setdefault(row.group.key.task, []):
            blocks[row.group.key.task].append(block)
    found = []
    for task, different in blocks.items():
        protocols = sorted({block[2] for block in different} - {""})
        versions = sorted({block[3] for block in different} - {""})
        counts = sorted({block[4] for block in different} - {""}, key=int)
        if len(protocols) > 1:
            found.append(
                f"{task}: runs of different protocols ({', '.join(protocols)}); compare within one of them only."
            )
        if len(versions) > 1:
            found.append(f"{task}: runs on different data ({', '.join(versions)}); compare within one of them only.")
        elif len(counts) > 1:
            found.append(
                f"{task}: runs tested on different numbers of test examples ({', '.join(counts)}); compare within one "
                "of them only."
            )
    return found


def _mixed(rows: Sequence[Row]) -> list[str]:
    """A warning for each setting whose runs were made with different versions of what decides the result."""
    found = []
    for row in rows:
        for text in software.mixed(row.group.counted):
            found.append(f"warning: {row.group.key.task}: the runs of {row.label} differ in {text}.")
    return found


def _contradicted(runs: Sequence[Summary]) -> list[str]:
    """A warning for each run that gave another result when it was evaluated again under the same settings."""
    found = []
    for run in runs:
        entries = run_folder.retests(str(run.get("folder", "")))
        other = [
            entry.name for entry, result in entries if result.get("differs") == [] and result.get("equal") is False
        ]
        if other:
            entry = f"{run_folder.RETESTS}/{other[-1]}"
            found.append(f"warning: {_name(run)} gave another result when it was evaluated again: {entry}.")
    return found


def equal_histories(runs: Sequence[Summary]) -> list[str]:
    """A warning for runs with different seeds whose histories are the same bit for bit: the seed reached nothing."""
    by_size: dict[tuple[str, int], list[tuple[str, Summary]]] = {}
    for run in runs:
        for name in HISTORIES:
            path = os.path.join(str(run.get("folder", "")), name)
            if size := _size(path):
                by_size.setdefault((name, size), []).append((path, run))
                break
    found: dict[str, list[Summary]] = {}
    for alike in by_size.values():
        if len({run.get("seed") for _, run in alike}) > 1:
            for path, run in alike:
                found.setdefault(hashlib.sha256(content(path)).hexdigest(), []).append(run)
    return [
        f"warning: {', '.join(_name(run) for run in same)} have different seeds and the same history, bit for bit: the "
        "seed had no effect, or a folder was copied."
        for same in found.values()
        if len({run.get("seed") for run in same}) > 1
    ]


def _size(path: str) -> int:
    """Bytes of a file, 0 where there is none; one question for each of thousands."""
    try:
        facts = os.stat(path)
    except OSError:
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def _name(run: Summary) -> str:
    return f"{run.get('experiment')}/{run.get('run')}"

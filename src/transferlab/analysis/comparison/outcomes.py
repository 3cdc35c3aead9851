"""Test predictions as sums: each metric is a function of counts that add up over examples.

That one form serves every test: leaving an example out subtracts its counts, swapping an example between two models
exchanges them.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple, cast
from zipfile import BadZipFile

import numpy as np

from transferlab.analysis.comparison.groups import Group, Summary, score_of
from transferlab.config.places import cache_folder
from transferlab.tasks.kinds import KINDS, SUMS
from transferlab.tasks.schemes import of_summary
from transferlab.tasks.spec import Kind

Array = np.ndarray[Any, Any]
VERSION = "2"
"""Part of the name of kept outcomes; to be raised when they are computed otherwise."""


class Outcomes(NamedTuple):
    """What a run made of each test example.

    Attributes:
        examples: Names ids and gold labels; two runs are paired only if they agree in it.
        counts: ``[examples, counts]``; what they are depends on the metric, see `transferlab.tasks.kinds`.
        texts: ``[examples]``, for each the number of the first example with the same text, as far as the run says so.
    """

    examples: str
    counts: Array
    texts: Array

    @property
    def repeats(self) -> bool:
        """Whether a text is known to stand there twice."""
        return len(np.unique(self.texts)) < len(self.texts)


def outcomes(summary: Summary) -> Outcomes | None:
    """What a run made of the examples of its main test split.

    They are kept in the folder of caches, named by file, size and time of change. None where there are no predictions
    with gold labels, or where these do not give the metric that the summary names.
    """
    kind, metric = str(summary.get("kind")), str(summary.get("primary"))
    path = Path(str(summary.get("folder"))) / "predictions" / "test.jsonl"
    score = score_of(summary)
    if (kind, metric) not in SUMS or score is None:
        return None
    try:
        state = path.stat()
        key = [VERSION, str(path.absolute()), state.st_size, state.st_mtime_ns, kind, metric, summary.get("labels")]
        key += [summary["scheme"]] if summary.get("scheme") else []
        kept = cache_folder() / "outcomes" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.npz"
        found = _read(kept) or _keep(kept, _count(path, kind, metric, summary))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    recomputed = float(SUMS[kind, metric](found.counts.sum(0)))
    return found if abs(recomputed - score) < 1e-3 * max(1.0, abs(score)) else None


def _count(path: Path, kind: str, metric: str, summary: Summary) -> Outcomes:
    with path.open(encoding="utf-8") as file:
        lines = json.loads("[" + ",".join(file) + "]")
    gold, found = [line["label"] for line in lines], [line["prediction"] for line in lines]
    if kind == "tagging":
        read = of_summary(summary).read
        # what was written in a scheme of the user's is the same in any
        gold, found = list(map(read, gold)), list(map(read, found))
    examples = hashlib.sha256(json.dumps([[line["id"] for line in lines], gold]).encode()).hexdigest()[:16]
    counts = KINDS[cast(Kind, kind)].counts(found, gold, metric, summary.get("labels") or [])
    return Outcomes(examples, counts, np.array([int(line.get("repeats", line["id"])) for line in lines]))


def _read(path: Path) -> Outcomes | None:
    if not path.is_file():
        return None
    try:
        with np.load(path) as kept:
            return Outcomes(str(kept["examples"]), kept["counts"].astype(float), kept["texts"])
    # what is damaged is counted anew
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, BadZipFile):
        return None


def _keep(path: Path, found: Outcomes) -> Outcomes:
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # counts are small whole numbers, moments are not
        whole = bool((found.counts == found.counts.astype(np.uint8)).all())
        counts = found.counts.astype(np.uint8) if whole else found.counts
        np.savez(temporary, examples=found.examples, counts=counts, texts=found.texts)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
    return found


def sample(group: Group) -> Outcomes | None:
    """The outcomes of all counted runs of a setting, in the order of their seeds.

    Returns:
        Those of the runs with ``[runs, examples, counts]``; None where a run has none or has others.
    """
    found = [outcomes(run) for run in group.counted]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found) or len({one.examples for one in known}) > 1:
        return None
    told = next((one for one in known if one.repeats), known[0])
    return told._replace(counts=np.stack([one.counts for one in known]))

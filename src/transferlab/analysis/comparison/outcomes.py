"""Test predictions as sums: each metric is a function of counts that add up over examples.

That one form serves every test: leaving an example out subtracts its counts, swapping an example between two models
exchanges them.
"""

import hashlib
import io
import json
from typing import Any, NamedTuple, cast

import numpy as np

from transferlab.analysis.comparison import kept
from transferlab.analysis.comparison.groups import Group, Summary, score_of
from transferlab.tasks.kinds import KINDS, SUMS, counted
from transferlab.tasks.schemes import of_summary
from transferlab.tasks.spec import Kind

Array = np.ndarray[Any, Any]
VERSION = 3
"""Of kept outcomes; to be raised when they are computed otherwise."""
TEST = "predictions/test.jsonl"


class Outcomes(NamedTuple):
    """What a run made of each test example.

    Attributes:
        examples: Names ids and gold labels; two runs are paired only if they agree in it.
        counts: ``[examples, counts]``; what they are depends on the metric, see `transferlab.tasks.kinds`.
        texts: ``[examples]``, for each the number of the first example with the same text; None where none is known to
            stand there twice.
    """

    examples: str
    counts: Array
    texts: Array | None


def outcomes(summary: Summary) -> Outcomes | None:
    """What a run made of the examples of its main test split.

    They are kept, see `transferlab.analysis.comparison.kept`. None where there are no predictions with gold labels, or
    where these do not give the metric that the summary names.
    """
    kind, metric = str(summary.get("kind")), str(summary.get("primary"))
    folder, score = str(summary.get("folder")), score_of(summary)
    if (kind, metric) not in SUMS or score is None:
        return None
    key = json.dumps([VERSION, kind, metric, summary.get("labels"), summary.get("scheme")])
    try:
        payload = kept.kept(folder, "outcomes", [TEST], key, lambda sources: _count(sources, summary))
        examples, arrays = kept.unpack(payload)
        found = Outcomes(examples, arrays["counts"].astype(float), arrays["texts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # as a product the sum over a long and narrow table takes a tenth of the time
    recomputed = float(SUMS[kind, metric](np.ones(len(found.counts)) @ found.counts))
    return found if abs(recomputed - score) < 1e-3 * max(1.0, abs(score)) else None


def _count(sources: kept.Sources, summary: Summary) -> bytes:
    kind, metric = str(summary.get("kind")), str(summary.get("primary"))
    if sources[0] is None:
        raise FileNotFoundError(TEST)
    with io.StringIO(sources[0].decode("utf-8")) as file:
        lines = json.loads("[" + ",".join(file) + "]")
    gold, found = [line["label"] for line in lines], [line["prediction"] for line in lines]
    answers, scheme = KINDS[cast(Kind, kind)], of_summary(summary)
    # what was written in a scheme of the user's is the same in any
    gold, found = ([answers.read(scheme, one) for one in side] for side in (gold, found))
    examples = hashlib.sha256(json.dumps([[line["id"] for line in lines], gold]).encode()).hexdigest()[:16]
    stored = answers.stored(lines, metric)
    counts = answers.counts(found, gold, metric, counted(summary)) if stored is None else stored
    texts = np.array([int(line.get("repeats", line["id"])) for line in lines])
    # counts are small whole numbers, moments are not
    whole = bool((counts == counts.astype(np.uint8)).all())
    repeats = len(np.unique(texts)) < len(texts)
    return kept.pack(examples, counts=counts.astype(np.uint8) if whole else counts, texts=texts if repeats else None)


def sample(group: Group) -> Outcomes | None:
    """The outcomes of all counted runs of a setting, in the order of their seeds.

    Returns:
        Those of the runs with ``[runs, examples, counts]``; None where a run has none or has others.
    """
    found = [outcomes(run) for run in group.counted]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found) or len({one.examples for one in known}) > 1:
        return None
    told = next((one for one in known if one.texts is not None), known[0])
    return told._replace(counts=np.stack([one.counts for one in known]))

"""What to call settings of one strategy: as little as tells them apart."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison.groups import Group
from transferlab.record import setting

MISSING = "-"
SHORT = 32
"""Characters of a value in a name."""
FIRST = ("trainer.max_epochs", "model.init_args.optimizer.init_args.lr")
"""Keys that tell settings apart best."""


def told_apart(rivals: Sequence[Group], facts: Sequence[Sequence[str]] = ()) -> list[list[str]]:
    """What to say of each setting until no two of them are called the same.

    Args:
        rivals: The settings.
        facts: What to try first, a word for each setting; then come the keys of the configuration as ``key=value``.

    Returns:
        Words for each setting; none where they differ in nothing that is known.
    """
    if len(rivals) < 2:
        return [[] for _ in rivals]
    known = [row for row in differences(rivals) if not row[0].endswith(".train_examples")]
    # a key that only some have is most likely one that came later
    known.sort(key=lambda row: (MISSING in row[1], FIRST.index(row[0]) if row[0] in FIRST else len(FIRST), row[0]))
    rows = [list(row) for row in facts]
    rows += [
        ["" if v == MISSING else f"{key.rsplit('.', 1)[-1]}={_rounded(v)}" for v in values] for key, values in known
    ]
    told: list[list[str]] = [[] for _ in rivals]
    for row in rows:
        if len({tuple(words) for words in told}) == len(rivals):
            break
        if len(set(row)) > 1:
            for words, word in zip(told, row, strict=True):
                if word:
                    words.append(word if len(word) <= SHORT else f"{word[:SHORT]}…")
    return told


def _rounded(value: str) -> str:
    """A number that was drawn at random has more digits than anybody reads."""
    try:
        return value if len(value) <= 8 else f"{float(value):.4g}"
    except ValueError:
        return value


def differences(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Keys of the configuration in which settings differ, with the value of each, `MISSING` where it has none."""
    trees = [deciding(one) for one in groups]
    keys = sorted({key for tree in trees for key in tree})
    rows = [(key, [str(tree.get(key, MISSING)) for tree in trees]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def deciding(one: Group) -> dict[str, Any]:
    """The keys that decide the result of a setting, from the configuration of one of its runs."""
    folder = (one.counted or one.runs)[-1].get("folder")
    return _of_folder(str(folder)) if folder else {}


@functools.cache
def _of_folder(folder: str) -> dict[str, Any]:
    return setting.deciding(setting.of_folder(Path(folder)))

"""What to call settings of one strategy: as little as tells them apart."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from transferlab.analysis.comparison import configs
from transferlab.analysis.comparison.groups import Group, faults

MISSING = "-"
SHORT = 32
"""Characters of a value in a name."""
CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
"""A dotted path such as ``torch.optim.AdamW``."""
INNER = re.compile(r"[\[(]([^\[\]()]+?),?[\])]")
"""A list that holds no other."""
FIRST = ("trainer.max_epochs", "model.init_args.optimizer.init_args.lr")
"""Keys that tell settings apart best."""


def told_apart(rivals: Sequence[Group], facts: Sequence[Sequence[str]] = ()) -> list[list[str]]:
    """What to say of each setting until no two of them are called the same.

    Names are made from settings with a result. One without is called by what became of its runs, so that a failed try
    changes no other name.

    Args:
        rivals: The settings.
        facts: What to try first, a word for each setting; then come the keys of the configuration as ``key=value``.

    Returns:
        Words for each setting; none where they differ in nothing that is known.
    """
    finished = [place for place, one in enumerate(rivals) if one.counted]
    told: list[list[str]] = [[] for _ in rivals]
    for place, words in zip(
        finished,
        _by_keys([rivals[place] for place in finished], [[row[place] for place in finished] for row in facts]),
        strict=True,
    ):
        told[place] = words
    if len(rivals) > 1:
        seen: Counter[str] = Counter()
        for place in set(range(len(rivals))) - set(finished):
            became = _became(rivals[place])
            seen[became] += 1
            told[place] = [became if seen[became] == 1 else f"{became} {seen[became]}"]
    return told


def _became(one: Group) -> str:
    """What became of the runs of a setting that has no result."""
    known = Counter(fault for run in one.runs for fault in faults(run))
    return known.most_common(1)[0][0] if known else "no result"


def _by_keys(rivals: Sequence[Group], facts: Sequence[Sequence[str]]) -> list[list[str]]:
    told: list[list[str]] = [[] for _ in rivals]
    if len(rivals) < 2:
        return told
    known = [row for row in differences(rivals) if not row[0].endswith(".train_examples")]
    # a key that only some have is most likely one that came later, or an argument of another class
    known.sort(key=lambda row: (MISSING in row[1], FIRST.index(row[0]) if row[0] in FIRST else len(FIRST), row[0]))
    rows = [[_cut({word: word for word in row})[word] for word in row] for row in facts]
    rows += [_told(key, values) for key, values in known]
    for row in rows:
        if len({tuple(words) for words in told}) == len(rivals):
            break
        # a key that splits nothing that the ones before it have left together says nothing new
        if len({(*words, word) for words, word in zip(told, row, strict=True)}) > len({tuple(w) for w in told}):
            for words, word in zip(told, row, strict=True):
                if word:
                    words.append(word)
    return told


def _told(key: str, values: Sequence[str]) -> list[str]:
    """A key with each of its values in few characters; other values are other words."""
    words = _cut({value: f"{_word(key)}={_rounded(value)}" for value in values if value != MISSING})
    return [words.get(value, "") for value in values]


def _cut(words: dict[str, str]) -> dict[str, str]:
    """Each value with its word in at most `SHORT` characters; equal words of other values get digits of the value."""
    cut = {value: word if len(word) <= SHORT else f"{word[:SHORT]}…" for value, word in words.items()}
    seen = Counter(cut.values())
    return {
        value: word if seen[word] == 1 else f"{word[: SHORT - 6]}… {hashlib.sha256(value.encode()).hexdigest()[:4]}"
        for value, word in cut.items()
    }


def _word(key: str) -> str:
    """The last part of a key; of a class the part before, which says what it is the class of."""
    parts = [part for part in key.split(".") if part not in {"class_path", "init_args"}]
    return parts[-1] if parts else key


def _rounded(value: str) -> str:
    """A value as a name has it: of a class or a file the last part, of a number drawn at random four digits.

    Of lists in a list, such as the heads of each layer, only how many each of them has.
    """
    if len(value) > SHORT // 2 and value.startswith(("[[", "((")):
        return "+".join(str(len(part.split(","))) for part in INNER.findall(value))
    try:
        return value if len(value) <= 8 else f"{float(value):.4g}"
    except ValueError:
        pass
    if os.sep in value and not value.startswith(("[", "{")):
        return value.rstrip(os.sep).rpartition(os.sep)[2]
    return value.rpartition(".")[2] if CLASS.fullmatch(value) else value


def differences(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Keys of the configuration in which settings differ, with the value of each, `MISSING` where it has none."""
    trees = [deciding(one) for one in groups]
    keys = sorted({key for tree in trees for key in tree})
    rows = [(key, [str(tree.get(key, MISSING)) for tree in trees]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def deciding(one: Group) -> dict[str, Any]:
    """The keys that decide the result of a setting, from the configuration of one of its runs."""
    folder = (one.counted or one.runs)[-1].get("folder")
    return configs.deciding(str(folder)) if folder else {}

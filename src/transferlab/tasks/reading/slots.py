"""Rows with an intent and a slot tag for each word: folders of SNIPS and ATIS, and columns of other files."""

from pathlib import Path
from typing import Any

from transferlab.config.places import local_folder
from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.cells import is_written_list, list_of, shown
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.reading.text import decode
from transferlab.tasks.spec import INTENT, Source

FILES = ("seq.in", "seq.out", "label")
"""Words, tags and intents, a line for each text."""
WORDS = ("tokens", "words", "text", "utterance")
TAGS = ("slots", "tags", "slot_tags", "ner_tags")
INTENTS = ("intent", "label", "intents")
"""Columns that serve where those of the source are not there."""
SPLITS = {"valid": "validation", "dev": "validation"}


def splits_of(source: Source) -> tuple[str, ...]:
    """Names of the splits of a folder with `FILES` in a folder for each; empty for anything else."""
    return tuple(_parts(source))


def folder_of(source: Source, split: str) -> Path | None:
    """The folder that holds `FILES` for a split; None where the split is read otherwise."""
    if source.kind == "slots" and split in source.files:
        path = Path(source.files[split])
        return path.parent if path.name == FILES[0] else path if path.is_dir() else None
    return _parts(source).get(split)


def _parts(source: Source) -> dict[str, Path]:
    if source.kind != "slots" or not source.path:
        return {}
    folder = local_folder(source.path, "TRANSFERLAB_DATA")
    inside = sorted(path.parent for path in folder.glob(f"*/{FILES[0]}")) if folder else []
    return {SPLITS.get(path.name, path.name): path for path in inside}


def read_folder(folder: Path, labelled: bool = True) -> Rows:
    """Reads the three files of a split.

    Raises:
        TransferlabError: A file is missing, an empty line, or files of unequal length; names file and line.
    """
    names = FILES if labelled else FILES[:1]
    if missing := next((name for name in names if not (folder / name).is_file()), None):
        raise TransferlabError(
            f"{folder} has no file {missing!r}; it needs {', '.join(names)}, with a line in each for every text."
        )
    # not at every mark that Unicode takes for the end of a line, which a text may hold
    lines = [decode(folder / name, None)[0].removesuffix("\n").split("\n") for name in names]
    for name, own in zip(names, lines, strict=True):
        if len(own) != len(lines[0]):
            raise TransferlabError(
                f"{folder / name}: {len(own)} lines, but {len(lines[0])} in {FILES[0]}; each text needs a line in each."
            )
        if empty := next((number for number, line in enumerate(own, 1) if not line.strip()), None):
            raise TransferlabError(
                f"{folder / name}, line {empty}: it is empty; mend it, or take the line out of {' and '.join(names)}."
            )
    columns: dict[str, list[Any]] = {WORDS[0]: [line.split() for line in lines[0]]}
    if labelled:
        columns |= {TAGS[0]: [line.split() for line in lines[1]], INTENTS[0]: [line.strip() for line in lines[2]]}
    return Rows(Table.from_dict(columns), str(folder), list(range(1, len(lines[0]) + 1)), ", ".join(names))


def with_slots(rows: Rows, source: Source) -> Rows:
    """The rows with words in the text column and, where they are labelled, the intent and then the tags in the label.

    The intent stands behind `INTENT`, so that it is no tag.

    Raises:
        TransferlabError: A column that is missing, a text without words, another number of tags than words, or no
            intent; names the row.
    """
    known = rows.rows.column_names
    name = next((column for column in (source.text[0], *WORDS) if column in known), None)
    if name is None:
        return rows
    words = [_words(rows, number, name, cell) for number, cell in enumerate(rows.rows[name][:])]
    labels = _labels(rows, source, words, name)
    kept = rows.rows.remove_columns([column for column in (source.text[0], source.label) if column in known])
    kept = kept.add_column(source.text[0], words)
    return rows._replace(rows=kept if labels is None else kept.add_column(source.label, labels))


def _words(rows: Rows, number: int, column: str, cell: Any) -> list[str]:
    words = _listed(cell)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TransferlabError(f"{rows.place(number)}: column {column!r} must hold words or a text, not {shown(cell)}.")
    if not words or not all(word.strip() for word in words):
        what = "no words" if not words else "a word without a letter or mark"
        raise TransferlabError(f"{rows.place(number)}: column {column!r} has {what}; mend the row, or leave it out.")
    return words


def _listed(cell: Any) -> Any:
    """A text as its parts between blanks, a list that a program wrote as that list."""
    if not isinstance(cell, str):
        return cell
    written = list_of(cell) if cell.startswith("[") else None
    return cell.split() if written is None else written


def _labels(rows: Rows, source: Source, words: list[list[str]], text: str) -> list[list[str]] | None:
    """Intent and tags of each row; None where the split carries neither."""
    known = [column for column in rows.rows.column_names if column != text]
    tags = next((column for column in (source.label, *TAGS) if column in known), None)
    wanted = (source.intent,) if source.intent else INTENTS
    intent = next((column for column in wanted if column in known and column != tags), None)
    if tags is None and intent is None:
        return None
    if tags is None or intent is None:
        key, column, what = (
            ("label", source.label, "tags of slots") if tags is None else ("intent", wanted[0], "intents")
        )
        raise TransferlabError(
            f"data.source.{key}: {rows.origin} has no column {column!r} with {what}{near(column, known)}. It has "
            f"{', '.join(rows.rows.column_names)}."
        )
    pairs = list(zip(_named(rows, tags), _named(rows, intent), strict=True))
    if not any(one or other for one, other in pairs):
        return None
    return [
        [_intent(rows, number, intent, whole), *_tags(rows, number, tags, own, words[number])]
        for number, (own, whole) in enumerate(pairs)
    ]


def _named(rows: Rows, column: str) -> list[Any]:
    """The cells of a column, class numbers by the names that are stored with them."""
    names = rows.rows.names.get(column, ())

    def named(value: Any) -> Any:
        return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value

    return [list(map(named, cell)) if isinstance(cell, list) else named(cell) for cell in rows.rows[column][:]]


def _intent(rows: Rows, number: int, column: str, cell: Any) -> str:
    if cell is None or not str(cell).strip():
        raise TransferlabError(
            f"{rows.place(number)}: there is no intent in column {column!r}. Give the row one, or leave it out; a "
            "split without labels belongs into data.source.predict."
        )
    if isinstance(cell, list | dict) or is_written_list(cell):
        raise TransferlabError(f"{rows.place(number)}: column {column!r} must hold one intent, not {shown(cell)}.")
    return f"{INTENT}{str(cell).strip()}"


def _tags(rows: Rows, number: int, column: str, cell: Any, words: list[str]) -> list[str]:
    tags = _listed(cell)
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise TransferlabError(
            f"{rows.place(number)}: column {column!r} must hold a tag for each word, as O, B-city and I-city, not "
            f"{shown(cell)}."
        )
    if len(tags) != len(words):
        raise TransferlabError(
            f"{rows.place(number)}: {len(words)} words but {len(tags)} tags; each word needs one, O where it is in no "
            "slot. A text is split at its blanks: give the words as a list where the tags count them otherwise."
        )
    return tags

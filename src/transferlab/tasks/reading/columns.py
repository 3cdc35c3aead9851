"""Tagging files: a word and its tags on each line, an empty line between sentences."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.reading.cells import shown
from transferlab.tasks.reading.place import Read
from transferlab.tasks.reading.text import decode

CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
"""https://universaldependencies.org/format.html"""
ID = re.compile(r"\d+([-.]\d+)?")
MARKED = "#begin document"
"""Begins a document of CoNLL-2012, whose lines have a column for each predicate of their sentence."""
TITLES = re.compile(r"(ner|pos|upos|xpos|chunk|entity|entities|iob|bio|gold)?[ _-]?(tags?|labels?)?", re.IGNORECASE)
"""What a header calls a column of tags."""
LONG = 1000
"""Words of a sentence from which the sentences of a file are doubted."""


class Line(NamedTuple):
    """A line that is not empty: its number and its cells."""

    number: int
    cells: list[str]

    @property
    def marked(self) -> bool:
        """Whether it begins as a comment does."""
        return self.cells[0].startswith("#")


class Layout(NamedTuple):
    """Where the words and the tags of a file stand.

    Attributes:
        word: Column of the words.
        tag: Column of the tags.
        width: Cells of a line.
        header: Line that names the columns; 0 without.
        conllu: Whether lines with ranges and empty nodes are skipped.
        commented: Whether a line that begins with a single ``#`` before a sentence is never a word.
        ragged: Whether lines may have more cells than others.
        names: Names of the columns; empty without.
    """

    word: int
    tag: int
    width: int
    header: int
    conllu: bool
    names: tuple[str, ...]
    commented: bool = False
    ragged: bool = False


def read_columns(
    path: Path,
    text: str,
    label: str,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    labelled: bool = True,
) -> Read:
    """Reads tagged sentences.

    Lines are split at tabs where most have one, else at blanks. Comments (lines that begin with ``#`` before a
    sentence and do not look like its words), ``-DOCSTART-``, ``#begin`` and ``#end document``, and the ranges and empty
    nodes of CoNLL-U are skipped.

    Args:
        path: The file.
        text: The column of the words: a name in the header or in CoNLL-U, or a number from 0 (negative: from the end);
            the first column, for CoNLL-U ``FORM``, where there are no names.
        label: The column of the tags; the last one, for CoNLL-U ``UPOS``, where there are no names.
        delimiter: What stands between cells; None: tabs or blanks, whatever the file has.
        encoding: Its encoding; None: to be found out.
        header: Whether the first line names the columns; None: where it has the name of the tag column.
        labelled: Whether there are tags.

    Raises:
        TransferlabError: A line with more or fewer cells than the others, an empty word or tag; names file and line.
    """
    content, found = decode(path, encoding)
    ends = "\n" if "\n" in content else "\r"
    raw = content.replace("\r\n", "\n").split(ends)
    delimiter = delimiter or _delimiter(raw)
    blocks = _blocks(raw, delimiter)
    lines = [line for block in blocks for line in block if not line.marked] or [line for b in blocks for line in b]
    if not lines:
        raise TransferlabError(f"{path} has no rows.")
    layout = _layout(path, lines, raw, text, label, header, delimiter)
    begun = [block[0].cells[0] == "#" for block in blocks]
    layout = layout._replace(commented=2 * sum(begun) > len(begun))
    tags = {line.cells[layout.tag] for line in lines if labelled and len(line.cells) == layout.width}
    kept = (_sentence(path, block, layout, tags, delimiter) for block in blocks)
    sentences = [words for words in kept if words]
    if not sentences:
        raise TransferlabError(f"{path} has no rows.")
    places = {text: layout.word, **({label: layout.tag} if labelled else {})}
    columns = {name: [[line.cells[at] for line in sentence] for sentence in sentences] for name, at in places.items()}
    if labelled and layout.tag != layout.word:
        # a blank belongs to a word, maybe, and to no tag
        columns[label] = [[tag.strip(" ") for tag in sentence] for sentence in columns[label]]
    numbers = [[line.number for line in sentence] for sentence in sentences]
    longest = max(sentences, key=len)
    note = f"{path}, line {longest[0].number}: a sentence of {len(longest):,} words; an empty line ends a sentence"
    return Read(columns, numbers, _form(layout, delimiter, found), (note,) if len(longest) >= LONG else ())


def _delimiter(raw: list[str]) -> str:
    """A tab where most lines have one; else blanks."""
    filled = [line for line in raw if line.strip() and not line.startswith("#")]
    return "\t" if 2 * sum("\t" in line for line in filled) > len(filled) else " "


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        # any other white space, such as a no-break space, belongs to the word
        return re.split(r"[ \t]+", line.strip(" \t"))
    return line.split(delimiter)


def _blocks(raw: list[str], delimiter: str) -> list[list[Line]]:
    """Lines between empty ones; the marks of documents separate too."""
    blocks: list[list[Line]] = [[]]
    for number, line in enumerate(raw, start=1):
        cells = _cells(line, delimiter)
        document = cells[0] == "-DOCSTART-" or line.startswith(("-DOCSTART-", "#begin document", "#end document"))
        if document or not any(cell.strip() for cell in cells):
            blocks.append([])
        else:
            blocks[-1].append(Line(number, cells))
    return [block for block in blocks if block]


def _layout(
    path: Path, lines: list[Line], raw: list[str], text: str, label: str, header: bool | None, delimiter: str
) -> Layout:
    width = Counter(len(line.cells) for line in lines).most_common(1)[0][0]
    even = [line for line in lines if len(line.cells) == width]
    if delimiter == "\t" and width > 2 and not any(line.cells[-1] for line in even):
        # a tab at the end of each line
        width -= 1
    first = [cell.strip() for cell in lines[0].cells]
    conllu = path.suffix == ".conllu" or (width == len(CONLLU) and all(ID.fullmatch(line.cells[0]) for line in even))
    names: tuple[str, ...] = ()
    if conllu:
        named = next((line for line in raw if line.startswith("# global.columns")), "")
        names = tuple(named.partition("=")[2].split()) or CONLLU
        text, label = _of_conllu(text, "FORM", names), _of_conllu(label, "UPOS", names)
    elif header or (header is None and _has_header(lines, text, label, width)):
        names = tuple(first)
    at_line = lines[0].number if names and not conllu else 0
    return Layout(
        word=_column(path, "text", text, 0, names, width),
        tag=_column(path, "label", label, width - 1, names, width),
        width=width,
        header=at_line,
        conllu=conllu,
        names=names,
        ragged=any(line.startswith(MARKED) for line in raw),
    )


def _has_header(lines: list[Line], text: str, label: str, width: int) -> bool:
    """Whether the first line names the column of the tags as the user does, or as headers do and no tag is."""
    first = [cell.strip() for cell in lines[0].cells]
    if label in first and (text in first or not _is_number(label)):
        return True
    place = int(label) if _is_number(label) else width - 1
    tags = [line.cells[place] for line in lines if -len(line.cells) <= place < len(line.cells)]
    return len(tags) > 1 and bool(tags[0]) and bool(TITLES.fullmatch(tags[0])) and tags[0] not in tags[1:]


def _of_conllu(name: str, usual: str, names: tuple[str, ...]) -> str:
    """A column of CoNLL-U whatever case it is written in; the usual one for names that a table might have."""
    upper = {known.upper(): known for known in names}
    return upper.get(name.upper(), name if _is_number(name) else usual)


def _column(path: Path, key: str, name: str, usual: int, names: tuple[str, ...], width: int) -> int:
    if name in names:
        if names.index(name) >= width:
            raise TransferlabError(f"data.source.{key}: {path} has {width} columns, of which none is {name!r}.")
        return names.index(name)
    if _is_number(name):
        place = int(name) if int(name) >= 0 else width + int(name)
        if not 0 <= place < width:
            raise TransferlabError(f"data.source.{key}: {path} has {width} columns, so there is no column {name}.")
        return place
    if names:
        raise TransferlabError(
            f"data.source.{key}: {path} has no column {name!r}{near(name, names)}. Its first line names "
            f"{', '.join(names)}."
        )
    return usual


def _is_number(name: str) -> bool:
    return name.lstrip("-").isdigit()


def _sentence(path: Path, block: list[Line], layout: Layout, tags: set[str], delimiter: str) -> list[Line]:
    """The lines of a block that hold a word and a tag.

    Raises:
        TransferlabError: A line that has not the cells of the others.
    """
    words: list[Line] = []
    for line in block:
        if line.number == layout.header or (line.marked and not words and _is_comment(line, layout, tags)):
            continue
        if layout.conllu and (match := ID.fullmatch(line.cells[0])) and match.group(1):
            continue
        place = f"{path}, line {line.number}"
        spare = line.cells[layout.width :] if not layout.ragged else []
        least = max(layout.word, layout.tag) + 1 if layout.ragged else layout.width
        if len(line.cells) < least or any(spare):
            how = "tabs" if delimiter == "\t" else "blanks" if delimiter == " " else repr(delimiter)
            raise TransferlabError(
                f"{place}: {len(line.cells)} column(s) where the other lines have {layout.width}, split at {how}: "
                f"{shown(delimiter.join(line.cells))}. Mend the line, or name what stands between two columns in "
                "data.source.delimiter."
            )
        for column, what in ((layout.word, "word"), (layout.tag, "tag")):
            # without tags in the file nothing is known of them
            if not line.cells[column] and (tags or what == "word"):
                raise TransferlabError(f"{place}: the {what} is empty: {shown(delimiter.join(line.cells))}.")
        words.append(line)
    return words


def _is_comment(line: Line, layout: Layout, tags: set[str]) -> bool:
    """Whether a line with ``#`` before a sentence is none of its words: other cells, or what is no tag elsewhere."""
    if layout.conllu or (layout.commented and line.cells[0] == "#"):
        return True
    return len(line.cells) != layout.width or bool(tags and line.cells[layout.tag] not in tags)


def _form(layout: Layout, delimiter: str, encoding: str) -> str:
    how = {"\t": "tab-separated", " ": "blank-separated"}.get(delimiter, f"separated by {delimiter!r}")

    def named(place: int) -> str:
        return f"column {place}" + (f" ({layout.names[place]})" if place < len(layout.names) else "")

    parts = ["CoNLL-U" if layout.conllu else "", how, encoding, f"words in {named(layout.word)}"]
    return ", ".join([*filter(None, parts), f"tags in {named(layout.tag)}"])

"""Questions whose answers stand in a text: SQuAD's nested JSON and flat rows, all with a list of answers a question."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.cells import list_of, shown
from transferlab.tasks.reading.place import Read, Rows
from transferlab.tasks.spec import Source

START = "answer_start"
"""Where an answer begins in its context, in characters; beside an answer, or a column of its own."""
SINGLE = "answer"
"""The column of a table with one answer a question."""
IMPOSSIBLE = "is_impossible"
"""SQuAD 2.0's mark of a question without an answer."""
Answer = dict[str, Any]
"""``text`` and ``answer_start``."""


class Asked(NamedTuple):
    """The columns that are checked together.

    Attributes:
        contexts: The texts.
        cells: Answers as they are written.
        starts: A column of places; None where they stand in the cells.
        impossible: A column that says which questions have no answer; None without.
        names: A name for each question in messages: its place, and its id where it has one.
    """

    contexts: Sequence[str]
    cells: Sequence[Any]
    starts: Sequence[Any] | None
    impossible: Sequence[Any] | None
    names: Callable[[int], str]


def ends_of(answer: Mapping[str, Any]) -> tuple[int, int]:
    """The first character of an answer in its context, and the one behind its last."""
    return answer[START], answer[START] + len(answer["text"])


def flat(read: Read, path: str) -> Read:
    """Rows of SQuAD's nested form: articles with paragraphs with questions; other rows are left as they are.

    Args:
        read: What stands in a file.
        path: The file, for messages.

    Raises:
        TransferlabError: Another form; names file and article.
    """
    if "paragraphs" not in read.columns:
        return read
    titles = read.columns.get("title") or [None] * len(read.columns["paragraphs"])
    rows: list[dict[str, Any]] = []
    for number, (title, paragraphs) in enumerate(zip(titles, read.columns["paragraphs"], strict=True)):
        place = f"{path}, article {number}" + (f" ({title})" if title else "")
        for paragraph in _listed(paragraphs, f'{place}: an article of SQuAD\'s form has a list of "paragraphs"'):
            if not isinstance(paragraph, dict) or not {"context", "qas"} <= paragraph.keys():
                raise TransferlabError(
                    f'{place}: a paragraph of SQuAD\'s form has "context" and "qas", not {shown(paragraph)}.'
                )
            for asked in _listed(paragraph["qas"], f'{place}: "qas" is a list of questions'):
                if not isinstance(asked, dict):
                    raise TransferlabError(f'{place}: a question has "question" and "answers", not {shown(asked)}.')
                row = {"id": asked.get("id"), "title": title, "context": paragraph["context"]}
                row |= {"question": asked.get("question"), "answers": asked.get("answers")}
                rows.append(row | ({IMPOSSIBLE: asked[IMPOSSIBLE]} if IMPOSSIBLE in asked else {}))
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {key: [row.get(key) for row in rows] for key in keys}
    return Read(columns, None, f"{read.form}, SQuAD's nested form", read.notes)


def _listed(value: Any, wanted: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise TransferlabError(f"{wanted}, not {shown(value)}.")


def answered(columns: dict[str, list[Any]], source: Source, place: Callable[[int], str]) -> tuple[int, list[str]]:
    """Puts lists of answers into the column `Source.label`, checked against their contexts.

    Args:
        columns: Column name to cells; changed in place, and left as it is where there is no column of answers.
        source: Names the columns.
        place: Names a row.

    Returns:
        The number of answers that had blanks around them, and the columns that are answers now.

    Raises:
        TransferlabError: An empty context or question, an id that stands there twice, an answer that is not where it
            is said to be; names the row and the remedy.
    """
    names = _names(columns, place)
    for column, what in zip(source.text, ("question", "context"), strict=True):
        for row, cell in enumerate(columns.get(column, [])):
            if cell is None or (isinstance(cell, str) and not cell.strip()):
                raise TransferlabError(f"{names(row)}: the {what} (column {column!r}) is empty; leave the row out.")
    _refuse_twice(columns.get("id"), place)
    label = source.label if source.label in columns else SINGLE
    contexts = columns.get(source.text[1])
    if label not in columns or contexts is None or any(not isinstance(text, str) for text in contexts):
        # a split without answers; what is no text is refused where texts are checked
        return 0, []
    asked = Asked(contexts, columns[label], columns.get(START), columns.get(IMPOSSIBLE), names)
    found = [_of_row(asked, row) for row in range(len(contexts))]
    columns[source.label] = [answers for answers, _ in found]
    return sum(trimmed for _, trimmed in found), [name for name in (label, START) if name != source.label]


def with_answers(rows: Rows, source: Source) -> Rows:
    """The rows with a list of answers in the column `Source.label`; see `answered`."""
    columns = {name: rows.rows[name][:] for name in rows.rows.column_names}
    trimmed, _ = answered(columns, source, rows.place)
    if source.label not in columns:
        return rows
    kept = rows.rows.remove_columns(source.label) if source.label in rows.rows.column_names else rows.rows
    return rows._replace(rows=kept.add_column(source.label, columns[source.label]), notes=_noted(rows, trimmed))


def _noted(rows: Rows, trimmed: int) -> tuple[str, ...]:
    return (*rows.notes, *([trimmed_in_words(trimmed)] if trimmed else []))


def trimmed_in_words(trimmed: int) -> str:
    """How many answers had blanks around them."""
    return f"blanks around {trimmed:,} answers were left out"


def _names(columns: dict[str, list[Any]], place: Callable[[int], str]) -> Callable[[int], str]:
    ids = columns.get("id")
    return place if ids is None else lambda row: f"{place(row)} (id {ids[row]})"


def _refuse_twice(ids: Sequence[Any] | None, place: Callable[[int], str]) -> None:
    first: dict[Any, int] = {}
    for row, one in enumerate(ids or ()):
        if one is None:
            continue
        if (other := first.setdefault(str(one), row)) != row:
            before = place(other).rpartition(", ")[2]
            raise TransferlabError(
                f"{place(row)}: the id {str(one)!r} stands in {before} already; give each question one of its own, "
                "or leave the column out."
            )


def _of_row(asked: Asked, row: int) -> tuple[list[Answer], int]:
    """The answers of a row, and how many of them had blanks around."""
    name, context = asked.names(row), asked.contexts[row]
    pairs = _pairs(asked.cells[row], None if asked.starts is None else asked.starts[row], name)
    if asked.impossible is not None and pairs and str(asked.impossible[row]).lower() in ("true", "1"):
        raise TransferlabError(
            f"{name}: {IMPOSSIBLE} says that there is no answer, but there is {shown(pairs[0][0])}; empty the list of "
            "answers, or set it to false."
        )
    answers = [_checked(text, start, context, name) for text, start in pairs]
    return answers, sum(answer["text"] != text for answer, (text, _) in zip(answers, pairs, strict=True))


def _pairs(cell: Any, start: Any, name: str) -> list[tuple[Any, Any]]:
    """Text and place of each answer of a cell."""
    if cell is None or cell != cell or cell == "" or cell == []:
        # tables fill the column with 0 or -1 where there is no answer
        if (_whole(start) or 0) > 0:
            raise TransferlabError(
                f"{name}: there is no answer, but {START} is {start}; fill in the answer, or empty {START}."
            )
        return []
    if isinstance(cell, str) and start is None:
        parsed = _parsed(cell)
        if parsed is None:
            raise TransferlabError(
                f"{name}: {shown(cell)} does not say where it begins; give a column {START!r} with the number of "
                'characters before it, or a list such as [{"text": ..., "answer_start": ...}].'
            )
        return _pairs(parsed, None, name)
    if isinstance(cell, str):
        return [(cell, start)]
    if isinstance(cell, dict):
        texts, starts = cell.get("text"), cell.get(START)
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            return list(zip(texts, starts, strict=True))
        return [(texts, starts)]
    if isinstance(cell, list) and all(isinstance(one, dict) for one in cell):
        return [(one.get("text"), one.get(START)) for one in cell]
    raise TransferlabError(f'{name}: answers are a list of {{"text": ..., "{START}": ...}}, not {shown(cell)}.')


def _parsed(cell: str) -> Any:
    if cell.lstrip().startswith("{"):
        found = list_of(f"[{cell}]")
        return found[0] if found else None
    return list_of(cell)


def _checked(text: Any, start: Any, context: str, name: str) -> Answer:
    """An answer without blanks around it.

    Raises:
        TransferlabError: It is not at its place; names the place where it is, which is not taken.
    """
    place = _whole(start)
    if not isinstance(text, str) or place is None:
        raise TransferlabError(
            f"{name}: an answer has a text and a whole number {START}, not {shown(text)} and {shown(start)}."
        )
    if not text.strip():
        raise TransferlabError(f"{name}: an answer is empty; a question without an answer has an empty list.")
    bare = text.strip()
    begin = place + len(text) - len(text.lstrip())
    if begin >= 0 and context[begin : begin + len(bare)] == bare:
        return {"text": bare, START: begin}
    nearest = _nearest(context, bare, place)
    if place < 0 or place + len(bare) > len(context):
        what = f"would stand at character {place}, outside of the context, which has {len(context)}"
    else:
        what = f"is not what stands at character {place}, which is {shown(context[place : place + len(text)])}"
    remedy = f"it stands at {nearest}: set {START} to that" if nearest >= 0 else _alike(context, bare)
    raise TransferlabError(f"{name}: the answer {shown(text)} {what}; {remedy}, or mend the answer.")


def _alike(context: str, text: str) -> str:
    """What is said of an answer that is nowhere: a place where only capitals and blanks differ."""
    found = re.search(r"\s+".join(map(re.escape, text.split())), context, re.IGNORECASE)
    alike = f"; {shown(found.group())} at {found.start()} is like it: copy that" if found else ""
    return f"it stands nowhere in the context{alike}"


def _whole(start: Any) -> int | None:
    """A whole number, also as a table writes it; None for what is none."""
    if isinstance(start, bool) or start is None:
        return None
    if isinstance(start, str):
        start = start.strip().removesuffix(".0")
        return int(start) if start.lstrip("-").isdecimal() else None
    return int(start) if isinstance(start, int) or (isinstance(start, float) and start.is_integer()) else None


def _nearest(context: str, text: str, place: int) -> int:
    """The occurrence of a text that is nearest to a place; -1 where there is none."""
    found, at = [], context.find(text)
    while at >= 0:
        found.append(at)
        at = context.find(text, at + 1)
    return min(found, key=lambda at: abs(at - place), default=-1)

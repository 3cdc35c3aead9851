"""Inputs and what is to be written of them: columns of texts, several references, and chats."""

from collections.abc import Callable, Sequence
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.cells import is_written_list, list_of, shown
from transferlab.tasks.reading.place import Read, Rows
from transferlab.tasks.spec import Source

MESSAGES = "messages"
"""The column of a chat: messages with ``role`` and ``content``, the last one is what is to be written."""
TRANSLATION = "translation"
"""The column of a text in several languages: an object with a text for each language code."""
ROLES = ("system", "developer", "user", "assistant", "tool")
REPLY = "assistant"
ASKED = ({"question", "context"}, {"question", "answers"}, {"paragraphs"})
"""Columns by which a file of questions is known."""
LOOKED_AT = 200
"""Targets whose letters are counted."""
FOREIGN = 0.05
"""Share of letters beyond a to z above which the language has to be named."""
Columns = dict[str, list[Any]]
Place = Callable[[int], str]


def without_empty(read: Read, source: Source, origin: str) -> Read:
    """What was read without the rows that lack an input or a target; how many they are is noted.

    Raises:
        TransferlabError: Each row lacks one.
    """
    kept = _filled(read.columns, source, origin)
    if len(kept) == len(next(iter(read.columns.values()), ())):
        return read
    columns = {name: [cells[row] for row in kept] for name, cells in read.columns.items()}
    lines = None if read.lines is None else [read.lines[row] for row in kept]
    left_out = len(next(iter(read.columns.values()))) - len(kept)
    return read._replace(columns=columns, lines=lines, notes=(*read.notes, _left_out(left_out)))


def _filled(columns: Columns, source: Source, origin: str) -> list[int]:
    """Numbers of the rows that have both an input and a target."""
    wanted = (*source.text, source.label)
    cells = [columns[name] for name in wanted if name in columns]
    if TRANSLATION in columns and TRANSLATION not in wanted:
        # a language that is missing is another fault than an empty text
        objects = [cell if isinstance(cell, dict) else {} for cell in columns[TRANSLATION]]
        cells += [[cell.get(name, name) for cell in objects] for name in wanted]
    count = len(next(iter(columns.values()), ()))
    kept = [row for row in range(count) if not any(_blank(column[row]) for column in cells)]
    if count and not kept:
        raise TransferlabError(f"{origin}: no row has both an input and a target.")
    return kept


def _left_out(count: int) -> str:
    return f"training examples without an input or a target, which were left out: {count:,}"


def _blank(cell: Any) -> bool:
    return cell is None or cell == [] or (isinstance(cell, str) and not cell.strip())


def with_texts(rows: Rows, source: Source, labelled: bool) -> Rows:
    """The rows with input and target as they are used everywhere else; see `written`."""
    own = {*source.text, source.label, MESSAGES, TRANSLATION}
    before = {name: rows.rows[name][:] for name in rows.rows.column_names if name in own}
    if source.skip_empty and len(kept := _filled(before, source, rows.origin)) < len(rows.rows):
        notes = (*rows.notes, _left_out(len(rows.rows) - len(kept)))
        before = {name: [cells[row] for row in kept] for name, cells in before.items()}
        # what was read by lines is without them already
        rows = rows._replace(rows=rows.rows.select(kept), notes=notes)
    after = written({name: before.get(name, []) for name in rows.rows.column_names}, source, rows.place, labelled)
    found = {name: cells for name, cells in after.items() if name in own}
    if found == before:
        return rows
    changed = rows.rows.remove_columns(list(own))
    for name, cells in found.items():
        changed = changed.add_column(name, cells)
    return rows._replace(rows=changed)


def written(columns: Columns, source: Source, place: Place, labelled: bool, table: bool = False) -> Columns:
    """Checks inputs and targets, and brings them to one form.

    Args:
        columns: Column name to cells.
        source: Names the columns.
        place: Names a row.
        labelled: Whether there have to be targets.
        table: Whether cells are text even where they hold lists.

    Returns:
        The columns; an input is a text or a list of messages, a target a text or, where any row has several, a list of
        texts.

    Raises:
        TransferlabError: Questions instead of texts, an empty input or target, a chat without a reply, a role that no
            chat template knows, a language that has to be named; names file, row and remedy.
    """
    columns = dict(columns)
    _refuse_questions(columns, source, place)
    if TRANSLATION in columns and TRANSLATION not in (*source.text, source.label):
        _split_languages(columns, source, place)
    # with a target beside it, a column of that name holds what came before the reply: it was split already
    split = source.text[0] == MESSAGES and source.label in columns
    if MESSAGES in columns and not split and not set(source.text) & (columns.keys() - {MESSAGES}):
        _split_chats(columns, source, place, labelled, table)
    for name in source.text:
        if name in columns:
            columns[name] = [_input(cell, name, place(row), table) for row, cell in enumerate(columns[name])]
    if source.label in columns:
        columns[source.label] = _targets(columns[source.label], source, place, table)
        _check_language(columns[source.label], source, place)
    if source.document and source.document not in columns:
        raise TransferlabError(f"data.source.document: {place(0)} has no column {source.document!r}.")
    return columns


def _refuse_questions(columns: Columns, source: Source, place: Place) -> None:
    used = {*source.text, source.label}
    if used & columns.keys() or not any(marks <= columns.keys() for marks in ASKED):
        return
    raise TransferlabError(
        f"{place(0)}: this is a file of questions ({', '.join(list(columns)[:4])}), whose answers stand in a text; set "
        "data.source.kind: qa, or name what is read in data.source.text and what is written in data.source.label."
    )


def _split_languages(columns: Columns, source: Source, place: Place) -> None:
    """Puts the texts of the languages that are read and written into columns of their own."""
    cells = columns.pop(TRANSLATION)
    for name in (*source.text, source.label):
        if name in columns:
            continue
        for row, cell in enumerate(cells):
            if not isinstance(cell, dict) or name not in cell:
                known = ", ".join(sorted(cell)) if isinstance(cell, dict) else shown(cell)
                raise TransferlabError(
                    f"{place(row)}: the column {TRANSLATION!r} has no language {name!r}, only {known}; name the codes "
                    "in data.source.text and data.source.label, such as text: [en] and label: ro."
                )
        columns[name] = [cell[name] for cell in cells]


def _split_chats(columns: Columns, source: Source, place: Place, labelled: bool, table: bool) -> None:
    """Puts what stands before the last message into the input, and its content into the target."""
    chats = [_messages(cell, place(row), table) for row, cell in enumerate(columns.pop(MESSAGES))]
    replied = [bool(chat) and chat[-1]["role"] == REPLY for chat in chats]
    if source.text != (name := source.text[0],):
        raise TransferlabError(f"data.source.text: a column {MESSAGES!r} is the whole input; leave {name!r} alone.")
    if not any(replied) and not labelled:
        columns[name] = chats
        return
    for row, (chat, ends) in enumerate(zip(chats, replied, strict=True)):
        if not ends:
            raise TransferlabError(
                f"{place(row)}: no reply: the last message is by {chat[-1]['role']!r}, not by {REPLY!r}; add the reply "
                "that is to be learned, or leave the row out."
            )
        if len(chat) == 1:
            raise TransferlabError(f"{place(row)}: a reply to nothing; put a message of the user before it.")
    columns[name] = [chat[:-1] for chat in chats]
    columns[source.label] = [chat[-1]["content"] for chat in chats]


def _messages(cell: Any, place: str, table: bool) -> list[dict[str, str]]:
    chat = list_of(cell) if table and isinstance(cell, str) else cell
    if not isinstance(chat, list) or not chat:
        raise TransferlabError(
            f'{place}: messages are a list such as [{{"role": "user", "content": "..."}}], not {shown(cell)}.'
        )
    found = []
    for message in chat:
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise TransferlabError(f'{place}: a message has "role" and "content", not {shown(message)}.')
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise TransferlabError(f"{place}: no role {role!r}; use {', '.join(ROLES)}, with {REPLY} for the replies.")
        if not isinstance(content, str) or not content.strip():
            raise TransferlabError(f"{place}: the message by {role!r} is empty; leave the row out.")
        found.append({"role": str(role), "content": content})
    return found


def _input(cell: Any, name: str, place: str, table: bool) -> Any:
    if isinstance(cell, list):
        return _messages(cell, place, table)
    if _blank(cell):
        raise TransferlabError(f"{place}: the input (column {name!r}) is empty; leave the row out.")
    if not isinstance(cell, str):
        raise TransferlabError(f"{place}: column {name!r} must hold text, not {shown(cell)}.")
    return cell


def _targets(cells: Sequence[Any], source: Source, place: Place, table: bool) -> list[Any]:
    # one text that looks like a list is a text
    if table and cells and all(is_written_list(cell) for cell in cells):
        cells = [list_of(cell) for cell in cells]
    found = []
    for row, cell in enumerate(cells):
        several = cell if isinstance(cell, list) else [cell]
        if not several or any(_blank(one) for one in several):
            raise TransferlabError(
                f"{place(row)}: the target (column {source.label!r}) is empty; leave the row out, since a model would "
                "learn to write nothing."
            )
        if wrong := [one for one in several if not isinstance(one, str)]:
            raise TransferlabError(
                f"{place(row)}: column {source.label!r} must hold a text or a list of texts, not {shown(wrong[0])}."
            )
        found.append(several)
    return found if any(isinstance(cell, list) for cell in cells) else [several[0] for several in found]


def _check_language(targets: Sequence[Any], source: Source, place: Place) -> None:
    """Wants a language named where scores that look for words of English would find none."""
    if source.language:
        return
    texts = [cell if isinstance(cell, str) else cell[0] for cell in targets[:LOOKED_AT]]
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    if sum(not letter.isascii() for letter in letters) > FOREIGN * len(letters):
        raise TransferlabError(
            f"{place(0)}: the targets (column {source.label!r}) are not in English letters, and scores look for "
            "words; name the language, such as data.source.language: zh (or de, ru, ja)."
        )

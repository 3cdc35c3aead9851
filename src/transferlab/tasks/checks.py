"""Whether the cells of rows can be tokenised."""

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.cells import check_texts
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.spec import Source


def check_text(rows: Rows, source: Source) -> None:
    """Checks that every text cell is text (for tagging: words).

    Raises:
        TransferlabError: Names the first row and column at fault.
    """
    for column in source.text:
        check_texts(rows.rows[column][:], column, source.worded, rows.place)


def check_word_counts(rows: Rows, source: Source) -> None:
    """Checks that there is a tag for each word; where there are intents, these come first.

    Raises:
        TransferlabError: Names the first row where there is not.
    """
    if source.kind == "slots":
        # they were counted when the two were put together
        return
    pairs = zip(rows.rows[source.text[0]][:], rows.rows[source.label][:], strict=True)
    for row, (words, tags) in enumerate(pairs):
        if not isinstance(tags, list) or len(words) != len(tags):
            count = f"{len(tags)} tags" if isinstance(tags, list) else f"{tags!r} in place of a list of tags"
            raise TransferlabError(f"{rows.place(row)}: {len(words)} words but {count}.")

"""HTML and SVG from plain calls; whatever is not markup already is escaped."""

import functools
from collections.abc import Iterable, Sequence

TIME = "%Y-%m-%d %H:%M"
"""How the page tells when it was written."""
VOID = frozenset({"meta", "col", "br", "input"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | Iterable[str] | None


def escape(text: str) -> str:
    """What `html.escape` returns; that module brings the names of two thousand letters along."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#x27;")


def tag(element: str, *children: Child, **attributes: str | float | None) -> Html:
    """An element. Texts are escaped unless they are `Html`; ``class_`` is ``class``, ``stroke_width`` ``stroke-width``.

    Attributes without a value (None) are left out; numbers are shortened to two decimals.
    """
    given = "".join([f' {_named(name)}="{_short(value)}"' for name, value in attributes.items() if value is not None])
    if element in VOID:
        return Html(f"<{element}{given}>")
    return Html(f"<{element}{given}>{_joined(children)}</{element}>")


def join(*children: Child) -> Html:
    """Markup of all children in a row."""
    return Html(_joined(children))


def _joined(children: Iterable[Child]) -> str:
    # a plain string: to make it `Html` is to copy it once more, at each level of a page
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        elif child is not None:
            parts.append(_joined(child))
    return "".join(parts)


@functools.cache
def _named(attribute: str) -> str:
    return attribute.rstrip("_").replace("_", "-")


def _short(value: str | float) -> str:
    # a number has nothing to be escaped
    return _escaped(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


# classes and titles of columns come by the thousand
_escaped = functools.lru_cache(4096)(escape)


def table(
    head: Sequence[Child], rows: Iterable[Sequence[Child]], numeric: Sequence[int] = (), class_: str | None = None
) -> Html:
    """A table that scrolls sideways where it is wider than the page.

    Args:
        head: Column headers.
        rows: Cells; a cell that is a whole ``<td>`` stands as it is.
        numeric: Columns set to the right.
        class_: For the style sheet; a ``stack`` becomes a block for each row where the screen is narrow.
    """
    titles = [_plain(cell) if class_ == "stack" else None for cell in head]
    side = ["number" if column in numeric else None for column in range(len(head))]
    top = tag("tr", *(tag("th", cell, class_=s, scope="col") for cell, s in zip(head, side, strict=True)))
    body = [tag("tr", *(_cell(*cell) for cell in zip(row, side, titles, strict=True))) for row in rows]
    whole = tag("table", tag("thead", top), tag("tbody", *body), class_=class_)
    return tag("div", whole, class_="scroll", tabindex="0")


def _cell(content: Child, class_: str | None, title: str | None) -> Html:
    if isinstance(content, Html) and content.startswith("<td"):
        return content
    # the title stands before the value where rows are blocks
    return tag("td", content, class_=class_, data_title=title)


def _plain(cell: Child) -> str:
    return cell if isinstance(cell, str) and not isinstance(cell, Html) else ""


def details(summary: str, *children: Child) -> Html:
    """Children that are folded away behind a line."""
    return tag("details", tag("summary", summary), *children)


def note(text: str) -> Html:
    """A remark."""
    return tag("p", text, class_="note")

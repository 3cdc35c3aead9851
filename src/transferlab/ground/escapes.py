"""Names, labels and texts of users as what they are, wherever they are shown: nothing in them is an instruction."""

import re

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters of terminals but for tabs and line ends, and those that turn the direction of writing."""
ACTIVE = re.compile(r"[\\`*|]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|!(?=\[)|\](?=[(\[:])|~~")
"""What Markdown would take for more than text, as it stands within a line."""
FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d[\d_,]*)?\.?\d*(e[+-]?\d+)?%?", re.IGNORECASE)


def visible(text: str) -> str:
    r"""Text for a terminal: a control character is shown as in Python, ``\x1b``, and does nothing."""
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def markdown(text: str) -> str:
    """Text for a line or a table cell of Markdown."""
    return ACTIVE.sub(lambda found: "".join(f"\\{letter}" for letter in found[0]), visible(" ".join(text.split("\n"))))


def cell(text: str) -> str:
    """Text for a cell of CSV: what a spreadsheet would compute stands behind an apostrophe, as text there does."""
    text = visible(text)
    harmless = len(text) == 1 or NUMBER.fullmatch(text)
    return f"'{text}" if FORMULA.match(text) and not harmless else text

"""What an examination finds."""

from typing import Literal, NamedTuple

State = Literal["ok", "note", "wrong"]
OK: State = "ok"
NOTE: State = "note"
WRONG: State = "wrong"


class Finding(NamedTuple):
    """One line.

    Attributes:
        what: What was examined.
        state: ``ok``; ``note``: something can be better, yet runs do without; ``wrong``: runs will fail.
        text: What was found.
        remedy: What to do; empty where all is fine.
    """

    what: str
    state: State
    text: str
    remedy: str = ""

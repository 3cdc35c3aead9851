"""How files mark entities word by word, read as IOB2 and written back."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from transferlab.tasks.iob import Span, spans

SchemeName = Literal["IOB1", "IOB2", "IO", "BIOES", "IOBES", "BILOU", "tags"]
"""What `data.source.scheme` may be; IOBES is another name of BIOES, and ``tags`` are tags without entities."""
ROLES = "BIES"
"""Beginning, inside, end and single word, in the letters of BIOES; I stands for every word of IO."""
UNREAD = "_"
"""Written for a word that the encoder did not read, where no tag means "no entity"."""


class Scheme(NamedTuple):
    """How tags are spelled.

    Attributes:
        name: IOB1, IOB2, IO, BIOES or BILOU; ``tags`` for tags without entities, such as parts of speech.
        outside: The tag of words outside all entities.
        letters: What stands for beginning, inside, end and single word: ``BIES``, ``BILU``, ``bies``.
        separator: What stands between letter and type; empty where there is no letter (IO).
        suffix: Whether the letter comes last, as in ``PER-B``.
    """

    name: str = "IOB2"
    outside: str = "O"
    letters: str = ROLES
    separator: str = "-"
    suffix: bool = False

    @property
    def strict(self) -> bool:
        """Whether an entity counts only from its beginning to its end, as seqeval's strict mode has it."""
        return self.name in ("BIOES", "BILOU")

    def split(self, tag: str) -> tuple[str, str] | None:
        """Role (one of BIES, or O) and type of a tag; None for a tag of another spelling."""
        if tag == self.outside:
            return "O", ""
        if not self.separator:
            return "I", tag
        if len(tag) == 1 and tag in self.letters:
            # one type without a name
            return ROLES[self.letters.index(tag)], ""
        parts = tag.rpartition(self.separator)[::-1] if self.suffix else tag.partition(self.separator)
        letter, between, kind = parts
        if not between or len(letter) != 1 or letter not in self.letters:
            return None
        return ROLES[self.letters.index(letter)], kind

    def spell(self, role: str, kind: str) -> str:
        """The tag of a role and a type."""
        if role == "O":
            return self.outside
        if not self.separator:
            return kind
        letter = self.letters[ROLES.index(role)]
        if not kind:
            return letter
        return self.separator.join((kind, letter) if self.suffix else (letter, kind))

    def read(self, tags: Sequence[str]) -> list[str]:
        """The tags of a sentence as IOB2; tags without entities as they are.

        IOB and IO are read by the rules of conlleval, BIOES and BILOU by those of seqeval's strict mode: what is not
        ``S``, or ``B I* E`` of one type, is no entity.

        Args:
            tags: Tags of this spelling; others count as outside.
        """
        if self.name == "tags":
            return list(tags)
        pairs = [self.split(tag) or ("O", "") for tag in tags]
        if self.name == "IO":
            pairs = [("I" if role != "O" else role, kind) for role, kind in pairs]
        return in_iob2(strict_spans(pairs) if self.strict else spans([_iob(*pair) for pair in pairs]), len(tags))

    def write(self, tags: Sequence[str]) -> list[str]:
        """IOB2 tags of a sentence in this spelling; a chunk that IOB2 does not allow is one by conlleval's rules."""
        if self.name == "tags":
            return list(tags)
        written = [self.outside] * len(tags)
        before = ("", -1)
        for kind, start, end in sorted(spans(tags), key=lambda span: span[1]):
            for place in range(start, end):
                written[place] = self.spell(self._role(place, start, end, before == (kind, start)), kind)
            before = (kind, end)
        return written

    def _role(self, place: int, start: int, end: int, follows: bool) -> str:
        """The role of a word of an entity; `follows`: whether one of the same type ends right before it."""
        if self.name == "IO" or (self.name == "IOB1" and not follows):
            return "I"
        if self.strict and place == end - 1:
            return "S" if place == start else "E"
        return "B" if place == start else "I"

    def entities(self, tags: Sequence[str]) -> set[Span]:
        """The entities of IOB2 tags, as they are once written: IO does not part neighbours of one type."""
        return spans(self.read(self.write(tags))) if self.name == "IO" else spans(tags)

    def kind(self, tag: str) -> str:
        """The type of a tag, or the tag itself where it has none."""
        found = None if self.name == "tags" else self.split(tag)
        return found[1] if found and found[1] else tag

    def in_words(self) -> str:
        """The scheme and an example of how it is spelled."""
        if self.name == "tags":
            return "without entities, judged by accuracy and macro F1 over tags"
        sign = {"IO": "I", "BIOES": ROLES, "BILOU": ROLES}.get(self.name, "BI")
        example = ", ".join([*(self.spell(role, "X") for role in sign), self.outside])
        return self.name if self == IOB2 else f"{self.name} ({example}), read as IOB2, predictions written as here"


IOB2 = Scheme()
"""How tags are spelled inside."""


def in_iob2(found: set[Span], words: int) -> list[str]:
    """IOB2 tags of entities.

    Args:
        found: The entities of a sentence; no two share a word.
        words: Its number of words.
    """
    tags = ["O"] * words
    for kind, start, end in found:
        tags[start:end] = [_iob("B", kind), *[_iob("I", kind)] * (end - start - 1)]
    return tags


def _iob(role: str, kind: str) -> str:
    letter = {"E": "I", "S": "B"}.get(role, role)
    return letter if role == "O" or not kind else f"{letter}-{kind}"


def strict_spans(pairs: Sequence[tuple[str, str]]) -> set[Span]:
    """Entities of BIOES by seqeval's strict mode: ``S``, or ``B I* E`` of one type.

    Args:
        pairs: Role and type of each word of a sentence.
    """
    found: set[Span] = set()
    start = -1
    for place, (role, kind) in enumerate(pairs):
        goes_on = role in "IE" and start >= 0 and kind == pairs[start][1]
        if role == "S":
            found.add((kind, place, place + 1))
        elif role == "E" and goes_on:
            found.add((kind, start, place + 1))
        start = place if role == "B" else start if role == "I" and goes_on else -1
    return found


def of_summary(summary: object) -> Scheme:
    """The scheme of the predictions of a run, from its summary; IOB2 where it says nothing, as older ones do."""
    given = summary.get("scheme") if isinstance(summary, dict) else None
    return Scheme(*given) if isinstance(given, list | tuple) and given else IOB2

"""Which scheme the tags of a task follow, found out over all its splits together."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.labels import is_labelled
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.schemes import IOB2, Scheme, strict_spans
from transferlab.tasks.spec import Source
from transferlab.tasks.tagged import Found, Tagged, in_iob2, tags_of

OUTSIDE = ("O", "o", "0")
SEPARATORS = ("-", "_", ":", "/", "|")
LETTERS = ("BIES", "BILU", "BMES")
MOST_WRONG = 0.1
"""Share of the words of entities that may stand where BIOES and BILOU do not allow them."""
REMEDY = (
    "Mend the tag, or name the scheme in data.source.scheme (IOB1, IOB2, IO, BIOES or BILOU; tags for tags without "
    "entities, such as parts of speech)."
)


def read_alike(source: Source, read: Callable[[str], Rows], splits: Iterable[str]) -> Callable[[str], Rows]:
    """Gives the rows of splits with tags of entities in IOB2, whatever scheme they are written in.

    Raises:
        TransferlabError: A tag that fits no scheme.
    """
    names = [name for name in dict.fromkeys((source.train, *splits)) if is_labelled(read(name).rows, source)]
    scheme = find(source, [(name, read(name)) for name in names]).scheme if source.train in names else None

    def alike(name: str) -> Rows:
        return in_iob2(read(name), source, scheme) if scheme and name in names else read(name)

    return alike


def find(source: Source, splits: Iterable[tuple[str, Rows]]) -> Found:
    """Finds the scheme of all labelled splits together.

    Args:
        source: May name the scheme.
        splits: Name and rows of each labelled split, the training split first.

    Raises:
        TransferlabError: A tag that does not fit the others; names file, line, tag, scheme and remedy.
    """
    tagged = tuple(Tagged(name, rows, tags_of(rows, source)) for name, rows in splits)
    counts = Counter(tag for split in tagged for tags in split.tags for tag in tags if tag is not None)
    named = "BIOES" if source.scheme == "IOBES" else source.scheme
    scheme, notes = _spelling(tagged, counts, named), list[str]()
    if scheme.name == "IOB2":
        scheme, notes = _iob(tagged, scheme, named)
    elif scheme.strict:
        notes = _broken(tagged, scheme)
    return Found(None if scheme == IOB2 else scheme, tagged, tuple(notes))


def _spelling(tagged: Sequence[Tagged], counts: Counter[str], named: str | None) -> Scheme:
    """How the tags are spelled; IOB1, IOB2 and IO with a letter are told apart later."""
    if named == "tags":
        return Scheme("tags")
    outside = max(OUTSIDE, key=lambda tag: counts[tag])
    tags = [tag for tag in counts if tag != outside]
    if tags and all(tag.lstrip("-").isdigit() for tag in tags):
        raise TransferlabError(
            f"{_first(tagged, tags[0])}: the tags are numbers ({tags[0]}). List their names in data.source.labels, in "
            "the order of the numbers, or set data.source.scheme: tags where they are no entities."
        )
    spellings = [
        Scheme("IOB2", outside, letters if upper else letters.lower(), separator, suffix)
        for separator, suffix, upper, letters in product(SEPARATORS, (False, True), (True, False), LETTERS)
    ]
    best = max(spellings, key=lambda spelling: sum(spelling.split(tag) is not None for tag in tags))
    others = [tag for tag in tags if best.split(tag) is None]
    if not tags or 2 * len(others) > len(tags):
        return _plain(tagged, counts, tags, outside, named)
    roles = {role for tag in tags for role, _ in [best.split(tag) or ("O", "")]} - {"O"}
    if others:
        raise _foreign(tagged, others[0], best, roles, len(counts))
    if named in (None, "IOB1", "IOB2", "IO") and roles <= {"B", "I"} and best.letters.upper() != "BMES":
        return best
    if named in ("IOB1", "IOB2", "IO"):
        odd = next(tag for tag in tags if (best.split(tag) or " ")[0] in "ES")
        raise TransferlabError(f"{_first(tagged, odd)}: {odd!r} is no tag of {named}. {REMEDY}")
    return best._replace(name="BILOU" if best.letters.upper() == "BILU" else named or "BIOES")


def _plain(tagged: Sequence[Tagged], counts: Counter[str], tags: list[str], outside: str, named: str | None) -> Scheme:
    """Tags without a letter: types of entities where some word is outside of all, else no entities."""
    if named not in (None, "IO"):
        where = f"{_first(tagged, tags[0])}: {tags[0]!r} has" if tags else f"{tagged[0].rows.origin}: the tags have"
        raise TransferlabError(f"{where} no letter such as B- or I-, so the tags are not {named}. {REMEDY}")
    if brackets := [tag for tag in tags if tag[-1:] in ("*", ")") and ("*" in tag or tag[0] == "(")]:
        raise TransferlabError(
            f"{_first(tagged, brackets[0])}: {brackets[0]!r} marks entities by brackets, as CoNLL-2012 does, which is "
            "not read. Write them as IOB2 (B-TYPE, I-TYPE, O), or name another column in data.source.label."
        )
    if stray := [tag for tag in tags if tag in OUTSIDE]:
        raise TransferlabError(
            f"{_first(tagged, stray[0])}: {stray[0]!r} where other words outside of entities have {outside!r}. {REMEDY}"
        )
    if not tags:
        return IOB2
    return Scheme("IO", outside, separator="") if counts[outside] or named == "IO" else Scheme("tags")


def _foreign(tagged: Sequence[Tagged], tag: str, best: Scheme, roles: set[str], different: int) -> TransferlabError:
    name = "IOB" if roles <= {"B", "I"} else "BILOU" if "L" in best.letters.upper() else "BIOES"
    example = best.spell(min(roles & {"B", "I"} or roles), "TYPE")
    return TransferlabError(
        f"{_first(tagged, tag)}: {tag!r} is no tag of {name} as the others are spelled ({best.outside} or {example}; "
        f"{different} different tags in all). {REMEDY}"
    )


def _first(tagged: Sequence[Tagged], tag: str) -> str:
    split = next(split for split in tagged if any(tag in tags for tags in split.tags))
    return split.place(tag)


def _iob(tagged: Sequence[Tagged], spelling: Scheme, named: str | None) -> tuple[Scheme, list[str]]:
    """Tells IOB1, IOB2 and IO apart by where I- opens an entity and where B- does.

    What is mostly IOB2 stays so: conlleval reads an I- that opens an entity as well.
    """
    if named:
        return spelling._replace(name=named), []
    opened = {split.name: _openings(split.tags, spelling) for split in tagged}
    by_i, by_b, between = (sum(column) for column in zip(*opened.values(), strict=True))
    like = {name: "IOB2" if i <= b else "IOB1" for name, (i, b, _) in opened.items()}
    if like[tagged[0].name] == "IOB2":
        said = f"{by_i:,} of {by_i + by_b + between:,} entities begin with I-, not B-; they are read as conlleval does"
        return spelling, [said] if by_i else []
    if by_b:
        parts = ", ".join(f"{kind} in {name}" for name, kind in like.items())
        said = f"tags are written in two ways ({parts}; {by_b:,} entities begin with B-), and read as conlleval does"
        return spelling._replace(name="IOB1"), [said]
    return spelling._replace(name="IOB1" if between else "IO"), []


def _broken(tagged: Sequence[Tagged], scheme: Scheme) -> list[str]:
    """Words of entities that stand where BIOES does not allow them.

    Raises:
        TransferlabError: They are too many for mistakes.
    """
    total, wrong, first = 0, 0, ""
    written = dict.fromkeys(tag for split in tagged for tags in split.tags for tag in tags if tag)
    roles = {tag: (scheme.split(tag) or " ")[0] for tag in written}
    if "E" not in roles.values() and "B" in roles.values():
        odd = next((tag for tag, role in roles.items() if role == "S"), min(roles))
        raise TransferlabError(
            f"{_first(tagged, odd)}: {odd!r} is no tag of IOB2, and as {scheme.name} no entity of several words would "
            f"end. {REMEDY}"
        )
    for split in tagged:
        for row, tags in enumerate(split.tags):
            pairs = [scheme.split(tag or scheme.outside) or ("O", "") for tag in tags]
            inside = {place for _, start, end in strict_spans(pairs) for place in range(start, end)}
            lost = [place for place, (role, _) in enumerate(pairs) if role != "O" and place not in inside]
            total += sum(role != "O" for role, _ in pairs)
            wrong += len(lost)
            if lost and not first:
                first = f"{split.rows.place(row, lost[0])}: {tags[lost[0]]!r}"
    if not wrong:
        return []
    if wrong > MOST_WRONG * total:
        raise TransferlabError(
            f"{first} belongs to no entity from {scheme.spell('B', '')} to {scheme.spell('E', '')}, as {wrong:,} of "
            f"{total:,} tags of entities, so the tags are not {scheme.name}. {REMEDY}"
        )
    return [
        f"{first} and {wrong - 1:,} more tags of {total:,} are not where {scheme.name} allows them and count as "
        f"{scheme.outside}, as in seqeval's strict mode"
    ]


def _openings(sentences: Iterable[Sequence[str | None]], spelling: Scheme) -> tuple[int, int, int]:
    """Entities that begin with I-; with B- though nothing of their type ends there; with B- between two of one type."""
    by_i = by_b = between = 0
    for role, kind, before in _steps(sentences, spelling):
        same = before[0] != "O" and before[1] == kind
        by_i += role == "I" and not same
        by_b += role == "B" and not same
        between += role == "B" and same
    return by_i, by_b, between


def _steps(sentences: Iterable[Sequence[str | None]], spelling: Scheme) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Role and type of each word, and those of the word before."""
    known: dict[str | None, tuple[str, str]] = {}
    for tags in sentences:
        before = ("O", "")
        for tag in tags:
            if tag not in known:
                known[tag] = spelling.split(tag or spelling.outside) or ("O", "")
            yield *known[tag], before
            before = known[tag]

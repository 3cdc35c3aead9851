"""The one exception that means: the user can mend this."""


class TransferlabError(Exception):
    """A mistake in input or surroundings.

    The message names the key, file or row at fault and the remedy; the command line prints it without a traceback
    and exits with code 2.
    """


def near(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """Returns `` (did you mean 'x'?)`` for the nearest known words, or an empty string."""
    return did_you_mean(closest(word, known))


def closest(word: str, known: "list[str] | tuple[str, ...]", cutoff: float = 0.5) -> list[str]:
    """The known words that are nearest to a word: at most three, none of them much farther than the first."""
    import difflib

    lower = {name.lower(): name for name in reversed(known)}
    matches = difflib.get_close_matches(word.lower(), lower, n=3, cutoff=cutoff)
    likeness = {match: difflib.SequenceMatcher(None, match, word.lower()).ratio() for match in matches}
    return [lower[match] for match in matches if likeness[match] >= likeness[matches[0]] - 0.15]


def did_you_mean(words: "list[str] | tuple[str, ...]") -> str:
    """`` (did you mean 'x' or 'y'?)``; empty without words."""
    return f" (did you mean {' or '.join(repr(word) for word in words)}?)" if words else ""

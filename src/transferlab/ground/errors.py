"""The one exception that means: the user can mend this."""


class TransferlabError(Exception):
    """A mistake in input or surroundings.

    The message names the key, file or row at fault and the remedy; the command line prints it without a traceback
    and exits with status 2.
    """


def near(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """Returns `` (did you mean 'x'?)`` for the nearest known words, or an empty string."""
    import difflib

    matches = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(repr(m) for m in matches)}?)" if matches else ""

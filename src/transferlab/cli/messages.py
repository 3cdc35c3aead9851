"""One line in place of a parser's page of usage."""

import re
from collections.abc import Sequence

from transferlab.cli.commands import TRAINING
from transferlab.cli.early import check_complete, check_words
from transferlab.cli.keys.catalog import Catalog
from transferlab.cli.keys.check import Checker, options
from transferlab.cli.keys.values import wrong_values
from transferlab.ground.errors import TransferlabError

NOISE = (
    r"Does not validate against any of the Union subtypes Subtypes: \[.*?\] Errors: ",
    r"- Expected a <class 'NoneType'>(?:\. Got value: \S+)? - ",
    r"Problem with given class_path '([\w.]+)': ",
    r" Given value type: .*$",
    r'Parser key "[\w.]+": ',
)
"""What jsonargparse's texts say beside the cause, with one release or another."""


def explain(error: BaseException, catalog: Catalog, given: Sequence[str]) -> str:
    """Says in one line why the parser refused a command line.

    The parser decides whether something is wrong; what it is is found by our own check, since the parser's texts
    change from release to release and speak of Python's types.

    Args:
        error: What it raised.
        catalog: All keys.
        given: The command and what follows it, files already read.
    """
    if cause := _own(error):
        return str(cause)
    command, *rest = given
    try:
        check_words(command, rest)
        checker = Checker(catalog, command)
        checker.line(rest)
        # the parser reads each file for itself, also what an option puts another value over
        files = [word for name, value in options(rest) if name in {"--config", "-c"} for word in (name, value or "")]
        alone = Checker(catalog, command)
        alone.line(files)
        for line in (*wrong_values(checker), *wrong_values(alone)):
            return line
        if command in TRAINING:
            check_complete(command, checker.tree)
    except TransferlabError as found:
        return str(found)
    return shortened(error)


def _own(error: BaseException) -> TransferlabError | None:
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, TransferlabError):
            return link
        link = link.__cause__ or link.__context__
    return None


def shortened(error: BaseException) -> str:
    """An exception's text in one line, without what the parser says around it."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    path = ".".join(re.findall(r'Parser key "([\w.]+)": ', text))
    for pattern in NOISE:
        text = re.sub(pattern, "", text)
    return f"{path}: {text.strip()}" if path else text.strip()

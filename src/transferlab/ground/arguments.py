"""The argument parser of the commands that do not train."""

import argparse
import re
from collections.abc import Callable
from functools import partial
from typing import IO, Any, ClassVar, NoReturn

from transferlab.ground.errors import TransferlabError, near


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with near matches, and which takes no option cut short.

    Args:
        prog: The command.
        usage: The line that shows how it is called; None: made from the options.
        description: What it does.
        epilog: What stands below the options.
        formatter: Lays the page out.
    """

    _wanted: ClassVar[bool] = False

    def __init__(
        self,
        prog: str,
        usage: str | None = None,
        description: str | None = None,
        epilog: str | None = None,
        formatter: type[argparse.HelpFormatter] = argparse.HelpFormatter,
    ) -> None:
        # a width of its own: the page is then the same on every terminal
        page = partial(formatter, width=79)
        super().__init__(prog, usage, description, epilog, formatter_class=page, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises instead of printing the usage.

        Raises:
            TransferlabError: Always.
        """
        options = [option for action in self._actions for option in action.option_strings]
        choices = [str(choice) for action in self._actions for choice in action.choices or ()]
        option = re.search(r"unrecognized arguments: (-[^\s=]*)", message)
        choice = re.search(r"invalid choice: '([^']*)'", message)
        hint = near(option[1], options) if option else near(choice[1], choices) if choice else ""
        raise TransferlabError(f"{self.prog}: {message}{hint}. `{self.prog} --help` shows all options.")

    def print_help(self, file: IO[str] | None = None) -> None:  # type: ignore[override]
        """Prints the help page, unless `parser_of` asks for the parser itself."""
        if Parser._wanted:
            raise _Found(self)
        super().print_help(file)

    @property
    def actions(self) -> list[argparse.Action]:
        """Its options and positional arguments."""
        return list(self._actions)


class _Found(Exception):
    """Carries a parser out of the command that made it."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser


def parser_of(command: Callable[[list[str]], Any]) -> Parser:
    """The parser of a command, which it makes itself when it is asked for help.

    Args:
        command: Takes what follows its name on the command line.
    """
    Parser._wanted = True
    try:
        command(["--help"])
    except _Found as found:
        return found.parser
    finally:
        Parser._wanted = False
    raise AssertionError(f"{command} shows no help of a parser")

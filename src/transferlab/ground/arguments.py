"""The argument parser of the commands that do not train."""

import argparse
import re
from typing import NoReturn

from transferlab.ground.errors import TransferlabError, near


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with near matches."""

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

"""Commands that train by the name of a config of their own (``pretrain``, ``multitask``); imports no torch."""

import argparse
from pathlib import Path

from transferlab.config import experiments, shipped
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError


def parser(command: str, folder: str, description: str, keys: str) -> Parser:
    """The options of such a command, for its help.

    Args:
        command: Its name.
        folder: Folder of its configs, in ``configs/``.
        description: What it does.
        keys: What is said of its keys.
    """
    options = Parser(
        f"transferlab {command}",
        usage=f"transferlab {command} NAME [--KEY VALUE ...]",
        description=description,
        epilog=keys,
        formatter=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("file", nargs="?", metavar="NAME", help=f"a config of configs/{folder}")
    options.add_argument("--config", type=Path, metavar="FILE", help="a file of your own instead")
    options.add_argument("--resume", metavar="RUN", help="continue a run that was stopped or killed")
    options.add_argument("--print_config", action="store_true", help="show the configuration instead")
    return options


def expanded(arguments: list[str], command: str, folder: str) -> list[str]:
    """The command line with the file of a name in its place.

    Args:
        arguments: What stands behind the command.
        command: Its name.
        folder: Folder of its configs, in ``configs/``.

    Raises:
        TransferlabError: No such config.
    """
    if not arguments:
        raise unnamed(command, folder)
    first, *rest = arguments
    if first.startswith("-"):
        return arguments
    if first.endswith((".yaml", ".yml")):
        given = f"transferlab {command} --config {first}"
        raise TransferlabError(f"{first!r} stands alone; a file is given as --config: {given}")
    return ["--config", str(experiments.config_file(f"{folder}/{first}")), *rest]


def unnamed(command: str, folder: str) -> TransferlabError:
    """What is said where no config is named."""
    known = ", ".join(shipped.listed(f"configs/{folder}"))
    return TransferlabError(f"{command}: say which: transferlab {command} NAME; there are {known}.")

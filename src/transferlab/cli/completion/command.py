"""``transferlab completion``: prints the script that makes a shell complete commands, names and keys."""

import argparse
import shutil
import sys
import textwrap
from pathlib import Path

from transferlab.cli.completion.candidates import candidates
from transferlab.ground.arguments import Parser

SCRIPTS = Path(__file__).parent / "scripts"
SHELLS = ("bash", "zsh", "fish")
ASK = "words"
"""``transferlab completion words -- WORD ...`` answers the scripts: a candidate a line, a tab, what it is."""
HELP = """For this shell only:
  bash, zsh   source <(transferlab completion bash)
  fish        transferlab completion fish | source
For every new shell, add that line to ~/.bashrc or ~/.zshrc, or write
  transferlab completion fish > ~/.config/fish/completions/transferlab.fish
It completes commands, options, keys (`--trainer.`), and the names of
experiments, configs and runs. All keys are known once
`transferlab fit --help model` was called; before, those that one uses most."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab completion``.

    Raises:
        TransferlabError: No such shell.
    """
    if arguments[:1] == [ASK]:
        for word, text in candidates(arguments[2:]):
            print(f"{word}\t{textwrap.shorten(text, 90, placeholder=' ...')}".rstrip())
        return
    parser = Parser(
        "transferlab completion",
        description="Prints the script that makes a shell complete what follows `transferlab`.",
        epilog=HELP,
        formatter=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")
    shell = parser.parse_args(arguments).shell
    with (SCRIPTS / f"transferlab.{shell}").open(encoding="utf-8") as script:
        shutil.copyfileobj(script, sys.stdout)

"""Entry point: ``transferlab COMMAND``. Imports torch only for the commands that need it."""

import sys
from importlib import import_module

from transferlab.cli import boundary, commands
from transferlab.ground import signals
from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.lean import end_quickly, import_losses, import_torchmetrics, uncollected
from transferlab.ground.progress import loading


def main() -> None:
    """Runs a command; a mistake of the user ends with one message and exit code 2."""
    end_quickly()
    # `sys.argv` itself is changed: the parser reads it, and so do the processes of a DDP run
    sys.argv[1:] = boundary.take_flags(sys.argv[1:])
    boundary.run(lambda: _run(sys.argv[1:]))


def _run(arguments: list[str]) -> None:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command == "help" and rest:
        command, rest = rest[0], ["--help", *rest[1:]]
    # the place behind it, where a topic may stand
    asked = next((place for place, word in enumerate(rest, 1) if word in {"-h", "--help"}), None)
    if command in {"-h", "--help", "help"}:
        print(commands.overview(), end="")
    elif command == "--version":
        _print_version()
    elif command not in commands.COMMANDS:
        raise TransferlabError(f"no command {command!r}{near(command, list(commands.COMMANDS))}.")
    elif command == "predict" and asked and not rest[asked:]:
        from transferlab.use.prediction.options import parser

        parser().print_help()
    elif asked and commands.COMMANDS[command].keys:
        from transferlab.cli.pages import print_help

        print_help(command, *rest[asked : asked + 1])
    elif commands.on_files(command, rest):
        _on_files(command, rest)
    elif command in commands.TRAINING:
        _train(command, rest)
    else:
        _call(command, rest, commands.COMMANDS[command].loads and not asked)


def _call(command: str, rest: list[str], loads: bool) -> None:
    if loads or (command == "baseline" and not {"-h", "--help"} & set(rest)):
        from transferlab.cli import early
        from transferlab.ground.quiet import no_bars_on_pipes

        early.check_names(command, rest)
        no_bars_on_pipes()
    if loads:
        loading()
    module, _, function = commands.COMMANDS[command].target.partition(":")
    with signals.ending(), uncollected():
        if loads:
            import_torchmetrics()
            import_losses()
        loaded = import_module(module)
    getattr(loaded, function)(rest)


def _on_files(command: str, rest: list[str]) -> None:
    """Predicts or tests files that are not of the run's data set."""
    predicts = command == "predict"
    with signals.ending(), uncollected():
        loaded = import_module(f"transferlab.use.{'prediction.command' if predicts else 'elsewhere.options'}")
    loaded.main(*([] if predicts else [command]), rest)


def _train(command: str, rest: list[str]) -> None:
    from transferlab.cli import early
    from transferlab.ground.quiet import no_bars_on_pipes

    early.check([command, *rest])
    # a signal may come during the imports already, which take seconds; training collects garbage again
    with signals.handled(), uncollected():
        no_bars_on_pipes()
        loading()
        with signals.ending():
            import_torchmetrics()
            import_losses()
            from transferlab.cli.train import main as train
        train()


def _print_version() -> None:
    from importlib.metadata import version

    from transferlab import __version__

    libraries = ", ".join(f"{name} {version(name)}" for name in ("lightning", "torch", "transformers"))
    print(f"transferlab {__version__} ({libraries}, Python {sys.version.split()[0]})")


if __name__ == "__main__":
    main()

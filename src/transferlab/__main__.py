"""Entry point: ``transferlab COMMAND``. Imports torch only for the commands that need it."""

import os
import sys
from collections.abc import Callable

from transferlab import signals
from transferlab.errors import TransferlabError, near

USAGE = """transferlab: task x encoder x strategy, trained by the Lightning Trainer

  transferlab fit --config experiments/lora_sst2.yaml    train, select, test; writes runs/<experiment>/<run id>/
  transferlab fit --resume RUN                           goes on with a run that was stopped or killed
  transferlab test|validate|predict --run RUN            a finished run again (--config and --ckpt_path also work)
  transferlab baseline --config experiments/...yaml      majority, TF-IDF, NB-SVM, token-majority on the same rows
  transferlab compare [RUNS]                             table of all settings, tested against one another
  transferlab card --run RUN                             model card of a run and its other seeds, in its folder
  transferlab forgetting --run RUN [--probe TASK]        what a tuned encoder still knows of another task
  transferlab claims [--claim NAME] [--run]              the claims of the field against the runs; docs/claims.md
  transferlab submission RUN [RUN ...]                   zip file for the GLUE server from predicted runs
  transferlab sweep FILE                                 a grid of runs from sweeps/FILE.yaml; goes on where it was
  transferlab seeds NAME --seeds 5                       one experiment with several seeds
  transferlab search FILE                                searches/FILE.yaml: Optuna over keys of an experiment
  transferlab curve [RUNS] --task TASK                   quality over the number of labels, and how many transfer saves
  transferlab demo                                       every strategy on a generated task, then the comparison
  transferlab list                                       experiments with one line each

  transferlab fit --help                                 all keys; any of them can be given as --key value
"""


def main() -> None:
    """Runs a command; a mistake of the user ends with one message and status 2."""
    arguments = sys.argv[1:]
    command = arguments[0] if arguments else "--help"
    try:
        if command in {"-h", "--help", "help"}:
            print(USAGE, end="")
        elif command in LIGHT:
            LIGHT[command](arguments[1:])
        elif command in {"fit", "validate", "test", "predict"}:
            _train()
        else:
            raise TransferlabError(
                f"no command {command!r}{near(command, [*LIGHT, 'fit', 'validate', 'test', 'predict'])}."
            )
    except TransferlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _train() -> None:
    # a signal may come during the imports already, which take seconds
    with signals.handled():
        from transferlab.cli import main as train

        train()


def _baseline(arguments: list[str]) -> None:
    from transferlab.baselines import main as baseline

    baseline(arguments)


def _compare(arguments: list[str]) -> None:
    from transferlab.runs.compare import main as compare

    compare(arguments)


def _card(arguments: list[str]) -> None:
    from transferlab.runs.card import main as card

    card(arguments)


def _forgetting(arguments: list[str]) -> None:
    from transferlab.forgetting.command import main as forgetting

    forgetting(arguments)


def _claims(arguments: list[str]) -> None:
    from transferlab.claims.command import main as claims

    claims(arguments)


def _submission(arguments: list[str]) -> None:
    from transferlab.runs.submission import main as submission

    submission(arguments)


def _demo(arguments: list[str]) -> None:
    from transferlab.demo import main as demo

    demo(arguments)


def _list(arguments: list[str]) -> None:
    from transferlab.experiments import main as list_experiments

    list_experiments(arguments)


def _sweep(arguments: list[str]) -> None:
    from transferlab.sweeps.command import main as sweep

    sweep(arguments)


def _seeds(arguments: list[str]) -> None:
    from transferlab.sweeps.command import seeds

    seeds(arguments)


def _curve(arguments: list[str]) -> None:
    from transferlab.runs.curve import main as curve

    curve(arguments)


def _search(arguments: list[str]) -> None:
    from transferlab.search.command import main as search

    search(arguments)


LIGHT: dict[str, Callable[[list[str]], None]] = {
    "baseline": _baseline,
    "compare": _compare,
    "card": _card,
    "forgetting": _forgetting,
    "claims": _claims,
    "submission": _submission,
    "list": _list,
    "demo": _demo,
    "sweep": _sweep,
    "seeds": _seeds,
    "curve": _curve,
    "search": _search,
}

if __name__ == "__main__":
    main()

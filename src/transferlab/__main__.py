"""Entry point: ``transferlab COMMAND``. Imports torch only for the commands that need it."""

import os
import sys
from importlib import import_module

from transferlab.ground import signals
from transferlab.ground.errors import TransferlabError, near

USAGE = """transferlab: task x encoder x strategy, trained by the Lightning Trainer

  transferlab fit --config experiments/lora_sst2.yaml    train, select, test; writes runs/<experiment>/<run id>/
  transferlab fit --resume RUN                           goes on with a run that was stopped or killed
  transferlab test|validate|predict --run RUN            a finished run again (--config and --ckpt_path also work)
  transferlab baseline --config experiments/...yaml      majority, TF-IDF, NB-SVM, token-majority on the same rows
  transferlab report [RUNS] [--output FILE]              one HTML file on all runs, for reading in a browser
  transferlab compare [RUNS]                             table of all settings, tested against one another
  transferlab card --run RUN                             model card of a run and its other seeds, in its folder
  transferlab submission RUN [RUN ...]                   zip file for the GLUE server from predicted runs
  transferlab sweep FILE                                 a grid of runs, configs/sweep/FILE.yaml; goes on
  transferlab seeds NAME --seeds 5                       one experiment with several seeds
  transferlab curve [RUNS] --task TASK                   quality over the number of labels, and how many transfer saves
  transferlab forgetting --run RUN [--probe TASK]        what a tuned encoder still knows of another task
  transferlab claims [--claim NAME] [--run]              the claims of the field against the runs; docs/claims.md
  transferlab watch RUN                                  terminal dashboard of a run, while it trains too
  transferlab dashboard [RUNS]                           curves of all runs in a local dashboard (Trackio)
  transferlab workspace [--push]                         the W&B page that compares strategies, as JSON or on W&B
  transferlab submit --experiment lora_sst2              the same as a job of Slurm; --seeds 5: as an array of jobs
  transferlab fetch --experiment lora_sst2               brings data and weights, for nodes without internet
  transferlab search FILE                                Optuna over keys: configs/search/FILE.yaml
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
            _light(command, arguments[1:])
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
        from transferlab.cli.train import main as train

        train()


LIGHT = {
    "baseline": "transferlab.baselines:main",
    "card": "transferlab.analysis.comparison.card:main",
    "claims": "transferlab.analysis.claims.command:main",
    "compare": "transferlab.analysis.comparison.command:main",
    "curve": "transferlab.analysis.comparison.curve:main",
    "dashboard": "transferlab.analysis.comparison.dashboard:main",
    "demo": "transferlab.launch.demo:main",
    "fetch": "transferlab.launch.fetch:main",
    "forgetting": "transferlab.use.forgetting.command:main",
    "list": "transferlab.config.experiments:main",
    "report": "transferlab.analysis.page.command:main",
    "search": "transferlab.launch.search.command:main",
    "seeds": "transferlab.launch.sweeps.command:seeds",
    "submission": "transferlab.use.submission:main",
    "submit": "transferlab.launch.cluster.command:main",
    "sweep": "transferlab.launch.sweeps.command:main",
    "watch": "transferlab.tracking.watch:main",
    "workspace": "transferlab.tracking.workspace:main",
}
"""Commands that train nothing themselves, as ``module:function``; each is imported when it is asked for."""


def _light(command: str, arguments: list[str]) -> None:
    module, _, function = LIGHT[command].partition(":")
    getattr(import_module(module), function)(arguments)


if __name__ == "__main__":
    main()

"""``transferlab search``."""

import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from transferlab.config.grids import find
from transferlab.ground import signals
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.launch.search import spec, write
from transferlab.launch.search.spec import Search, text

if TYPE_CHECKING:
    import optuna


def main(arguments: list[str]) -> None:
    """Runs ``transferlab search``.

    Raises:
        TransferlabError: A mistake in the file or the options, or Optuna is missing.
    """
    parser = Parser("transferlab search", description="Searches the best keys of an experiment.", allow_abbrev=False)
    parser.add_argument("file", metavar="FILE", help="configs/search/FILE.yaml, or a path")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder that holds all runs [runs]")
    parser.add_argument("--trials", type=int, help="how many over all starts, instead of the file's number")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time; other processes may join [1]")
    parser.add_argument("--winner", type=Path, metavar="FILE", help="[experiments/<search>_best.yaml]")
    parser.add_argument("--dry", action="store_true", help="only show the trials that there are")
    parser.add_argument("--wandb", type=Path, metavar="FILE", help="only write the space as a sweep of W&B")
    asked = parser.parse_args(arguments)
    for name in ("trials", "jobs"):
        if (getattr(asked, name) or 1) < 1:
            raise TransferlabError(f"--{name}: {getattr(asked, name)} is not 1 or more.")
    search = spec.read(find(asked.file, "search"))
    if asked.wandb:
        write.wandb(asked.wandb, search, asked.root)
        print(f"wrote {asked.wandb}; continue with: wandb sweep {asked.wandb}")
        return
    try:
        import optuna
    except ImportError:
        raise TransferlabError("a search needs Optuna: pip install 'transferlab[search]'.") from None
    from transferlab.launch.search import study as studies

    database = asked.root / "searches" / f"{search.name}.db"
    if asked.dry:
        if not database.is_file():
            raise TransferlabError(f"{search.name} has not been started: there is no {database}.")
        _list(studies.open_study(search, database))
        return
    study = studies.open_study(search, database)
    _check_same(study, search)
    code = _run(study, search, asked)
    if any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        _report(study, search, asked)
    sys.exit(code)


def _check_same(study: "optuna.Study", search: Search) -> None:
    """Values of another space or of other settings would be compared with one another.

    Raises:
        TransferlabError: The study was made by a file that said something else.
    """
    now = {
        "experiment": search.experiment,
        "space": repr(sorted(search.space.items())),
        "set": repr(sorted(search.set.items())),
    }
    known = study.user_attrs.get("search")
    if known is None:
        study.set_user_attr("search", now)
    elif changed := [key for key in now if known.get(key) != now[key]]:
        raise TransferlabError(
            f"{search.name}: {', '.join(changed)} changed since the study was begun; give the file another name."
        )


def _run(study: "optuna.Study", search: Search, asked: Namespace) -> int:
    from transferlab.launch.search import study as studies
    from transferlab.launch.sweeps import run

    trials = asked.trials or (len(studies.grid(search)) if search.sampler == "grid" else search.trials)
    if again := studies.recover(study):
        print(f"{again} trials were cut off; they resume", flush=True)
    if studies.count(study) < trials:
        run.prepare()
        first = {
            key: studies.choices(known)[0] if isinstance(known, tuple) else known.low
            for key, known in search.space.items()
        }
        run.check_commands([(search.name, studies.cell(search, first, asked.root, search.name).arguments)])
    with signals.handled():
        signals.request.deferred = True
        with ThreadPoolExecutor(asked.jobs) as pool:
            failures = sum(pool.map(lambda _: _work(study, search, asked.root, trials), range(asked.jobs)))
        if signals.request.received:
            print("stopped; the same command continues it", flush=True)
            return signals.STOPPED
    return 1 if failures else 0


def _work(study: "optuna.Study", search: Search, runs: Path, trials: int) -> int:
    """One trial after another until there are enough; returns how many failed."""
    import optuna

    from transferlab.launch.search import study as studies

    train = studies.objective(search, runs, lambda line: print(line, flush=True))
    failed = 0
    running = optuna.trial.TrialState.RUNNING
    while not signals.request.received:
        at_work = len(study.get_trials(deepcopy=False, states=(running,)))
        if studies.count(study) + at_work >= trials or failed >= 3:
            break
        trial = study.ask()
        try:
            value = train(trial)
            study.tell(trial, value)
            print(f"trial {trial.number}: {studies.METRIC} {value:.4f}, best {study.best_value:.4f}", flush=True)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            print(f"trial {trial.number}: pruned", flush=True)
        except studies.Stopped:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            studies.again(study, study.trials[trial.number])
            print(f"trial {trial.number}: stopped", flush=True)
        except RuntimeError as error:
            failed += 1
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            print(f"trial {trial.number}: failed: {error}", flush=True)
    return failed


def _list(study: "optuna.Study") -> None:
    for trial in study.get_trials(deepcopy=False):
        value = "" if trial.value is None else f"{trial.value:.4f}"
        print(f"{trial.number:>4}  {trial.state.name.lower():<9} {value:>7}  {text(trial.params)}")


def _report(study: "optuna.Study", search: Search, asked: Namespace) -> None:
    from transferlab.launch.search import study as studies

    best = study.best_trial
    path = asked.winner or Path("experiments") / f"{search.name}_best.yaml"
    comment = f"{studies.METRIC} {best.value:.4f} in trial {best.number} of {studies.count(study)}"
    write.winner(path, search, best.params, comment)
    print(f"best: {comment}: {text(best.params)}\nwrote {path}; next: transferlab fit --experiment {path.stem}")

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

    from transferlab.launch.search.study import Train, Trials

BROKEN = 3
"""Failures after which a search ends in which nothing has succeeded."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab search``.

    Raises:
        TransferlabError: A mistake in the file or the options, or Optuna is missing.
    """
    parser = Parser("transferlab search", description="Searches the best keys of an experiment.")
    parser.add_argument("file", metavar="FILE", help="configs/search/FILE.yaml, or a path")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder that holds all runs [runs]")
    parser.add_argument("--trials", type=int, help="how many over all starts, instead of the file's number")
    parser.add_argument("--retry", action="store_true", help="first try once more what failed")
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
        import optuna  # noqa: F401  only whether it is there
    except ImportError:
        raise TransferlabError("a search needs Optuna: pip install 'transferlab[search]'.") from None
    from transferlab.launch.search import study as studies

    database = asked.root / "searches" / f"{search.name}.db"
    if asked.dry:
        begun = studies.Trials(search, database) if database.is_file() else None
        _list(search, begun, _limit(search, asked.trials))
        return
    trials = studies.Trials(search, database)
    _check_same(trials.study, search)
    limit = _limit(search, asked.trials)
    code = _run(trials, asked, limit)
    if trials.best():
        _report(trials, asked)
    sys.exit(code)


def _limit(search: Search, asked: int | None) -> int:
    """How many trials there are to be over all starts; of a space that ends, not more than it has."""
    from transferlab.launch.search import points

    total = points.size(search)
    if total is None:
        return asked or search.trials
    return min(total, asked or (total if search.sampler == "grid" else search.trials))


def _check_same(study: "optuna.Study", search: Search) -> None:
    """Values of another space or of other settings would be compared with one another.

    Raises:
        TransferlabError: The study was made by a file that said something else.
    """
    now = {
        "experiment": search.experiment,
        "space": repr(sorted(search.space.items())),
        "set": repr(sorted(search.set.items())),
        # a study of before does not say
        "sampler": search.sampler,
        "seed": search.seed,
    }
    known = study.user_attrs.get("search")
    if known is None:
        study.set_user_attr("search", now)
    elif changed := [key for key in now if known.get(key, now[key]) != now[key]]:
        raise TransferlabError(
            f"{search.name}: {', '.join(changed)} changed since the study was begun; give the file another name."
        )


def _run(trials: "Trials", asked: Namespace, limit: int) -> int:
    from transferlab.launch.search import study as studies
    from transferlab.launch.sweeps import run

    search = trials.search
    if asked.retry:
        trials.retry()
    if again := trials.recover():
        print(f"{again} trials were cut off; they resume", flush=True)
    ended, failed = trials.ended(limit)
    if ended + failed < limit:
        print(f"{search.name}: {limit} trials, {limit - ended - failed} of them to do", flush=True)
        run.prepare()
        first = {key: known[0] if isinstance(known, tuple) else known.low for key, known in search.space.items()}
        run.check_commands([(search.name, studies.cell(search, first, asked.root, search.name).arguments)])
    with signals.handled():
        signals.request.deferred = True
        with ThreadPoolExecutor(asked.jobs) as pool:
            failures = sum(pool.map(lambda _: work(trials, asked.root, limit, studies.train), range(asked.jobs)))
        if signals.request.received:
            print("stopped; the same command continues it", flush=True)
            return signals.STOPPED
    print(conclusion(trials, limit), flush=True)
    return 1 if failures else 0


def work(trials: "Trials", runs: Path, limit: int, train: "Train") -> int:
    """One trial after another until there is none left; returns how many failed.

    Args:
        trials: The trials, shared with other threads and processes.
        runs: Folder that holds all runs.
        limit: How many trials there are to be over all starts.
        train: What trains one.
    """
    import optuna

    from transferlab.launch.search import study as studies

    failed = 0
    while not signals.request.received and (trial := trials.take(limit)):
        number, values = trials.number(trial), trial.params
        print(f"trial {number}: {text(values)}", flush=True)
        try:
            value = train(trial, studies.cell(trials.search, values, runs, trial.user_attrs["folder"], number))
            trials.study.tell(trial, value)
            said = f"{studies.METRIC} {value:.4f}, best {trials.study.best_value:.4f}"
        except optuna.TrialPruned:
            trials.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            said = "pruned"
        except studies.Stopped:
            trials.put_back(trial)
            said = "stopped"
        except RuntimeError as error:
            failed += 1
            trials.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            said = f"failed: {error}"
        print(f"trial {number}: {said}", flush=True)
        if failed >= BROKEN and trials.best() is None:
            break
    return failed


def conclusion(trials: "Trials", limit: int) -> str:
    """What has become of the trials, and what to do about those that failed or were not begun."""
    ended, failed = trials.ended(limit)
    what = "combinations of the grid" if trials.search.sampler == "grid" else "trials"
    left = limit - ended - failed
    if not left and not failed:
        return f"{trials.search.name}: all {limit} {what} are done."
    parts = [f"{ended} of {limit} {what} are done"]
    parts += [f"{failed} failed (--retry tries them once more)"] if failed else []
    parts += [f"{left} are left, maybe at work in another process (the same command continues them)"] if left else []
    return f"{trials.search.name}: {', '.join(parts)}."


def _list(search: Search, trials: "Trials | None", limit: int) -> None:
    """The trials that there are, and those to do as far as their values are known before."""
    from transferlab.launch.search import points

    known = trials.known() if trials else {}
    values = [] if search.sampler == "tpe" else points.planned(search, limit)
    for number in sorted(known.keys() | range(len(values))):
        if trial := known.get(number):
            state, value = trial.state.name.lower(), "" if trial.value is None else f"{trial.value:.4f}"
            print(f"{number:>4}  {state:<9} {value:>7}  {text(points.values_of(trial))}")
        else:
            print(f"{number:>4}  {'to do':<9} {'':>7}  {text(values[number])}")
    if trials:
        print(conclusion(trials, limit))
    else:
        tried = "" if values else f", by TPE from {', '.join(search.space)}"
        print(
            f"{search.name} has not been started. The same command without --dry (DRY=1) trains {limit} trials{tried}."
        )


def _report(trials: "Trials", asked: Namespace) -> None:
    from transferlab.launch.search import study as studies

    best, search = trials.best(), trials.search
    assert best is not None
    number, trial = best
    path = asked.winner or Path("experiments") / f"{search.name}_best.yaml"
    comment = f"{studies.METRIC} {trial.value:.4f} in trial {number} of {trials.ended()[0]}"
    write.winner(path, search, trial.params, comment)
    print(f"best: {comment}: {text(trial.params)}\nwrote {path}; next: transferlab fit --experiment {path.stem}")

"""What a search leaves: the winner as an experiment file, and the same space as a sweep of Weights & Biases."""

from pathlib import Path
from typing import Any

import yaml

from transferlab.config import experiments, trees
from transferlab.config.grids import Overrides
from transferlab.ground.errors import TransferlabError
from transferlab.launch.search.spec import Dimension, Range, Search
from transferlab.record import folder as run_folder

MARK = "# Winner of the search "
WANDB_METHODS = {"tpe": "bayes", "random": "random", "grid": "grid"}


def winner(path: Path, search: Search, values: Overrides, comment: str, root: Path | None = None) -> None:
    """Writes an experiment file with the keys of the winner.

    Args:
        path: The file.
        search: The search.
        values: The winner's values by dotted key.
        comment: What is known of it.
        root: Folder that holds ``configs/`` and ``experiments/``; the working directory where None.

    Raises:
        TransferlabError: A file of that name that no search wrote.
    """
    root = root or Path.cwd()
    if path.exists() and not path.read_text(encoding="utf-8").startswith(MARK):
        raise TransferlabError(f"{path} was not written by a search; name another file with --winner.")
    own = experiments.resolve(search.experiment, root)
    tree = trees.read_yaml(own) if own else {"bases": experiments.bases(search.experiment, root)}
    whole = experiments.compose(search.experiment, root)
    for key, value in {**_shown(search), **values}.items():
        tree = trees.merge(tree, placed(key, value, whole))
    dumped = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    run_folder.write_text(path, f"{MARK}{search.name}: {comment}\n{dumped}")


def _shown(search: Search) -> Overrides:
    """The keys of all trials, but for a logger that is switched off: winner and sweep are there to be looked at."""
    return {key: value for key, value in search.set.items() if key != "trainer.logger" or value}


def placed(key: str, value: Any, whole: trees.Tree) -> trees.Tree:
    """A dotted key as a tree; the command line leaves ``init_args`` out, a file has it wherever a class is named."""
    name, _, rest = key.partition(".")
    below = whole.get(name) if isinstance(whole, dict) else None
    if not rest:
        return {name: value}
    if isinstance(below, dict) and "class_path" in below and not rest.startswith("init_args"):
        return {name: {"init_args": placed(rest, value, below.get("init_args") or {})}}
    return {name: placed(rest, value, below or {})}


def wandb(path: Path, search: Search, runs: Path) -> None:
    """Writes the space as a sweep file: ``wandb sweep FILE``, then ``wandb agent ID``."""
    run_folder.write_text(path, yaml.safe_dump(wandb_sweep(search, runs), sort_keys=False, width=110))


def wandb_sweep(search: Search, runs: Path) -> dict[str, Any]:
    """The space as a sweep of Weights & Biases."""
    fixed = {key: {"value": value} for key, value in _shown(search).items()}
    command = ["${env}", "${interpreter}", "-m", "transferlab", "fit", "--experiment", search.experiment]
    sweep: dict[str, Any] = {
        "name": search.name,
        "command": [*command, "--run.root", str(runs), "--run.test", "false", "${args}"],
        "program": "transferlab",
        "method": WANDB_METHODS[search.sampler],
        "metric": {"name": "val/primary", "goal": "maximize"},
        "run_cap": search.trials,
        "parameters": {**fixed, **{key: _parameter(known) for key, known in search.space.items()}},
    }
    if search.pruner != "none":
        sweep["early_terminate"] = {"type": "hyperband", "min_iter": 1}
    return sweep


def _parameter(known: Dimension) -> dict[str, Any]:
    if not isinstance(known, Range):
        return {"values": list(known)}
    bounds = {"min": known.low, "max": known.high}
    if known.step is not None:
        return {"distribution": "q_uniform", **bounds, "q": known.step}
    if known.log:
        return {"distribution": "q_log_uniform_values" if known.whole else "log_uniform_values", **bounds} | (
            {"q": 1} if known.whole else {}
        )
    return {"distribution": "int_uniform" if known.whole else "uniform", **bounds}

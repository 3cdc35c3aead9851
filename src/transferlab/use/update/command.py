"""``transferlab update --run RUN --data NEW``."""

import argparse
import os
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from transferlab.config.renamed import as_meant
from transferlab.config.trees import read_yaml
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import refuse_without_task
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.strategies.teacher import restore
from transferlab.tasks import TaskDataModule
from transferlab.tasks.spec import TaskSpec
from transferlab.use.refused import refuse_texts
from transferlab.use.reread import data_of
from transferlab.use.update import examples, kept

OF_THE_DATA = (
    "fold",
    "folds",
    "holdout",
    "holdout_by",
    "per_class",
    "predict",
    "selection",
    "test_examples",
    "train_examples",
    "train_fraction",
)
"""Keys that choose examples of a run; an update has chosen them already."""


def run(asked: argparse.Namespace, keys: list[str]) -> None:
    """Prepares the examples and trains.

    Args:
        asked: See `transferlab.use.update.options`.
        keys: Keys of ``fit`` with their values.

    Raises:
        TransferlabError: No such run or file, a label that the run does not know, or examples that are out of reach.
    """
    if not 0 <= asked.replay <= 1:
        raise TransferlabError(f"--replay: {asked.replay} is not in 0 .. 1.")
    quiet()
    folder = run_folder.find(asked.run, asked.root)
    refuse_without_task(folder)
    if not (folder / "config.yaml").is_file() or not (folder / "checkpoints" / "best.ckpt").is_file():
        raise TransferlabError(
            f"{folder} has no trained weights to start from: a baseline is made anew, and a run has them once it "
            "is finished."
        )
    model = restore(folder)
    refuse_texts(model.task, "update")
    old, task = _old(folder), model.task
    new = examples.read_new(asked.data, old, task)
    if len(new) < examples.FEWEST:
        raise TransferlabError(f"--data: {asked.data} has {len(new)} examples; {examples.FEWEST} are needed.")
    tested = examples.read_new(asked.test, old, task) if asked.test else None
    parts = examples.gather(old, task, new, tested, asked.replay)
    known = set(kept.folders(asked.root))
    place, files = examples.keep(parts, asked.root)
    for note in parts.notes:
        print(note)
    counts = parts.counts
    print(f"training on {counts['new']:,} new and {counts['old']:,} old examples, kept in {place}")
    config = place / f"{folder.parent.name}.yaml"
    run_folder.write_text(config, yaml.safe_dump(settings(folder, asked, files, old, task), sort_keys=False))
    del model
    try:
        _fit(["fit", "--config", str(config), *keys])
    except BaseException:
        # a mistake in a key, say: without a run nobody reads them
        if place not in known and not _is_opened():
            run_folder.remove(place)
        raise


def _old(folder: Path) -> TaskDataModule:
    """The examples of the run, all of which are there."""
    try:
        old = data_of(folder)
        for split in {old.source.train, old.part_rows("validation")[0], *old.source.test}:
            old.rows(split)
    except TransferlabError as error:
        raise TransferlabError(
            f"an update needs the training, validation and test sets of {folder}, to replay them and to tell what is "
            f"forgotten. {error}"
        ) from error
    return old


def settings(
    folder: Path, asked: argparse.Namespace, files: dict[str, str], old: TaskDataModule, task: TaskSpec
) -> dict[str, Any]:
    """The configuration of the update: that of the run with other examples and a start."""
    tree: dict[str, Any] = deepcopy(as_meant(read_yaml(folder / "config.yaml")))
    data = tree["data"]["init_args"]
    for name in OF_THE_DATA:
        data.pop(name, None)
    data["task"] = task.name
    data["source"] = examples.source_of(files, old.source, task)
    tree.pop("ckpt_path", None)
    tree["trainer"].pop("enable_progress_bar", None)
    if asked.seed is not None:
        tree["seed_everything"] = asked.seed
    own = run_folder.read_summary(folder)
    named = str(own.get("strategy") or tree["model"]["class_path"].rpartition(".")[2])
    tree["run"] |= {
        "experiment": asked.experiment or f"{own.get('experiment', folder.parent.name)}_updated",
        "strategy": named if named.endswith(" updated") else f"{named} updated",
        "root": str(asked.root),
        "start": str(folder),
    }
    return tree


def _is_opened() -> bool:
    """Whether the run directory that was chosen is there, so that the run can be resumed."""
    chosen = os.environ.get(run_folder.VARIABLE)
    return chosen is not None and (Path(chosen) / "config.yaml").is_file()


def _fit(arguments: list[str]) -> None:
    """Runs ``transferlab fit`` in this process; further processes of DDP run the same line."""
    from transferlab.__main__ import main

    sys.argv[1:] = arguments
    main()

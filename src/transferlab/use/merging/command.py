"""``transferlab merge --runs A B --method ties``."""

import argparse
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Column, Table
from torch import Tensor

from transferlab.encoders import build_encoder
from transferlab.ground import screen
from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.record import setting
from transferlab.record.config import RunConfig
from transferlab.several import made
from transferlab.strategies import FullFineTuning, Strategy, content
from transferlab.strategies.teacher import restore
from transferlab.strategies.whole import plain_backbone
from transferlab.use.merging import vectors
from transferlab.use.reread import data_of

SCALES = {"add": 0.4, "average": 1.0, "ties": 1.0, "negate": 1.0}
"""Of the whole change, where none is given; 0.4 and 1 are what Yadav et al. 2023 take where nothing can be tuned."""
KEEP = 0.2
"""Share of each change that TIES keeps, where none is given, as in the paper."""
INSIDE = "encoder.backbone."


class Tuned(NamedTuple):
    """A finished run.

    Attributes:
        folder: Its run directory.
        summary: Its summary.
        model: Its head, on an encoder as it was pretrained.
        vector: What it changed of the pretrained encoder.
    """

    folder: Path
    summary: dict[str, Any]
    model: FullFineTuning
    vector: dict[str, Tensor]


def run(asked: argparse.Namespace) -> None:
    """Merges runs, evaluates each one's task, and prints before and after.

    Raises:
        TransferlabError: No such run, or runs whose encoders are not of one base.
    """
    quiet()
    scale = SCALES[asked.method] if asked.scale is None else asked.scale
    weights = asked.weights or [1.0] * len(asked.runs)
    keep = KEEP if asked.keep is None else asked.keep
    base, runs = _read([run_folder.find(name, asked.root) for name in asked.runs])
    found = [one.vector for one in runs]
    match asked.method:
        case "ties":
            change = vectors.ties(found, weights, scale, keep)
        case "average":
            change = vectors.averaged(found, weights, scale)
        case _:
            change = vectors.added(found, weights, -scale if asked.method == "negate" else scale)
    merged = {name: (value + change[name].to(value.dtype) if name in change else value) for name, value in base.items()}
    facts = {
        "method": asked.method,
        "scale": scale,
        "weights": weights,
        **({"keep": keep} if asked.method == "ties" else {}),
        "of": [one.summary.get("setting") for one in runs],
    }
    experiment = asked.experiment or f"merged_{asked.method}"
    after = [_leave(one, merged, facts, experiment, asked.root) for one in runs]
    _show(runs, after, facts)


def _read(folders: list[Path]) -> tuple[dict[str, Tensor], list[Tuned]]:
    """The pretrained weights, and the runs."""
    base: dict[str, Tensor] = {}
    runs: list[Tuned] = []
    for folder in folders:
        trained = restore(folder, beside_base=True)
        if trained.task.kind == "text":
            raise TransferlabError(f"--runs: {folder} writes texts and has no head beside its encoder; leave it out.")
        if trained.encoder_config.architecture != "pretrained":
            raise TransferlabError(
                f"--runs: {folder} began from random weights, which are not kept, so what it changed is not known; "
                "leave it out."
            )
        known = runs[0].model if runs else trained
        if trained.encoder.content != known.encoder.content:
            raise TransferlabError(
                f"--runs: {folder} began from another encoder by content than {runs[0].folder}; only what was trained "
                "from the same weights can be merged."
            )
        model = with_head(trained, folder)
        base = base or _plain(build_encoder(model.encoder_config).backbone)
        try:
            tuned = _plain(plain_backbone(trained))
        except TransferlabError as error:
            # the remedy behind is that of an export
            raise TransferlabError(f"--runs: {folder}: {str(error).partition(';')[0]}; leave it out.") from error
        if {n: v.shape for n, v in tuned.items()} != {n: v.shape for n, v in base.items()}:
            raise TransferlabError(f"--runs: the encoder of {folder} has other weights than its pretrained one.")
        runs.append(Tuned(folder, run_folder.read_summary(folder), model, vectors.task_vector(tuned, base)))
    return base, runs


def with_head(trained: Strategy, folder: Path) -> FullFineTuning:
    """A model for full fine-tuning with the head of a run.

    Args:
        trained: The run.
        folder: Its run directory.

    Raises:
        TransferlabError: Its head is of another kind, so that a merged encoder would be read by one that never learned.
    """
    model = FullFineTuning(trained.task, trained.encoder_config, trained.head_config)
    own, needed = _beside(trained), _beside(model)
    if trained.own_layout or {n: v.shape for n, v in own.items()} != {n: v.shape for n, v in needed.items()}:
        raise TransferlabError(
            f"--runs: {folder} has no head on the vectors of its encoder such as full fine-tuning trains; leave it out."
        )
    model.load_state_dict(own, strict=False)
    return model


def _beside(model: Strategy) -> dict[str, Tensor]:
    """What stands beside the weights of the encoder: the head, a mix of layers, thresholds."""
    return {
        name: value
        for name, value in model.state_dict().items()
        if name.startswith(("head.", "encoder.", "thresholds")) and not name.startswith(INSIDE)
    }


def _plain(backbone: Any) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in backbone.state_dict().items()}


def _leave(one: Tuned, merged: dict[str, Tensor], facts: dict[str, Any], experiment: str, root: Path) -> dict[str, Any]:
    """A run of the merged encoder with the head of a run."""
    data, model = data_of(one.folder), one.model
    model.load_state_dict({f"{INSIDE}{name}": value for name, value in merged.items()}, strict=False)
    named = RunConfig(f"{experiment}_{one.summary['task']}", f"merged ({facts['method']})", str(root))
    folder = root / named.experiment / run_folder.new_id(int(one.summary.get("seed") or 0))
    checkpoint = content.read(one.folder / "checkpoints" / "best.ckpt")
    kept = {key: one.summary.get(key) for key in ("seed", "precision", "hardware", "fold")}
    own = {"setting": setting.fingerprint(facts | {"head": one.summary.get("setting")}), "merged": facts}
    trainer = {"accelerator": "cpu", "precision": one.summary.get("precision") or "32-true"}
    return made.write(folder, model, data, named, checkpoint, kept | own, **trainer)


def _show(runs: list[Tuned], after: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    # a name that is cut cannot be typed
    run, place = (Column(name, overflow="fold") for name in ("run", "run directory"))
    table = Table("task", "metric", run, "alone", "merged", place, title=f"merged: {facts['method']}")
    for one, summary in zip(runs, after, strict=True):
        metric = one.model.task.primary
        values = [
            f"{known['metrics'][key]:.4f}" if (key := f"test/{metric}") in known["metrics"] else ""
            for known in (one.summary, summary)
        ]
        name = f"{one.summary['experiment']}/{one.summary['run']}"
        folder = f"{summary['experiment']}/{summary['run']}"
        table.add_row(one.model.task.name, f"test/{metric}", name, *values, folder)
    console = screen.console()
    console.print(table)
    for (a, one), (b, other) in combinations(enumerate(runs, 1), 2):
        console.print(f"cosine of what runs {a} and {b} changed: {vectors.cosine(one.vector, other.vector):+.3f}")

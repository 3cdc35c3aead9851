"""``transferlab workspace``: the W&B page that compares strategies, as code.

It shows what `transferlab.tracking.loggers` writes, under the same keys in every run.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError

STEP = "trainer/global_step"
STRATEGY, TASK, SEED = "strategy.name", "data.task", "env.seed"
COLUMNS = ("strategy.name", "model.encoder", "model.trainable_pct", "optim.lr", "env.seed")

QUALITY = ("test/primary", "val/primary", "test/accuracy", "test/f1", "test/matthews", "test/pearson")
CURVES = ("train/loss", "val/primary", "best/step")
COST = ("perf/train_s", "perf/samples_s", "perf/peak_mem_mb", "perf/checkpoint_mb", "params/trainable_pct")


def main(arguments: list[str]) -> None:
    """Writes the workspace as JSON, or saves it on the server.

    Raises:
        TransferlabError: The extra is not installed, no key is known, or the server refuses.
    """
    parser = Parser("transferlab workspace", description="The W&B page that compares strategies.")
    parser.add_argument("--project", default="transferlab", help="W&B project")
    parser.add_argument("--entity", default=os.environ.get("WANDB_ENTITY", ""), help="user or team; yours by default")
    parser.add_argument("--task", default="", help="runs of this task only")
    parser.add_argument("--push", action="store_true", help="save it on the server; needs a key")
    parser.add_argument("--output", default="-", help="file for the JSON; - is the screen")
    options = parser.parse_args(arguments)
    if options.push:
        print(push(options.entity, options.project, options.task))
        return
    text = str(build(options.entity or "entity", options.project, options.task)._to_model().model_dump_json(indent=1))
    if options.output == "-":
        sys.stdout.write(text + "\n")
    else:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


def push(entity: str, project: str, task: str) -> str:
    """Saves the workspace as a new view of the project, and returns its address.

    Raises:
        TransferlabError: No key of W&B, or W&B refuses.
    """
    from transferlab.ground.keys import has_key

    if not has_key():
        raise TransferlabError("workspace: no W&B key; set WANDB_API_KEY or run `wandb login`.")
    import wandb

    try:
        owner = entity or str(wandb.Api(timeout=20).default_entity)
        return str(build(owner, project, task).save().url)
    except Exception as error:  # whatever the HTTP library of this release raises
        raise TransferlabError(f"workspace: W&B refused it: {str(error).splitlines()[0]}") from error


def build(entity: str, project: str, task: str = "") -> Any:
    """The workspace: runs grouped by strategy, so that seeds are averaged.

    Args:
        entity: User or team.
        project: Project of the runs.
        task: Runs of this task only; all where empty.

    Raises:
        TransferlabError: The package for workspaces is not installed.
    """
    try:
        panels: Any = import_module("wandb_workspaces.reports.v2")
        spaces: Any = import_module("wandb_workspaces.workspaces")
    except ImportError as error:
        raise TransferlabError("workspace: pip install 'transferlab[workspace]' first.") from error

    strategy: Any = panels.Config(STRATEGY)
    averaged: Any = {"groupby": strategy, "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}

    def bars(name: str) -> Any:
        return panels.BarPlot(title=f"{name} by strategy", metrics=[panels.SummaryMetric(name)], **averaged)

    def curve(name: str) -> Any:
        return panels.LinePlot(title=name, x=STEP, y=[name], smoothing_factor=0, **averaged)

    def against(cost: str) -> Any:
        return panels.ScatterPlot(
            title=f"quality against {cost}",
            x=panels.SummaryMetric(cost),
            y=panels.SummaryMetric("test/primary"),
            log_x=True,
        )

    sections = {
        "Quality by strategy": [*map(bars, QUALITY)],
        "Learning curves": [*map(curve, CURVES)],
        "Cost": [*map(bars, COST), against("perf/train_s"), against("params/trainable")],
        "Runs": [panels.RunComparer(diff_only="split")],
    }
    return spaces.Workspace(
        entity=entity,
        project=project,
        name=f"transfer strategies{f' on {task}' if task else ''}",
        sections=[spaces.Section(name=name, panels=found, is_open=True) for name, found in sections.items()],
        settings=spaces.WorkspaceSettings(x_axis=STEP, max_runs=50),
        runset_settings=spaces.RunsetSettings(
            filters=spaces.And(spaces.Config(TASK) == task) if task else "",
            groupby=[spaces.Config(TASK), spaces.Config(STRATEGY)],
            order=[spaces.Ordering(spaces.Summary("test/primary"), ascending=False)],
            pinned_columns=[f"config:{name}" for name in COLUMNS],
        ),
    )

"""``transferlab sequence``: tasks one after the other; each is a run of its own, which resumes like any other."""

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from transferlab.config import trees
from transferlab.ground import hints, screen, signals
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import MULTITASK, PLAN
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.several import transfer
from transferlab.several.cli import SeveralCLI
from transferlab.several.own import filled
from transferlab.several.sequence_options import WEIGHTS, name_of
from transferlab.training.resume import Stopped

LORA = '{"class_path": "transferlab.adapters.LoRA", "init_args": {"r": 8, "alpha": 16, "targets": ["all"]}}'


class Stage(SeveralCLI):
    """One task of a sequence: no run for each task is left, only the scores."""

    leaves = False


def run(asked: argparse.Namespace, rest: list[str]) -> None:
    """Starts or continues a sequence, and prints the scores.

    Raises:
        TransferlabError: What a run refuses.
    """
    quiet()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    folder, plan = _open(asked, rest)
    with signals.handled(), _told(folder):
        scores = [_stage(folder, plan, number) for number in range(len(plan["order"]))]
        alone = [
            _stage(folder, plan, number, alone=True)[task] for number, task in enumerate(plan["order"]) if plan["alone"]
        ]
    found = _facts(plan, scores, alone)
    summary = run_folder.read_summary(folder) | {"status": "finished", "sequence": found}
    run_folder.write_json(folder / "summary.json", summary)
    _show(folder, found)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Says how to continue where a signal ends the sequence between its stages, which say it themselves."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:
        # what a stage has told stands behind another end
        if signals.request.received and not isinstance(end, Stopped) and end.__cause__ is None:
            print(f"stopped; continue with: {hints.resume(folder)}", flush=True)
        raise


def _open(asked: argparse.Namespace, rest: list[str]) -> tuple[Path, dict[str, Any]]:
    if asked.resume:
        folder = run_folder.find(asked.resume, asked.root)
        if not (folder / PLAN).is_file():
            raise TransferlabError(f"--resume: {folder} is no sequence of tasks; it holds no {PLAN}.")
        return folder, json.loads((folder / PLAN).read_text(encoding="utf-8"))
    given = dict(zip(rest[::2], rest[1::2], strict=False))
    tasks = trees.expand(Path(asked.file))["data"]["init_args"]["tasks"]
    if "--data.tasks" in given:
        import yaml

        tasks = yaml.safe_load(given["--data.tasks"])
    tasks = filled(tasks)
    if len(tasks) < 2:
        raise TransferlabError("data.tasks: a sequence has at least two tasks.")
    seed = int(given.get("--seed_everything", 0))
    folder = run_folder.choose(asked.root, name_of(asked, asked.file), seed)
    if (folder / PLAN).is_file():
        # a job that was requeued comes back to its folder
        return folder, json.loads((folder / PLAN).read_text(encoding="utf-8"))
    plan = {key: getattr(asked, key) for key in ("method", "share", "memory", "alone")}
    plan |= {"file": str(Path(asked.file).absolute()), "keys": rest, "order": list(tasks), "tasks": tasks}
    plan["weight"] = WEIGHTS.get(asked.method) if asked.weight is None else asked.weight
    run_folder.create(folder)
    run_folder.write_json(folder / PLAN, plan)
    facts = {"experiment": folder.parent.name, "run": folder.name, "kind": MULTITASK, "status": "running", "seed": seed}
    run_folder.write_json(folder / "summary.json", facts | {"metrics": {}, "perf": {}, "began": time.time()})
    return folder, plan


def _stage(folder: Path, plan: dict[str, Any], number: int, alone: bool = False) -> dict[str, float]:
    """Learns a task, continues it, or reads what it gave.

    Returns:
        The test score of each task afterwards.
    """
    name = f"{'alone' if alone else number + 1}_{plan['order'][number]}"
    root = folder / run_folder.STAGES
    known = _newest(root, name)
    if known is None or run_folder.read_summary(known).get("status") != "finished":
        os.environ.pop(run_folder.VARIABLE, None)
        # without a checkpoint it begins anew
        begun = known is not None and any((known / "checkpoints").glob("*.ckpt"))
        line = ["--resume", str(known)] if begun else _line(root, name, plan, number, alone)
        Stage(["fit", *line])
        known = _newest(root, name)
    assert known is not None
    summary = run_folder.read_summary(known)
    if summary.get("status") != "finished":
        raise SystemExit(signals.STOPPED)
    return {task: float(one["test"]) for task, one in summary["tasks"].items()}


def _newest(root: Path, name: str) -> Path | None:
    found = sorted((root / name).glob("*/summary.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def _line(root: Path, name: str, plan: dict[str, Any], number: int, alone: bool) -> list[str]:
    """The keys of a task's run."""
    order, method = plan["order"], plan["method"]
    task, earlier = order[number], [] if alone else order[:number]
    keys: dict[str, Any] = {"--data.tasks": plan["tasks"], "--data.learn": [task]}
    keys |= {"--model.select": task, "--run.experiment": name, "--run.root": str(root)}
    if method == "adapters" and not alone:
        keys["--model.method"] = json.loads(LORA)
    elif earlier:
        keys["--run.start"] = str(_newest(root, f"{number}_{order[number - 1]}"))
    if method in WEIGHTS and not alone and (earlier or method == "ewc"):
        keys["--model.keeping"] = {"method": method, "weight": plan["weight"], "tasks": earlier}
    if method == "replay" and earlier:
        keys["--data.replay"] = {one: plan["share"] / len(earlier) for one in earlier}
        keys["--data.memory"] = plan["memory"]
    said = {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items()}
    return ["--config", plan["file"], *plan["keys"], *(word for pair in said.items() for word in pair)]


def _facts(plan: dict[str, Any], scores: list[dict[str, float]], alone: list[float]) -> dict[str, Any]:
    order = plan["order"]
    matrix = [[found[task] for task in order] for found in scores]
    if plan["method"] == "adapters":
        # each task has its own, whatever is learned afterwards
        matrix = [[scores[max(task, 0)][order[task]] for task in range(len(order))] for _ in order]
    return {
        **{key: plan[key] for key in ("method", "weight", "order")},
        "matrix": matrix,
        "average": transfer.average(matrix),
        "backward": transfer.backward(matrix),
        "forgetting": transfer.forgetting(matrix),
        **({"alone": alone, "forward": transfer.forward(matrix, alone)} if alone else {}),
    }


def _show(folder: Path, found: dict[str, Any]) -> None:
    table = Table("after", *found["order"], title=f"test scores, {found['method']}")
    for number, (task, row) in enumerate(zip(found["order"], found["matrix"], strict=True)):
        # of a task that was not learned yet the head is random
        table.add_row(task, *(f"{score:.4f}" if at <= number else f"({score:.4f})" for at, score in enumerate(row)))
    if "alone" in found:
        table.add_row("alone", *(f"{score:.4f}" for score in found["alone"]))
    console = screen.console()
    console.print(table)
    names = ("average", "backward", "forgetting", "forward")
    rows = {name: f"{found[name]:+.4f}" for name in names if name in found}
    console.print(screen.facts(rows | {"run directory": str(folder)}, "transfer"))

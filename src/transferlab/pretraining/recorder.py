"""The record of a pretraining: header, ``summary.json``, result."""

from pathlib import Path
from typing import Any

from transferlab.config import experiments
from transferlab.encoders.content import content_of
from transferlab.encoders.lineage import in_words, lineage_of
from transferlab.encoders.loading import locate
from transferlab.ground import screen
from transferlab.ground.hints import PRETRAINING
from transferlab.ground.progress import is_part
from transferlab.pretraining.data import PretrainingData
from transferlab.pretraining.objectives.base import Pretraining
from transferlab.record.own import OwnRecorder


class PretrainingRecorder(OwnRecorder):
    """The record of a pretraining; see `OwnRecorder`."""

    def described(self, model: Pretraining, data: PretrainingData) -> dict[str, Any]:
        """Facts about text, encoder and parameters."""
        return described(model, data)

    def header_rows(self) -> dict[str, str]:
        """What is about to run, by name."""
        return header_rows(self.summary, self.folder)

    def result_rows(self) -> dict[str, str]:
        """The lines printed at the end of a run."""
        return result_rows(self.summary)

    def show_next(self, encoder: Path) -> None:
        """Prints what follows a pretraining."""
        if is_part():
            return
        run, task = encoder.parent, self.summary["task"]
        task = task if task in experiments.tasks() else "TASK"
        commands = {
            "the encoder": str(encoder),
            "use it": f"transferlab fit --experiment full_finetuning_{task} --encoder.name {run}",
            "without it": f"transferlab fit --experiment from_scratch_{task} --encoder.name {run}",
        }
        self._show(screen.facts(commands, "next"))


def described(model: Pretraining, data: PretrainingData) -> dict[str, Any]:
    """Facts about text, encoder and parameters, as they stand in ``summary.json``."""
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    start = model.start
    return {
        "task": data.text.name,
        "kind": PRETRAINING,
        "labels": [],
        "primary": model.primary,
        "encoder": start.label,
        "protocol": "held-out text",
        "data": data.described(),
        "weights": "random" if start.new else locate(start.name, start.revision).origin,
        "base": {} if start.new else content_of(start.config)._asdict(),
        "lineage_of_base": {} if start.new else lineage_of(start.config),
        "drawn": model.drawn,
        "params": {"total": total, "trainable": trainable, "trainable_pct": 100 * trainable / total},
        "metrics": {},
        "perf": dict.fromkeys(("wall_s", "samples_s", "tokens_s", "step_ms", "peak_mem_mb")),
        "checkpoint_mb": None,
    }


def header_rows(summary: dict[str, Any], folder: Path) -> dict[str, str]:
    """What is about to run, by name."""
    params, data = summary["params"], summary["data"]
    drawn = summary["drawn"]
    rows = {
        "objective": summary["strategy"],
        "text": f"{data['origin']}: {data['train_documents']:,} documents, {data['train_tokens']:,} tokens in "
        f"{data['train_examples']:,} rows of at most {data['max_length']}",
        "held out": data["validation"],
        "left out": left_out(data),
        "encoder": summary["encoder"],
        "weights from": summary["weights"],
        "made from": in_words(summary.get("lineage_of_base") or {}),
        "drawn at random": f"{len(drawn)} weights that were not there, such as {drawn[0]} (seed {summary['seed']})"
        if drawn
        else "",
        "vocabulary": f"{data['vocabulary']:,} tokens",
        "trainable": f"{params['trainable']:,} of {params['total']:,} parameters ({params['trainable_pct']:.2f} %)",
        "hardware": summary.get("hardware", ""),
        "precision": summary.get("precision", ""),
        "run directory": str(folder),
    }
    return {name: value for name, value in rows.items() if value}


def left_out(data: dict[str, Any]) -> str:
    """How many documents hold test texts of a task, in words."""
    if not data["looked_for"]:
        return "nothing: no task is named whose test texts are to be looked for (data.without)"
    found = ", ".join(f"{count:,} {split}" for split, count in data["left_out"].items())
    return f"documents with a test text: {found}"


def result_rows(summary: dict[str, Any]) -> dict[str, str]:
    """The lines printed at the end of a run."""
    before, after, perf = summary.get("before", {}), summary["metrics"], summary["perf"]
    names = ("val/loss", "val/perplexity", "val/accuracy", *(n for n in after if n.endswith(("_loss", "_accuracy"))))
    rows = {}
    for name in dict.fromkeys(names):
        if name in after and name != "val/unigram_loss":
            rows[name] = f"{before.get(name, float('nan')):.4f} -> {after[name]:.4f}"
    # a loss of several terms is not comparable as a whole
    below = " with val/tokens_loss" if "val/tokens_loss" in after else ""
    told = f"a model{below} below it has learned from context"
    rows["loss of token frequencies"] = f"{after['val/unigram_loss']:.4f}: {told}"
    rows["best step"] = f"{summary['best_step']} of {perf['steps']}"
    rows["time"] = f"{perf['wall_s']:.1f} s"
    rows["training speed"] = f"{perf['samples_s']:.0f} rows/s, {perf['tokens_s']:.0f} tokens/s"
    rows["peak memory"] = f"{perf['peak_mem_mb']:.0f} MB"
    return rows

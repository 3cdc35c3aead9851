"""The record of a run of several tasks; each task has one of its own, see `transferlab.several.leaving`."""

from typing import Any

from transferlab.ground.hints import MULTITASK
from transferlab.record.own import OwnRecorder
from transferlab.several.data import SeveralTasks
from transferlab.several.model import MultiTask


class SeveralRecorder(OwnRecorder):
    """Writes ``summary.json`` and ``environment.json``; prints header and result."""

    def described(self, model: MultiTask, data: SeveralTasks) -> dict[str, Any]:
        """Facts about tasks, encoder and parameters."""
        kept = model.kept()
        total = sum(p.numel() for p in model.parameters())
        trainable = sum(p.numel() for name, p in model.named_parameters() if name in kept)
        learned = data.train_dataloader().sampler
        names = [*data.learn, *(name for name in data.replay if name not in data.learn)]
        return {
            "task": model.task.name,
            "kind": MULTITASK,
            "labels": [],
            "primary": model.primary,
            "encoder": model.belongs.encoder.label,
            "protocol": "several tasks",
            "data": {
                "steps": dict(zip(names, learned.steps, strict=True)),  # type: ignore[attr-defined]
                "train_examples": sum(data.examples.values()),
                "examples": data.examples,
                "versions": {name: part.versions for name, part in data.parts.items()},
                "alpha": data.alpha,
            },
            "base": model.belongs.base._asdict(),
            "params": {"total": total, "trainable": trainable, "trainable_pct": 100 * trainable / total},
            "metrics": {},
            "perf": dict.fromkeys(("wall_s", "samples_s", "tokens_s", "step_ms", "peak_mem_mb")),
            "checkpoint_mb": None,
        }

    def header_rows(self) -> dict[str, str]:
        """What is about to run, by name."""
        data, params = self.summary["data"], self.summary["params"]
        whole = sum(data["steps"].values())
        rows = {
            name: f"{data['examples'][name]:,} training examples, {steps:,} of {whole:,} batches of an epoch"
            for name, steps in data["steps"].items()
        }
        return {
            **rows,
            "encoder": self.summary["encoder"],
            "trainable": f"{params['trainable']:,} of {params['total']:,} parameters ({params['trainable_pct']:.2f} %)",
            "selects": f"val/{self.summary['primary']}",
            "hardware": self.summary.get("hardware", ""),
            "run directory": str(self.folder),
        }

    def result_rows(self) -> dict[str, str]:
        """The lines printed at the end of a run."""
        metrics, perf = self.summary["metrics"], self.summary["perf"]
        rows = {}
        for name, found in (self.summary.get("tasks") or {}).items():
            test = "" if found["test"] is None else f", {found['test']:.4f} on test"
            rows[name] = f"{found['metric']} {found['validation']:.4f} on validation{test}"
        for name, value in metrics.items():
            if name.startswith("val/cosine/"):
                rows[name.removeprefix("val/")] = f"{value:+.3f}" + (
                    ": these gradients are in conflict" if value < 0 else ""
                )
        rows["best step"] = f"{self.summary['best_step']} of {perf['steps']}"
        rows["time"] = f"{perf['wall_s']:.1f} s"
        return rows

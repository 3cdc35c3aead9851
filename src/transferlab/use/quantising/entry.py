"""A quantised form of a run as a setting of its own, which compare and report show; the record of the run stays.

``forms/<run>-<form>/`` in the run directory holds ``summary.json``, ``config.yaml`` (that of the run and the form) and
predictions. Its fingerprint is another one than the run's, so seeds of the two are never averaged.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from transferlab.record import folder as run_folder
from transferlab.record import predictions, report, setting, texts

if TYPE_CHECKING:
    from transferlab.use.quantising.command import Judged
    from transferlab.use.quantising.measure import Measured

KEPT = (
    *("experiment", "strategy", "seed", "tags", "task", "kind", "labels", "scheme", "spec", "primary", "encoder"),
    *("protocol", "fold", "data", "inspection", "weights", "base", "params"),
)
"""What a form has in common with its run."""
FULL = "onnx"


def keep(run: Path, judged: "Judged") -> None:
    """Writes the quantised form, and beside it the graph in float32, which runs as fast as no run in torch does."""
    for form, measured in ((FULL, judged.full), (judged.form, judged.small)):
        _keep(run, form, measured, judged)


def _keep(run: Path, form: str, measured: "Measured", judged: "Judged") -> None:
    data, summary = judged.examples.data, run_folder.read_summary(run)
    assert data is not None
    place = run / run_folder.FORMS / f"{run.name}-{form}"
    fresh = place.with_name(f".{place.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        tree: dict[str, Any] = {**setting.of_folder(run), "form": form}
        run_folder.write_text(fresh / "config.yaml", yaml.safe_dump(tree, sort_keys=False))
        lines = {"test": list(measured.records)}
        texts.write(fresh, data, lines)
        known = {key: summary[key] for key in KEPT if key in summary}
        found = {
            "run": place.name,
            "form": form,
            "setting": setting.fingerprint(tree),
            "metrics": {f"test/{name}": value for name, value in measured.metrics.items()},
            "per_class": report.per_class(data.spec, measured.records),
            "test": predictions.facts(data.spec.kind, measured.records) | {"latency_ms": round(measured.alone_ms, 3)},
            "model_mb": round(measured.size_mb, 3),
            "status": "finished",
        }
        run_folder.write_json(fresh / "summary.json", known | found)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)

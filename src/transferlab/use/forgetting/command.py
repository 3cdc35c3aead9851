"""``transferlab forgetting``."""

import json
from pathlib import Path
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import is_pretraining
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.use.forgetting.settings import Settings, parser

FILE = "forgetting.json"
DEFAULT = ("stsb", "sst2")
"""The probe where none is named: the first one that is not the run's own task."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab forgetting``.

    Raises:
        TransferlabError: No such run or task, or a run without a pretrained encoder or a checkpoint.
    """
    asked = parser().parse_args(arguments)
    settings = Settings(asked.probes, asked.rows, asked.test_rows, asked.texts, asked.seed)
    if settings.probes < 2:
        raise TransferlabError(f"--probes: {settings.probes} give no interval; use 2 or more.")
    if min(settings) < 0 or 0 in settings[:4]:
        raise TransferlabError("--rows, --test-rows, --texts: use 1 or more.")
    # what follows imports torch, which takes seconds
    from transferlab.encoders import EncoderConfig
    from transferlab.use.forgetting import report
    from transferlab.use.forgetting.measure import Original, measure, prepare, tuned_model

    quiet()
    originals: dict[Any, Original] = {}
    for name in asked.run:
        run = run_folder.find(name, asked.root)
        model = tuned_model(run)
        for probe in asked.probe or [_default_probe(model.task.name)]:
            key = (model.encoder_config, probe)
            if key not in originals:
                originals[key] = prepare(model.encoder_config, probe, settings)
            own = EncoderConfig(str(run)) if is_pretraining(run) else None
            result = measure(model, originals[key], settings, own)
            found = read(run) | {probe: result}
            run_folder.write_json(run / FILE, {"run": run.name, "probes": found})
            report.show(run, probe, result)
        if asked.picture:
            report.draw(read(run), asked.picture)


def read(run: Path) -> dict[str, Any]:
    """What was measured of a run so far: probe task to result.

    Raises:
        TransferlabError: The file is damaged.
    """
    path = run / FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["probes"])
    except (ValueError, KeyError, TypeError) as error:
        raise TransferlabError(f"{path} is damaged; delete it and measure again.") from error


def _default_probe(task: str) -> str:
    return next(probe for probe in DEFAULT if probe != task)

"""No checkpoint is evaluated twice, and the untrained model on a sample only."""

import json

import pytest
from test_api import build, command, train

from transferlab.cli import train as cli
from transferlab.record.folder import retests
from transferlab.strategies import Strategy


@pytest.fixture
def passes(monkeypatch):
    """The examples of each pass over the validation set, in order."""
    counted = []
    start, step = Strategy.on_validation_epoch_start, Strategy.validation_step

    def started(self):
        counted.append(0)
        start(self)

    def stepped(self, batch, *arguments):
        counted[-1] += len(batch.index)
        return step(self, batch, *arguments)

    monkeypatch.setattr(Strategy, "on_validation_epoch_start", started)
    monkeypatch.setattr(Strategy, "validation_step", stepped)
    return counted


@pytest.mark.parametrize("kind", ["classification", pytest.param("multilabel", marks=pytest.mark.slow)])
def test_one_validation_for_a_checkpoint(files, tiny_encoder, tmp_path, monkeypatch, passes, kind):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "UNTRAINED", 3)
    model, data = build({"classification": files[kind]}, tiny_encoder)
    train(tmp_path / "first", model, data)
    whole = passes[0]
    passes.clear()
    command(monkeypatch, "fit", "--config", str(tmp_path / "first" / "config.yaml"), "--run.root", "runs")
    assert passes == [3, whole, whole]
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("summary.json"))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["before_examples"] == 3
    # the same checkpoint evaluated by itself gives the very record
    command(monkeypatch, "validate", "--run", str(folder))
    ((_, result),) = retests(folder)
    assert result["equal"]
    assert result["metrics"] == summary["after"]
    assert result["changed_predictions"] == [0, whole]
    known = json.loads((tmp_path / "first" / "summary.json").read_text())
    assert summary["after"] == known["after"]
    assert summary.get("thresholds") == known.get("thresholds")
    assert summary["evaluated"]["validate"]["splits"] == known["evaluated"]["validate"]["splits"]

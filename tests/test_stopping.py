"""Early stopping is told wherever it acts, and the validation loss is there to be watched."""

import json

import lightning as L
import pytest
import torch
import yaml
from test_strategies import build

from tests import forked

LONG = {"max_epochs": 5, "limit_train_batches": 1}


@pytest.fixture
def place(tmp_path, tiny_folder, files):
    """An experiment that learns nothing, so that no validation is better than the first."""
    source = files["classification"]
    tree = {
        "trainer": {"accelerator": "cpu", "logger": False, "log_every_n_steps": 1, **LONG},
        "encoder": {"name": str(tiny_folder)},
        "data": {
            "class_path": "transferlab.tasks.TaskDataModule",
            "init_args": {
                "task": "own",
                "source": {"files": dict(source.files), "text": list(source.text), "label": source.label},
                "max_length": 32,
            },
        },
        "model": {
            "class_path": "transferlab.strategies.FullFineTuning",
            "init_args": {
                "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.0}},
                "head": {"lr": 0.0},
            },
        },
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


def test_a_users_early_stopping_replaces_the_built_in_one_and_tells_that_it_ended_the_run(place):
    tree = yaml.safe_load((place / "mine.yaml").read_text())
    stopping = {"monitor": "val/loss", "mode": "min", "patience": 1}
    tree["trainer"]["callbacks"] = [
        {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": stopping},
    ]
    (place / "mine.yaml").write_text(yaml.safe_dump(tree))
    said = forked.transferlab(place, "fit", "--config", "mine.yaml")
    assert "after 1 validations without a better val/loss" in said
    assert "in epoch 2 of 5: Monitored metric val/loss did not improve in the last 1 records" in said
    (path,) = (place / "runs").glob("*/*/summary.json")
    told = json.loads(path.read_text())["early_stopping"]
    assert {**stopping, "epoch": 2, "max_epochs": 5}.items() <= told.items()
    assert "early stopping ended 1 of 1 runs of" in forked.transferlab(place, "compare")


def test_a_second_checkpoint_on_the_same_metric_is_refused_in_one_line(place):
    tree = yaml.safe_load((place / "mine.yaml").read_text())
    settings = {"monitor": "val/primary", "mode": "max"}
    tree["trainer"]["callbacks"] = [
        {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": settings},
    ]
    (place / "mine.yaml").write_text(yaml.safe_dump(tree))
    code, said = forked.run(place, ["fit", "--config", "mine.yaml"])
    assert code == 2
    assert "change that one under `checkpoint:`" in said
    assert not (place / "runs").exists()


@pytest.mark.parametrize("kind", ["classification", "regression", "tagging"])
def test_the_validation_loss_is_the_mean_over_all_examples_or_words(kind, data, tiny_encoder):
    module = data(kind, eval_batch_size=3)
    model = build("all", module, tiny_encoder)
    trainer = L.Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    found = trainer.validate(model, module, verbose=False)[0]["val/loss"]
    model.eval()
    total, number = 0.0, 0
    with torch.no_grad():
        for batch in module.val_dataloader():
            logits, labels = model(batch), batch.labels
            if kind == "tagging":
                real = (labels != -100) & (batch.words >= 0)
                logits, labels = logits[real], labels[real]
            if kind == "regression":
                losses = (logits - labels) ** 2
            else:
                losses = -logits.log_softmax(-1)[torch.arange(len(labels)), labels]
            total, number = total + float(losses.sum()), number + len(losses)
    assert number > 3
    assert found == pytest.approx(total / number, rel=1e-5)

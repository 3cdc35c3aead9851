"""Windows of long texts: what they weigh, and that a run of earlier releases keeps the windows that it had."""

import json

import pytest
import torch
import yaml

from transferlab.cli.train import TransferCLI
from transferlab.config.renamed import as_meant
from transferlab.ground.errors import TransferlabError
from transferlab.record.setting import fingerprint, of_folder
from transferlab.strategies.forward import document_mean
from transferlab.tasks import TaskDataModule


def test_a_document_is_the_mean_of_its_windows_by_their_weights():
    rows = torch.tensor([[1.0, 0.0], [3.0, 1.0], [5.0, 2.0]])
    documents = torch.tensor([0, 1, 1])
    assert document_mean(rows, documents).tolist() == [[1.0, 0.0], [4.0, 1.5]]
    weighted = document_mean(rows, documents, torch.tensor([7.0, 3.0, 1.0]))
    assert weighted.tolist() == [[1.0, 0.0], [3.5, 1.25]]
    assert document_mean(rows[:, 0], documents, torch.tensor([7.0, 3.0, 1.0])).tolist() == [1.0, 3.5]


def test_with_mean_pooling_a_document_is_the_mean_of_its_tokens(data):
    module = data("windows")
    batch = next(iter(module.val_dataloader()))
    vectors = torch.rand(*batch.input_ids.shape, 3)
    mask = batch.attention_mask[..., None]
    pooled = (vectors * mask).sum(1) / mask.sum(1)
    documents = document_mean(pooled, batch.documents, batch.weights)
    for number in range(len(batch.index)):
        own = batch.documents == number
        torch.testing.assert_close(documents[number], vectors[own][batch.attention_mask[own].bool()].mean(0))


def tree(**options):
    settings = {"task": "imdb", "truncation": "windows", "max_length": 128, **options}
    return {"data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": settings}}


def test_a_setting_of_an_earlier_release_keeps_its_fingerprint():
    # computed by the release that knew no key
    assert fingerprint(tree()) == "41b4e85bc8c9"
    assert fingerprint(tree(windows="full")) == fingerprint(tree())
    assert fingerprint(tree(windows="even")) == fingerprint(tree(windows=None)) != fingerprint(tree())
    head = tree(truncation="head")
    assert fingerprint(head) == "3077172eebf6"
    assert fingerprint(tree(truncation="head", windows=None)) == fingerprint(head)


def test_a_saved_configuration_without_the_key_means_full_windows():
    assert as_meant(tree())["data"]["init_args"]["windows"] == "full"
    for other in (tree(windows=None), tree(truncation="head"), {}, {"data": None}):
        assert as_meant(other) == other


def test_a_key_without_effect(tiny_encoder):
    with pytest.raises(TransferlabError, match=r"data\.windows: full has no effect with data\.truncation: head"):
        TaskDataModule("demo_sentences", tiny_encoder, windows="full")


def test_a_run_with_the_usual_windows_is_tested_again_with_them(files, tiny_encoder, tmp_path, monkeypatch):
    from transferlab.record.folder import retests

    monkeypatch.chdir(tmp_path)
    settings = {"source": {"files": files["windows"].files}, "truncation": "windows", "max_length": 16}
    experiment = {
        "encoder": {"name": tiny_encoder.name},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": settings},
        "model": {"class_path": "transferlab.strategies.FullFineTuning"},
        "trainer": {"max_epochs": 1, "logger": False, "accelerator": "cpu", "precision": "32-true"},
    }
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(experiment))
    TransferCLI(["fit", "--config", "long.yaml"])
    (folder,) = (tmp_path / "runs" / "long").iterdir()
    monkeypatch.delenv("TRANSFERLAB_RUN_DIR", raising=False)
    TransferCLI(["test", "--run", str(folder)])
    ((_, result),) = retests(folder)
    assert result["differs"] == []
    assert (result["equal"], result["changed_predictions"]) == (True, [0, 8])


def test_a_run_of_an_earlier_release_resumes_with_its_windows(files, tiny_encoder, tmp_path, capsys):
    path = tmp_path / "long.yaml"
    source = files["windows"]
    settings = {"source": {"files": source.files}, "truncation": "windows", "max_length": 16, "windows": "full"}
    experiment = {
        "encoder": {"name": tiny_encoder.name},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": settings},
        "model": {"class_path": "transferlab.strategies.FullFineTuning"},
        "trainer": {"max_epochs": 1, "logger": False, "accelerator": "cpu"},
        "run": {"root": str(tmp_path / "runs")},
    }
    path.write_text(yaml.safe_dump(experiment))
    TransferCLI(["fit", "--config", str(path)])
    (folder,) = (tmp_path / "runs" / "long").iterdir()
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    del saved["data"]["init_args"]["windows"]
    (folder / "config.yaml").write_text(yaml.safe_dump(saved))
    before = json.loads((folder / "summary.json").read_text())
    assert fingerprint(of_folder(folder)) == fingerprint(saved) == before["setting"]
    capsys.readouterr()
    TransferCLI(["fit", "--resume", str(folder), "--trainer.max_epochs", "2"])
    assert "full ones and a rest, all alike" in " ".join(capsys.readouterr().out.split())
    after = json.loads((folder / "summary.json").read_text())
    assert after["data"]["fingerprint"] == before["data"]["fingerprint"]
    assert after["status"] == "finished"

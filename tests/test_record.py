"""What a run folder holds for the report: losses, lengths, words, entities seen in training, the hardest examples."""

import json
import math
import re
from dataclasses import replace

import lightning as L
import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from transferlab.baselines import main as baseline
from transferlab.encoders import EncoderConfig
from transferlab.learning.losses import example_losses, task_loss
from transferlab.record import predictions, report, slow, texts
from transferlab.record.facts import describe
from transferlab.record.recorder import RunRecorder
from transferlab.record.report import header_rows
from transferlab.strategies import FeatureExtraction, FullFineTuning
from transferlab.tasks import TaskDataModule


def lines_of(folder, name):
    return predictions.read(folder / "predictions" / f"{name}.jsonl")


def record(folder, model, module):
    """Trains a step, then validates and tests what it saved, as `transferlab fit` does."""
    recorder = RunRecorder(folder, {"experiment": "e", "run": "r", "strategy": "s", "seed": 0, "tags": []})
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        max_steps=1,
        callbacks=[recorder],
        default_root_dir=folder,
    )
    module = model.wrap_data(module)
    recorder.open(model, module, training=True)
    recorder.before(dict(trainer.validate(model, module, verbose=False)[0]))
    trainer.fit(model, module)
    assert not (folder / "predictions").exists()
    trainer.save_checkpoint(folder / "best.ckpt")
    # what came after the checkpoint must not be in the record
    torch.nn.init.zeros_(model.head.out.weight)
    after = trainer.validate(model, module, ckpt_path=folder / "best.ckpt", verbose=False, weights_only=True)
    recorder.after(dict(after[0]))
    trainer.test(model, module, verbose=False)
    return json.loads((folder / "summary.json").read_text())


def test_classification_keeps_validation_scores_losses_and_lengths(data, tiny_encoder, tmp_path):
    module = data("classification")
    summary = record(tmp_path, FullFineTuning(module.spec, tiny_encoder), module)
    selected = lines_of(tmp_path, "validation")
    assert [line["id"] for line in selected] == sorted(module.part_rows("validation")[1])
    right = sum(line["prediction"] == line["label"] for line in selected)
    assert summary["after"]["val/accuracy"] == pytest.approx(right / len(selected))
    tested = lines_of(tmp_path, "test")
    lengths = module.encoded("test").ids.lengths
    for line in tested:
        score = line["scores"][summary["labels"].index(line["label"])]
        assert line["loss"] == pytest.approx(-math.log(score), rel=1e-3)
        assert line["tokens"] == lengths[line["id"]]
    hard = lines_of(tmp_path, "hardest")
    assert [line["loss"] for line in hard] == sorted((line["loss"] for line in tested), reverse=True)
    assert all(line["text"] == [module.rows("test").rows[line["id"]]["text"]] for line in hard)


@pytest.mark.parametrize("kind", ["classification", "pairs", "tagging"])
def test_a_text_that_stands_there_twice_is_told(files, tiny_encoder, tmp_path, kind):
    path = tmp_path / "test.jsonl"
    with open(files[kind].files["test"], encoding="utf-8") as file:
        rows = file.read().splitlines()
    path.write_text("\n".join([rows[0], rows[1], rows[0], *rows[2:], rows[1], rows[0]]) + "\n")
    source = replace(files[kind], files={**files[kind].files, "test": str(path)})
    module = TaskDataModule("tiny", tiny_encoder, source=source, max_length=64)
    module.setup("fit")
    record(tmp_path, FullFineTuning(module.spec, tiny_encoder), module)
    last = len(rows) + 2
    told = {line["id"]: line["repeats"] for line in lines_of(tmp_path, "test") if "repeats" in line}
    assert told == {2: 0, last - 1: 1, last: 0}


def test_tagging_keeps_words_and_what_training_had(files, tiny_encoder, tmp_path):
    rows = files["tagging"].files["train"]
    # tested on all rows, of which some train
    source = replace(files["tagging"], files={"train": rows, "test": rows})
    module = TaskDataModule("tiny", tiny_encoder, source=source, train_examples=12, max_length=64)
    module.setup("fit")
    record(tmp_path, FullFineTuning(module.spec, tiny_encoder), module)
    names, (split, numbers) = module.spec.labels, module.part_rows("train")
    rows = module.rows(split).rows
    # by hand: of the tags as one text, a B and the Is behind it
    known = set()
    for number in numbers:
        row = rows[int(number)]
        tags = [tag if isinstance(tag, str) else names[tag] for tag in row["tags"]]
        for found in re.finditer("B(I*)", "".join(tag[0] for tag in tags)):
            known.add((tags[found.start()][2:], *row["tokens"][found.start() : found.end()]))
    flags = []
    for line in lines_of(tmp_path, "test"):
        assert line["words"] == module.rows("test").rows[line["id"]]["tokens"]
        found = texts.entities(line["words"], line["label"])
        assert line["seen"] == [(kind, *words) in known for kind, words in found]
        flags += line["seen"]
    assert set(flags) == {True, False}
    assert lines_of(tmp_path, "hardest")[0]["text"] == [" ".join(lines_of(tmp_path, "hardest")[0]["words"])]


def test_the_learned_layer_mix_is_in_the_summary(data, tiny_folder, tmp_path):
    encoder = EncoderConfig(name=str(tiny_folder), layers="mix")
    module = data("classification")
    model = FeatureExtraction(module.spec, encoder)
    with torch.no_grad():
        model.encoder.mix.scores.copy_(torch.tensor([0.0, 1.0, 3.0]))
        model.encoder.mix.gamma.fill_(0.5)
    mix = record(tmp_path, model, module)["layer_mix"]
    assert sum(mix["weights"]) == pytest.approx(1)
    assert mix["weights"] == pytest.approx([0.042, 0.114, 0.844], abs=2e-3)
    assert mix["gamma"] == pytest.approx(0.5, abs=2e-3)


def test_windows_of_a_document_are_counted_together(data):
    module = data("windows")
    batch = next(iter(module.whole_split("test")))
    assert batch.rows > len(batch.index)
    assert batch.tokens.tolist() == module.encoded("test").ids.lengths[batch.index].tolist()


def test_packed_batches_count_the_same_tokens(data):
    encoded = data("classification").encoded("test")
    rows = [3, 0, 5]
    assert encoded.pack(rows).tokens.tolist() == encoded.collate(rows).tokens.tolist()


@pytest.mark.parametrize("kind", ["classification", "regression", "tagging"])
def test_losses_of_examples(kind):
    rng = np.random.default_rng(3)
    shape = {"classification": (5, 3), "regression": (5,), "tagging": (5, 4, 3)}[kind]
    logits = rng.normal(size=shape).astype(np.float32)
    labels = rng.normal(size=5).astype(np.float32) if kind == "regression" else rng.integers(0, 3, shape[:-1])
    mask = None
    if kind == "tagging":
        labels[0, 2:] = -100
        labels[1] = -100
        mask = torch.tensor(rng.random((5, 4)) < 0.8)
    found = example_losses(kind, torch.tensor(logits), torch.tensor(labels), mask)
    for row in range(5):
        if kind == "regression":
            expected = (logits[row] - labels[row]) ** 2
        elif kind == "classification":
            expected = -log_softmax(logits[row])[labels[row]]
        else:
            seen = [w for w in range(4) if labels[row, w] >= 0 and mask[row, w]]
            values = [-log_softmax(logits[row, w])[labels[row, w]] for w in seen]
            expected = np.mean(values) if values else 0
        assert float(found[row]) == pytest.approx(expected, rel=1e-4)
    if kind != "tagging":
        whole = task_loss(kind, torch.tensor(logits), torch.tensor(labels))
        assert float(found.mean()) == pytest.approx(float(whole), rel=1e-5)


def test_a_baseline_keeps_the_same(tmp_path):
    baseline(["--data.task", "demo_sentences", "--run.root", str(tmp_path), "--method", "tfidf"])
    (folder,) = (tmp_path / "baseline_tfidf_demo_sentences").iterdir()
    tested, hard = lines_of(folder, "test"), lines_of(folder, "hardest")
    assert len(hard) == texts.HARDEST
    assert min(line["loss"] for line in hard) >= sorted(line["loss"] for line in tested)[-texts.HARDEST]
    assert all(len(line["scores"]) == 2 for line in lines_of(folder, "validation"))


def test_an_infinite_loss_is_null_and_the_hardest_of_all(tmp_path):
    outputs = {"index": torch.arange(2), "logits": torch.tensor([[0.0, -torch.inf], [0.0, 1.0]])}
    labels = torch.tensor([1, 0])
    outputs["loss"] = example_losses("classification", outputs["logits"], labels)
    module = TaskDataModule("demo_sentences", EncoderConfig(name="unread"))
    lines = predictions.records(module.spec, outputs, labels)
    predictions.write(tmp_path / "test.jsonl", lines)
    assert "Infinity" not in (tmp_path / "test.jsonl").read_text()
    assert [line["id"] for line in texts.hardest(module, "test", lines)] == [0, 1]


def test_small_probabilities_keep_their_digits():
    module = TaskDataModule("demo_sentences", EncoderConfig(name="unread"))
    outputs = {"index": torch.arange(1), "logits": torch.tensor([[0.0, 20.0]])}
    (line,) = predictions.records(module.spec, outputs, None)
    assert math.log(line["scores"][0]) == pytest.approx(-20, rel=1e-5)


def test_capitals_are_told_in_the_header_however_texts_are_cut():
    for cut in ({"truncation": "head"}, {"truncation": "windows", "windows": "even"}):
        data = {"max_length": 16, "case": True, **cut}
        assert report.texts(data).endswith(", capitals told as token types")
        assert "capitals" not in report.texts(data | {"case": None})


def test_attention_that_is_not_fused_is_told_on_a_processor(data, tiny_encoder, monkeypatch, tmp_path):
    module = data("classification")
    model = FullFineTuning(module.spec, tiny_encoder)
    assert slow.of_attention(model, module) == ""
    monkeypatch.setattr(slow, "LONG", 3)
    words = slow.of_attention(model, module)
    mean = module.encoded("train").ids.lengths[module.training_rows()[1]].mean()
    assert words.startswith(f"attention of {mean:.0f} tokens with dropout of its weights")
    assert slow.of_attention(FeatureExtraction(module.spec, tiny_encoder), module) == ""
    without = FullFineTuning(module.spec, replace(tiny_encoder, attention_dropout=0.0))
    assert slow.of_attention(without, module) == ""
    summary = describe(model, module) | {"strategy": "s", "hardware": "processor, 1 threads"}
    assert header_rows(summary, tmp_path)["slow"] == words
    assert "slow" not in header_rows(summary | {"hardware": "GPU, 1 device"}, tmp_path)

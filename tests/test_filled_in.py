"""What `fit` fills in for a new run stands in its configuration, and a run that goes on keeps what it has."""

import json
from dataclasses import replace

import pytest
import yaml
from kills import FIT, output, transferlab, write_experiment

from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import resolved
from transferlab.strategies import Distillation, FeatureExtraction, FullFineTuning


def settings(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())["encoder"]


def rates(folder):
    """Highest rate of each parameter group, from the log."""
    found = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        for key, value in json.loads(line).items():
            if key.startswith("lr-"):
                found[key] = max(found.get(key, 0), value)
    return sorted(found.values())


def test_a_layer_mix_learns_at_a_rate_of_its_own(tmp_path, tiny_folder):
    flat = {"schedule": {"kind": "constant", "warmup": 0.0}}
    write_experiment(tmp_path, tiny_folder, "FeatureExtraction", flat, {"encoder.layers": "mix"})
    own, old = tmp_path / "runs" / "own", tmp_path / "runs" / "old"
    assert transferlab(tmp_path, *FIT, "runs/own") == 0, output(tmp_path)
    assert settings(own)["mix_lr"] == 0.1
    assert rates(own) == pytest.approx([3e-3, 3e-3, 0.1])
    mix = json.loads((own / "summary.json").read_text())["layer_mix"]
    shown = " ".join(f"{share:.3f}" for share in mix["weights"])
    assert f"layer mix {shown} (embeddings to top layer)" in " ".join(output(tmp_path).split())

    # a run of before there was such a rate, which has no checkpoint yet
    tree = yaml.safe_load((own / "config.yaml").read_text())
    del tree["encoder"]["mix_lr"]
    old.mkdir()
    (old / "config.yaml").write_text(yaml.safe_dump(tree))
    summary = json.loads((own / "summary.json").read_text()) | {"status": "interrupted", "run": "old"}
    (old / "summary.json").write_text(json.dumps(summary))
    assert transferlab(tmp_path, *FIT, "runs/old") == 0, output(tmp_path)
    assert settings(old).get("mix_lr") is None
    assert rates(old) == pytest.approx([3e-3, 3e-3])


def test_a_student_has_half_the_layers_of_any_encoder(tmp_path, deep_encoder):
    write_experiment(tmp_path, deep_encoder.name, "Distillation", {"alpha": 1.0}, {"encoder.keep_layers": "half"})
    half, bilstm = tmp_path / "runs" / "half", tmp_path / "runs" / "bilstm"
    assert transferlab(tmp_path, *FIT, "runs/half", "--trainer.max_epochs", "1") == 0, output(tmp_path)
    assert settings(half)["keep_layers"] == [1, 3]
    # the same command again finds its run
    assert transferlab(tmp_path, *FIT, "runs/half", "--trainer.max_epochs", "1") == 0
    assert "is finished." in output(tmp_path)
    options = ["--encoder.architecture", "bilstm", "--trainer.max_epochs", "1"]
    assert transferlab(tmp_path, *FIT, "runs/bilstm", *options) == 0, output(tmp_path)
    assert settings(bilstm)["keep_layers"] == []
    assert json.loads((bilstm / "summary.json").read_text())["encoder"] == "bilstm-256"


def test_half_of_the_layers(data, deep_encoder, tiny_encoder, tmp_path):
    assert resolved(replace(deep_encoder, keep_layers="half")).keep_layers == (1, 3)
    assert resolved(replace(deep_encoder, keep_layers=(0, 3))).keep_layers == (0, 3)
    for count, kept in ((1, (0,)), (3, (0, 2)), (12, (1, 3, 5, 7, 9, 11))):
        (tmp_path / str(count)).mkdir()
        (tmp_path / str(count) / "config.json").write_text(
            json.dumps({"model_type": "bert", "num_hidden_layers": count})
        )
        assert resolved(EncoderConfig(str(tmp_path / str(count)), keep_layers="half")).keep_layers == kept
    # one layer, run several times
    (tmp_path / "albert").mkdir()
    (tmp_path / "albert" / "config.json").write_text(json.dumps({"model_type": "albert", "num_hidden_layers": 12}))
    assert resolved(EncoderConfig(str(tmp_path / "albert"), keep_layers="half")).keep_layers == ()
    # the same in Python
    student = Distillation(data().spec, replace(deep_encoder, keep_layers="half"), alpha=1.0)
    assert student.encoder_config.label.endswith("-2layers")
    assert student.encoder.backbone.config.num_hidden_layers == 2


def test_only_the_scores_of_a_mix_have_its_rate(data, tiny_encoder, fit):
    module = data()
    model = FeatureExtraction(module.spec, replace(tiny_encoder, layers="mix", mix_lr=0.07))
    (optimizer,) = fit(model, module, limit_train_batches=1).optimizers
    found = [group["params"] for group in optimizer.param_groups if group["initial_lr"] == 0.07]
    assert [[id(parameter) for parameter in group] for group in found] == [[id(model.encoder.mix.scores)]]


def test_of_val_primary_more_is_better_also_where_less_of_the_metric_is(data, tiny_encoder, fit):
    module = data("regression")
    spec = module.spec._replace(metrics=("mse", "pearson"))
    values = fit(FullFineTuning(spec, tiny_encoder), module).callback_metrics
    assert float(values["val/primary"]) == -float(values["val/mse"]) < 0

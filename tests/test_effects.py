"""Settings that change nothing are named in the header, and a run that is too short for its strategy says so."""

from dataclasses import replace

import pytest
import torch
from test_strategies import build

from transferlab.adapters import AdaLoRA
from transferlab.encoders import EncoderConfig
from transferlab.learning.heads import HeadConfig
from transferlab.record import report
from transferlab.strategies import Distillation, FeatureExtraction, FullFineTuning, ParameterEfficient
from transferlab.strategies.effects import without_effect
from transferlab.tasks import TaskSpec

TEXTS = TaskSpec("own", "classification", ("no", "yes"), ("accuracy",))
TAGS = TaskSpec("own", "tagging", ("O", "B-X", "I-X"), ("f1",))
BILSTM = EncoderConfig("a/b", architecture="bilstm")


@pytest.mark.parametrize(
    ("encoder", "head", "task", "expected"),
    [
        (EncoderConfig("a/b", pooling="cls", dropout=0.3, keep_layers=(1,)), HeadConfig(lr=1e-3), TEXTS, set()),
        (EncoderConfig("a/b"), HeadConfig(hidden=9, layers=2), TEXTS, {"model.head.hidden", "model.head.layers"}),
        (EncoderConfig("a/b"), HeadConfig("mlp", hidden=9, layers=2), TEXTS, {"model.head.layers"}),
        (EncoderConfig("a/b"), HeadConfig("bilstm", hidden=9, layers=2), TEXTS, set()),
        (EncoderConfig("a/b"), HeadConfig(decoding="constrained"), TEXTS, {"model.head.decoding"}),
        (EncoderConfig("a/b"), HeadConfig(decoding="constrained"), TAGS, set()),
        (EncoderConfig("a/b", mix_lr=0.1, lstm_size=8), HeadConfig(), TEXTS, {"encoder.mix_lr", "encoder.lstm_size"}),
        (EncoderConfig("a/b", layers="mix", mix_lr=0.1), HeadConfig(), TEXTS, set()),
        (replace(BILSTM, lstm_size=8), HeadConfig(), TEXTS, set()),
        (
            replace(BILSTM, keep_layers=(1, 3), dropout=0.1),
            HeadConfig(),
            TEXTS,
            {"encoder.keep_layers", "encoder.dropout"},
        ),
    ],
)
def test_keys_that_change_nothing(encoder, head, task, expected):
    assert set(without_effect(encoder, head, task)) == expected


def test_what_a_strategy_does_not_read(data, tiny_encoder):
    spec = data().spec
    dropout = replace(tiny_encoder, dropout=0.3)
    assert set(FeatureExtraction(spec, dropout).without_effect()) == {"encoder.dropout"}
    assert FullFineTuning(spec, dropout).without_effect() == {}
    idle = FullFineTuning(spec, tiny_encoder, unfreeze_schedule="layer")
    assert set(idle.without_effect()) == {"model.unfreeze_schedule"}
    assert FullFineTuning(spec, tiny_encoder, unfreeze_schedule="layer", unfreeze_every=1).without_effect() == {}
    alone = Distillation(spec, tiny_encoder, alpha=1.0, temperature=4.0)
    assert set(alone.without_effect()) == {"model.temperature"}
    assert Distillation(spec, tiny_encoder, teacher="runs/x", alpha=0.5, temperature=4.0).without_effect() == {}


def test_gradual_unfreezing_says_how_far_a_short_run_comes(data, deep_encoder, fit, capsys):
    module = data("classification", deep_encoder)
    for epochs, reached in ((2, 1), (6, 5)):
        model = build("all", module, deep_encoder, unfreeze_every=1)
        fit(model, module, max_epochs=epochs, limit_train_batches=1)
        told = f"unfreezing reaches {reached} of 5 layers in {epochs} steps"
        assert (told in capsys.readouterr().out) == (reached < 5)


def test_the_ranks_of_adalora_end_the_result(data, tiny_encoder):
    model = ParameterEfficient(data().spec, tiny_encoder, AdaLoRA(r=4, target_r=2))
    kept = [layer.kept for layer in model.modules() if isinstance(getattr(layer, "kept", None), torch.Tensor)]
    kept[0][:3] = False
    kept[1][:] = torch.tensor([True, True, False, False])
    count = 4 * len(kept) - 5
    words = model.findings()["ranks"]
    assert words == f"{count / len(kept):.1f} a matrix, 1 to 4"
    summary = {"metrics": {}, "perf": {}, "primary": "accuracy", "findings": model.findings()}
    assert report.result_rows(summary)["ranks"] == words

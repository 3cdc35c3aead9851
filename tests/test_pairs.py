"""Pairs encoded apart: each text by itself, the head reads how their vectors compare."""

import numpy as np
import pytest
import torch
from conftest import logits_of

from transferlab.adapters import LoRA
from transferlab.encoders.loading import load_tokenizer
from transferlab.encoders.packing import enable_packing
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.heads import HeadConfig
from transferlab.record.setting import fingerprint
from transferlab.strategies import Distillation, FeatureExtraction, FromScratch, FullFineTuning, ParameterEfficient
from transferlab.strategies.forward import compared
from transferlab.strategies.teacher import Teacher
from transferlab.tasks import TaskDataModule
from transferlab.use.explanation.explainer import Explainer
from transferlab.use.export.formats import FORMATS
from transferlab.use.export.graph import Form
from transferlab.use.predictor import Predictor


@pytest.fixture(scope="module")
def apart(data):
    return data("pairs", pairs="apart")


@pytest.fixture
def module(apart):
    apart.attached, apart.single_step = {}, False
    return apart


def first(module):
    return next(iter(module.whole_split("test")))


def test_each_text_is_tokenised_by_itself(module, tiny_encoder):
    batch = first(module)
    tokenizer = load_tokenizer(tiny_encoder)
    rows = module.rows("test").rows
    wanted = [tokenizer(rows[int(row)][name])["input_ids"] for row in batch.index for name in module.source.text]
    found = [ids[mask.bool()].tolist() for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)]
    assert found == wanted
    assert batch.documents.tolist() == [number for number in range(len(batch.index)) for _ in range(2)]
    assert batch.tokens.tolist() == [len(u) + len(v) for u, v in zip(wanted[::2], wanted[1::2], strict=True)]
    assert module.spec.apart
    assert not module.encoded("test").types


def test_what_is_cut_is_counted_for_both_texts(files, tiny_encoder):
    short = TaskDataModule("cut", tiny_encoder, source=files["pairs"], max_length=6, pairs="apart")
    assert short.encoded("train").windows.values.max() == 6
    lost = short.cut["train"]
    joint = TaskDataModule("cut", tiny_encoder, source=files["pairs"], max_length=128)
    joint.encoded("train")
    assert lost != joint.cut["train"]


def test_compared_by_hand():
    pairs = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]])
    wanted = [0.6, 0.8, 0.0, 1.0, 0.6, 0.2, 0.0, 0.8, 0.8]
    torch.testing.assert_close(compared(pairs), torch.tensor([wanted]))


def test_the_head_reads_the_comparison_of_two_encodings(module, tiny_encoder):
    model = FullFineTuning(module.spec, tiny_encoder).eval()
    batch, rows = first(module), module.rows("test").rows
    tokenizer = load_tokenizer(tiny_encoder)
    vectors = []
    for name in module.source.text:
        texts = tokenizer([rows[int(row)][name] for row in batch.index], padding=True, return_tensors="pt")
        with torch.no_grad():
            tokens = model.encoder(texts["input_ids"], texts["attention_mask"])
        vectors.append(model.encoder.pool(tokens, texts["attention_mask"]))
    with torch.no_grad():
        wanted = model.head(compared(torch.stack(vectors, 1)))
    torch.testing.assert_close(logits_of(model, batch), wanted, atol=1e-5, rtol=0)


def test_packed_rows_give_what_padded_ones_give(module, tiny_encoder):
    model = FullFineTuning(module.spec, tiny_encoder).eval()
    padded = first(module)
    encoded = module.encoded("test")
    enable_packing(model.encoder.backbone)
    packed = encoded.pack(padded.index.tolist())
    torch.testing.assert_close(logits_of(model, packed), logits_of(model, padded), atol=1e-5, rtol=0)


@pytest.mark.parametrize("head", [HeadConfig(), HeadConfig("mlp", hidden=8)])
def test_cached_features_give_what_the_encoder_gives(head, module, tiny_encoder):
    model = FeatureExtraction(module.spec, tiny_encoder, head=head).eval()
    plain = first(module)
    model.wrap_data(module, Work(CacheConfig(precision="32")))
    batch = first(module)
    # a batch of vectors is in the order of the rows
    wanted = logits_of(model, plain)[plain.index.argsort()]
    assert batch.features.shape[1:] == (2, 32)
    torch.testing.assert_close(logits_of(model, batch), wanted, atol=1e-5, rtol=0)


def teacher(monkeypatch, model):
    found = Teacher(model.eval(), model.encoder_config, model.task.labels, model.task.kind, model.task.apart)
    monkeypatch.setattr("transferlab.strategies.distillation.load_teacher", lambda name, task: found)
    return "any"


@pytest.mark.parametrize("name", ["all", "top_layers", "lora", "from_scratch", "joint teacher", "teacher apart"])
def test_every_strategy_trains_on_pairs_apart(name, module, data, tiny_encoder, fit, monkeypatch):
    if "teacher" in name:
        source = data("pairs") if name == "joint teacher" else module
        options = {"teacher": teacher(monkeypatch, FullFineTuning(source.spec, tiny_encoder)), "alpha": 0.5}
        model = Distillation(module.spec, tiny_encoder, **options)
    else:
        made = {
            "all": (FullFineTuning, {}),
            "top_layers": (FullFineTuning, {"top_layers": 1}),
            "lora": (ParameterEfficient, {"method": LoRA(r=2)}),
            "from_scratch": (FromScratch, {}),
        }
        kind, options = made[name]
        model = kind(module.spec, tiny_encoder, **options)
    before = model.head.out.weight.clone()
    trainer = fit(model, model.wrap_data(module, Work(epochs=3)))
    assert torch.isfinite(trainer.callback_metrics["train/loss"])
    assert not torch.equal(before, model.head.out.weight)


def test_a_teacher_of_joint_pairs_answers_joint_pairs(module, data, tiny_encoder, monkeypatch):
    joint = data("pairs")
    model = FullFineTuning(joint.spec, tiny_encoder)
    student = Distillation(module.spec, tiny_encoder, teacher=teacher(monkeypatch, model), alpha=0.5)
    student.wrap_data(module, Work(CacheConfig(precision="32")))
    batch = next(iter(module.train_dataloader()))
    wanted = logits_of(model, joint.encoded("train").collate(batch.index.tolist()))
    torch.testing.assert_close(batch.teacher, wanted, atol=1e-5, rtol=0)


def test_a_predictor_gives_what_the_run_gives(module, tiny_encoder):
    model = FullFineTuning(module.spec, tiny_encoder).eval()
    batch, rows = first(module), module.rows("test").rows
    answers = Predictor(model, module.source, module.settings).predict(
        [tuple(rows[int(row)][name] for name in module.source.text) for row in batch.index]
    )
    wanted = logits_of(model, batch).softmax(-1).max(-1).values
    np.testing.assert_allclose([answer["probability"] for answer in answers], wanted, atol=1e-5)


def test_attributions_of_a_pair_apart_add_up(module, tiny_encoder):
    model = FullFineTuning(module.spec, tiny_encoder).eval().requires_grad_(False)
    row = module.rows("test").rows[0]
    explainer = Explainer(Predictor(model, module.source, module.settings), orders=2)
    _, found = explainer({name: row[name] for name in module.source.text})
    for one in found:
        record = one.record()
        assert {word["text"] for word in record["words"]} == {0, 1}
        values = [word["attribution"] for word in record["words"] if word["attribution"] is not None]
        gained = record["score"] - record["score_without_words"]
        assert sum(values) + record["no_word"] == pytest.approx(gained, rel=0.02)


def test_what_cannot_be_is_refused_by_name(module, files, tiny_encoder, tmp_path):
    with pytest.raises(TransferlabError, match=r"data.pairs: apart .* a bilstm reads tokens"):
        FeatureExtraction(module.spec, tiny_encoder, head=HeadConfig("bilstm"))
    with pytest.raises(TransferlabError, match=r"data.max_tokens: with data.pairs: apart"):
        TaskDataModule("own", tiny_encoder, source=files["pairs"], max_length=64, max_tokens=128, pairs="apart")
    with pytest.raises(TransferlabError, match="--format hf: .* two texts apart"):
        FORMATS["hf"](FullFineTuning(module.spec, tiny_encoder), Form(apart=True), (), tmp_path)


def test_single_texts_and_runs_without_the_key_are_as_they_were(data, files, tiny_encoder):
    single = TaskDataModule("own", tiny_encoder, source=files["classification"], pairs="apart")
    assert not single.spec.apart
    known = {"data": {"init_args": {"task": "mrpc"}}}
    assert fingerprint({"data": {"init_args": {"task": "mrpc", "pairs": None}}}) == fingerprint(known)
    assert fingerprint({"data": {"init_args": {"task": "mrpc", "pairs": "apart"}}}) != fingerprint(known)
    joint = data("pairs")
    assert not joint.spec.apart
    assert joint.encoded("train").windows is None

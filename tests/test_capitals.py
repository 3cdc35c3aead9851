"""Capitals that an uncased encoder is told as token types."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import build_bert, build_tokenizer, logits_of
from test_predictor import run_of
from test_predictor import test_rows as read_rows

import transferlab as tl
from transferlab.encoders import EncoderConfig, load_tokenizer
from transferlab.encoders.new_tokens import new_rows
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig, Work
from transferlab.several.data import SeveralTasks
from transferlab.strategies import Distillation, FeatureExtraction, FullFineTuning, ParameterEfficient
from transferlab.strategies.student import copy_layers
from transferlab.strategies.teacher import Teacher
from transferlab.strategies.whole import plain_backbone
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.capitals import shape_of
from transferlab.tasks.settings import Settings
from transferlab.tasks.tokenization import encode_texts, fingerprint
from transferlab.use.explanation import reading
from transferlab.use.explanation.scored import Scored
from transferlab.use.export import command
from transferlab.use.exported import Exported
from transferlab.use.prediction.words import of_words

WORDS = ["London", "said", "USA", "'s", "iPhone", "on", "3", "May"]
LOWER = [word.lower() for word in WORDS]
SETTINGS = Settings(32, "head")
SOURCE = Source(text=("tokens",), kind="tagging")
ROWS = "encoder.backbone.embeddings.token_type_embeddings.rows"


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        *(("London", 1), ("McEwan", 1), ("A", 1), ("USA's", 1), ("B-52", 1), ("Émile", 1), ("ǅep", 1), ("A股", 1)),
        *(("USA", 2), ("U.S.", 2), ("ΑΘΗΝΑ", 2), ("1ST", 2)),
        *(("iPhone", 3), ("3M", 3), ("(London", 3)),
        *(("said", 0), ("1999", 0), ("--", 0), ("東京", 0), ("straße", 0), ("", 0)),
    ],
)
def test_shapes(word: str, shape: int) -> None:
    assert shape_of(word) == shape


def encoded(words: list[list[str]], encoder: EncoderConfig, settings: Settings, kind: Any = "tagging") -> EncodedSplit:
    return encode_texts({"tokens": words}, replace(SOURCE, kind=kind), load_tokenizer(encoder), settings)


@pytest.mark.parametrize("kind", ["tagging", "slots"])
def test_all_pieces_of_a_word_have_its_shape(kind: str, tiny_encoder: EncoderConfig) -> None:
    """Special tokens have none, and words that are cut off take none with them."""
    split = encoded([["said", "Zq", "UK"], ["on", "xY"]], tiny_encoder, SETTINGS._replace(case=True), kind)
    assert split.types is not None
    # [CLS] said z ##q u ##k [SEP]
    assert split.types.row(0).tolist() == [0, 0, 1, 1, 2, 2, 0]
    assert split.types.row(1).tolist() == [0, 0, 3, 3, 0]
    batch = split.collate([0, 1])
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [[0, 0, 1, 1, 2, 2, 0], [0, 0, 3, 3, 0, 0, 0]]
    packed = split.pack([0, 1])
    assert packed.token_type_ids is not None
    assert packed.token_type_ids.tolist() == [[0, 0, 1, 1, 2, 2, 0, 0, 0, 3, 3, 0]]
    short = encoded([["said", "Zq", "UK"]], tiny_encoder, SETTINGS._replace(case=True, max_length=5), kind)
    assert short.types is not None
    assert short.types.row(0).tolist() == [0, 0, 1, 1, 0]


def test_without_the_key_nothing_changes(tiny_encoder: EncoderConfig) -> None:
    """No token types, and the names of what is kept on disk are those of before."""
    assert encoded([WORDS], tiny_encoder, SETTINGS).types is None
    assert SETTINGS.key == (32, "head")
    assert SETTINGS._replace(case=True).key == (32, "head", "case")
    names = [
        fingerprint("v", SOURCE, load_tokenizer(tiny_encoder), s) for s in (SETTINGS, SETTINGS._replace(case=True))
    ]
    assert names[0] != names[1]


@pytest.fixture
def spec(data: Any, tiny_encoder: EncoderConfig) -> Any:
    """Facts about a small task of tagging, with capitals."""
    return data("tagging").spec._replace(case=True)


def batch_of(words: list[list[str]], encoder: EncoderConfig, case: bool = True, packed: bool = False) -> Any:
    split = encoded(words, encoder, SETTINGS._replace(case=case))
    rows = range(len(words))
    return split.pack(rows) if packed else split.collate(rows)


@pytest.mark.parametrize("packed", [False, True])
def test_training_starts_from_the_pretrained_encoder(packed: bool, spec: Any, tiny_encoder: EncoderConfig) -> None:
    """Bit for bit, whatever the shapes are; a second segment would have been something else."""
    told, plain = FullFineTuning(spec, tiny_encoder), FullFineTuning(spec._replace(case=False), tiny_encoder)
    plain.head.load_state_dict(told.head.state_dict())
    with_case = batch_of([WORDS, LOWER], tiny_encoder, packed=packed)
    without = batch_of([WORDS, LOWER], tiny_encoder, case=False, packed=packed)
    assert torch.equal(logits_of(told, with_case), logits_of(plain, without))
    second = without._replace(token_type_ids=(with_case.token_type_ids > 0).long())
    assert not torch.equal(logits_of(plain, second), logits_of(plain, without))


@pytest.mark.parametrize("family", ["Electra", "Albert"])
def test_other_families_start_pretrained_and_learn(family: str, spec: Any, tmp_path: Any) -> None:
    import transformers

    sizes = {"hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = getattr(transformers, f"{family}Config")(
        vocab_size=build_tokenizer(tmp_path), intermediate_size=64, **sizes
    )
    getattr(transformers, f"{family}Model")(config).save_pretrained(tmp_path)
    encoder = EncoderConfig(str(tmp_path))
    told, plain = FullFineTuning(spec, encoder), FullFineTuning(spec._replace(case=False), encoder)
    plain.head.load_state_dict(told.head.state_dict())
    batch = batch_of([WORDS], encoder)
    assert torch.equal(logits_of(told, batch), logits_of(plain, batch_of([WORDS], encoder, case=False)))
    told(batch).sum().backward()
    (rows,) = new_rows(told.encoder.backbone)
    assert rows.grad is not None
    assert (rows.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize(
    "build",
    [
        lambda spec, encoder: ParameterEfficient(spec, encoder),
        lambda spec, encoder: ParameterEfficient(spec, encoder, tl.PromptTuning(tokens=2)),
        lambda spec, encoder: FullFineTuning(spec, encoder, top_layers=1),
    ],
    ids=["lora", "prompt", "top layers"],
)
def test_the_rows_learn_and_are_kept(build: Any, spec: Any, tiny_encoder: EncoderConfig) -> None:
    """Three rows of the embeddings learn, though no others do; they are in a checkpoint and give the same logits."""
    torch.manual_seed(0)
    model = build(spec, tiny_encoder)
    batch = batch_of([WORDS, LOWER], tiny_encoder)
    assert sum("embeddings" in name for name in model.kept()) == 1
    (rows,) = new_rows(model.encoder.backbone)
    assert rows.shape == (3, model.encoder.width)
    labels = torch.arange(2 * len(WORDS)).view(2, -1) % len(spec.labels)
    model.loss(model(batch), batch._replace(labels=labels)).backward()
    assert rows.grad is not None
    assert (rows.grad.abs().sum(1) > 0).all()
    with torch.no_grad():
        rows.add_(torch.randn_like(rows))
    kept = {name: value for name, value in model.state_dict().items() if name in model.kept()}
    torch.manual_seed(9)
    other = build(spec, tiny_encoder)
    other.load_state_dict(kept, strict=False)
    logits = logits_of(other, batch)
    assert torch.equal(logits, logits_of(model, batch))
    assert not torch.allclose(logits[0], logits[1])


def test_lower_case_changes_answers_only_with_the_key(spec: Any, tiny_encoder: EncoderConfig) -> None:
    for case in (False, True):
        model = FullFineTuning(spec._replace(case=case), tiny_encoder)
        for rows in new_rows(model.encoder.backbone):
            torch.nn.init.normal_(rows)
        one, other = (logits_of(model, batch_of([words], tiny_encoder, case)) for words in (WORDS, LOWER))
        assert torch.equal(one, other) != case


# runs -----------------------------------------------------------------------------------------------------------------

CASE = {"case": True, "packed": True}


@pytest.mark.parametrize(
    ("strategy", "arguments"), [(tl.FullFineTuning, {}), (tl.ParameterEfficient, {"method": tl.LoRA(r=2)})]
)
def test_a_run_and_its_export_read_capitals(
    strategy: Any, arguments: Any, files: Any, tiny_encoder: EncoderConfig, tmp_path: Any
) -> None:
    """Learned rows are in the checkpoint; predictor and exported graph answer as the test of the run did."""
    fast = {"optimizer": lambda parameters: torch.optim.AdamW(parameters, lr=0.02)}
    run = run_of(tmp_path / "runs" / "py" / "one", files, tiny_encoder, "tagging", (strategy, arguments | fast, CASE))
    stored = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"][ROWS]
    first = new_rows(FullFineTuning(tl.Predictor.load(run).task, tiny_encoder).encoder.backbone)[0]
    assert not torch.isclose(stored, first).all(1).any()
    sentences = [row["tokens"] for row in read_rows(files, "tagging")]
    lines = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    predictor = tl.Predictor.load(run, device="cpu")
    assert torch.equal(new_rows(predictor.model.encoder.backbone)[0], stored)
    assert [answer["prediction"] for answer in predictor.predict(sentences)] == [line["prediction"] for line in lines]
    mixed = [*sentences, WORDS, [word.swapcase() for word in WORDS], LOWER]
    checks = command.export(run, "onnx", tmp_path / "onnx")
    assert all(check.passed for check in checks)
    exported = Exported(tmp_path / "onnx")
    assert exported.predict(mixed) == predictor.predict(mixed)
    logits = exported.logits(exported.encode({"tokens": mixed})[0], [*range(len(mixed))])[:, : len(WORDS)]
    assert np.abs(logits[-3] - logits[-1]).max() > 1e-5
    with pytest.raises(TransferlabError, match=r"--format hf: .* told the capitals .* use --format onnx or torch"):
        command.export(run, "hf", tmp_path / "hf")


def test_an_explanation_takes_capitals_with_their_word(spec: Any, tiny_encoder: EncoderConfig) -> None:
    """All words there: the logits of the run; all left out: those of a sentence of padding without capitals."""
    model = ParameterEfficient(spec, tiny_encoder, tl.PromptTuning(tokens=2)).eval()
    torch.nn.init.normal_(new_rows(model.encoder.backbone)[0])
    predictor = tl.Predictor(model, replace(SOURCE, text=("tokens",)), SETTINGS._replace(case=True))
    split, _ = predictor.encode({"tokens": [WORDS]})
    read = reading.read([of_words(WORDS)], True, predictor.tokenizer, predictor.settings)
    scored = Scored(model, split, read, predictor.tokenizer.pad_token_id)
    batch = split.collate([0])
    with torch.no_grad():
        assert torch.allclose(scored.logits(scored.actual[None]), model(batch), atol=1e-5)
        inside = torch.tensor([[owner >= 0 for owner in read.owners[0]]])
        nothing = batch.input_ids.masked_fill(inside, predictor.tokenizer.pad_token_id)
        bare = batch._replace(input_ids=nothing, token_type_ids=torch.zeros_like(nothing))
        assert torch.allclose(scored.logits(scored.empty[None]), model(bare), atol=1e-5)


@pytest.mark.parametrize("told", ["teacher", "student"])
def test_teacher_and_student_read_each_as_they_were_told(
    told: str, data: Any, spec: Any, tiny_encoder: EncoderConfig, monkeypatch: Any
) -> None:
    """The answers of a teacher are those of its own reading, whether the student is told capitals or not."""
    rows = data("tagging", case=told == "student")
    teacher = FullFineTuning(spec._replace(case=told == "teacher"), tiny_encoder).eval()
    for part in new_rows(teacher.encoder.backbone):
        torch.nn.init.normal_(part)
    monkeypatch.setattr("transferlab.strategies.distillation.teacher_content", lambda name: "")
    monkeypatch.setattr(
        "transferlab.strategies.distillation.load_teacher",
        lambda name, task: Teacher(teacher, tiny_encoder, spec.labels, "tagging", case=teacher.task.case),
    )
    student = Distillation(rows.spec, tiny_encoder, teacher="one")
    student.wrap_data(rows, Work(CacheConfig(precision="32"), epochs=2))
    split, numbers = rows.training_rows()
    batch = next(iter(rows.loader(split, numbers[:4])))
    assert (batch.token_type_ids is not None) == (told == "student")
    own = rows.with_encoder(tiny_encoder, case=told == "teacher").encoded(split).collate(batch.index.tolist())
    assert (own.token_type_ids is not None) == (told == "teacher")
    known = torch.where(own.word_mask.unsqueeze(-1), batch.teacher, 0)
    assert torch.allclose(known, torch.where(own.word_mask.unsqueeze(-1), logits_of(teacher, own), 0), atol=1e-4)


# refusals -------------------------------------------------------------------------------------------------------------


def test_a_frozen_encoder_refuses(spec: Any, tiny_encoder: EncoderConfig) -> None:
    with pytest.raises(TransferlabError, match=r"data.case: .* a frozen one never learns; leave it out, or use"):
        FeatureExtraction(spec, tiny_encoder)


def test_encoders_that_cannot_be_told(spec: Any, tiny_encoder: EncoderConfig, tmp_path: Any) -> None:
    import transformers

    size = build_tokenizer(tmp_path)
    sizes = {"vocab_size": size, "dim": 32, "n_layers": 1, "n_heads": 4, "hidden_dim": 64}
    transformers.DistilBertModel(transformers.DistilBertConfig(**sizes)).save_pretrained(tmp_path)
    bilstm = replace(tiny_encoder, architecture="bilstm")
    for encoder in (EncoderConfig(str(tmp_path)), bilstm):
        with pytest.raises(TransferlabError, match=r"data.case: .* token types, which .* does not have; leave it out"):
            FullFineTuning(spec, encoder)
    cased = build_bert(tmp_path / "cased")
    tokenizer = json.loads((cased / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (cased / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(TransferlabError, match=r"data.case: the tokenizer of .* keeps capitals already; leave it out"):
        FullFineTuning(spec, EncoderConfig(str(cased)))


def test_what_no_class_of_transformers_holds(spec: Any, tiny_encoder: EncoderConfig) -> None:
    """Neither a further run nor a merged one would tell the encoder of capitals."""
    model = FullFineTuning(spec, tiny_encoder)
    with pytest.raises(TransferlabError, match=r"rows for capitals \(data.case\)"):
        plain_backbone(model)
    teacher = Teacher(model, tiny_encoder, spec.labels, "tagging", case=True)
    with pytest.raises(TransferlabError, match=r"model.from_teacher: .* set data.case: true, as the teacher has it"):
        copy_layers(model.encoder, tiny_encoder, teacher, case=False)


def test_kinds_without_words_refuse(tiny_encoder: EncoderConfig) -> None:
    with pytest.raises(TransferlabError, match=r"data.case: only words have it \(tagging, slots\), not classification"):
        TaskDataModule("demo_sentences", tiny_encoder, case=True)
    with pytest.raises(TransferlabError, match=r"data.tasks.demo_entities.case: one encoder reads all tasks"):
        SeveralTasks({"demo_entities": {"case": True}}, tiny_encoder)

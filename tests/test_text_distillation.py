"""Models that write learn from a teacher: from its distribution at each token, and from what it writes."""

import json

import pytest
import torch
import torch.nn.functional as F
from test_api import check_same_run, stop_at, train, trainer_of

import transferlab as tl
from transferlab.config.places import cache_folder
from transferlab.encoders import EncoderConfig, tiny
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig, Work
from transferlab.strategies.teacher import restore
from transferlab.strategies.writing import logits_of
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.generation import Generation
from transferlab.tasks.spec import Source

INPUTS = ["3 March 2021", "May 9, 1999", "the 1st of June 2020", "7", "on 12 May", "1/2/3", "Day 9 of July 1980", "x y"]


def encoder_of(name):
    return EncoderConfig(f"embedded/{name}", architecture="random", pooling="last")


@pytest.fixture(scope="module")
def data_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    rows = [{"input": text, "target": text[:6]} for text in INPUTS]
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(kind="text", files={split: str(folder / f"{split}.jsonl") for split in ("train", "test")})

    def make(name, **generation):
        asked = Generation(target_length=10, **generation)
        return tl.TaskDataModule(
            "own", encoder_of(name), source=source, holdout=0.25, generation=asked, max_length=48, batch_size=4
        )

    return make


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, data_of):
    folder = tmp_path_factory.mktemp("runs") / "teacher" / "one"
    torch.manual_seed(0)
    data = data_of("llama", template="shorten: {input}\n")
    train(folder, tl.FromScratch(data.spec, encoder_of("llama")), data, max_epochs=1)
    return folder


def student_of(data, teacher, **arguments):
    torch.manual_seed(1)
    return tl.Distillation(data.spec, data.encoder, teacher=str(teacher), **arguments)


def test_the_teachers_distribution_is_imitated_at_each_token(data_of, teacher):
    data = data_of("llama", template="shorten: {input}\n")
    student = student_of(data, teacher, alpha=0.3, temperature=3.0)
    student.wrap_data(data)
    batch = next(iter(data.train_dataloader()))
    found = student.loss(student(batch), batch)
    known = restore(teacher)
    with torch.no_grad():
        theirs = logits_of(known.encoder.backbone, batch)
    mine, real = student(batch), batch.labels != IGNORE
    terms = []
    for row, place in real.nonzero().tolist():
        p, q = (F.softmax(each[row, place] / 3, -1) for each in (theirs, mine))
        imitation = 9 * (p * (p / q).log()).sum()
        terms.append(-0.3 * F.log_softmax(mine[row, place], -1)[batch.labels[row, place]] + 0.7 * imitation)
    torch.testing.assert_close(found, torch.stack(terms).mean(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_what_the_teacher_writes_stands_in_the_place_of_the_targets(name, data_of, teacher):
    data = data_of(name)
    split, rows = data.part_rows("train")
    _, held = data.part_rows("validation")
    before = {row: data.encoded(split).labels.row(row).tolist() for row in held}
    fingerprint, most = data.encoded(split).fingerprint, data.spec.search.max_new_tokens
    student = student_of(data, teacher, alpha=1.0, sequence=True)
    student.wrap_data(data)
    labels = data.encoded(split).labels
    answers = tl.Predictor.load(teacher, device="cpu").predict([INPUTS[row] for row in rows])
    tokenizer = load_tokenizer(data.encoder)
    for row, answer in zip(rows, answers, strict=True):
        ids = labels.row(row).tolist()
        assert ids[-1] == tiny.END
        assert ids[:-1] == tokenizer(answer["prediction"], add_special_tokens=False)["input_ids"][:9]
    # what selects stays as it was, and so does the limit of outputs
    assert {row: labels.row(row).tolist() for row in held} == before
    assert (data.encoded(split).fingerprint, data.spec.search.max_new_tokens) == (fingerprint, most)
    assert f"targets of {len(rows)} examples written by the teacher" in student.frozen_work[0]
    batch = next(iter(data.train_dataloader()))
    logits = student(batch)
    expected = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE)
    torch.testing.assert_close(student.loss(logits, batch), expected)


def test_outputs_are_generated_once_and_kept_by_content(data_of, teacher, monkeypatch):
    from transferlab.strategies import rewritten

    student_of(first := data_of("t5"), teacher, alpha=1.0, sequence=True).wrap_data(first)
    monkeypatch.setattr(rewritten, "written", None)
    again = data_of("llama", template="{input} in short: ")
    student = student_of(again, teacher, alpha=1.0, sequence=True)
    student.wrap_data(again)
    assert "read from disk" in student.frozen_work[0]
    assert list((cache_folder() / "tokens").rglob("outputs.json"))
    with pytest.raises(TypeError):
        student.wrap_data(again, Work(CacheConfig(enabled=False)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.0, "sequence": True, "teacher": ""}, "model.teacher: name a run directory"),
        ({"alpha": 1.0, "sequence": True, "teacher": "nowhere"}, "nowhere is no run, and only a run says how its"),
    ],
)
def test_a_teacher_that_writes_nothing_is_refused(arguments, message, data_of):
    data = data_of("llama")
    with pytest.raises(TransferlabError, match=message):
        tl.Distillation(data.spec, data.encoder, **arguments).wrap_data(data)


def test_only_texts_are_written(data, tiny_encoder):
    spec = data["classification"].spec if isinstance(data, dict) else data("classification").spec
    with pytest.raises(TransferlabError, match="model.sequence: only texts are written"):
        tl.Distillation(spec, tiny_encoder, teacher="x", sequence=True)


def test_a_stopped_student_resumes_with_the_same_targets(data_of, teacher, tmp_path, monkeypatch):
    def built():
        data = data_of("t5")
        return student_of(data, teacher, alpha=1.0, sequence=True), data

    monkeypatch.chdir(tmp_path)
    whole, stopped = (tmp_path / "runs" / "own" / name for name in ("whole", "stopped"))
    train(whole, *built())
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(SystemExit):
            train(stopped, *built())
    (stopped / "run.lock").unlink()
    model, data = built()
    trainer = trainer_of(stopped)
    trainer.fit(model, data, ckpt_path="last")
    trainer.validate(model, data, ckpt_path="best", verbose=False)
    trainer.test(model, data, ckpt_path="best", verbose=False)
    check_same_run(whole, stopped)

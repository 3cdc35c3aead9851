"""Two encoders that were joined by new cross attention write texts."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from test_api import check_same_run, stop_at, train, trainer_of

import transferlab as tl
from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.encoders.language import generate, target_logits
from transferlab.encoders.layers import layer_groups
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.strategies.writing import written
from transferlab.tasks.batch import IGNORE, collate
from transferlab.tasks.generation import Generation, Search
from transferlab.tasks.spec import Source
from transferlab.tasks.texts import Form, encode

INPUTS = ["good bad", "a good film", "bad", "the film was not bad but good"]


@pytest.fixture(scope="module")
def config(tiny_encoder):
    return replace(tiny_encoder, joined=True)


def model_of(config):
    torch.manual_seed(0)
    return build_encoder(config, writes=True).backbone.eval()


def batch_of(config, rows, targets=INPUTS[::-1]):
    form = Form(load_tokenizer(config), ("input",), False, 32, "head", Generation())
    return collate(encode({"input": INPUTS}, [[one] for one in targets], form), rows)


def test_one_part_reads_and_a_copy_with_cross_attention_writes(config, tiny_encoder):
    model, plain = model_of(config), build_encoder(tiny_encoder).backbone
    tokenizer = load_tokenizer(config)
    assert (model.config.decoder_start_token_id, model.config.eos_token_id) == (
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
    )
    assert model.config.pad_token_id == tokenizer.pad_token_id
    mine, theirs = model.encoder.state_dict(), plain.state_dict()
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())
    body = {name.partition(".")[2]: value for name, value in model.decoder.state_dict().items()}
    assert all(torch.equal(body[name], value) for name, value in theirs.items())
    assert any("crossattention" in name for name in body)
    # of each token the layer and the stack that it stands in
    groups = layer_groups(model)
    assert len(groups) == 1 + 2 * plain.config.num_hidden_layers
    assert all(
        "crossattention" not in name for group in groups[: 1 + plain.config.num_hidden_layers] for name, _ in group
    )
    assert any("cls" in name for name, _ in groups[-1])


def test_outputs_are_those_of_a_text_alone_and_targets_do_not_see_what_follows(config):
    model, tokenizer, search = model_of(config), load_tokenizer(config), Search(6)
    together = written(model, tokenizer, batch_of(config, range(4)), search, some=False).texts
    assert together == [
        written(model, tokenizer, batch_of(config, [row]), search, some=False).texts[0] for row in range(4)
    ]
    with torch.no_grad():
        batch, single = batch_of(config, range(4)), batch_of(config, [2])
        logits = target_logits(model, batch.input_ids, batch.attention_mask, batch.labels)[2]
        alone = target_logits(model, single.input_ids, single.attention_mask, single.labels)[0]
        torch.testing.assert_close(logits[: len(alone)], alone, atol=1e-5, rtol=1e-5)
        other = batch.labels.clone()
        other[:, 2:] = torch.where(other[:, 2:] == IGNORE, IGNORE, 7)
        moved = target_logits(model, batch.input_ids, batch.attention_mask, other)
        whole = target_logits(model, batch.input_ids, batch.attention_mask, batch.labels)
    torch.testing.assert_close(moved[:, :3], whole[:, :3], atol=1e-5, rtol=1e-5)


def test_it_learns_to_write_and_to_stop(config):
    model, batch = model_of(config), batch_of(config, range(4), ["good", "bad film", "a", "film film good"])
    optimizer = torch.optim.AdamW(model.train().parameters(), 3e-3)
    for _ in range(150):
        loss = F.cross_entropy(
            target_logits(model, batch.input_ids, batch.attention_mask, batch.labels).flatten(0, 1),
            batch.labels.flatten(),
            ignore_index=IGNORE,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = written(model.eval(), load_tokenizer(config), batch, Search(10), some=False)
    assert found.texts == ["good", "bad film", "a", "film film good"]
    assert found.ends == ["ended"] * 4


def built(config, folder):
    """A model and its data, as a script begins with them."""
    rows = [{"input": text, "target": text.split()[0]} for text in INPUTS * 3]
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(kind="text", files={split: str(folder / f"{split}.jsonl") for split in ("train", "test")})
    given = {"holdout": 0.25, "generation": Generation(target_length=8), "max_length": 32, "batch_size": 4}
    data = tl.TaskDataModule("own", config, source=source, **given)
    way = tl.FullFineTuning if config.architecture == "pretrained" else tl.FromScratch
    torch.manual_seed(0)
    return way(data.spec, config), data


def test_a_stopped_run_resumes_as_if_it_had_not_been_stopped(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole, stopped = (tmp_path / "runs" / "own" / name for name in ("whole", "stopped"))
    train(whole, *built(config, tmp_path))
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        with pytest.raises(SystemExit):
            train(stopped, *built(config, tmp_path))
    (stopped / "run.lock").unlink()
    model, data = built(config, tmp_path)
    trainer = trainer_of(stopped)
    trainer.fit(model, data, ckpt_path="last")
    trainer.validate(model, data, ckpt_path="best", verbose=False)
    trainer.test(model, data, ckpt_path="best", verbose=False)
    check_same_run(whole, stopped)


@pytest.mark.parametrize("architecture", ["pretrained", "random"])
def test_a_run_is_trained_tested_and_asked(architecture, config, tmp_path):
    config = replace(config, architecture=architecture)
    model, data = built(config, tmp_path)
    run = tmp_path / "runs" / "own" / "one"
    train(run, model, data, max_epochs=1)
    recorded = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    answers = tl.Predictor.load(run, device="cpu").predict(INPUTS * 3)
    assert [one["prediction"] for one in answers] == [line["prediction"] for line in recorded]
    if architecture == "pretrained":
        from transferlab.use.export import command

        assert all(check.passed for check in command.export(run, "hf", tmp_path / "out"))


def test_what_cannot_be_joined_or_is_not_to_be_frozen_is_refused(config, tiny_encoder):
    with pytest.raises(TransferlabError, match="encoder.joined: only a model that writes"):
        build_encoder(config)
    with pytest.raises(TransferlabError, match=r"two of llama-joined-random .llama. cannot be joined"):
        build_encoder(EncoderConfig("embedded/llama", architecture="random", joined=True), writes=True)
    task = tl.TaskSpec("own", "text", (), ("exact_match",), search=Search(4))
    with pytest.raises(TransferlabError, match="encoder.joined: the cross attention is new"):
        tl.ParameterEfficient(task, config)
    with pytest.raises(TransferlabError, match="new in every layer, so all of them learn"):
        tl.FullFineTuning(task, config, top_layers=1)
    with pytest.raises(TransferlabError, match="join two of it with encoder.joined: true"):
        build_encoder(tiny_encoder, writes=True)


def test_the_search_is_that_of_other_models(config):
    model, batch = model_of(config), batch_of(config, range(4))
    beams = generate(model, batch.input_ids, batch.attention_mask, Search(5, beams=2))
    assert beams.shape[0] == 4
    assert beams.shape[1] <= 5

"""Pretraining on unlabelled text: rows, masks, losses of a whole step, what is left out, what is left."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim import SGD

from transferlab.ground.errors import TransferlabError
from transferlab.pretraining import corpus, own_tokenizer
from transferlab.pretraining.batches import StepSampler, counts_of
from transferlab.pretraining.corpus import SENTENCE, WORD, pieces
from transferlab.pretraining.data import PretrainingData
from transferlab.pretraining.leakage import TestTexts
from transferlab.pretraining.masking import Draws, Masking
from transferlab.pretraining.objectives import CausalLM, MaskedLM, ReplacedTokens
from transferlab.pretraining.objectives.replaced import sample
from transferlab.pretraining.rows import Reading, Rows
from transferlab.pretraining.start import NewEncoder, Start, log_unigram
from transferlab.pretraining.text import Text
from transferlab.tasks.inspection.plain import words_of

TINY = NewEncoder(layers=1, hidden=16, heads=2, positions=64, vocabulary=300)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path / "cache"))


def write(path: Path, documents: int = 120) -> str:
    draws = np.random.default_rng(0)
    words = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in ("", "nd", "st", "rk")]
    text = []
    for _ in range(documents):
        sentences = [" ".join(draws.choice(words, draws.integers(4, 12))).capitalize() + "." for _ in range(6)]
        text.append(" ".join(sentences))
    path.write_text("\n\n".join(text), encoding="utf-8")
    return str(path)


def data_of(tmp_path: Path, new: NewEncoder = TINY, **given: Any) -> PretrainingData:
    settings: dict[str, Any] = {"held_out": 0.1, "max_length": 24, "batch_size": 8} | given
    start = Start(new=new, dropout=0.0)
    return PretrainingData(Text(files=(write(tmp_path / "text.txt"),)), start, **settings)


def trained(tmp_path: Path, kind: Any = MaskedLM, new: NewEncoder = TINY, steps: int = 4, **given: Any) -> Any:
    arguments = {name: given.pop(name) for name in ("pairs", "method") if name in given}
    accumulate = given.pop("accumulate", 1)
    data = data_of(tmp_path, new, **given)
    L.seed_everything(0, verbose=False)
    model = kind(data.tokens, data.start, optimizer=partial(SGD, lr=0.1 if kind is MaskedLM else 1e-3), **arguments)
    data.read_as(model.reading, model.longest)
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        accumulate_grad_batches=accumulate,
    )
    trainer.fit(model, data)
    return model, data, trainer


# text and rows ------------------------------------------------------------------------------------------------------


def test_documents_of_each_kind_of_file(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "a.txt").write_text("one\ntwo\n\n\nthree\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "four"}\n\n{"text": "five"}\n', encoding="utf-8")
    parquet.write_table(pa.table({"text": ["six", "", "seven"]}), tmp_path / "c.parquet")
    files = tuple(str(tmp_path / name) for name in ("a.txt", "b.jsonl", "c.parquet"))
    assert list(Text(files=files).read()) == ["one\ntwo\n", "three\n", "four", "five", "six", "seven"]
    assert list(Text(files=files[:1], documents="lines").read()) == ["one", "two", "three"]
    assert list(Text(files=files[:1], documents="file").read()) == ["one\ntwo\n\n\nthree\n"]
    assert list(Text(files=files, most=3).read())[-1] == "four"
    assert len(list(Text(task="demo_pairs", most=6).read())) == 6


def test_text_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"text": "four"}\n{"word": "five"}\n', encoding="utf-8")
    (tmp_path / "c.txt").write_bytes(b"caf\xe9")
    (tmp_path / "d.parquet").write_bytes(b"none")
    for text, said in (
        (Text(files=(str(tmp_path / "b.jsonl"),)), "line 2"),
        (Text(files=(str(tmp_path / "c.txt"),)), "not UTF-8"),
        (Text(files=(str(tmp_path / "none.txt"),)), "no such file"),
        (Text(files=(str(tmp_path / "d.parquet"),)), "d.parquet cannot be read as Parquet"),
        (Text(task="demo_pair"), "data.text.task: no task named 'demo_pair' .did you mean 'demo_pairs'"),
    ):
        with pytest.raises(TransferlabError, match=said):
            list(text.read())
    with pytest.raises(TransferlabError, match="set one of"):
        Text()
    with pytest.raises(TransferlabError, match="data.without: no task named 'demo_pair'"):
        TestTexts(["demo_pair"])


def test_pieces_hold_every_token_once_and_are_even() -> None:
    offsets = np.array([0, 10, 10, 13, 40])
    found = pieces(offsets, 4)
    assert found.lengths.max() <= 4
    covered = np.concatenate([np.arange(s, s + n) for s, n in zip(found.starts, found.lengths, strict=True)])
    np.testing.assert_array_equal(covered, np.arange(40))
    assert found.documents.tolist() == [0] * 3 + [2] + [3] * 7
    assert sorted(found.lengths[:3].tolist()) == [3, 3, 4]


def test_masks_are_a_function_of_seed_epoch_and_row_and_hide_whole_words() -> None:
    masking = Masking(0.15, True, mask_id=1, random_ids=np.arange(10, 20))
    ids = np.arange(100, 160)
    starts = np.arange(60) % 3 == 0
    one, places = masking.apply(ids, starts, Draws(0, 3, 7))
    again, _ = masking.apply(ids, starts, Draws(0, 3, 7))
    other, _ = masking.apply(ids, starts, Draws(0, 4, 7))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert set(places // 3 * 3) <= set(places), "a word is hidden from its first token on"
    assert len(places) % 3 == 0
    untouched = np.setdiff1d(np.arange(60), places)
    np.testing.assert_array_equal(one[untouched], ids[untouched])


def test_the_shares_are_15_and_80_10_10() -> None:
    masking = Masking(0.15, True, mask_id=1, random_ids=np.arange(10, 20))
    hidden = masked = kept = count = 0
    for row in range(2000):
        ids, starts = np.arange(100, 140), np.arange(40) % 2 == 0
        given, places = masking.apply(ids, starts, Draws(5, 0, row))
        hidden, count = hidden + len(places), count + 40
        masked += int((given[places] == 1).sum())
        kept += int((given[places] == ids[places]).sum())
    # 40,000 words: four standard errors
    assert abs(hidden / count - 0.15) < 4 * math.sqrt(0.15 * 0.85 / 40_000) + 0.002
    assert abs(masked / hidden - 0.8) < 0.03
    assert abs(kept / hidden - 0.1) < 0.02


def test_a_row_without_luck_still_hides_a_word() -> None:
    masking = Masking(1e-9, True, mask_id=1, random_ids=np.arange(10, 20))
    assert all(len(masking.apply(np.arange(5), np.ones(5, dtype=bool), Draws(0, 0, row))[1]) == 1 for row in range(20))


def test_chinese_and_byte_level_words_are_hidden_apart(tmp_path: Path) -> None:
    texts = ["the cat sat on the mat. 我们喜欢看电影"] * 20
    for kind in ("bpe", "wordpiece", "byte_bpe"):
        tokenizer = own_tokenizer.train(texts, kind, 200, True, True)  # type: ignore[arg-type]
        (_, flags), *_ = corpus.tokens_of(texts[:1], tokenizer)
        words = int((flags & WORD > 0).sum())
        # byte-level BPE keeps a run of Chinese letters together, as its splitting into words does
        assert words >= 8, (kind, words)
        assert (flags & SENTENCE).sum() == SENTENCE


def test_a_trained_tokenizer_comes_back_as_it_was(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = own_tokenizer.train(["The Cat sat on the mat"] * 5, "bpe", 120, False, True)
    own_tokenizer.save(tokenizer, tmp_path)
    back = AutoTokenizer.from_pretrained(tmp_path)
    encoded = back("The Cat", "sat")
    assert encoded["input_ids"] == tokenizer("The Cat", "sat")["input_ids"]
    assert set(encoded["token_type_ids"]) == {0, 1}
    assert back.tokenize("The") != back.tokenize("the"), "case is kept"


def test_test_texts_are_found_by_content() -> None:
    tests = TestTexts(["demo_sentences"])
    from transferlab.tasks.sources import read_split
    from transferlab.tasks.table import lookup

    texts = read_split(lookup("demo_sentences"), "test").rows["text"]
    longest = max(texts, key=lambda text: len(text.split()))
    assert tests.found(words_of(texts[0].upper() + "!!")) == 0
    assert tests.names == ["demo_sentences/test"]
    inside = tests.found(words_of(f"A story begins. {longest} And goes on."))
    assert (inside == 0) == (len(words_of(longest).split()) >= 8)
    assert tests.found(words_of("nothing of the kind stands in any test set of this package")) is None


def test_test_texts_are_left_out_by_default(tmp_path: Path) -> None:
    with_test = Text(task="demo_sentences", splits=("train", "test"))
    start = Start(new=TINY)
    data = PretrainingData(with_test, start, held_out=0.2, max_length=24)
    count = sum(data.facts["left_out"].values())
    # the same sentence may stand in training and test
    assert count >= 200
    assert data.facts["documents"] == data.facts["train_documents"] + data.facts["held_documents"] + count
    unfiltered = PretrainingData(with_test, start, held_out=0.2, max_length=24, without=())
    assert unfiltered.facts["left_out"] == {}


def test_a_task_of_the_users_own_files_is_read_and_its_test_texts_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "task").mkdir(parents=True)
    for split in ("train", "test"):
        rows = [{"body": f"{split} text number {n}", "other": f"{n}", "mark": n % 2} for n in range(40)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    tree = "data: {init_args: {source: {files: {train: train.jsonl, test: test.jsonl}, text: [TEXT], label: mark}}}"

    def configured(column: str) -> None:
        own = tree.replace("TEXT", column).replace("label", "test: [test], label")
        (tmp_path / "configs" / "task" / "mine.yaml").write_text(own, encoding="utf-8")

    configured("body")
    assert list(Text(task="mine").read())[3] == "train text number 3"
    lines = [f"{split} text number {n}" for split in ("train", "test") for n in range(40)]
    (tmp_path / "corpus.txt").write_text("\n".join(lines), encoding="utf-8")
    corpus_of = Text(files=("corpus.txt",), documents="lines")
    for text, without in ((corpus_of, ("mine",)), (Text(task="mine", splits=("train", "test")), None)):
        data = PretrainingData(text, Start(new=TINY), held_out=0.2, max_length=24, without=without)
        assert data.facts["left_out"] == {"mine/test": 40}
    # what was read is kept by the columns too
    configured("other")
    data = PretrainingData(corpus_of, Start(new=TINY), held_out=0.2, max_length=24, without=("mine",))
    assert data.facts["left_out"] == {"mine/test": 0}


def test_configurations_of_one_data_set_are_different_texts(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    listed = [f"- {{config_name: {name}, data_files: {name}.jsonl}}" for name in ("one", "two")]
    (tmp_path / "set" / "README.md").write_text("\n".join(["---", "configs:", *listed, "---"]), encoding="utf-8")
    for name, word in (("one", "first"), ("two", "second")):
        (tmp_path / "set" / f"{name}.jsonl").write_text(json.dumps({"text": word}), encoding="utf-8")
    texts = [Text(path=str(tmp_path / "set"), config=name) for name in ("one", "two")]
    assert [list(text.read()) for text in texts] == [["first"], ["second"]]
    assert texts[0].identity != texts[1].identity
    hub = [Text(path="someone/set", config=name, revision="abc").identity for name in ("one", "two")]
    assert hub[0] != hub[1]


# the loss of a step -------------------------------------------------------------------------------------------------


def test_a_step_has_the_same_rows_however_it_is_divided() -> None:
    lengths = np.random.default_rng(1).integers(5, 60, 203)
    whole = [set(micro.rows) for micro in StepSampler(lengths, 16, seed=3)]
    for batch, accumulate, world in ((8, 2, 1), (8, 1, 2), (4, 2, 2)):
        ranks = [list(StepSampler(lengths, batch, 3, accumulate, rank, world)) for rank in range(world)]
        assert {len(found) for found in ranks} == {len(StepSampler(lengths, batch, 3, accumulate, 0, world))}
        for number, rows in enumerate(whole):
            parts = [found[at] for found in ranks for at in range(number * accumulate, (number + 1) * accumulate)]
            assert set().union(*(part.rows for part in parts)) == rows
            assert sum(len(part.rows) for part in parts) == len(rows)
            assert all(set(part.step) == rows for part in parts)


def test_a_sampler_resumes_within_an_epoch() -> None:
    lengths = np.random.default_rng(1).integers(5, 60, 203)
    sampler = StepSampler(lengths, 8, 3, 2)
    sampler.set_epoch(2)
    whole = list(sampler)
    resumed = StepSampler(lengths, 8, 3, 2)
    resumed.resume(2, 5)
    assert list(resumed) == whole[5:]
    resumed.set_epoch(3)
    assert len(list(resumed)) == len(resumed)


@pytest.mark.parametrize("kind", [MaskedLM, ReplacedTokens])
def test_a_step_of_16_is_two_of_8(tmp_path: Path, kind: Any) -> None:
    one, *_ = trained(tmp_path, kind, batch_size=16)
    two, *_ = trained(tmp_path, kind, batch_size=8, accumulate=2)
    for (name, a), (_, b) in zip(one.state_dict().items(), two.state_dict().items(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_the_loss_is_the_mean_over_hidden_tokens_and_the_head_is_asked_of_them_alone(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    model = MaskedLM(data.tokens, data.start).eval()
    batch = next(iter(data.train_dataloader()))
    term = model.terms(batch)["tokens"]
    whole = model.head.whole(model.encoder.backbone)
    logits = whole(batch.input_ids, batch.attention_mask, token_type_ids=batch.token_type_ids).logits
    labels = torch.full_like(batch.input_ids, -100)
    labels.view(-1)[batch.places] = batch.labels
    expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(term.total / batch.whole[0], expected)
    rows = [data.rows(0, int(number)) for number in batch.index]
    assert counts_of(rows).tolist() == batch.whole.tolist()
    hidden = batch.input_ids.view(-1)[batch.places]
    assert (hidden == data.tokenizer.mask_token_id).float().mean() > 0.5


def test_a_packed_batch_has_the_loss_of_a_padded_one(tmp_path: Path) -> None:
    padded, packed = data_of(tmp_path), data_of(tmp_path, packed=True)
    L.seed_everything(0, verbose=False)
    model = MaskedLM(padded.tokens, padded.start).eval()
    for one, other in zip(padded.train_dataloader(), packed.train_dataloader(), strict=True):
        torch.testing.assert_close(model.terms(one)["tokens"].total, model.terms(other)["tokens"].total)
        assert other.input_ids.shape[0] == 1
        break


@pytest.mark.parametrize("pairs", ["order", "next"])
def test_pairs_are_of_their_document_or_not(tmp_path: Path, pairs: Any) -> None:
    data = data_of(tmp_path, max_length=40)
    data.read_as(Reading(pairs=pairs, share=1e-9), 64)
    part, seen = data.corpus.train, {0: 0, 1: 0, -1: 0}
    for number in range(60):
        row = data.rows(0, number)
        ids = np.array(row.ids)
        ids[row.places] = row.labels
        document = data.rows.pieces.documents[number]
        own = part.ids[part.offsets[document] : part.offsets[document + 1]].tolist()
        ends = np.flatnonzero(ids == data.tokenizer.sep_token_id)
        first, second = ids[1 : ends[0]].tolist(), ids[ends[0] + 1 : ends[-1]].tolist()
        start = data.rows.pieces.starts[number] - part.offsets[document]
        seen[row.pair] += 1
        if row.pair == 0:
            assert first + second == own[start : start + len(first + second)]
            assert row.types.tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)
        elif row.pair == 1 and pairs == "order":
            assert second + first == own[start : start + len(first + second)]
        assert len(ids) <= 40
    assert min(seen[0], seen[1]) > 5


def test_rows_without_a_second_sentence_are_no_pairs(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("\n".join(f"word {n} stands alone here" for n in range(60)), encoding="utf-8")
    text = Text(files=(str(tmp_path / "one.txt"),), documents="lines")
    alone = PretrainingData(text, Start(new=TINY), held_out=0.2, max_length=24)
    assert not alone.rows.paired
    assert data_of(tmp_path).rows.paired


def test_a_family_that_is_not_known_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(TransferlabError, match=r"no family 'brt' .did you mean .*'bert'") as told:
        trained(tmp_path, new=NewEncoder(family="brt", layers=1, hidden=16, heads=2, vocabulary=300))
    assert len(str(told.value)) < 200


def test_masked_words_with_pairs_train(tmp_path: Path) -> None:
    for new in (TINY, NewEncoder("albert", 1, 16, 2, positions=64, vocabulary=300)):
        model, data, trainer = trained(tmp_path, new=new, pairs="order", max_length=40)
        found = trainer.validate(model, data, verbose=False)[0]
        assert found["val/loss"] == pytest.approx(found["val/tokens_loss"] + found["val/pairs_loss"], rel=1e-5)
        assert 0 < found["val/pairs_accuracy"] < 1


def test_drawn_tokens_follow_the_shares() -> None:
    logits = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]])
    drawn = sample(logits.expand(8, 3), torch.arange(8) / 8)
    # shares 1/8, 2/8, 5/8
    assert drawn.tolist() == [0, 1, 1, 2, 2, 2, 2, 2]


def test_a_decoder_predicts_the_next_token(tmp_path: Path) -> None:
    new = NewEncoder("gpt2", 1, 16, 2, positions=64, tokenizer="byte_bpe", vocabulary=300)
    data = data_of(tmp_path, new)
    model = CausalLM(data.tokens, data.start).eval()
    data.read_as(model.reading, model.longest)
    batch = next(iter(data.train_dataloader()))
    found = model.terms(batch)["tokens"]
    logits = model.head.whole(model.encoder.backbone)(batch.input_ids, attention_mask=batch.attention_mask).logits
    mask = batch.attention_mask[:, 1:].bool()
    expected = F.cross_entropy(logits[:, :-1][mask], batch.input_ids[:, 1:][mask], reduction="sum")
    torch.testing.assert_close(found.total, expected)
    assert found.count == int(mask.sum()) == batch.whole[0]


# what is left -------------------------------------------------------------------------------------------------------


def test_a_new_head_starts_at_the_frequencies(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    model = MaskedLM(data.tokens, data.start)
    counts = torch.from_numpy(data.corpus.counts)
    bias = model.head.output_bias
    assert bias is not None
    torch.testing.assert_close(bias.detach(), log_unigram(counts))
    assert log_unigram(counts).exp().sum().item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("kind", [MaskedLM, ReplacedTokens])
def test_what_is_left_is_an_encoder_as_the_hub_has_them(tmp_path: Path, kind: Any) -> None:
    from transformers import AutoModel

    from transferlab.adapters import LoRA

    model, _, _ = trained(tmp_path, kind, method=LoRA(r=2))
    folder = tmp_path / "encoder"
    model.result()["encoder"].save_pretrained(folder)
    ids = torch.randint(5, 100, (2, 9))
    back = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model.eval().encoder(ids, torch.ones_like(ids))
        torch.testing.assert_close(back(ids).last_hidden_state, expected, atol=1e-5, rtol=1e-4)


def test_held_out_masks_are_the_same_under_every_seed(tmp_path: Path) -> None:
    one, other = data_of(tmp_path), data_of(tmp_path, seed=5)
    for a, b in zip(one.held(0, 0), other.held(3, 0), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((one.rows(0, n).ids != other.rows(0, n).ids).any() for n in range(10))


def test_rows_that_are_too_long_are_refused(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    with pytest.raises(TransferlabError, match="max_length"):
        data.read_as(Reading(), 16)
    with pytest.raises(TransferlabError, match="no room"):
        Rows(data.corpus.train, data.tokenizer, Reading(pairs="order"), 3, 0)


def test_facts_of_the_corpus(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    facts = json.loads(json.dumps(data.described()))
    assert facts["train_documents"] + facts["held_documents"] == facts["documents"] == 120
    assert facts["train_tokens"] == data.corpus.counts.sum() == len(data.corpus.train.ids)

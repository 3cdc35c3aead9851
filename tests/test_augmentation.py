"""Changed copies of training texts: by hand on single texts, then in every kind of task."""

import csv
import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import lightning as L
import numpy as np
import pytest
import torch
from conftest import logits_of

from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.consistency import consistency_loss
from transferlab.learning.heads import HeadConfig
from transferlab.learning.optim import Schedule
from transferlab.learning.steady import Steady
from transferlab.record.setting import fingerprint
from transferlab.strategies import FeatureExtraction, FullFineTuning
from transferlab.tasks import TaskDataModule
from transferlab.tasks.augmentation import Augment, Unlabelled, wordnet
from transferlab.tasks.augmentation import copies as of_texts
from transferlab.tasks.augmentation.edits import BLANK, METHODS, Known, spans_of, tokens_of
from transferlab.tasks.copied import COPIES, TRAINED, UNLABELLED

TEXT = "The film was not good at all, but its music moved everybody in the house"
WORDS = TEXT.split()
KNOWN = Known(0.2, {"film": ("movie",), "music": ("tune",), "house": ("home",)})


def edited(method, seed=0, tokens=None, known=KNOWN):
    return METHODS[method](tokens or tokens_of(TEXT), Random(seed), known)


def words(tokens):
    return [token.word for token in tokens]


def test_swap_moves_two_words_for_each_part_of_alpha():
    found = words(edited("swap", known=Known(0.07)))
    assert Counter(found) == Counter(WORDS)
    # 15 words, a rate of 0.07: one swap
    assert sum(one != other for one, other in zip(found, WORDS, strict=True)) == 2


def test_delete_leaves_words_out_with_probability_alpha():
    left = [len(edited("delete", seed)) for seed in range(300)]
    # 13 of 15 words may go
    assert np.mean(left) == pytest.approx(15 - 0.2 * 13, abs=4 * np.sqrt(13 * 0.16 / 300))
    assert words(edited("delete", tokens=tokens_of("good"), known=Known(0.99))) == ["good"]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_words_that_turn_the_meaning_stay(method):
    for seed in range(30):
        found = words(edited(method, seed))
        assert [word for word in found if word in ("not", "but")] == ["not", "but"]


@pytest.mark.parametrize("apostrophe", ["'", "\u2019"])
def test_words_that_turn_the_meaning_are_known_by_either_apostrophe(apostrophe):
    assert [token.free for token in tokens_of(f"It didn{apostrophe}t move us")] == [True, False, True, True]


def test_synonyms_keep_case_and_marks():
    tokens = tokens_of("Music, MUSIC and music!")
    found = {word for seed in range(40) for word in words(edited("synonyms", seed, tokens, KNOWN._replace(rate=0.9)))}
    assert found == {"Tune,", "TUNE", "tune!", "and"}


def test_insert_puts_in_synonyms():
    found = words(edited("insert"))
    assert len(found) == len(WORDS) + 3
    assert set(found) - set(WORDS) <= {"movie", "tune", "home"}
    assert [word for word in found if word in WORDS] == WORDS


def test_dropped_words_and_marks_stand_in_order():
    found = [words(edited("dropout", seed)) for seed in range(20)]
    assert all(new in (old, BLANK) for one in found for new, old in zip(one, WORDS, strict=True))
    assert np.mean([one.count(BLANK) for one in found]) == pytest.approx(0.2 * 13, abs=1.5)
    marked = [words(edited("marks", seed)) for seed in range(50)]
    assert all([word for word in one if word not in ".;?:!,"] == WORDS for one in marked)
    assert {len(one) - len(WORDS) for one in marked} == {1, 2, 3, 4, 5}


def test_entities_are_exchanged_within_their_type():
    names = ["O", "B-PER", "I-PER", "O", "B-PLACE", "O"]
    tokens = of_texts.tagged(["so", "Ann", "Lee", "saw", "Rome", "yesterday"], list(range(6)), names, True)
    assert spans_of(tokens) == [(1, 3), (4, 5)]
    assert of_texts.mentions_of([tokens]) == {"PER": [(("Ann", 1), ("Lee", 2))], "PLACE": [(("Rome", 4),)]}
    known = Known(0.9, {}, {"PER": [(("Bo", 1),)], "PLACE": [(("New", 4), ("York", 9))]})
    found = edited("entities", 1, tokens, Known(0.99, {}, known.mentions))
    pairs = [(token.word, token.tag) for token in found]
    options = (
        [("so", 0), ("Bo", 1), ("saw", 3), ("Rome", 4), ("yesterday", 5)],
        [("so", 0), ("Ann", 1), ("Lee", 2), ("saw", 3), ("New", 4), ("York", 9), ("yesterday", 5)],
    )
    assert pairs in options


def test_no_method_touches_an_entity():
    names = ["O", "B-PER", "I-PER", "O", "O"]
    tokens = of_texts.tagged(["there", "Ann", "Lee", "saw", "music"], names, names, True)
    for method in ("swap", "delete", "insert", "synonyms", "dropout"):
        for seed in range(30):
            found = edited(method, seed, tokens)
            pairs = [(token.word, token.tag) for token in found]
            start = pairs.index(("Ann", "B-PER"))
            assert pairs[start + 1] == ("Lee", "I-PER")
            assert all(tag == "O" for place, (_, tag) in enumerate(pairs) if place not in (start, start + 1))


def test_a_copy_is_a_function_of_seed_number_and_text():
    def copy(number, seed=0, text=TEXT):
        return of_texts.changed((text,), number, ["swap", "delete"], seed, KNOWN)

    assert copy(0) == copy(0)
    assert len({copy(0), copy(1), copy(0, 1)}) == 3
    assert of_texts.changed(("good",), 0, ["swap", "delete"], 0, KNOWN) is None
    pair = of_texts.changed((TEXT, "a second text"), 3, ["swap"], 0, KNOWN)
    assert sum(new != old for new, old in zip(pair, (TEXT, "a second text"), strict=True)) == 1


# data ---------------------------------------------------------------------------------------------------------------


def column(module, split, name=None):
    return module.rows(split).rows[name or module.source.text[0]][:]


def keys(module, split, rows=None):
    read = module.rows(split).rows
    read = read if rows is None else read.select(rows)
    return set(map(of_texts.key_of, zip(*(read[name][:] for name in module.source.text), strict=True)))


@pytest.mark.parametrize("kind", ["classification", "regression", "multilabel", "pairs", "tagging", "windows"])
def test_only_training_examples_are_copied_and_labels_stay(kind, data):
    module = data(kind, augment=Augment(copies=2))
    split, rows = module.training_rows()
    encoded, plain = module.encoded(split), data(kind)
    own = plain.part_rows("train")[1]
    assert split == TRAINED
    assert rows[: len(own)].tolist() == own.tolist()
    assert len(rows) > 1.5 * len(own)
    assert len(encoded) == 40 + len(rows) - len(own)
    # what was there already is as it was
    for row in own[:3]:
        assert encoded.ids.row(row).tolist() == plain.encoded("train").ids.row(row).tolist()
    assert not keys(module, COPIES) & (keys(module, "test") | keys(module, *module.part_rows("validation")))
    texts, copies = column(module, "train"), column(module, COPIES)
    if kind == "tagging":
        pairs = zip(copies, column(module, COPIES, "tags"), strict=True)
        assert all(len(sentence) == len(tags) for sentence, tags in pairs)
    else:
        by_words = {}
        for row in own:
            by_words.setdefault(str(module.rows("train").rows[int(row)]["label"]), []).append(set(texts[row].split()))
        for text, label in zip(copies, column(module, COPIES, "label"), strict=True):
            # nothing is put in, so that an example with the same label has all of its words
            assert any(set(text.split()) <= known for known in by_words[str(label)])
    assert module.part_labels().shape[0] >= len(rows)
    batch = next(iter(module.train_dataloader()))
    assert batch.labels is not None
    assert "copies of" in module.notes[-1]


def test_the_same_copies_in_every_process_and_for_every_encoder(data, tiny_encoder, deep_encoder):
    asked = Augment(("swap", "dropout"), copies=2)
    one, again, other = (data(augment=asked, seed=seed) for seed in (0, 0, 1))
    assert column(one, COPIES) == column(again, COPIES)
    assert one.fingerprint == again.fingerprint != data().fingerprint
    assert column(one, COPIES) != column(other, COPIES)
    view = one.with_encoder(deep_encoder)
    assert len(view.encoded(COPIES)) == len(one.encoded(COPIES))
    # 4 is the mask
    assert (one.encoded(COPIES).ids.values == 4).any()
    assert not (one.encoded("train").ids.values == 4).any()


def test_a_second_start_reads_tokens_and_no_text(data, monkeypatch):
    first = data(augment=Augment())
    monkeypatch.setattr(TaskDataModule, "_copied", lambda self: pytest.fail("copied again"))
    second = data(augment=Augment())
    assert second.encoded(TRAINED).fingerprint == first.encoded(TRAINED).fingerprint
    with pytest.raises(pytest.fail.Exception, match="copied again"):
        data(augment=Augment(rate=0.2))


def test_epochs_have_the_copies_and_resume(data):
    module = data(augment=Augment(copies=1))
    first = [batch.index.tolist() for batch in module.train_dataloader()]
    assert sorted(row for batch in first for row in batch) == sorted(module.training_rows()[1].tolist())
    assert first == [batch.index.tolist() for batch in data(augment=Augment(copies=1)).train_dataloader()]


def test_solved_heads_and_cached_features_have_copies(data, tiny_encoder, fit):
    module = data(augment=Augment(copies=1))
    model = FeatureExtraction(module.spec, tiny_encoder, HeadConfig(kind="linear"), solver="lbfgs", strength=1.0)
    model.wrap_data(module, Work(CacheConfig(precision="32")))
    assert set(module.attached["features"]) == {TRAINED, "train", "test"}
    assert f"features of {len(module.training_rows()[1]) + 4 + 8} examples" in model.frozen_work[0]
    assert fit(model, module).global_step == 1


def test_weights_after_training_are_the_same_twice(data, tiny_encoder, fit):
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        module = data("tagging", augment=Augment(copies=1))
        model = FullFineTuning(module.spec, tiny_encoder)
        fit(model, module)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_file_of_paraphrases(data, tmp_path):
    texts = column(data(), "train")
    train, held = data().part_rows("train")[1], data().part_rows("validation")[1]
    path = tmp_path / "back.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "new_text"])
        writer.writerow([texts[train[0]], "There and back again"])
        writer.writerow([texts[train[1]], texts[held[0]].upper()])
        writer.writerow([texts[held[1]], "Never to be learned"])
    module = data(augment=Augment(file=str(path)))
    assert column(module, COPIES) == ["There and back again"]
    assert column(module, COPIES, "label") == [column(module, "train", "label")[train[0]]]
    assert "1 copies of 36 training examples; left out: 1 that equal a validation text" in module.notes[0]
    assert "1 rows of" in module.notes[1]
    path.write_text("text\nno\n", encoding="utf-8")
    with pytest.raises(TransferlabError, match=r"data.augment.file: .*back.csv has no column 'new_text'"):
        data(augment=Augment(file=str(path)))
    for wrong in (7, ["a", "list"]):
        rows = tmp_path / "wrong.jsonl"
        rows.write_text(json.dumps({"text": texts[train[0]], "new_text": wrong}) + "\n", encoding="utf-8")
        with pytest.raises(TransferlabError, match=r"wrong.jsonl, line 1: column 'new_text' must hold text, not"):
            data(augment=Augment(file=str(rows)))
    for key, asked in (("augment", Augment), ("unlabelled", Unlabelled)):
        with pytest.raises(TransferlabError, match=f"^data.{key}.file: no such file: [^:]*none.csv$"):
            data(**{key: asked(file=str(tmp_path / "none.csv"))})


def test_without_a_word_list_synonyms_are_skipped_and_said(data, monkeypatch):
    monkeypatch.delenv(wordnet.VARIABLE, raising=False)
    monkeypatch.setattr(wordnet, "find_spec", lambda name: None)
    module = data(augment=Augment(("synonyms", "swap")))
    assert any("synonyms skipped: there is no WordNet" in note for note in module.notes)
    with pytest.raises(TransferlabError, match=r"data.augment.methods: synonyms want"):
        data(augment=Augment(("synonyms",)))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Augment(rate=0), r"data.augment.rate: 0 is not in \(0, 1\)"),
        (lambda: Augment(copies=-1), "data.augment.copies: -1 is below 0"),
        (lambda: Augment(()), "data.augment.methods: name one"),
        (lambda: Unlabelled(), "data.unlabelled: give either file or split"),
        (lambda: Unlabelled("a", "b"), "data.unlabelled: give either file or split"),
    ],
)
def test_settings_without_meaning(made, message):
    with pytest.raises(TransferlabError, match=message):
        made()


def test_kinds_that_cannot_have_copies(data):
    for task, why in (
        ("demo_answers", "a place in its text"),
        ("demo_relations", "marks of two entities"),
        ("demo_dates", "repeat words of its input"),
        ("demo_slots", "tags of its words"),
    ):
        for key, asked in (("augment", Augment()), ("unlabelled", Unlabelled(split="test"))):
            with pytest.raises(TransferlabError, match=f"data.{key}: not for .*{why}"):
                TaskDataModule(task, **{key: asked})
    for options, message in (
        ({"augment": Augment(("entities",))}, "entities is for tagging whose tags mark entities"),
        ({"augment": Augment(copies=0)}, "data.augment.copies: 0 makes no copy"),
    ):
        with pytest.raises(TransferlabError, match=message):
            data(**options)
    with pytest.raises(TransferlabError, match="marks would need tags"):
        data("tagging", augment=Augment(("marks",)))
    with pytest.raises(TransferlabError, match=r"data.augment.file: not for tagging"):
        data("tagging", augment=Augment(file="x.csv"))


def test_settings_of_before_keep_their_fingerprint():
    old = {"data": {"init_args": {"task": "sst2"}}}
    new = {"data": {"init_args": {"task": "sst2", "augment": None, "unlabelled": None}}}
    other = {"data": {"init_args": {"task": "sst2", "augment": {"copies": 1}}}}
    assert fingerprint(old) == fingerprint(new) != fingerprint(other)


# unlabelled texts ---------------------------------------------------------------------------------------------------


def test_unlabelled_texts_are_new_by_content(data, tmp_path):
    module = data()
    texts, tests = column(module, "train"), column(module, "test")
    train, held = module.part_rows("train")[1], module.part_rows("validation")[1]
    lines = [
        texts[train[0]].upper(),
        f" {tests[0]} ",
        texts[held[0]],
        "All new here",
        "all  New here",
        "And another one",
    ]
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    module = data(unlabelled=Unlabelled(str(path)), augment=Augment(("swap",), copies=0))
    assert module.unlabelled_rows() == 2
    assert column(module, UNLABELLED)[:2] == ["All new here", "And another one"]
    # with copies of their own, and none of the training examples
    assert len(column(module, UNLABELLED)) == 4
    assert module.training_rows()[0] == "train"
    counts = "1 that equal a test text, 1 that equal a training text, 1 that equal a validation text, 1 that equal "
    assert f"2 unlabelled texts; left out: {counts}another text" in module.notes
    assert module.encoded(UNLABELLED).labels is None
    with pytest.raises(TransferlabError, match="3 texts are wanted, 2 are new"):
        data(unlabelled=Unlabelled(str(path), examples=3)).encoded(UNLABELLED)


def test_unlabelled_rows_of_the_training_split_are_those_of_no_part(data):
    whole = data()
    module = data(train_examples=10, unlabelled=Unlabelled(split="train"))
    train, held = module.part_rows("train")[1], module.part_rows("validation")[1]
    assert held.tolist() == whole.part_rows("validation")[1].tolist()
    assert keys(module, UNLABELLED) == keys(module, "train", np.setdiff1d(np.arange(40), np.union1d(train, held)))
    with pytest.raises(TransferlabError, match="no text that the run does not know"):
        data(unlabelled=Unlabelled(split="train"))


# mixed vectors and consistency --------------------------------------------------------------------------------------


def test_consistency_by_hand():
    target, moved = torch.tensor([[2.0, 0.0], [0.1, 0.0]]), torch.tensor([[1.0, 0.5], [0.0, 3.0]])

    def kl(p, q):
        return (p * (p / q).log()).sum()

    p, q = target.softmax(-1), moved.softmax(-1)
    both = consistency_loss("classification", moved, target)
    torch.testing.assert_close(both, (kl(p[0], q[0]) + kl(p[1], q[1])) / 2)
    # the second text is not sure enough, and still counts in the mean
    sure = consistency_loss("classification", moved, target, least=0.6)
    torch.testing.assert_close(sure, kl(p[0], q[0]) / 2)
    sharp = consistency_loss("classification", moved, target, 0.5, 0.6)
    torch.testing.assert_close(sharp, kl((2 * target).softmax(-1)[0], q[0]) / 2)
    assert consistency_loss("classification", moved, target, least=0.99) == 0
    torch.testing.assert_close(consistency_loss("regression", moved[:, 0], target[:, 0]), torch.tensor(0.505))


def test_mixup_by_hand(data, tiny_encoder):
    module = data()
    model = FullFineTuning(module.spec, tiny_encoder, steady=Steady(mixup=0.4)).eval()
    batch = next(iter(module.train_dataloader()))
    torch.manual_seed(5)
    loss = model.steady_loss(batch)
    torch.manual_seed(5)
    share = torch.distributions.Beta(0.4, 0.4).sample().item()
    order = torch.randperm(4)
    vectors = model.represent(batch)[0]
    logits = model.head(share * vectors + (1 - share) * vectors[order], None).log_softmax(-1)
    own, other = (-logits.gather(1, labels[:, None]).mean() for labels in (batch.labels, batch.labels[order]))
    torch.testing.assert_close(loss, share * own + (1 - share) * other)


@pytest.fixture
def pool(tmp_path):
    """A file of six unlabelled texts."""
    path = tmp_path / "pool.jsonl"
    lines = [
        f"my {word} was by the {word} yesterday and they said it" for word in ("he", "she", "we", "you", "on", "of")
    ]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    return Unlabelled(str(path), batch_size=4)


def test_unlabelled_batches_are_a_function_of_their_number(data, pool):
    module = data(unlabelled=pool, augment=Augment(("swap",), copies=2))
    texts, copies = zip(*(module.unlabelled_batch(number) for number in range(3)), strict=True)
    seen = [row for batch in texts for row in batch.index.tolist()]
    # two passes through six texts
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))
    behind = [row for batch in copies for row in batch.index.tolist()]
    assert behind == [row + 6 for row in seen[:6]] + [row + 12 for row in seen[6:]]
    again = data(unlabelled=pool, augment=Augment(("swap",), copies=2)).unlabelled_batch(2)[0]
    assert again.index.tolist() == texts[2].index.tolist()
    assert texts[0].labels is None
    counts = [sorted(batch.input_ids[row].unique().tolist()) for batch in (texts[0], copies[0]) for row in range(4)]
    assert counts[:4] == counts[4:]


@pytest.mark.parametrize("kind", ["classification", "regression", "multilabel"])
def test_consistency_is_a_term_of_the_loss(kind, data, tiny_encoder, pool, fit):
    module = data(kind, unlabelled=pool, augment=Augment(("swap",), copies=0))
    torch.manual_seed(2)
    model = FullFineTuning(module.spec, tiny_encoder, HeadConfig(dropout=0.0), steady=Steady(consistency=3.0))
    model.take_unlabelled(module)
    model.eval()
    texts, copies = module.unlabelled_batch(1)
    expected = 3 * consistency_loss(kind, logits_of(model, copies), logits_of(model, texts))
    assert expected > 0
    torch.testing.assert_close(model.unlabelled_loss(texts, copies), expected)
    trainer = fit(model, module)
    assert trainer.global_step == 4


def test_a_run_with_consistency_resumes_to_the_bit(data, tiny_encoder, pool, fit, tmp_path):
    def train(**options):
        torch.manual_seed(2)
        module = data(unlabelled=pool, augment=Augment(("swap",)))
        module.setup("fit")
        none = HeadConfig(dropout=0.0)
        encoder = replace(tiny_encoder, dropout=0.0, attention_dropout=0.0)
        module.encoder = encoder
        constant = Schedule("constant", 0.0)
        model = FullFineTuning(module.spec, encoder, none, schedule=constant, steady=Steady(consistency=1.0))
        model.take_unlabelled(module)
        path = options.pop("ckpt_path", None)
        trainer = fit(model, module, max_epochs=2, limit_train_batches=3, **options) if path is None else None
        if path:
            trainer = L.Trainer(
                accelerator="cpu",
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
                max_epochs=2,
                limit_train_batches=3,
                limit_val_batches=1,
                default_root_dir=tmp_path,
            )
            trainer.fit(model, module, ckpt_path=path)
        return model, trainer

    whole, _ = train()
    _, cut = train(max_steps=3)
    cut.save_checkpoint(tmp_path / "cut.ckpt")
    resumed, _ = train(ckpt_path=tmp_path / "cut.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_texts_that_nothing_reads_and_terms_without_texts(data, tiny_encoder, pool):
    def take(module, **options):
        FullFineTuning(module.spec, tiny_encoder, **options).take_unlabelled(module)

    with pytest.raises(TransferlabError, match=r"data.unlabelled: nothing reads these texts"):
        take(data(unlabelled=pool))
    for module in (data(), data(unlabelled=pool)):
        with pytest.raises(TransferlabError, match=r"model.steady.consistency: it compares unlabelled texts with"):
            take(module, steady=Steady(consistency=1.0))
    model = FullFineTuning(data().spec, tiny_encoder, steady=Steady(consistency=1.0))
    with pytest.raises(TransferlabError, match="unlabelled texts are missing"):
        model._unlabelled_batch(0)


@pytest.mark.parametrize(
    ("kind", "on", "message"),
    [
        ("tagging", {"mixup": 0.2}, "model.steady.mixup: the head reads tokens"),
        ("tagging", {"consistency": 1.0}, "model.steady.consistency: a copy moves the words"),
        ("regression", {"consistency": 1.0, "consistency_least": 0.5}, "no most probable class"),
        ("regression", {"consistency": 1.0, "consistency_temperature": 0.5}, "no distribution"),
        ("multilabel", {"consistency": 1.0, "consistency_least": 0.5}, "no most probable class"),
    ],
)
def test_regularisers_that_a_kind_cannot_have(kind, on, message, data, tiny_encoder):
    with pytest.raises(TransferlabError, match=message):
        FullFineTuning(data(kind).spec, tiny_encoder, steady=Steady(**on)).check_steady()


def test_options_alone_are_idle():
    idle = Steady(consistency_least=0.5, consistency_temperature=0.4).idle
    assert set(idle) == {"model.steady.consistency_least", "model.steady.consistency_temperature"}
    with pytest.raises(TransferlabError, match="r_drop and mixup exclude each other"):
        Steady(mixup=0.2, r_drop=1.0)


def test_the_command_has_copies_and_consistency(files, tiny_folder, pool, tmp_path, monkeypatch):
    from transferlab.cli.train import TransferCLI

    monkeypatch.chdir(tmp_path)
    source = files["classification"]
    init = {"task": "tiny", "source": {"files": source.files, "labels": list(source.labels), "test": ["test"]}}
    init |= {"batch_size": 8, "max_length": 32, "augment": {"copies": 1}, "unlabelled": {"file": pool.file}}
    tree = {
        "encoder": {"name": str(tiny_folder), "architecture": "bilstm", "lstm_size": 4},
        "run": {"experiment": "e"},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": init},
        "model": {
            "class_path": "transferlab.strategies.FromScratch",
            "init_args": {"steady": {"consistency": 1.0, "mixup": 0.4}},
        },
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 1, "logger": False},
    }
    Path("e.yaml").write_text(json.dumps(tree), encoding="utf-8")
    TransferCLI(["fit", "--config", "e.yaml"])
    (folder,) = Path("runs/e").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert "copies of 36 training examples" in summary["data"]["notes"][0]
    assert "6 unlabelled texts" in summary["data"]["notes"][1]
    assert summary["data"]["train_examples"] == 36


DATA = os.environ.get("TRANSFERLAB_DATA", "")


@pytest.mark.slow
@pytest.mark.skipif(not (DATA and Path(DATA, "imdb").is_dir()), reason="TRANSFERLAB_DATA names no folder with IMDB")
def test_texts_of_imdb_that_stand_in_its_unlabelled_split(monkeypatch):
    monkeypatch.setenv("TRANSFERLAB_DATA", DATA)
    module = TaskDataModule("imdb", train_examples=100, unlabelled=Unlabelled(split="unsupervised"))
    read = module.rows(UNLABELLED)
    counts = re.findall(r"([\d,]+) that equal (a test|a training|a validation|another) text", read.notes[0])
    found = {what: int(count.replace(",", "")) for count, what in counts}
    assert found["a test"] == 266
    # those that are held out are training texts of IMDB too
    assert found["a training"] + found["a validation"] == 354
    # texts that stand in the split twice
    assert found["another"] == 493
    assert len(read.rows) + sum(found.values()) == 50000
    assert not keys(module, UNLABELLED) & (keys(module, "test") | keys(module, "train"))

"""Tagging from files to scores: predictions in the user's scheme, and tags that mark no entities."""

import json

import pytest
import seqeval.metrics
import seqeval.scheme
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from test_record import lines_of, record

from transferlab.analysis.comparison.outcomes import outcomes
from transferlab.analysis.page.document import page
from transferlab.baselines.methods import Majority, TokenMajority
from transferlab.baselines.rows import evaluate, read_parts
from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import Head, HeadConfig
from transferlab.learning.metrics import build_metrics
from transferlab.strategies import FullFineTuning
from transferlab.tasks import Source, TaskDataModule, TaskSpec
from transferlab.tasks.kinds import SUMS
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.spec import written_tags

POS = TaskSpec("pos", "tagging", ("DET", "NOUN", "VERB", "X"), ("accuracy", "f1_macro"), scheme=Scheme("tags"))
SENTENCES = (
    ("the dog saw new york", "O B-ANIMAL O B-PLACE I-PLACE"),
    ("rome paris and it", "B-PLACE B-PLACE O O"),
    ("it was polar bear dog", "O O B-ANIMAL I-ANIMAL B-ANIMAL"),
    ("they said it", "O O O"),
)
SCHEMES = {
    "IOB1": (Scheme("IOB1"), seqeval.scheme.IOB2),
    "BIOES": (Scheme("BIOES"), seqeval.scheme.IOBES),
    "BILOU": (Scheme("BILOU", letters="BILU"), seqeval.scheme.BILOU),
    "small letters, suffixes": (Scheme("IOB2", letters="bies", separator="_", suffix=True), None),
    "plain types, 0 for O": (Scheme("IO", "0", separator=""), None),
}


def written(path, pairs):
    blocks = ["\n".join(f"{word}\t{tag}" for word, tag in zip(*pair, strict=True)) for pair in pairs]
    path.write_text("\n\n".join(blocks) + "\n")
    return str(path)


def module_of(tmp_path, encoder, train, test, **options):
    files = {"train": written(tmp_path / "train.bio", train), "test": written(tmp_path / "test.bio", test)}
    source = Source(files=files, kind="tagging", text=("tokens",), label="tags")
    data = TaskDataModule("own", encoder, source=source, **{"max_length": 32, "batch_size": 2, **options})
    data.setup("fit")
    return data


@pytest.mark.parametrize("name", SCHEMES)
def test_predictions_are_written_and_scored_in_the_scheme_of_the_user(name, tmp_path, tiny_encoder) -> None:
    scheme, definition = SCHEMES[name]
    pairs = [(text.split(), scheme.write(tags.split())) for text, tags in SENTENCES]
    # a copy of each sentence trains, whichever is held out
    data = module_of(tmp_path, tiny_encoder, 3 * pairs, pairs, holdout_by="example")
    torch.manual_seed(3)
    model = FullFineTuning(data.spec, tiny_encoder)
    # a head that predicts many tags
    torch.nn.init.normal_(model.head.out.weight)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    summary = record(tmp_path / "run", model, data)
    model.load_state_dict(before)
    lines = lines_of(tmp_path / "run", "test")
    assert [line["label"] for line in lines] == [tags for _, tags in pairs]
    # an independent count of what stands in the file
    plain = {key: [" ".join(line[key]) for line in lines] for key in ("label", "prediction")}
    gold, found = ([scheme.read(text.split()) for text in plain[key]] for key in ("label", "prediction"))
    expected = seqeval.metrics.f1_score(gold, found)
    assert summary["metrics"]["test/f1"] == pytest.approx(expected, abs=1e-6)
    if definition is not None and scheme.strict:
        raw = [[line[key] for line in lines] for key in ("label", "prediction")]
        strict = seqeval.metrics.f1_score(*raw, mode="strict", scheme=definition)
        assert summary["metrics"]["test/f1"] == pytest.approx(strict, abs=1e-6)
    if name == "IOB1":
        # the default mode of seqeval is conlleval's
        raw = [[line[key] for line in lines] for key in ("label", "prediction")]
        assert summary["metrics"]["test/f1"] == pytest.approx(seqeval.metrics.f1_score(*raw), abs=1e-6)
    assert summary["per_class"]["PLACE"]["support"] == (2 if scheme.name == "IO" else 3)
    assert len(lines[1]["seen"]) == (1 if scheme.name == "IO" else 2)
    assert all(all(line["seen"]) for line in lines)
    # what compare counts again from the file
    counted = outcomes({**summary, "folder": str(tmp_path / "run")})
    assert counted is not None
    assert SUMS["tagging", "f1"](counted.counts.sum(0)) == pytest.approx(expected)


def test_what_io_cannot_part_is_counted_as_it_is_written() -> None:
    task = TaskSpec("own", "tagging", ("O", "B-X", "I-X"), ("f1",), scheme=Scheme("IO", separator=""))
    metrics = build_metrics(task)
    metrics.update(torch.tensor([[1, 1, 0]]), torch.tensor([[1, 2, 0]]))
    assert metrics.compute()["f1"] == 1
    assert written_tags(task, [1, 1, 0]) == ["X", "X", "O"]


# tags that mark no entities -------------------------------------------------------------------------------------------


def test_accuracy_and_macro_f1_of_tags_equal_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    # the last tag occurs in neither and does not count
    gold = torch.randint(0, 3, (6, 9), generator=generator)
    found = torch.randint(0, 3, (6, 9), generator=generator)
    metrics = build_metrics(POS)
    masked = gold.clone()
    masked[:, 7:] = -100
    for rows in (slice(0, 2), slice(2, 6)):
        metrics.update(found[rows], masked[rows])
    values = metrics.compute()
    flat = gold[:, :7].flatten(), found[:, :7].flatten()
    assert values["accuracy"] == pytest.approx(accuracy_score(*flat))
    assert values["f1_macro"] == pytest.approx(f1_score(*flat, average="macro"))


def test_a_word_that_was_not_read_is_a_wrong_one() -> None:
    metrics = build_metrics(POS)
    metrics.update(torch.tensor([[0, -1, 1]]), torch.tensor([[0, 0, 1]]))
    values = metrics.compute()
    assert values["accuracy"] == pytest.approx(2 / 3)
    assert values["f1_macro"] == pytest.approx((2 / 3 + 1) / 2)
    assert written_tags(POS, [0, -1, 1]) == ["DET", "_", "NOUN"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (POS._replace(metrics=("f1",)), "no metric 'f1' for tags that mark no entities; known: accuracy, f1_macro"),
        (
            TaskSpec("ner", "tagging", ("O", "B-X"), ("accuracy",)),
            "no metric 'accuracy' for tags of entities; known: f1, precision, recall",
        ),
    ],
)
def test_metrics_of_the_other_sort_of_tags_are_refused(task, message) -> None:
    with pytest.raises(TransferlabError, match=message):
        build_metrics(task)


def test_tags_without_transitions_are_not_decoded_by_them() -> None:
    with pytest.raises(TransferlabError, match=r"model\.head\.decoding: constrained .* use argmax"):
        Head(HeadConfig(decoding="constrained"), 4, POS)
    assert Head(HeadConfig(), 4, POS).out.out_features == 4


SAID = {"the": "DET", "a": "DET", "dog": "NOUN", "york": "NOUN", "it": "PRON", "saw": "VERB", "said": "VERB"}
TEXTS = ("the dog saw it", "it said a dog", "a dog saw york", "the york said it")


@pytest.fixture
def pos(tmp_path, tiny_encoder):
    pairs = [(text.split(), [SAID[word] for word in text.split()]) for text in TEXTS]
    # "rare" words of the test, one of them with a tag that training has not, and a sentence that is cut
    long = (["dog"] * 40, ["NOUN"] * 40)
    return module_of(tmp_path, tiny_encoder, 4 * pairs, [*pairs, (["they", "dog"], ["X", "NOUN"]), long])


def test_a_run_on_parts_of_speech(pos, tiny_encoder, tmp_path) -> None:
    model = FullFineTuning(pos.spec, tiny_encoder)
    summary = record(tmp_path / "run", model, pos)
    lines = lines_of(tmp_path / "run", "test")
    flat = [[tag for line in lines for tag in line[key]] for key in ("label", "prediction")]
    assert summary["primary"] == "accuracy"
    assert summary["scheme"] == list(Scheme("tags"))
    assert summary["metrics"]["test/accuracy"] == pytest.approx(accuracy_score(*flat))
    labels = list(pos.spec.labels)
    assert labels == ["DET", "NOUN", "PRON", "VERB", "X"]
    occurring = [tag for tag in labels if tag in flat[0] or tag in flat[1]]
    macro = f1_score(*flat, average="macro", labels=occurring, zero_division=0)
    assert summary["metrics"]["test/f1_macro"] == pytest.approx(macro)
    columns = precision_recall_fscore_support(*flat, labels=labels, zero_division=0)
    for number, tag in enumerate(labels):
        row = [summary["per_class"][tag][key] for key in ("precision", "recall", "f1", "support")]
        assert row == pytest.approx([column[number] for column in columns])
    # 30 pieces fit, the other words have no answer
    cut = next(line for line in lines if len(line["label"]) == 40)
    assert cut["prediction"][30:] == ["_"] * 10
    assert all("seen" not in line and "words" in line for line in lines)
    for metric in ("accuracy", "f1_macro"):
        counted = outcomes({**summary, "folder": str(tmp_path / "run"), "primary": metric})
        assert counted is not None
    run = json.loads((tmp_path / "run" / "summary.json").read_text()) | {"folder": str(tmp_path / "run")}
    html = str(page([run], tmp_path))
    assert "confusion of" in html
    assert "Errors of entities" not in html


def test_baselines_on_parts_of_speech(pos) -> None:
    parts = read_parts(pos)
    values = {}
    for method in (Majority, TokenMajority):
        baseline = method(pos.spec, 0)
        baseline.fit(parts.train, parts.validation)
        values[method] = evaluate(pos.spec, baseline.predict(parts.tests[0]), parts.tests[0].labels)
    # 58 words: the commonest tag of training is NOUN, 5 of 16 words, or one of equals with fewer in the test
    gold = [pos.spec.labels[n] for n in parts.tests[0].labels.flatten().tolist() if n >= 0]
    commonest = max(pos.spec.labels, key=lambda tag: [SAID[w] for text in TEXTS for w in text.split()].count(tag))
    assert values[Majority]["accuracy"] == pytest.approx(gold.count(commonest) / 58)
    # the word of the unseen tag alone is wrong
    assert values[TokenMajority]["accuracy"] == pytest.approx(57 / 58)

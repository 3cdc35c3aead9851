"""Answers in texts: how they are read and checked, cut into windows, learned, found and scored."""

import json
import re
import string
from collections import Counter

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.conftest import build_tokenizer
from tests.test_words import bytes_of
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.kinds import KINDS as LEARNED
from transferlab.learning.kinds.qa import decide
from transferlab.learning.losses import distillation_loss, example_losses, task_loss
from transferlab.strategies import FeatureExtraction, FullFineTuning
from transferlab.tasks import Source, TaskDataModule, TaskSpec, encoded, squad
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.ceiling import in_words
from transferlab.tasks.encoded import Growing
from transferlab.tasks.kinds import KINDS, SUMS
from transferlab.tasks.kinds.qa import answer_of
from transferlab.tasks.questions import Asked, encode, reader_of
from transferlab.tasks.sources import read_split
from transferlab.tasks.spans import Span, Spans, best_threshold
from transferlab.tasks.windows import Layout, check_room, frame_of, pieces, places, tokens_of

CONTEXT = "Ada met Charles in London. They built an engine of brass, and Ada wrote for it."
ROWS = [
    {"id": "a", "question": "Who met Charles?", "context": CONTEXT, "answers": [{"text": "Ada", "answer_start": 0}]},
    {
        "id": "b",
        "question": "Where?",
        "context": CONTEXT,
        "answers": [{"text": "London", "answer_start": 19}, {"text": "in London", "answer_start": 16}],
    },
    {"id": "c", "question": "Who paid?", "context": CONTEXT, "answers": []},
]
TASK = TaskSpec("facts", "qa", (), ("f1", "exact_match"))


# scores, against the published description --------------------------------------------------------------------------


def reference(text):
    """The official order: lower case, punctuation, articles, blanks."""
    text = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def reference_f1(answer, gold):
    found, wanted = reference(answer).split(), reference(gold).split()
    shared = sum((Counter(found) & Counter(wanted)).values())
    if not found or not wanted:
        return float(found == wanted)
    if not shared:
        return 0.0
    precision, recall = shared / len(found), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def test_scores_equal_the_official_ones_on_random_texts():
    generator = np.random.default_rng(0)
    words = [
        "the",
        "The",
        "a",
        "an",
        "cat",
        "Cat's",
        "cat",
        "mat,",
        "(mat)",
        "U.S.",
        "theatre",
        "-",
        "1,000",
        "é",
        "A-",
    ]
    for _ in range(2000):
        one, *golds = (" ".join(generator.choice(words, generator.integers(0, 5))) for _ in range(3))
        # version 2.0 passes over what is nothing but articles and punctuation
        wanted = [gold for gold in golds if reference(gold)] or [""]
        exact = max(float(reference(one) == reference(gold)) for gold in wanted)
        assert squad.scores(one, golds) == (exact, pytest.approx(max(reference_f1(one, gold) for gold in wanted)))


def test_scores_by_hand():
    assert squad.scores("the Cat!", ["cat"]) == (1.0, 1.0)
    assert squad.scores("black cat", ["a cat", "dog"]) == (0.0, pytest.approx(2 / 3))
    assert squad.scores("", []) == (1.0, 1.0)
    assert squad.scores("cat", []) == squad.scores("", ["cat"]) == (0.0, 0.0)
    # a word counts as often as both have it
    assert squad.f1("cat cat cat", "cat") == pytest.approx(0.5)


def test_chinese_is_scored_by_character():
    assert squad.f1("北京市", "北京") == pytest.approx(2 * 2 / 5)
    assert squad.scores("《北京》。", ["北京"]) == (1.0, 1.0)
    assert squad.f1("1月 2日", "1月2日") == 1.0
    assert squad.words_of("in 2008年 Tokyo") == ("in", "2008", "年", "tokyo")


# reading ------------------------------------------------------------------------------------------------------------


def read(path, text=None, **keys):
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return read_split(Source(files={"train": str(path)}, kind="qa", **keys), "train")


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def texts(rows, label="answers"):
    return [[(one["text"], one["answer_start"]) for one in cell] for cell in rows.rows[label][:]]


WANTED = [[("Ada", 0)], [("London", 19), ("in London", 16)], []]


def nested():
    asked = [{key: row[key] for key in ("id", "question", "answers")} for row in ROWS]
    asked[2]["is_impossible"] = True
    return {"version": "v2.0", "data": [{"title": "Ada", "paragraphs": [{"context": CONTEXT, "qas": asked}]}]}


def test_every_form_is_read_alike(tmp_path):
    listed = [
        row | {"answers": {k: [one[k] for one in row["answers"]] for k in ("text", "answer_start")}} for row in ROWS
    ]
    forms = {
        "flat.jsonl": lines(ROWS),
        "hub.jsonl": lines(listed),
        "squad.json": json.dumps(nested()),
        "cells.csv": "id,question,context,answers\n"
        + "".join(
            f'{r["id"]},{r["question"]},"{CONTEXT}","{json.dumps(r["answers"])}"\n'.replace('"text"', '""text""')
            .replace('"answer_start"', '""answer_start""')
            .replace(': "', ': ""')
            .replace('", ""', '"", ""')
            for r in ROWS
        ),
    }
    for name, text in forms.items():
        assert texts(read(tmp_path / name, text)) == WANTED, name
    rows = read(tmp_path / "squad.json").rows
    assert set(rows["title"][:]) == {"Ada"}
    assert rows["id"][:] == ["a", "b", "c"]


def test_one_answer_a_row_of_a_table(tmp_path):
    text = f'question,context,answer,answer_start\nWho?,"{CONTEXT}",Ada,0\nWho paid?,"{CONTEXT}",,\n'
    rows = read(tmp_path / "train.csv", text)
    assert texts(rows) == [[("Ada", 0)], []]
    assert "answer" not in rows.rows.column_names


def test_parquet_of_the_hub(tmp_path):
    from datasets import Dataset

    cells = [
        {"text": [one["text"] for one in r["answers"]], "answer_start": [one["answer_start"] for one in r["answers"]]}
        for r in ROWS
    ]
    columns = {key: [row[key] for row in ROWS] for key in ("id", "question", "context")}
    Dataset.from_dict(columns | {"answers": cells}).to_parquet(tmp_path / "train.parquet")
    assert texts(read(tmp_path / "train.parquet")) == WANTED


def test_blanks_around_answers_are_left_out_and_counted(tmp_path):
    rows = read(tmp_path / "a.jsonl", lines([ROWS[0] | {"answers": [{"text": " Charles ", "answer_start": 7}]}]))
    assert texts(rows) == [[("Charles", 8)]]
    assert rows.notes == ("blanks around 1 answers were left out",)


def answers(text, start):
    return {"answers": [{"text": text, "answer_start": start}]}


REFUSED = {
    "not there": (answers("London", 20), r"line 2 \(id b\): the answer 'London' is not what stands at character 20"),
    "proposed": (answers("London", 20), r"it stands at 19: set answer_start to that, or mend"),
    "the nearest": (answers("Ada", 60), r"it stands at 62"),
    "nowhere": (answers("Rome", 3), r"it stands nowhere in the context, or mend"),
    "like another": (answers("ADA  met", 3), r"nowhere in the context; 'Ada met' at 0 is like it: copy that, or mend"),
    "outside": (answers("London", 900), r"would stand at character 900, outside of the context, which has 79"),
    "before": (answers("Ada", -1), r"would stand at character -1"),
    "empty": (answers(" ", 3), r"an answer is empty; a question without an answer has an empty list"),
    "no place": ({"answers": ["Ada"]}, r"line 2 .*answers are a list of \{\"text\": ..., \"answer_start\": ...\}"),
    "half": ({"answers": [{"text": "Ada"}]}, r"has a text and a whole number answer_start, not 'Ada' and None"),
    "text alone": ({"answers": "Ada"}, r"'Ada' does not say where it begins; give a column 'answer_start'"),
    "twice": ({"id": "a"}, r"line 2: the id 'a' stands in line 1 already; give each question one of its own"),
    "no context": ({"context": " "}, r"line 2 \(id b\): the context \(column 'context'\) is empty; leave the row out"),
    "no question": ({"question": ""}, r"the question \(column 'question'\) is empty"),
    "impossible": ({"is_impossible": True}, r"is_impossible says that there is no answer, but there is 'London'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_file_row_and_remedy(tmp_path, name):
    change, message = REFUSED[name]
    with pytest.raises(TransferlabError, match=message) as caught:
        read(tmp_path / "train.jsonl", lines([ROWS[0], ROWS[1] | change]))
    assert str(tmp_path / "train.jsonl") in str(caught.value)
    assert "\n" not in str(caught.value)


NESTED = {
    "no questions": ([{"context": CONTEXT, "qas": None}], r'article 1 \(Bo\): "qas" is a list of questions, not None'),
    "a text": ([{"context": CONTEXT, "qas": ["Who?"]}], r'a question has "question" and "answers", not \'Who\?\''),
    "no paragraphs": (None, r'has a list of "paragraphs", not None'),
    "no context": ([{"qas": []}], r'a paragraph of SQuAD\'s form has "context" and "qas"'),
}


@pytest.mark.parametrize("name", NESTED)
def test_a_nested_file_of_another_form_is_refused_with_file_and_article(tmp_path, name):
    paragraphs, message = NESTED[name]
    article = {"title": "Bo"} | ({} if paragraphs is None else {"paragraphs": paragraphs})
    with pytest.raises(TransferlabError, match=message) as caught:
        read(tmp_path / "train.json", json.dumps({"data": [*nested()["data"], article]}))
    assert str(tmp_path / "train.json") in str(caught.value)


def test_a_place_without_an_answer_is_refused(tmp_path):
    head = "question,context,answer,answer_start\n"
    with pytest.raises(
        TransferlabError, match=r"line 2: there is no answer, but answer_start is 3; fill in the answer"
    ):
        read(tmp_path / "train.csv", f"{head}Who?,Ada met Bo,,3\n")
    # what tables fill a column of numbers with
    assert texts(read(tmp_path / "other.csv", f"{head}Who?,Ada met Bo,,0\nWho?,Ada met Bo,,-1\n")) == [[], []]


# windows ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wordpieces(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(("length", "stride"), [(40, 10), (64, 0), (33, 5), (500, 100)])
def test_windows_are_those_of_the_library(wordpieces, length, stride):
    frame, question = frame_of(wordpieces), "Who met Charles?"
    ids = [wordpieces(text, add_special_tokens=False)["input_ids"] for text in (question, CONTEXT)]
    own = pieces(*ids, frame, Layout(length, stride))
    library = wordpieces(
        question, CONTEXT, truncation="only_second", max_length=length, stride=stride, return_overflowing_tokens=True
    )
    assert [piece.ids for piece in own] == library["input_ids"]
    assert [piece.types for piece in own] == library["token_type_ids"]
    # every token of the context is in a window, and the question in each
    assert set().union(*(range(p.first, p.first + p.length) for p in own)) == set(range(len(ids[1])))
    assert all(piece.words[0] == 0 and piece.ids[1 : 1 + len(ids[0])] == ids[0] for piece in own)


def test_a_question_without_room(wordpieces):
    frame = frame_of(wordpieces)
    place = "questions.csv, line {}".format
    with pytest.raises(TransferlabError, match=r"csv, line 1: the question has 60 tokens, which leaves 1 of 64"):
        check_room([3, 60], frame, Layout(64), place)
    with pytest.raises(TransferlabError, match=r"leaves 41 of 64 .* data\.stride 60 of them.* to 33 or less"):
        check_room([20], frame, Layout(64, 60), place)
    check_room([20], frame, Layout(64, 33), place)


def byte_level():
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=bytes_of(["<|end|>"])[2], pad_token="<|end|>", eos_token="<|end|>")


@pytest.mark.parametrize(
    "text", [CONTEXT, "  It cost\n\n2024 £, said Zoë — in 北京 and İstanbul .", "the mat ,it  sat"]
)
def test_answers_come_back_from_tokens(wordpieces, text):
    for tokenizer in (wordpieces, byte_level()):
        encoded = tokenizer(text, add_special_tokens=False).encodings[0]
        spots = places(encoded.offsets, text)
        for match in re.finditer(r"\S+", text):
            found = tokens_of(spots, *match.span())
            assert found is not None
            start, end = spots[found[0], 0], spots[found[1], 1]
            assert text[start:end] == match.group(), (match.group(), type(tokenizer))


def split_of(tokenizer, rows=ROWS, length=40, stride=10, **options):
    asked = Asked([r["question"] for r in rows], [r["context"] for r in rows], [r["answers"] for r in rows])
    return encode(asked, reader_of(tokenizer), Layout(length, stride), **options)


def test_labels_mark_the_answer_in_each_window(wordpieces):
    split = split_of(wordpieces)
    for row, (wanted, golds) in enumerate(zip(ROWS, WANTED, strict=True)):
        spots, labels = split.spots.row(row).reshape(-1, 2), split.labels.row(row)
        segments = np.searchsorted(np.cumsum(split.windows.row(row)), split.words.row(row), side="right")
        assert (labels // 4 == segments).all()
        for window in np.unique(segments):
            inside, flags = spots[segments == window], labels[segments == window] % 4
            assert (flags & 1).sum() == (flags >> 1).sum() == 1
            start, end = inside[(flags & 1) > 0][0, 0], inside[flags >= 2][0, 1]
            read = [wanted["context"][start:end]] if start >= 0 else [""]
            assert read[0] in [text for text, _ in golds] or read == [""]
    seen = split.facts["questions"]
    assert (seen["questions"], seen["answered"], seen["reached"]) == (3, 2, 2)
    assert seen["with_answer"] + seen["without"] == seen["windows"] == len(split.windows.values)
    told = in_words(seen, 30)
    assert told["ceiling"].startswith("EM 100.0")
    assert "1 questions have no answer" in told["windows"]
    assert "2 have more than 1 tokens" in in_words(seen | {"lengths": {"2": 2}}, 1)["ceiling"]


def test_negative_windows_are_limited(wordpieces):
    whole, limited = split_of(wordpieces), split_of(wordpieces, negatives=0)
    for row in range(3):
        trained = limited.labels.row(row) != IGNORE
        firsts = (limited.labels.row(row)[trained] % 2 == 1).sum()
        # without an answer one window is kept
        assert firsts == 1 or row < 2
        assert firsts < len(whole.windows.row(row))
    assert limited.facts["questions"]["dropped"] > 0
    assert "are left out (data.negative_windows)" in in_words(limited.facts["questions"], 30)["windows"]
    assert (split_of(wordpieces, negatives=0).labels.values == limited.labels.values).all()


def test_questions_none_of_which_has_an_answer_are_tokenised(wordpieces):
    split = split_of(wordpieces, [row | {"answers": []} for row in ROWS])
    assert split.golds.lengths.tolist() == [0, 0, 0]
    assert split.facts["questions"]["answered"] == 0


def test_rows_that_grow_are_held_once_and_keep_their_numbers():
    growing = Growing()
    for row in ([1, 2], [], np.array([3], dtype=np.int64)):
        growing.add(row)
    assert [growing.ragged().row(number).tolist() for number in range(3)] == [[1, 2], [], [3]]
    assert growing.ragged().values.dtype == np.int32
    text = Growing("B")
    text.add("né".encode())
    assert text.ragged().row(0).tobytes().decode() == "né"
    assert len(Growing().ragged().values) == 0


def test_what_is_too_long_for_memory_is_written_to_a_file(wordpieces, monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path / "cache"))
    expected = split_of(wordpieces)
    monkeypatch.setattr(encoded, "HELD", 8)
    found = split_of(wordpieces)
    assert isinstance(found.ids.values, np.memmap)
    for name in ("ids", "words", "windows", "labels", "spots", "golds", "texts"):
        one, other = getattr(expected, name), getattr(found, name)
        assert one.values.tolist() == other.values.tolist()
        assert one.offsets.tolist() == other.offsets.tolist()
    assert not list((tmp_path / "cache").iterdir())  # the files have no names, so a killed process leaves none


def test_an_answer_without_a_token_is_told(wordpieces):
    context = "Ada said \u200b in London."
    rows = [{"question": "What?", "context": context, "answers": [{"text": "\u200b", "answer_start": 9}]}]
    split = split_of(wordpieces, rows)
    seen = split.facts["questions"]
    assert (seen["answered"], seen["reached"]) == (1, 0)
    assert "not, for example" in in_words(seen, 30)["ceiling"]
    # no window teaches that there is no answer
    assert (split.labels.values == IGNORE).all()


# learning -----------------------------------------------------------------------------------------------------------


def batch_of(tokenizer, **options):
    split = split_of(tokenizer, **options)
    return split, split.collate([0, 1, 2])


def by_window(logits, batch):
    """Logits and positions of each window, one by one."""
    for row in range(len(logits)):
        labels = batch.labels[row]
        for window in batch.passages.segments[row][batch.word_mask[row]].unique():
            mine = batch.word_mask[row] & (batch.passages.segments[row] == window)
            yield row, logits[row][mine], labels[mine]


def test_the_loss_is_the_mean_over_windows(wordpieces):
    _, batch = batch_of(wordpieces)
    logits = torch.randn(*batch.labels.shape, 2, requires_grad=True)
    losses = []
    for row, own, labels in by_window(logits, batch):
        start, end = (labels % 2 == 1).nonzero().item(), (labels % 4 >= 2).nonzero().item()
        both = F.cross_entropy(own[None, :, 0], torch.tensor([start])) + F.cross_entropy(
            own[None, :, 1], torch.tensor([end])
        )
        losses.append((row, both / 2))
    loss = task_loss("qa", logits, batch.labels)
    torch.testing.assert_close(loss, torch.stack([one for _, one in losses]).mean())
    wanted = [torch.stack([one for r, one in losses if r == row]).mean() for row in range(3)]
    torch.testing.assert_close(example_losses("qa", logits, batch.labels), torch.stack(wanted))
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~batch.word_mask] == 0).all()


def test_windows_that_are_not_trained_on_enter_no_loss(wordpieces):
    _, batch = batch_of(wordpieces, negatives=0)
    logits = torch.randn(*batch.labels.shape, 2)
    other = torch.where((batch.labels == IGNORE).unsqueeze(-1), 99.0, logits)
    torch.testing.assert_close(task_loss("qa", logits, batch.labels), task_loss("qa", other, batch.labels))
    nothing = torch.full_like(batch.labels, IGNORE)
    logits.requires_grad_()
    loss = task_loss("qa", logits, nothing)
    loss.backward()
    assert loss == 0
    assert torch.isfinite(logits.grad).all()


def test_imitation_is_the_divergence_of_windows(wordpieces):
    _, batch = batch_of(wordpieces)
    student, teacher = torch.randn(2, *batch.labels.shape, 2)
    apart = [
        sum(
            F.kl_div((own[:, k] / 2).log_softmax(0), (other[:, k] / 2).log_softmax(0), log_target=True, reduction="sum")
            for k in (0, 1)
        )
        / 2
        for (_, own, _), (_, other, _) in zip(by_window(student, batch), by_window(teacher, batch), strict=True)
    ]
    loss = distillation_loss("qa", student, teacher, batch.labels, 0.0, 2.0)
    torch.testing.assert_close(loss, 4 * torch.stack(apart).mean())


# finding ------------------------------------------------------------------------------------------------------------


def brute(logits, spots, windows, longest):
    found = {}
    for i, (start, _) in enumerate(spots):
        for j in range(i, min(i + longest, len(spots))):
            if start < 0 or spots[j, 0] < 0 or windows[i] != windows[j] or spots[j, 1] <= start:
                continue
            key, score = (int(start), int(spots[j, 1])), logits[i, 0] + logits[j, 1]
            found[key] = max(score, found.get(key, -np.inf))
    return sorted(found.items(), key=lambda one: -one[1])


def test_best_spans_are_those_of_trying_all(wordpieces):
    split = split_of(wordpieces)
    batch = split.collate([0, 1, 2])
    logits = torch.randn(*batch.labels.shape, 2)
    for longest, best in ((30, 20), (3, 5), (1, 400)):
        found = decide(logits, batch.word_mask, batch.passages, longest, best)
        for row, one in enumerate(found.spans):
            real = batch.word_mask[row]
            own, spots = logits[row][real].double().numpy(), batch.passages.spots[row][real].numpy()
            segments = batch.passages.segments[row][real].numpy()
            wanted = brute(own, spots, segments, longest)[:best]
            assert [(s.start, s.end) for s in one.best] == [key for key, _ in wanted]
            assert [s.score for s in one.best] == pytest.approx([score for _, score in wanted])
            assert one.null == pytest.approx(own[spots[:, 0] < 0].sum(1).min())


def test_the_threshold_is_the_middle_of_the_best_interval():
    margins, scores = np.array([-3.0, -1.0, 1.0, 5.0]), np.array([1.0, 0.5, 0.0, 0.0])
    none = np.array([0.0, 0.0, 1.0, 1.0])
    assert best_threshold(margins, scores, none) == 0.0
    # ties stay on one side
    assert best_threshold(np.array([2.0, 2.0, 3.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 1.0])) == 2.5
    assert best_threshold(margins, scores, np.zeros(4)) == float("inf")
    generator = np.random.default_rng(0)
    for _ in range(50):
        margins, scores, none = (
            generator.normal(size=9).round(1),
            generator.random(9),
            generator.integers(0, 2, 9).astype(float),
        )
        none[0] = 1.0
        found = best_threshold(margins, scores, none)
        tried = [np.where(margins > t, none, scores).mean() for t in (*margins, margins.min() - 1)]
        assert np.where(margins > found, none, scores).mean() == pytest.approx(max(tried))


def test_what_a_record_says():
    spans = Spans([Span(0, 3, 2.0), Span(4, 7, 1.0)], null=2.5)
    told = answer_of(spans, CONTEXT, 1.0)
    assert (told["prediction"], told["start"], told["end"], told["margin"]) == ("Ada", 0, 3, 0.5)
    assert [one["text"] for one in told["n_best"]] == ["Ada", "met"]
    shares = torch.tensor([2.0, 1.0, 2.5]).softmax(0).tolist()
    assert [one["score"] for one in told["n_best"]] == pytest.approx(shares[:2], rel=1e-5)
    none = answer_of(spans, CONTEXT, 0.4)
    assert (none["prediction"], none["start"]) == ("", None)
    assert none["score"] == pytest.approx(shares[2], rel=1e-5)
    assert answer_of(Spans([], 0.0), CONTEXT, float("inf"))["prediction"] == ""


def test_counts_give_the_metrics_and_paragraphs_are_parts():
    kind = KINDS["qa"]
    found, gold = ["Ada", "Paris", ""], [["Ada"], ["London", "in Paris"], []]
    for metric, value in (("f1", (1 + 2 / 3 + 1) / 3), ("exact_match", 2 / 3)):
        assert SUMS["qa", metric](kind.counts(found, gold, metric, ()).sum(0)) == pytest.approx(value)
    lines = [
        {"prediction": p, "label": g, "n_best": [{"text": p}, {"text": "in Paris"}]}
        for p, g in zip(found, gold, strict=True)
    ]
    parts = kind.parts(lines)
    assert parts["has an answer"] == {"exact_match": 0.5, "f1": pytest.approx(5 / 6), "questions": 2}
    assert parts["has no answer"]["exact_match"] == 1.0
    assert parts["best of 2"]["exact_match"] == 1.0


# batches and runs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def facts(tmp_path, tiny_encoder):
    """A data module of eight short and long contexts."""

    def make(**options):
        rows = []
        for number, name in enumerate(["ada", "bob", "cid", "dan", "eva", "fay", "gus", "hal"]):
            context = (
                f"{name} was in the next room. "
                + "they said that it was by the mat. " * (number % 3 * 3)
                + f"my {name} is {number}."
            )
            asked = {"id": f"q{number}", "question": f"who is {number}?", "context": context}
            start = context.rindex(name)
            rows.append(asked | {"answers": [{"text": name, "answer_start": start}]})
            rows.append(asked | {"id": f"n{number}", "question": "who was it by?", "answers": []})
        path = tmp_path / "facts.jsonl"
        path.write_text(lines(rows))
        files = {name: str(path) for name in ("train", "validation", "test")}
        source = Source(files=files, kind="qa")
        settings = {"max_length": 40, "stride": 8, "batch_size": 4} | options
        return TaskDataModule("facts", tiny_encoder, source, **settings)

    return make


def test_packed_and_padded_logits_are_equal(facts, tiny_encoder):
    module = facts()
    model = FullFineTuning(module.spec, tiny_encoder).eval()
    split = module.encoded("train")
    padded, packed = split.collate([0, 5, 4]), split.pack([0, 5, 4])
    with torch.inference_mode():
        one, other = model(padded), model(packed)
    assert one.shape == (3, padded.words.shape[1], 2)
    torch.testing.assert_close(one[padded.word_mask], other[packed.word_mask], atol=1e-5, rtol=1e-4)
    # each question alone: no window sees another
    with torch.inference_mode():
        alone = model(split.collate([5]))
    torch.testing.assert_close(one[1, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-4)


def test_segments_of_pairs_follow_each_window(facts):
    split = facts().encoded("train")
    batch = split.collate([4])
    assert len(batch.input_ids) == len(split.windows.row(4)) > 1
    for ids, types, mask in zip(batch.input_ids, batch.token_type_ids, batch.attention_mask, strict=True):
        first = (ids == 3).nonzero()[0].item()
        assert types[: first + 1].sum() == 0
        assert (types[first + 1 :] == mask[first + 1 :]).all()


def test_a_run_fits_its_threshold_and_uses_it_everywhere(facts, tiny_encoder, fit):
    module = facts()
    model = FullFineTuning(module.spec, tiny_encoder)
    trainer = fit(model, module, max_epochs=2)
    threshold = float(model.thresholds[0])
    assert np.isfinite(threshold)
    values = trainer.test(model, module, verbose=False)[0]
    outputs = trainer.predict(model, module.test_dataloader()[0])
    records = [line for one in outputs for line in _lines(model.task, one)]
    golds = [[text for text, _ in cell] for cell in texts(module.rows("test"))]
    scores = [squad.scores(line["prediction"], golds[line["id"]]) for line in records]
    assert np.mean(scores, axis=0).tolist() == pytest.approx([values["test/exact_match"], values["test/f1"]])
    assert all((line["margin"] > np.float32(threshold)) == (line["prediction"] == "") for line in records)
    assert "thresholds" in model.kept()


def _lines(task, outputs):
    from transferlab.record import predictions

    return predictions.records(task, outputs, None)


def test_frozen_features_are_kept_for_the_tokens_that_may_end_an_answer(facts, tiny_encoder):
    module = facts()
    model = FeatureExtraction(module.spec, tiny_encoder)
    model.wrap_data(module)
    assert "features" in module.attached
    with_features = next(iter(module.val_dataloader()))
    rows = with_features.index.tolist()
    plain = module.encoded("validation").collate(rows)
    model.eval()
    with torch.inference_mode():
        one, other = model(with_features), model(plain)
    torch.testing.assert_close(one[plain.word_mask], other[plain.word_mask], atol=1e-2, rtol=1e-2)
    with pytest.raises(TransferlabError, match=r"model\.solver: lbfgs solves for classes"):
        FeatureExtraction(module.spec, tiny_encoder, solver="lbfgs")


def test_keys_of_other_kinds_are_refused(facts):
    with pytest.raises(TransferlabError, match=r"data\.truncation: tail would cut answers off"):
        facts(truncation="tail")
    with pytest.raises(TransferlabError, match=r"data\.stride: only questions"):
        TaskDataModule("demo_sentences", stride=3)
    with pytest.raises(TransferlabError, match=r"model\.loss: weighted is not for qa"):
        FullFineTuning(TASK, EncoderConfig("x"), loss="weighted")
    with pytest.raises(TransferlabError, match=r"leaves .* for the context"):
        facts(max_length=16).encoded("train")


def test_losses_have_a_kind():
    assert LEARNED["qa"].thresholded
    assert KINDS["qa"].usual(TASK) == ("f1", "exact_match")


# use ----------------------------------------------------------------------------------------------------------------


_WORDS = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), (400, 4))
LONG = " ".join("".join(letters) for letters in _WORDS)


def run_of(module, folder):
    """A run directory of a questions model that was trained a little."""
    from transferlab.api.callbacks import run_callbacks

    model = FullFineTuning(module.spec, module.encoder)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        callbacks=run_callbacks("facts", folder),
    )
    trainer.fit(model, module)
    trainer.test(model, module, ckpt_path="best", verbose=False)
    return folder


def predictor_of(module, tokens=None):
    from transferlab.use.predictor import Predictor

    model = FullFineTuning(module.spec, module.encoder).eval().requires_grad_(False)
    model.thresholds.fill_(0.1)
    return Predictor(model, module.source, module.settings)


def test_documents_of_any_length_are_read_some_windows_at_a_time(facts, monkeypatch):
    predictor = predictor_of(facts())
    asked = [{"question": "Who paid?", "context": LONG}, {"question": "Who?", "context": CONTEXT}]
    whole = predictor.predict(asked)
    monkeypatch.setattr("transferlab.use.predictor.TOKENS", 3 * 40)
    encoded, _ = predictor.encode({name: [one[name] for one in asked] for name in ("question", "context")})
    assert encoded.windows.lengths.max() == 3
    parts = predictor.predict(asked)
    for one, other, given in zip(whole, parts, asked, strict=True):
        assert [b["text"] for b in one["n_best"]] == [b["text"] for b in other["n_best"]]
        assert one["margin"] == pytest.approx(other["margin"], abs=1e-4)
        for best in one["n_best"]:
            assert given["context"][best["start"] : best["end"]] == best["text"]
        assert (one["prediction"] == "") == (one["margin"] > np.float32(0.1))


def test_answers_in_files(facts):
    from transferlab.use.prediction.outputs import Lines

    module = facts()
    answer = predictor_of(module)({"question": "Who?", "context": CONTEXT})
    csv = Lines("csv", ("question", "context"), module.spec)
    assert csv.header() == "question,context,prediction,start,end,score,margin,n_best\n"
    assert csv.text({"question": "Who?", "context": "x"}, answer).startswith("Who?,x,")
    line = json.loads(Lines("jsonl", (), module.spec).text({"id": 7}, answer))
    assert line["id"] == 7
    assert line["n_best"] == answer["n_best"]


def test_baselines_of_questions(facts):
    from transferlab.baselines.choice import METHODS, chosen_methods
    from transferlab.baselines.rows import evaluate, read_parts

    assert chosen_methods("all", "qa") == ["word_overlap", "no_answer"]
    module = facts()
    part = read_parts(module).tests[0]
    none = METHODS["no_answer"](module.spec, 0)
    decided = none.kind.decide(none.predict(part), None)
    # half of the questions have no answer
    assert evaluate(module.spec, decided, part.labels) == {"f1": 0.5, "exact_match": 0.5}
    overlap = METHODS["word_overlap"](module.spec, 0)
    row = part._replace(ids=part.ids[:1], columns=(["Who met Charles in London?"], [CONTEXT]), labels=part.labels[:1])
    (read,) = overlap.predict(row)
    best = read.spans.best[0]
    # beside the words that were asked, not one of them
    assert "Charles" not in CONTEXT[best.start : best.end]
    found = overlap.predict(part)
    threshold = overlap.kind.thresholds(found, part.labels)
    values = [evaluate(module.spec, overlap.kind.decide(found, t), part.labels)["f1"] for t in (threshold, None)]
    assert values[0] >= max(values[1], 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_an_export_gives_the_answers_of_the_run(facts, tmp_path, form):
    from transferlab.use.export.command import export
    from transferlab.use.exported import Exported
    from transferlab.use.predictor import Predictor

    run = run_of(facts(), tmp_path / "runs" / "facts")
    folder = tmp_path / "exported"
    assert all(check.passed for check in export(run, form, folder))
    if form == "torch":
        return
    asked = [{"question": "Who paid?", "context": LONG}, {"question": "who is 3?", "context": CONTEXT}]
    mine, theirs = Predictor.load(run, device="cpu").predict(asked), Exported(folder).predict(asked)
    for one, other in zip(mine, theirs, strict=True):
        assert [b["text"] for b in one["n_best"]] == [b["text"] for b in other["n_best"]]
        assert (one["prediction"], one["start"], one["end"]) == (other["prediction"], other["start"], other["end"])
        assert one["margin"] == pytest.approx(other["margin"], abs=1e-4)


def test_generated_questions_have_their_answers():
    from transferlab.tasks.embedded import SIZES, generate

    for split, size in SIZES["answers"].items():
        rows = generate("answers", split)
        assert len(rows) == size
        none = sum(not row["answers"] for row in rows)
        assert none == size / 3
        for row in rows:
            for one in row["answers"]:
                assert row["context"][one["answer_start"] :].startswith(one["text"])


def test_a_run_is_judged_on_files(facts, tmp_path):
    from transferlab.use.labelled import judge, of_file

    predictor = predictor_of(facts())
    path = tmp_path / "other.jsonl"
    path.write_text(lines(ROWS))
    examples = of_file(predictor, str(path))
    assert examples.counts(predictor.task) == {"an answer": 2, "no answer": 1}
    result = judge(predictor, examples)
    wanted = [
        squad.scores(one["prediction"], [t for t, _ in gold]) for one, gold in zip(result.records, WANTED, strict=True)
    ]
    assert result.metrics == {"f1": np.mean([w[1] for w in wanted]), "exact_match": np.mean([w[0] for w in wanted])}
    with pytest.raises(TransferlabError, match="questions have no classes"):
        predictor.answer(predictor.encode({"question": ["a"], "context": ["b"]})[0], [0])


def _strategies(task, encoder):
    from transferlab.adapters import Bottleneck, LoRA, PromptTuning
    from transferlab.learning.heads import HeadConfig
    from transferlab.strategies import FromScratch, ParameterEfficient

    yield FeatureExtraction(task, encoder)
    yield FromScratch(task, encoder)
    yield FullFineTuning(task, encoder, HeadConfig("bilstm", hidden=8))
    for method in (LoRA(), Bottleneck(), PromptTuning()):
        yield ParameterEfficient(task, encoder, method)


def test_every_strategy_learns_questions(facts, tiny_encoder, fit):
    module = facts(max_length=64, stride=8)
    for model in _strategies(module.spec, tiny_encoder):
        before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        trainer = fit(model, module)
        assert np.isfinite(trainer.callback_metrics["train/loss"]), type(model).__name__
        assert 0 <= trainer.callback_metrics["val/f1"] <= 1
        assert any(not torch.equal(p, before[name]) for name, p in model.named_parameters() if name in before)


def test_a_student_imitates_a_teacher_token_by_token(facts, tiny_encoder, tmp_path, fit):
    from transferlab.strategies import Distillation

    module = facts(max_length=64, stride=8)
    teacher = run_of(module, tmp_path / "runs" / "teacher")
    student = Distillation(module.spec, tiny_encoder, teacher=str(teacher), alpha=0.5, beta=0.1)
    student.wrap_data(module)
    fit(student, module)
    batch = next(iter(module.train_dataloader()))
    assert batch.teacher.shape == (*batch.words.shape, 2) if batch.teacher is not None else student._ask

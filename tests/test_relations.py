"""Relations between marked entities: rows in, tokens, vectors, scores."""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from transferlab.analysis.page.predicted import _relations
from transferlab.baselines.placed import placed
from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.loading import load_tokenizer
from transferlab.encoders.new_tokens import NewTokens, new_rows
from transferlab.ground.errors import TransferlabError
from transferlab.learning.metrics import build_metrics
from transferlab.strategies import FeatureExtraction, FullFineTuning, ParameterEfficient
from transferlab.strategies.forward import range_means
from transferlab.tasks import TaskDataModule, TaskSpec
from transferlab.tasks.kinds import SUMS
from transferlab.tasks.kinds.relation import Relation, negative_of
from transferlab.tasks.marked import MARK, Span, parse, write
from transferlab.tasks.pairs import Form, encode_pairs, new_tokens
from transferlab.tasks.settings import Settings
from transferlab.tasks.spec import Source
from transferlab.tasks.table import RELATIONS
from transferlab.tasks.tokenization import encode_texts
from transferlab.use.robustness.perturbations import Perturbation

METRICS = ("f1_macro", "f1_micro", "accuracy")
TASK = TaskSpec("semeval", "relation", RELATIONS, METRICS, negative="Other", ranges=2)
TEXT = "The <e1>child</e1> was bound into the <e2>cradle</e2>."


def score(gold: list[str], found: list[str | None], metric: str) -> float:
    kind = Relation()
    counts = kind.counts(found, gold, metric, kind.counted(RELATIONS, "Other"))
    return float(SUMS["relation", metric](counts.sum(0)))


def one(letter: str) -> str:
    """A label by its first letters and the entity that comes first: ``CE1`` is Cause-Effect(e1,e2)."""
    if letter == "O":
        return "Other"
    names = {"CE": "Cause-Effect", "MT": "Message-Topic", "PP": "Product-Producer"}
    return f"{names[letter[:2]]}({'e1,e2' if letter[2] == '1' else 'e2,e1'})"


def test_scores_by_hand() -> None:
    """Hits have the right direction; Other is in no F1; a skipped example is missed; absent relations are left out."""
    gold = list(map(one, ["CE1", "CE1", "CE2", "MT1", "MT2", "O", "O"]))
    found: list[str | None] = [*map(one, ["CE1", "CE2", "CE2", "MT1", "O", "PP1"]), None]
    # Cause-Effect: 2 hits, 3 predicted, 3 there; Message-Topic: 1 hit, 1 predicted, 2 there; Product-Producer not there
    assert score(gold, found, "f1_macro") == pytest.approx((2 * 2 / 6 + 2 * 1 / 3) / 2)
    assert score(gold, found, "f1_micro") == pytest.approx(2 * 3 / (5 + 5))
    assert score(gold, found, "accuracy") == pytest.approx(3 / 7)


CW, IA, MC, ED, CC = (
    "Component-Whole",
    "Instrument-Agency",
    "Member-Collection",
    "Entity-Destination",
    "Content-Container",
)
OFFICIAL = {
    11.11: [
        (f"{CW}(e2,e1)", "Other"),
        ("Other", one("CE1")),
        (f"{IA}(e2,e1)", "Other"),
        ("Other", None),
        (f"{MC}(e1,e2)", f"{IA}(e2,e1)"),
        ("Other", one("MT1")),
        (one("CE2"), one("CE1")),
        (f"{ED}(e1,e2)", None),
        (f"{CC}(e1,e2)", None),
        (f"{ED}(e1,e2)", f"{ED}(e1,e2)"),
    ],
    44.44: [
        (one("CE2"), "Other"),
        (one("CE2"), one("CE2")),
        (one("CE1"), one("CE1")),
        (one("CE1"), one("CE2")),
        (one("CE2"), None),
        (one("CE1"), None),
    ],
}
"""What the official scorer of SemEval-2010 task 8 prints for two of its examples: labels and answers, None where skipped."""


@pytest.mark.parametrize("printed", OFFICIAL)
def test_the_official_scorer_prints_the_same(printed: float) -> None:
    """Relations that the key lacks are left out of the mean, skipped examples are missed."""
    gold, found = zip(*OFFICIAL[printed], strict=True)
    assert round(100 * score(list(gold), list(found), "f1_macro"), 2) == printed


def test_metrics_of_tensors_are_those_of_names() -> None:
    """What a run logs is what compare computes from its predictions."""
    draw = np.random.default_rng(0)
    gold, found = draw.integers(0, 19, 200), draw.integers(0, 19, 200)
    found[:90] = gold[:90]
    metrics = build_metrics(TASK)
    logits = torch.nn.functional.one_hot(torch.tensor(found), 19).float()
    for part in (slice(0, 120), slice(120, 200)):
        metrics.update(logits[part], torch.tensor(gold)[part])
    values = metrics.compute()
    for name in METRICS:
        assert float(values[name]) == pytest.approx(
            score([RELATIONS[n] for n in gold], [RELATIONS[n] for n in found], name), abs=1e-6
        )


def test_report_has_errors_of_direction_apart() -> None:
    """A row is a relation; examples with its name and the wrong direction are counted."""
    gold, found = list(map(one, ["CE1", "CE1", "CE2", "O"])), list(map(one, ["CE1", "CE2", "CE1", "O"]))
    rows = Relation().per_label(RELATIONS, gold, found)
    assert rows["Cause-Effect"] == {"precision": 1 / 3, "recall": 1 / 3, "f1": pytest.approx(1 / 3), "support": 3} | {
        "direction": 2
    }
    assert rows["Other"]["f1"] == 1
    assert len(rows) == 10


def test_negative_class_by_name() -> None:
    """Other and no_relation are known; another one is named, and a name that is no label refused."""
    assert negative_of(("a", "no_relation"), None) == "no_relation"
    assert negative_of(("a", "b"), None) == ""
    assert negative_of(("false", "b"), "false") == "false"
    with pytest.raises(TransferlabError, match=r"data.source.negative: there is no label 'Othr'.*Other"):
        negative_of(RELATIONS, "Othr")


# marks ----------------------------------------------------------------------------------------------------------------


def test_marks_there_and_back() -> None:
    """Spans and types are those that were written; blanks inside a mark are no part of its entity."""
    marked = write("Ada met Bob.", Span(8, 11, "PER"), Span(0, 3))
    assert marked == "<e2>Ada</e2> met <e1:PER>Bob</e1>."
    assert parse(marked) == ("Ada met Bob.", (8, 11, "PER"), (0, 3, ""))
    assert parse("A <e1> b </e1>c<e2>d</e2>").head == (3, 4, "")


@pytest.mark.parametrize(
    ("marked", "reason"),
    [
        ("no <e1>marks</e1>", "there is no <e2>"),
        ("<e1>a</e1> <e1>b</e1> <e2>c</e2>", "<e1> comes twice"),
        ("<e1>a <e2>b</e2></e1>", "<e2> opens inside <e1>: the entities overlap"),
        ("<e1>a <e2>b</e1></e2>", "<e2> opens inside <e1>"),
        ("<e1>a</e2> <e2>b</e2>", "</e2> closes what is not open"),
        ("<e1>a</e1> <e2>b", "<e2> is not closed"),
        ("<e1> </e1> <e2>b</e2>", "<e1> marks no text"),
    ],
)
def test_marks_that_do_not_fit(marked: str, reason: str) -> None:
    """What is wrong is said."""
    with pytest.raises(TransferlabError, match=reason):
        parse(marked)


# rows -----------------------------------------------------------------------------------------------------------------

WORDS = ["Ada", "Lovelace", "lives", "in", "London"]
ROWS: dict[str, list[dict[str, Any]]] = {
    "characters": [{"text": "Ada Lovelace lives in London", "head": [0, 12], "tail": [22, 28], "label": "in"}],
    "objects": [
        {
            "text": "Ada Lovelace lives in London",
            "head": {"start": 0, "end": 12, "type": "PER"},
            "tail": {"start": 22, "end": 28, "type": "LOC"},
            "label": "in",
        }
    ],
    "words": [{"tokens": WORDS, "head": [0, 2], "tail": [4, 5], "label": "in"}],
    "tacred": [
        {"id": "7", "token": WORDS, "subj_start": 0, "subj_end": 1, "obj_start": 4, "obj_end": 4}
        | {"subj_type": "PER", "obj_type": "LOC", "relation": "in"}
    ],
    "marked": [{"text": "<e1>Ada Lovelace</e1> lives in <e2>London</e2>", "label": "in"}],
}


def read(path: Path, **more: Any) -> list[str]:
    source = Source(files={"train": str(path)}, kind="relation", text=("text",), **more)
    data = TaskDataModule("mine", source=source)
    return list(data.rows("train").rows["text"])


@pytest.mark.parametrize("form", ROWS)
def test_forms_of_rows(tmp_path: Path, form: str) -> None:
    """All published forms are the same example."""
    path = tmp_path / ("train.json" if form == "tacred" else "train.jsonl")
    path.write_text(json.dumps(ROWS[form]) if form == "tacred" else "\n".join(map(json.dumps, ROWS[form])))
    typed = form in ("objects", "tacred")
    want = "<e1:PER>Ada Lovelace</e1> lives in <e2:LOC>London</e2>" if typed else ROWS["marked"][0]["text"]
    assert read(path, label="relation" if form == "tacred" else "label") == [want]


def test_semeval_text(tmp_path: Path) -> None:
    """Number, sentence in quotes, relation, comment; the file that is published."""
    path = tmp_path / "TRAIN_FILE.TXT"
    path.write_text(f'1\t"{TEXT}"\r\nOther\r\nComment: none\r\n\r\n2\t"{TEXT}"\r\nCause-Effect(e2,e1)\r\nComment:\r\n')
    assert read(path) == [TEXT, TEXT]
    path.write_text(f'1\t"{TEXT}"\nComment: none\n\n2\t"{TEXT}"\nOther\n')
    with pytest.raises(TransferlabError, match=r"TRAIN_FILE.TXT, line 1: the relation of this sentence is missing"):
        read(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Ada and Bob", "head": [0, 7], "tail": [4, 11]}, "overlap"),
        ({"text": "Ada and Bob", "head": [3, 3], "tail": [8, 11]}, r"the head \[3, 3\] holds no text"),
        ({"text": "Ada and Bob", "head": [0, 3], "tail": [8, 12]}, r"the tail \[8, 12\] is outside of a text of 11"),
        ({"text": "Ada and Bob", "head": [0, 3], "tail": [-3, 3]}, r"the tail \[-3, 3\] is outside"),
        (
            {"text": "<e1>Ada</e1> and Bob", "head": [4, 7], "tail": [17, 20]},
            "the mark '<e1>' stands in the text already",
        ),
        ({"text": "Ada and Bob", "head": [0.5, 3], "tail": [8, 11]}, "'head' must hold whole numbers"),
        ({"text": "Ada and Bob", "head": "Ada", "tail": [8, 11]}, "'head' must hold \\[start, end\\], not 'Ada'"),
        ({"tokens": ["Ada", "and", "Bob"], "head": [0, 1], "tail": [2, 2]}, r"the tail \[2, 2\] holds no word"),
        ({"tokens": ["Ada", "and", "Bob"], "head": [0, 1], "tail": [2, 4]}, r"the tail \[2, 4\] is outside of 3 words"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    """Spans that cannot be are refused with file and line."""
    good = {"text": "Ada and Bob", "head": [0, 3], "tail": [8, 11]} if "text" in row else {**row, "tail": [2, 3]}
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(json.dumps(one | {"label": "x"}) for one in (good, row)))
    with pytest.raises(TransferlabError, match=rf"train.jsonl, line 2: .*{reason}"):
        read(path)


def test_marked_rows_that_are_refused(tmp_path: Path) -> None:
    """So are marks that do not fit."""
    path = tmp_path / "train.csv"
    path.write_text(f"text,label\n{TEXT},a\nThe <e1>child</e1> was bound.,b\n")
    with pytest.raises(TransferlabError, match=r"train.csv, line 3: there is no <e2>"):
        read(path)


# tokens ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(EncoderConfig())


def encoded(tokenizer: Any, text: str, markers: Any = "punctuation", pooled: Any = "start", room: int = 128) -> Any:
    new = {name: len(tokenizer) + at for at, name in enumerate(new_tokens(markers, ("PER",)))}
    signs = tuple((tokenizer.convert_tokens_to_ids(sign),) for sign in "@#")
    form = Form(markers, pooled, new, (101,), (102,), room, signs)

    def encode(texts: list[str]) -> Any:
        return tokenizer(texts, add_special_tokens=False, truncation=False).encodings

    columns = encode_pairs([text], encode, form)
    names = {number: name for name, number in new.items()}
    ids, ranges = columns["ids"][0], columns["ranges"][0]
    pieces = [names.get(number) or tokenizer.convert_ids_to_tokens(number) for number in ids]
    return pieces, [pieces[start:end] for start, end in zip(ranges[::2], ranges[1::2], strict=True)], columns["cut"][0]


@pytest.mark.parametrize(
    ("markers", "pooled", "pieces", "ranges"),
    [
        ("punctuation", "start", "the @ child @ was bound into the # cradle # .", [["@"], ["#"]]),
        ("punctuation", "span", "the @ child @ was bound into the # cradle # .", [["child"], ["cradle"]]),
        ("markers", "start", "the [E1] child [/E1] was bound into the [E2] cradle [/E2] .", [["[E1]"], ["[E2]"]]),
        ("none", "start", "the child was bound into the cradle .", [["child"], ["cradle"]]),
        ("none", "cls", "the child was bound into the cradle .", [["[CLS]"]]),
    ],
)
def test_markers_and_pooling(tokenizer: Any, markers: str, pooled: str, pieces: str, ranges: list[list[str]]) -> None:
    """What stands around the entities, and what is read of them."""
    found, read_, cut = encoded(tokenizer, TEXT, markers, pooled)
    assert found == ["[CLS]", *pieces.split(), "[SEP]"]
    assert read_ == ranges
    assert cut == [0, 0]


def test_tail_before_head_and_types(tokenizer: Any) -> None:
    """Head and tail keep their marks whichever comes first; a type that training never saw has the plain ones."""
    text = "<e2:ORG>Unix</e2> was written by <e1:PER>Ken Thompson</e1>"
    found, ranges, _ = encoded(tokenizer, text, "typed", "start")
    assert found[1:5] == ["[E2]", "unix", "[/E2]", "was"]
    assert ranges == [["[E1:PER]"], ["[E2]"]]
    assert encoded(tokenizer, text, "none", "mean")[1] == [encoded(tokenizer, text, "none")[0]]


def test_new_tokens_match_nothing_that_a_user_wrote(tokenizer: Any) -> None:
    """The names of new tokens in a text are text."""
    found, _, _ = encoded(tokenizer, "the [E1] <e1>child</e1> [/E1] and <e2>I</e2>", "markers")
    assert found.count("[E1]") == 1
    assert found[2:6] == ["[", "e", "##1", "]"]


@pytest.mark.parametrize("room", range(10, 31))
def test_cut_around_the_entities(tokenizer: Any, room: int) -> None:
    """A long text is cut evenly beside the entities, between them only where it must be, never through them; counted."""
    words = [f"{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    words[9], words[15] = "<e1>red fox</e1>", "<e2>hen</e2>"
    found, ranges, (is_cut, lost) = encoded(tokenizer, " ".join(words), "punctuation", "span", room)
    assert len(found) == min(room, 33)
    assert ranges == [["red", "fox"], ["hen"]]
    kept = [piece for piece in found if piece in "abcdefghijklmnopqrstuvwxyz"]
    assert (is_cut, lost) == (int(len(kept) < 24), 24 - len(kept))
    between = [piece for piece in kept if piece in "klmno"]
    if room >= 14:
        assert between == list("klmno")
        left = len([piece for piece in kept if piece < "k"])
        assert abs(left - (len(kept) - 5 - left)) <= 1 or left == 9


def test_entities_that_do_not_fit(tmp_path: Path) -> None:
    """They are refused with their row."""
    path = tmp_path / "train.csv"
    long = "very " * 20
    path.write_text(f"text,label\n{TEXT},a\n<e1>{long}</e1> and <e2>{long}</e2>,b\n")
    source = Source(files={"train": str(path)}, kind="relation")
    with pytest.raises(
        TransferlabError, match=r"row 1: the two entities alone have more tokens|line 3: the two entities"
    ):
        TaskDataModule("mine", source=source, max_length=32).encoded("train")


def test_means_of_ranges() -> None:
    """By hand, padded and packed."""
    tokens = torch.arange(24.0).view(2, 4, 3)
    ranges = torch.tensor([[[0, 1], [1, 3]], [[2, 4], [3, 4]]])
    want = torch.stack(
        [torch.cat([tokens[0, 0], tokens[0, 1:3].mean(0)]), torch.cat([tokens[1, 2:].mean(0), tokens[1, 3]])]
    )
    assert torch.equal(range_means(tokens, ranges), want)
    packed = tokens.view(1, 8, 3)
    assert torch.equal(range_means(packed, ranges + torch.tensor([0, 4])[:, None, None]), want)


# new tokens -----------------------------------------------------------------------------------------------------------

SPEC = TASK._replace(new_tokens=new_tokens("markers"))


def test_frozen_encoder_refuses_new_tokens(tiny_encoder: EncoderConfig) -> None:
    """They would never be learned."""
    with pytest.raises(TransferlabError, match=r"data.markers: .*a frozen encoder has never read .*use punctuation"):
        FeatureExtraction(SPEC, tiny_encoder)


@pytest.mark.parametrize(
    "build",
    [
        lambda encoder: ParameterEfficient(SPEC, encoder),
        lambda encoder: FullFineTuning(SPEC, encoder, top_layers=1),
    ],
    ids=["lora", "top_layers"],
)
def test_exactly_the_new_rows_are_trained_and_kept(tiny_encoder: EncoderConfig, build: Any) -> None:
    """Of the embeddings nothing but four rows learns and is in a checkpoint; they differ from the start."""
    torch.manual_seed(0)
    model = build(tiny_encoder)
    embeddings = {name for name in model.kept() if "word_embeddings" in name}
    assert len(embeddings) == 1
    (name,) = embeddings
    rows = dict(model.named_parameters())[name]
    assert rows.shape == (4, model.encoder.width)
    assert rows.requires_grad
    rows = rows.detach()
    cosine = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1).fill_diagonal_(0)
    assert float(cosine.max()) < 0.999


def test_new_rows_beside_the_old_ones() -> None:
    """Ids from the first new one on read the new rows, and their gradients go there alone."""
    old = torch.nn.Embedding(5, 2)
    old.weight.requires_grad_(False)
    both = NewTokens(old, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 5)
    out = both(torch.tensor([[4, 5, 6]]))
    assert torch.equal(out[0, 0], old.weight[4])
    assert out[0, 1:].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    out.sum().backward()
    assert both.rows.grad is not None
    assert both.rows.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_new_rows_learn_and_are_restored(tiny_encoder: EncoderConfig) -> None:
    """A batch reaches the rows in training; what a checkpoint keeps gives the same logits under another seed."""
    rows = ["<e1>he</e1> said that <e2>she</e2> was", "it was <e2>my</e2> next to <e1>the a</e1>"]
    settings = Settings(32, "head", markers="markers", pooled="start", new_tokens=SPEC.new_tokens)
    split = encode_texts({"text": rows}, Source(kind="relation"), load_tokenizer(tiny_encoder), settings)
    batch = split.collate([0, 1])._replace(labels=torch.tensor([0, 1]))
    torch.manual_seed(0)
    model = ParameterEfficient(SPEC, tiny_encoder)
    model.loss(model(batch), batch).backward()
    (learned,) = new_rows(model.encoder.backbone)
    assert learned.grad is not None
    assert (learned.grad.abs().sum(1) > 0).all()
    with torch.no_grad():
        learned.add_(1.0)
    kept = {name: value for name, value in model.state_dict().items() if name in model.kept()}
    torch.manual_seed(9)
    other = ParameterEfficient(SPEC, tiny_encoder)
    other.load_state_dict(kept, strict=False)
    with torch.inference_mode():
        assert torch.equal(other.eval()(batch), model.eval()(batch))
        # head and tail are told apart from the first batch on
        turned = [text.replace("e1", "e0").replace("e2", "e1").replace("e0", "e2") for text in rows]
        swapped = encode_texts({"text": turned}, Source(kind="relation"), load_tokenizer(tiny_encoder), settings)
        assert float((other(swapped.collate([0, 1])) - other(batch)).abs().max()) > 1e-2


# around it ------------------------------------------------------------------------------------------------------------


def test_packed_batches_read_the_same(tiny_encoder: EncoderConfig) -> None:
    """The positions of a packed row are those of its own sequence."""
    rows = ["<e1>he</e1> said that <e2>she</e2> was", "it was <e2>my</e2> next to <e1>the a</e1>"]
    settings = Settings(32, "head", markers="punctuation", pooled="span")
    split = encode_texts({"text": rows}, Source(kind="relation"), load_tokenizer(tiny_encoder), settings)
    model = FeatureExtraction(TASK, tiny_encoder).eval()
    with torch.inference_mode():
        assert torch.allclose(model(split.collate([0, 1])), model(split.pack([0, 1])), atol=1e-5)


def test_a_sentence_stays_on_one_side(tmp_path: Path) -> None:
    """A hold-out keeps together what is the same sentence, whichever entities are marked."""
    names = "abcdefghijklmnopqrst"
    texts = [f"<{x}>{name} one</{x}> and <{y}>two</{y}>" for name in names for x, y in (("e1", "e2"), ("e2", "e1"))]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"{t},{n % 2}\n" for n, t in enumerate(texts)))
    source = Source(files={"train": str(tmp_path / "train.csv")}, kind="relation")
    data = TaskDataModule("mine", source=source)
    assert data.holdout_by == "text"
    sides = [{parse(texts[row]).text for row in data.part_rows(part)[1]} for part in ("train", "validation")]  # type: ignore[arg-type]
    assert not sides[0] & sides[1]


def test_changed_words_leave_the_marks() -> None:
    """Words outside of the marks are changed, the marks stay."""
    upper = Perturbation("upper", "", of_words=lambda words, random: [word.upper() for word in words])
    changed = upper.around(MARK, "the <e1:per>red fox</e1:per> saw <e2>a hen</e2>.", Random(0))
    assert changed == "THE <e1:per>RED FOX</e1:per> SAW <e2>A HEN</e2>."


def test_matrix_of_relations_has_the_wrong_direction_apart() -> None:
    """The diagonal has hits only; what has the right name and the wrong direction stands in the last column."""
    counts = Counter({(one("CE1"), one("CE1")): 5, (one("CE1"), one("CE2")): 3, (one("CE2"), "Other"): 2})
    cells = re.findall(r"<td[^>]*>(?:<strong>)?([^<]*)", str(_relations(counts, RELATIONS[:2] + RELATIONS[-1:])))
    assert cells == ["Cause-Effect", "5", "2", "3", "Other", "0", "0", "0"]


def test_words_of_places() -> None:
    """TF-IDF reads the words between and around, each with its place and with which entity comes first."""
    assert placed(["In the <e1>old town</e1> of <e2>Rome</e2>, it rains."], r"\w+|[^\w\s]") == [
        "1before_In 1before_the 1first_old 1first_town 1between_of 1second_Rome 1behind__44_ 1behind_it 1behind_rains"
    ]
    assert placed(["<e2>a</e2> b <e1>c</e1>"], r"\w+") == ["2first_a 2between_b 2second_c"]

"""Intents and slots: rows in, two heads, scores, baselines, answers and exports."""

import json
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from transferlab.adapters import Bottleneck, LoRA
from transferlab.baselines.choice import chosen_methods, method_of
from transferlab.baselines.rows import evaluate, read_parts
from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import class_weights
from transferlab.learning.kinds import KINDS as LEARNED
from transferlab.learning.metrics import build_metrics
from transferlab.record import predictions, report
from transferlab.strategies import (
    Contrastive,
    Distillation,
    FeatureExtraction,
    FromScratch,
    FullFineTuning,
    ParameterEfficient,
)
from transferlab.tasks import TaskDataModule, TaskSpec
from transferlab.tasks.kinds import KINDS, SUMS
from transferlab.tasks.spec import Source

TAGS = ("O", "B-city", "I-city", "B-day", "I-day")
TASK = TaskSpec(
    "trips", "slots", (*TAGS, "intent:book", "intent:ask"), ("sentence_accuracy", "f1", "intent_accuracy", "precision")
)
ROWS = [
    ("fly to new york on monday", "O O B-city I-city O B-day", "book"),
    ("is it cold in rome", "O O O O B-city", "ask"),
    ("to paris", "O B-city", "book"),
    ("will monday be wet", "O B-day O O", "ask"),
]


def folder(path, rows=ROWS, names=("train", "valid", "test")):
    for name in names:
        (path / name).mkdir(parents=True)
        for file, column in zip(("seq.in", "seq.out", "label"), zip(*rows, strict=True), strict=True):
            (path / name / file).write_text("".join(f"{cell}\n" for cell in column))
    return path


def module(path, encoder, **options):
    source = Source(path=str(path), kind="slots", validation="validation", test=("test",))
    return TaskDataModule("trips", encoder, source, **({"max_length": 32, "batch_size": 2} | options))


@pytest.fixture
def trips(tmp_path, tiny_encoder):
    return module(folder(tmp_path / "trips"), tiny_encoder)


def test_folders_of_snips_and_atis(trips):
    assert trips.labels.names == ("O", "B-city", "B-day", "I-city", "intent:ask", "intent:book")
    assert trips.spec.tags == ("O", "B-city", "B-day", "I-city")
    assert trips.spec.intents == ("intent:ask", "intent:book")
    assert trips.spec.outputs == 6
    encoded = trips.encoded("train")
    assert encoded.labels.row(2).tolist() == [5, 0, 1]
    assert encoded.words.row(2)[0] == 0
    assert encoded.words.lengths.tolist() == [7, 6, 3, 5]
    assert trips.inspection["splits"]["train"]["labels"] == {"book": 2, "ask": 2, "city": 3, "day": 2}
    assert trips.protocol_name.startswith("holdout")


@pytest.mark.parametrize("form", ["lists", "texts", "tags and label", "named", "csv"])
def test_other_forms_are_read_alike(tmp_path, tiny_encoder, form):
    names = {"tags and label": ("text", "tags", "label"), "named": ("said", "marks", "aim")}
    columns = names.get(form, ("tokens", "slots", "intent"))
    rows = [dict(zip(columns, row, strict=True)) for row in ROWS]
    if form == "lists":
        rows = [{**row, "tokens": row["tokens"].split(), "slots": row["slots"].split()} for row in rows]
    path = tmp_path / ("rows.csv" if form == "csv" else "rows.jsonl")
    told = {"text": ("said",), "label": "marks", "intent": "aim"} if form == "named" else {}
    if form == "csv":
        path.write_text("tokens,slots,intent\n" + "".join(",".join(row) + "\n" for row in ROWS))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(files={"train": str(path), "test": str(path)}, kind="slots", **told)
    data = TaskDataModule("trips", tiny_encoder, source, max_length=32)
    assert data.encoded("train").labels.row(3).tolist() == [4, 0, 2, 0, 0]


def test_other_schemes_are_read_as_iob2(tmp_path, tiny_encoder):
    tags = ("O O B-city E-city O S-day", "O O O O S-city", "O S-city", "O S-day O O")
    rows = [(text, own, intent) for (text, _, intent), own in zip(ROWS, tags, strict=True)]
    data = module(folder(tmp_path / "trips", rows), tiny_encoder)
    assert data.labels.scheme.name == "BIOES"
    assert data.encoded("train").labels.row(0).tolist() == [5, 0, 0, 1, 3, 0, 2]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a b", "O", "x")], "line 1: 2 words but 1 tags; each word needs one"),
        ([("a b", "O O", "x"), ("a", "O", "")], "label, line 2: it is empty; mend it"),
        ([("a b", "O O", "x"), ("", "O", "y")], "seq.in, line 2: it is empty"),
        ([("a b", "O B-x", "x"), ("a b", "O J-x", "y"), ("b", "I-x", "x")], "line 2.*'J-x'"),
        ([("a b", "N V", "x"), ("a b", "V N", "y")], "mark no slots; write them as O"),
    ],
)
def test_refused_with_file_line_and_remedy(tmp_path, tiny_encoder, rows, said):
    with pytest.raises(TransferlabError, match=said):
        module(folder(tmp_path / "trips", rows), tiny_encoder).encoded("train")


def test_intents_and_tags_that_look_alike_are_told(tmp_path, tiny_encoder):
    rows = [("a b", "O B-x", "Book"), ("b a", "B-X O", "book"), ("b", "O", "book")]
    (note,) = [note for note in module(folder(tmp_path / "trips", rows), tiny_encoder).labels.notes if "alike" in note]
    assert "'B-X' (1) and 'B-x' (1)" in note
    assert "'intent:Book' (1) and 'intent:book' (2)" in note


def test_files_of_unequal_length_and_missing_ones(tmp_path, tiny_encoder):
    path = folder(tmp_path / "trips")
    (path / "train" / "label").write_text("book\n")
    with pytest.raises(TransferlabError, match=r"label: 1 lines, but 4 in seq\.in"):
        module(path, tiny_encoder).encoded("train")
    (path / "train" / "label").unlink()
    with pytest.raises(TransferlabError, match="has no file 'label'; it needs seq.in, seq.out, label"):
        module(path, tiny_encoder).encoded("train")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tokens": ["a"], "slots": ["O"], "intent": ""}, "line 2: there is no intent in column 'intent'"),
        ({"tokens": [], "slots": [], "intent": "x"}, "line 2: column 'tokens' has no words"),
        ({"tokens": ["a"], "slots": None, "intent": "x"}, "line 2: column 'slots' must hold a tag for each word"),
        ({"tokens": ["a"], "slots": ["O"], "intent": ["x"]}, "line 2: column 'intent' must hold one intent"),
    ],
)
def test_refused_rows_of_json(tmp_path, tiny_encoder, row, said):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in ({"tokens": ["a"], "slots": ["O"], "intent": "x"}, row)))
    source = Source(files={"train": str(path)}, kind="slots")
    with pytest.raises(TransferlabError, match=said):
        TaskDataModule("trips", tiny_encoder, source, max_length=32).encoded("train")


def test_a_missing_column_of_intents_is_named(tmp_path, tiny_encoder):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"tokens": ["a"], "slots": ["O"], "aim": "x"}) + "\n")
    source = Source(files={"train": str(path)}, kind="slots")
    with pytest.raises(TransferlabError, match=r"data\.source\.intent: .* has no column 'intent' with intents"):
        TaskDataModule("trips", tiny_encoder, source).encoded("train")
    with pytest.raises(TransferlabError, match=r"data\.source\.intent: only tasks of intents and slots have it"):
        TaskDataModule("trips", tiny_encoder, Source(files={"train": str(path)}, intent="aim"))


def answers(seed, count=200):
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        length = rng.randint(1, 6)
        sides = [{"intent": rng.choice(["book", "ask"]), "slots": rng.choices(TAGS, k=length)} for _ in range(2)]
        if rng.random() < 0.4:
            sides[1]["slots"] = sides[0]["slots"]
        made.append(sides)
    return [list(column) for column in zip(*made, strict=True)]


def test_scores_are_those_of_seqeval_and_by_hand():
    from seqeval.metrics import f1_score, precision_score

    found, gold = answers(0)
    kind = KINDS["slots"]
    values = {m: float(SUMS["slots", m](kind.counts(found, gold, m, ()).sum(0))) for m in TASK.metrics}
    tags = [[one["slots"] for one in side] for side in (gold, found)]
    assert values["f1"] == pytest.approx(f1_score(*tags))
    assert values["precision"] == pytest.approx(precision_score(*tags))
    pairs = list(zip(found, gold, strict=True))
    assert values["intent_accuracy"] == np.mean([one["intent"] == other["intent"] for one, other in pairs])
    # an I- that begins a slot is read as B-, as conlleval reads it
    one = [{"intent": "a", "slots": ["O", "I-city"]}], [{"intent": "a", "slots": ["O", "B-city"]}]
    assert kind.counts(*one, "sentence_accuracy", ()).tolist() == [[1, 1]]
    assert kind.counts(one[0], [{"intent": "b", "slots": ["O", "B-city"]}], "sentence_accuracy", ()).tolist() == [
        [1, 0]
    ]


def tensors(side):
    rows = [[TASK.labels.index("intent:" + one["intent"]), *map(TAGS.index, one["slots"])] for one in side]
    table = torch.full((len(rows), max(map(len, rows))), -100)
    for target, row in zip(table, rows, strict=True):
        target[: len(row)] = torch.tensor(row)
    return table


def test_metrics_of_tensors_are_those_of_records():
    found, gold = answers(1)
    metrics = build_metrics(TASK)
    for start in range(0, len(found), 50):
        part = slice(start, start + 50)
        metrics.update(tensors(found)[part], tensors(gold)[part])
    kind = KINDS["slots"]
    for name, value in metrics.compute().items():
        assert float(value) == pytest.approx(float(SUMS["slots", name](kind.counts(found, gold, name, ()).sum(0))))
    outputs = {"classes": tensors(found), "word_mask": tensors(gold) != -100}
    assert kind.predicted(TASK, outputs) == found
    assert kind.gold(TASK, tensors(gold), outputs) == gold


def drawn(seed=0):
    torch.manual_seed(seed)
    labels = torch.tensor([[5, 0, 1, 2], [6, 3, -100, -100], [6, 0, 0, 4]])
    # the last word of the last text was cut off
    mask = torch.tensor([[True] * 4, [True] * 4, [True, True, True, False]])
    return torch.randn(3, 4, 7, requires_grad=True), labels, mask


def test_the_loss_by_hand_and_its_weights():
    logits, labels, mask = drawn()
    words = [[0, 1, 2], [0], [0, 1]]
    intents = [F.cross_entropy(logits[i, 0, 5:], labels[i, 0] - 5) for i in range(3)]
    tags = [
        torch.stack([F.cross_entropy(logits[i, 1 + w, :5], labels[i, 1 + w]) for w in own]).mean()
        for i, own in enumerate(words)
    ]
    for a, b in ((1.0, 1.0), (0.3, 2.0), (0.0, 1.0)):
        kind = LEARNED["slots"].of(TASK, HeadConfig(intent_weight=a, slots_weight=b).shares)
        wanted = torch.stack([a * intent + b * tag for intent, tag in zip(intents, tags, strict=True)])
        torch.testing.assert_close(kind.losses(logits, labels, mask), wanted)
        torch.testing.assert_close(kind.loss(logits, labels, mask), wanted.mean())
    # what no head reads has no gradient
    (gradient,) = torch.autograd.grad(kind.loss(logits, labels, mask), logits)
    assert gradient[:, 0, :5].abs().sum() == gradient[:, 1:, 5:].abs().sum() == gradient[2, 3].abs().sum() == 0


def test_weighted_losses_count_tags_and_intents_apart():
    kind, (logits, labels, mask) = LEARNED["slots"].of(TASK), drawn()
    flat = np.array([5, 0, 1, 2, 6, 3, 6, 0, 0])
    weights = kind.weights(flat, 7)
    torch.testing.assert_close(weights[5:], class_weights(np.array([0, 1, 1]), 2))
    torch.testing.assert_close(weights[:5], class_weights(flat[flat < 5], 5))
    ones = kind.reweighted(logits, labels, mask, "weighted", torch.ones(7))
    torch.testing.assert_close(ones, kind.loss(logits, labels, mask))


def test_imitation_is_nothing_for_the_same_and_ignores_what_no_head_reads():
    kind, (logits, labels, mask) = LEARNED["slots"].of(TASK), drawn()
    other = logits.detach().clone()
    other[:, 0, :5] += 3
    other[:, 1:, 5:] -= 7
    assert float(kind.imitation(logits, other, labels, 2.0, mask)) == pytest.approx(0, abs=1e-6)
    assert float(kind.imitation(logits, drawn(1)[0], labels, 2.0, mask)) > 0.1


def test_weights_without_a_loss_are_refused():
    with pytest.raises(TransferlabError, match="both weights 0"):
        HeadConfig(intent_weight=0, slots_weight=0)


def test_packed_and_padded_logits_are_equal_and_the_intent_reads_the_text(trips, tiny_encoder):
    model = FullFineTuning(trips.spec, tiny_encoder).eval()
    split = trips.encoded("train")
    padded, packed = split.collate([0, 2, 1]), split.pack([0, 2, 1])
    with torch.inference_mode():
        one, other = model(padded), model(packed)
        read = model.represent(padded)[0]
        tokens = model.encoder(padded.input_ids, padded.attention_mask, token_type_ids=padded.token_type_ids)
        whole = model.encoder.pool(tokens, padded.attention_mask)
    torch.testing.assert_close(one[padded.word_mask], other[packed.word_mask], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(read[:, 0], whole)
    torch.testing.assert_close(read[1, 2], tokens[1, padded.words[1, 2]])


@pytest.mark.parametrize("decoding", ["argmax", "constrained"])
def test_answers_are_intents_and_tags(trips, tiny_encoder, decoding):
    model = FullFineTuning(trips.spec, tiny_encoder, HeadConfig(decoding=decoding)).eval()
    batch = trips.encoded("train").collate([0, 1, 2, 3])
    with torch.inference_mode():
        outputs = model.predict_step(batch, 0)
    lines = predictions.records(model.task, outputs, batch.labels)
    for line, (text, tags, intent) in zip(lines, ROWS, strict=True):
        assert line["label"] == {"intent": intent, "slots": tags.split()}
        assert len(line["prediction"]["slots"]) == len(text.split())
        assert sum(line["intents"].values()) == pytest.approx(1, abs=1e-5)
        assert line["prediction"]["intent"] == max(line["intents"], key=line["intents"].get)
    rows = report.per_class(model.task, lines)
    assert rows["intent:book"]["support"] == 2
    assert rows["city"]["support"] == 3


def test_every_strategy_learns_or_says_why_not(trips, tiny_encoder, fit):
    built = [
        FeatureExtraction(trips.spec, tiny_encoder),
        FromScratch(trips.spec, tiny_encoder),
        FullFineTuning(trips.spec, tiny_encoder, HeadConfig("bilstm", hidden=8)),
        FullFineTuning(trips.spec, tiny_encoder, top_layers=1, loss="weighted"),
        *(ParameterEfficient(trips.spec, tiny_encoder, method) for method in (LoRA(), Bottleneck())),
    ]
    for model in built:
        model.weigh(trips)
        before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        trainer = fit(model, trips)
        assert np.isfinite(trainer.callback_metrics["train/loss"]), type(model).__name__
        assert 0 <= trainer.callback_metrics["val/sentence_accuracy"] <= 1
        assert any(not torch.equal(p, before[name]) for name, p in model.named_parameters() if name in before)
    with pytest.raises(TransferlabError, match="slots"):
        Contrastive(trips.spec, tiny_encoder)
    with pytest.raises(TransferlabError, match="intents and slots have two"):
        FeatureExtraction(trips.spec, tiny_encoder, head=HeadConfig(), solver="knn")


@pytest.mark.parametrize("solver", ["lbfgs", "nearest_mean"])
def test_both_heads_are_solved(trips, tiny_encoder, fit, solver):
    model = FeatureExtraction(trips.spec, tiny_encoder, head=HeadConfig(), solver=solver)
    model.ask = model.ask._replace(strength=100.0 if solver == "lbfgs" else None)
    model.wrap_data(trips)
    fit(model, trips)
    batch = trips.encoded("train").collate([0, 1, 2, 3])
    with torch.inference_mode():
        found = model.eval().decode(model(batch), batch)
    assert "slots: " in model.findings()["solver"]
    assert "intents: " in model.findings()["solver"]
    if solver == "lbfgs":
        # four texts are told apart by 32 numbers
        assert torch.equal(found[batch.word_mask], batch.labels[batch.word_mask])


def test_steps_of_several_batches_are_steps_of_one(tmp_path, tiny_encoder, fit):
    path, grown = folder(tmp_path / "trips"), []
    for size, gathered in ((4, 1), (1, 4)):
        data = module(path, tiny_encoder, batch_size=size)
        torch.manual_seed(0)
        model = FullFineTuning(data.spec, tiny_encoder, HeadConfig(dropout=0.0))
        for part in model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        options = {"limit_train_batches": gathered, "accumulate_grad_batches": gathered}
        model.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.1)
        fit(model, data, **options)
        grown.append(model.head.out.weight.detach().clone())
    torch.testing.assert_close(grown[0], grown[1], atol=1e-6, rtol=1e-4)


def test_baselines(trips):
    assert chosen_methods("all", "slots") == ["majority", "tfidf", "token_majority"]
    parts = read_parts(trips)
    assert parts.train.labels[2].tolist()[:3] == [5, 0, 1]
    found = {}
    for name in chosen_methods("all", "slots"):
        method = method_of(name, "slots")(trips.spec, 0)
        method.fit(parts.train, parts.validation)
        found[name] = evaluate(trips.spec, method.predict(parts.tests[0]), parts.tests[0].labels)
    assert found["majority"] == {"sentence_accuracy": 0, "f1": 0, "intent_accuracy": 0.5}
    assert found["token_majority"]["f1"] == 1
    assert found["token_majority"]["intent_accuracy"] == 0.5
    assert found["tfidf"] == {"sentence_accuracy": 1, "f1": 1, "intent_accuracy": 1}


@pytest.fixture
def run(trips, tmp_path):
    """A run directory."""
    import lightning as L

    from transferlab.api.callbacks import run_callbacks

    model, place = FullFineTuning(trips.spec, trips.encoder), tmp_path / "runs" / "spoken"
    settings = {"accelerator": "cpu", "max_epochs": 1, "logger": False, "enable_progress_bar": False}
    trainer = L.Trainer(**settings, callbacks=run_callbacks("spoken", place))
    trainer.fit(model, trips)
    trainer.test(model, trips, ckpt_path="best", verbose=False)
    return place


def test_a_run_is_read_by_students_pages_and_comparisons(run, trips, tiny_encoder, fit):
    from transferlab.analysis.comparison.outcomes import outcomes
    from transferlab.analysis.page.answers import tested
    from transferlab.record.folder import read_summary
    from transferlab.tasks.kinds import SUMS

    summary = read_summary(run) | {"folder": str(run)}
    counted = outcomes(summary)
    assert counted is not None
    assert counted.counts.shape == (4, 2)
    score = float(SUMS["slots", "sentence_accuracy"](counted.counts.sum(0)))
    assert score == pytest.approx(summary["metrics"]["test/sentence_accuracy"])
    told = tested(summary)
    assert told is not None
    # intents are confused as classes are, slots go wrong as entities do
    assert sum(told.confusion.values()) == 4
    assert {name for pair in told.confusion for name in pair} <= {"book", "ask"}
    assert told.errors is not None
    lines = predictions.read(predictions.place(run, "test"))
    assert lines[0]["words"] == ROWS[lines[0]["id"]][0].split()
    assert lines[0]["seen"] == [True, True]
    student = Distillation(trips.spec, tiny_encoder, teacher=str(run), alpha=0.5)
    student.wrap_data(trips)
    trainer = fit(student, trips)
    assert np.isfinite(trainer.callback_metrics["train/loss"])


def test_a_text_gets_an_intent_tags_and_entities(trips):
    from transferlab.use.prediction.outputs import Lines
    from transferlab.use.predictor import Predictor

    model = FullFineTuning(trips.spec, trips.encoder).eval().requires_grad_(False)
    predictor = Predictor(model, trips.source, trips.settings)
    answer, other = predictor.predict(["Fly to  Rome, please", ["to", "new", "york"]])
    assert answer["words"] == ["Fly", "to", "Rome", ",", "please"]
    assert len(answer["slots"]) == 5
    assert len(other["slots"]) == 3
    assert set(answer["probabilities"]) == {"ask", "book"}
    assert answer["prediction"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["probability"] - answer["margin"] == pytest.approx(min(answer["probabilities"].values()), abs=1e-5)
    for entity in answer["entities"]:
        assert "Fly to  Rome, please"[entity["start"] : entity["end"]] == entity["text"]
    table = Lines("csv", ["tokens"], model.task)
    assert table.added[3:5] == ["probability_ask", "probability_book"]
    assert len(table._flat(answer)) == len(table.added)


def test_graph_with_two_outputs_gives_what_the_run_gives(trips):
    from transferlab.use.export.facts import joined
    from transferlab.use.export.graph import Graph, form_of, inputs_of

    model = FullFineTuning(trips.spec, trips.encoder).eval()
    batch = trips.encoded("train").collate([0, 1, 2, 3])
    form = form_of(model, batch)
    assert form.outputs == ("intent_logits", "slot_logits")
    with torch.inference_mode():
        intents, tags = Graph(model, form).eval()(*inputs_of(batch, form))
        wanted = model(batch)
    assert intents.shape == (4, 2)
    both = torch.from_numpy(joined([intents.numpy(), tags.numpy()]))
    torch.testing.assert_close(both[:, 0, 4:], wanted[:, 0, 4:])
    torch.testing.assert_close(both[:, 1:, :4][batch.word_mask[:, 1:]], wanted[:, 1:, :4][batch.word_mask[:, 1:]])


def test_labelled_rows_for_an_update_and_another_test(trips):
    from transferlab.use.gold import gold_of
    from transferlab.use.update.examples import source_of, written

    rows = trips.rows("train")
    gold = gold_of(trips.spec, rows, trips.source, trips.labels)
    assert gold[0] == {"intent": "book", "slots": ROWS[0][1].split()}
    told = written(rows, np.array([2]), trips.source, trips, trips.spec)
    assert told == [{"tokens": ["to", "paris"], "slots": ["O", "B-city"], "intent": "book"}]
    assert source_of({"train": "rows"}, trips.source, trips.spec)["intent"] == "intent"


@pytest.mark.slow
def test_an_exported_folder_answers_as_its_run(run, tmp_path):
    from transferlab.use.export.command import export
    from transferlab.use.exported import Exported
    from transferlab.use.predictor import Predictor

    for form in ("onnx", "torch"):
        checks = export(run, form, tmp_path / form)
        assert all(check.passed for check in checks)
    texts = ["fly to rome on monday", "is it wet", "to"]
    one, other = Predictor.load(run, device="cpu").predict(texts), Exported(tmp_path / "onnx").predict(texts)
    for mine, theirs in zip(one, other, strict=True):
        assert {**mine, "probabilities": 0, "probability": 0, "margin": 0} == {
            **theirs,
            "probabilities": 0,
            "probability": 0,
            "margin": 0,
        }
        assert mine["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-4)
    with pytest.raises(TransferlabError, match="two heads"):
        export(run, "hf", tmp_path / "hf")


def test_the_generated_task_has_other_words_in_its_test():
    from transferlab.tasks.embedded import generate

    train, test = (generate("slots", split) for split in ("train", "test"))
    assert len(train) == 1200
    assert set(train["intent"]) == set(test["intent"])
    foods = [
        {
            " ".join(w for w, t in zip(*pair, strict=True) if t.endswith("food"))
            for pair in zip(s["tokens"], s["slots"], strict=True)
        }
        for s in (train, test)
    ]
    assert not (foods[0] & foods[1]) - {""}

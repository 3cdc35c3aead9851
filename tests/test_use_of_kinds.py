"""Questions and relations in the commands that use a run: what is counted, changed, compared and asked first."""

from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from test_questions import CONTEXT, ROWS, TASK

from transferlab.analysis.comparison import naming
from transferlab.analysis.comparison.groups import key_of
from transferlab.api.tree import Written
from transferlab.ground.errors import TransferlabError
from transferlab.record.config import RunConfig
from transferlab.strategies import FullFineTuning
from transferlab.tasks import Source, TaskDataModule, TaskSpec
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.labels import Labels
from transferlab.tasks.marked import parse
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.settings import Settings, with_entities
from transferlab.use.drift import inputs, measure
from transferlab.use.drift.inputs import Drawn
from transferlab.use.export import parity
from transferlab.use.export.command import _samples
from transferlab.use.gold import gold_of
from transferlab.use.labelled import Labelled
from transferlab.use.prediction.inputs import Row, Wanted
from transferlab.use.predictor import Predictor
from transferlab.use.robustness import command, perturbations
from transferlab.use.robustness.measure import perturbed
from transferlab.use.serving.metrics import outcomes
from transferlab.use.serving.questions import wanted
from transferlab.use.serving.served import warm

RELATION = TaskSpec("r", "relation", ("a", "b"), ("f1_macro",), negative="b", ranges=2)
CHANGES = {change.name: change for change in perturbations.known({"brass": ("metal",)})}


def test_a_service_counts_whether_there_is_an_answer_and_keeps_none_of_it():
    assert outcomes(TASK, {"prediction": "in London"}) == ["an answer"]
    assert outcomes(TASK, {"prediction": ""}) == ["no answer"]
    assert outcomes(RELATION, {"prediction": "a"}) == ["a"]


def test_a_service_first_asks_itself_what_its_kind_reads():
    facts = SimpleNamespace(task=TASK, text=("question", "context"))
    assert all(len(pair) == 2 and len(pair[0]) < 10 for pair in warm(facts))
    facts = SimpleNamespace(task=RELATION, text=("text",))
    assert [parse(text).text.startswith("The flu gave him a fever.") for text in warm(facts)] == [True, True]
    assert "<e1>" in wanted(facts)


def test_gold_answers_are_texts_and_are_read_from_new_rows_in_every_form():
    cells = [ROWS[0], {**ROWS[1], "answers": {"text": ["London"], "answer_start": [19]}}, {**ROWS[2], "answers": []}]
    source = Source(kind="qa", text=("question", "context"), label="answers")
    found = inputs.right_answers(Drawn(cells, [1, 2, 3], 3), source, TASK, "new.jsonl")
    assert found == [["Ada"], ["London"], []]
    wrong = [{**ROWS[0], "answers": [{"text": "Ada", "answer_start": 3}]}]
    with pytest.raises(TransferlabError, match=r"new.jsonl, line 7.*it stands at 0"):
        inputs.right_answers(Drawn(wrong, [7], 1), source, TASK, "new.jsonl")
    rows = Rows(Table.from_dict({name: [cell] for name, cell in ROWS[1].items()}), "x", None)
    assert gold_of(TASK, rows, source, Labels(())) == [["London", "in London"]]


def lines(answered, of, score=0.5):
    """Records of questions, all of which have an answer but every fourth."""
    return [
        {"prediction": "x" if n < answered else "", "label": ["x"] if n % 4 else [], "score": score, "tokens": 20 + n}
        for n in range(of)
    ]


def test_drift_of_questions_by_hand():
    known, new = lines(30, 40), lines(10, 40, 0.9)
    checks, left_out = measure.compare(TASK, known, new)
    values = {check["name"]: check["value"] for check in checks}
    # 30 of 40 had an answer, 10 of 40 have one; the mean score went from 0.5 to 0.9
    assert values == {
        "predicted labels": pytest.approx(0.5),
        "confidence": pytest.approx(0.4),
        "length in tokens": pytest.approx(0.0),
    }
    assert not left_out
    shares, _ = measure.label_shares(TASK, known, new)
    assert shares["no answer"]["validation"] == pytest.approx(0.25)
    assert shares["no answer"]["predicted"] == pytest.approx(0.75)
    assert measure.quality(TASK, known)["metric"] == "f1"


def test_rows_of_relations_are_compared_from_every_form():
    given = SimpleNamespace(
        name="new.jsonl",
        wanted=Wanted(("text",), spans=True),
        rows=[Row(n, {"text": "Ada and Bob", "head": [0, 3], "tail": [8, 11]}) for n in range(1, 25)],
    )
    drawn = inputs.draw(given, ("text",), 100, 0)
    assert drawn.cells[0]["text"] == "<e1>Ada</e1> and <e2>Bob</e2>"
    given.rows.append(Row(25, {"text": "Ada and Bob"}))
    with pytest.raises(TransferlabError, match=r"new.jsonl, line 25: there is no <e1>"):
        inputs.draw(given, ("text",), 100, 0)


def test_a_changed_question_leaves_its_context():
    columns = {"question": ["Who built the engine of brass?"], "context": [CONTEXT]}
    examples = Labelled("x", np.array([0]), columns, [np.array(["Ada"], dtype=object)], "v")
    for name, change in CHANGES.items():
        if command.fits(change, "qa"):
            new = perturbed(examples, change, 0, "qa").columns
            assert new["context"] == [CONTEXT]
            assert name in ("lower", "contractions") or new["question"] != columns["question"]
    left = {name for name, change in CHANGES.items() if not command.fits(change, "qa")}
    # another name, another person or more sentences ask something else
    assert left == {"names", "pronouns", "longer"}
    assert not command.fits(CHANGES["longer"], "relation")
    assert command.fits(CHANGES["longer"], "classification")


@pytest.mark.parametrize("kind", ["tagging", "slots"])
def test_changed_words_keep_their_number(kind):
    words = ["book", "a", "table", "for", "Ada"]
    examples = Labelled("x", np.array([0]), {"tokens": [words]}, [np.arange(6 if kind == "slots" else 5)], "v")
    fitting = [change for change in CHANGES.values() if command.fits(change, kind)]
    assert fitting
    for change in fitting:
        assert len(perturbed(examples, change, 0, kind).columns["tokens"][0]) == len(words)
    assert not command.fits(CHANGES["longer"], kind)


def test_every_kind_that_is_changed_says_what_its_difference_is_of():
    assert set(command.RIGHT) == set(KINDS) - {"text"}


def test_a_run_from_python_writes_no_key_that_questions_refuse(tiny_encoder):
    source = Source(path="embedded", config="answers", kind="qa", test=("test",), text=("question", "context"))
    data = TaskDataModule("facts", tiny_encoder, source, max_length=64, stride=16)
    model = FullFineTuning(data.spec, tiny_encoder)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    tree = Written().run(trainer, model, data, RunConfig())
    assert tree["data"]["init_args"].get("windows") is None
    assert tree["data"]["init_args"]["stride"] == 16


def test_an_export_asks_only_relations_that_the_run_can_read(tiny_encoder):
    torch.manual_seed(0)
    settings = with_entities(Settings(12, "head"), "relation", None, None)
    predictor = Predictor(FullFineTuning(RELATION, tiny_encoder), Source(kind="relation", text=("text",)), settings)
    asked = parity.samples(["text"])["text"]
    encoded, _ = _samples(predictor)
    assert 3 <= len(encoded) < len(asked)
    predictor.settings = settings._replace(max_length=128)
    assert len(_samples(predictor)[0]) == len(asked)


# tables ---------------------------------------------------------------------------------------------------------------


def test_other_heads_are_other_words_in_a_name():
    one = "[[0, 1, 2, 3], [0, 1], [5], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0, 11], [3]]"
    words = naming._told("encoder.keep_heads", [one, one.replace("[5]", "[6]"), naming.MISSING, "[[1], [2]]"])
    assert all(word.startswith("keep_heads=4+2+1+10+2+1") for word in words[:2])
    assert words[0] != words[1]
    assert words[2:] == ["", "keep_heads=[[1], [2]]"]
    assert all(len(word) <= naming.SHORT + 1 for word in words)
    assert naming._told("encoder.keep_heads", [one, "[[1], [2]]"])[0] == "keep_heads=4+2+1+10+2+1"


def test_an_updated_run_is_compared_with_the_run_that_it_comes_from():
    known = {"task": "t", "primary": "accuracy", "data": {"version": "old"}}
    new = {**known, "data": {"version": "new"}}
    assert key_of(new).data == "new"
    assert key_of({**new, "start": {"data": "old"}}).data == "new"
    beside = {"data": "old", "protocol": "holdout by text"}
    updated = key_of({**new, "protocol": "holdout", "start": {"beside": beside}})
    assert (updated.data, updated.protocol) == ("old", "holdout by text")

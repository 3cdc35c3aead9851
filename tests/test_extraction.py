"""From texts to triples: pairs that are asked about, offsets, strict scores."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import FeatureExtraction
from transferlab.tasks import TaskSpec
from transferlab.tasks.embedded import generate
from transferlab.tasks.marked import parse
from transferlab.tasks.settings import Settings
from transferlab.tasks.spec import Source
from transferlab.use.extraction import scored
from transferlab.use.extraction.command import extract
from transferlab.use.extraction.triples import Asked, Text, asked_of, candidates, marked, relations
from transferlab.use.prediction.inputs import Input, Wanted
from transferlab.use.predictor import Predictor

TEXT = Text(
    "Ada met Bob in Rome.",
    [
        {"type": "PER", "start": 0, "end": 3, "text": "Ada"},
        {"type": "PER", "start": 8, "end": 11, "text": "Bob"},
        {"type": "LOC", "start": 15, "end": 19, "text": "Rome"},
    ],
)
DIRECTED = ("knows(e1,e2)", "knows(e2,e1)", "Other")


def test_pairs_that_are_asked_about() -> None:
    """Labels without direction are asked both ways, those with it once, the first entity as e1; types choose."""
    both = asked_of(TaskSpec("t", "relation", ("knows", "no_relation"), ("f1_micro",)), None)
    assert candidates(TEXT, both) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    once = asked_of(TaskSpec("t", "relation", DIRECTED, ("f1_micro",)), None)
    assert candidates(TEXT, once) == [(0, 1), (0, 2), (1, 2)]
    typed = asked_of(TaskSpec("t", "relation", ("in", "no_relation"), ("f1_micro",)), ["PER:LOC"])
    assert candidates(TEXT, typed) == [(0, 2), (1, 2)]
    assert candidates(TEXT, Asked(frozenset({("LOC", "PER")}), True)) == [(0, 2), (1, 2)]
    with pytest.raises(TransferlabError, match=r"--pairs: 'PER' is no pair of types"):
        asked_of(TaskSpec("t", "relation", DIRECTED, ("f1_micro",)), ["PER"])


def test_marked_pairs_keep_their_place() -> None:
    """The marks stand around the two entities, with their types."""
    assert marked(TEXT, (2, 0)) == "<e2:PER>Ada</e2> met Bob in <e1:LOC>Rome</e1>."


def test_strict_scores_by_hand() -> None:
    """Both spans, both types and the relation count; a type that is wrong is a triple that is wrong."""
    gold = [{"head": 0, "tail": 1, "relation": "knows"}, {"head": 0, "tail": 2, "relation": "in"}]
    wrong = Text(TEXT.text, [TEXT.entities[0], TEXT.entities[1], {**TEXT.entities[2], "type": "ORG"}])
    found = scored.strict_triples([wrong], [gold])
    assert scored.scores(found, scored.strict_triples([TEXT], [gold])) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    entities = [scored.strict_entities([one.entities]) for one in (wrong, TEXT)]
    assert scored.scores(*entities)["f1"] == pytest.approx(2 / 3)


def test_gold_of_a_row() -> None:
    """Relations name entities by number; a label with its direction turns them; what does not fit is refused."""
    cells = {"entities": TEXT.entities, "relations": [{"head": 0, "tail": 1, "relation": "knows(e2,e1)"}]}
    found = scored.gold_of(cells, TEXT.text)
    assert found is not None
    assert found[1] == [{"head": 1, "tail": 0, "relation": "knows"}]
    assert scored.gold_of({"text": "no gold"}, "no gold") is None
    with pytest.raises(TransferlabError, match="numbers of the 3 entities"):
        scored.gold_of({**cells, "relations": [{"head": 0, "tail": 3, "relation": "knows"}]}, TEXT.text)
    with pytest.raises(TransferlabError, match=r"\[15, 99\] is outside of a text of 20"):
        scored.gold_of({**cells, "entities": [{"type": "LOC", "start": 15, "end": 99}]}, TEXT.text)


def build(encoder: EncoderConfig, task: TaskSpec, source: Source, settings: Settings) -> Predictor:
    torch.manual_seed(3)
    return Predictor(FeatureExtraction(task, encoder).eval(), source, settings)


@pytest.fixture
def relation(tiny_encoder: EncoderConfig) -> Predictor:
    """A random run of relations."""
    task = TaskSpec("t", "relation", DIRECTED, ("f1_micro",), negative="Other", ranges=2)
    settings = Settings(64, "head", markers="punctuation", pooled="start")
    return build(tiny_encoder, task, Source(kind="relation"), settings)


def test_triples_of_a_pipeline(tiny_encoder: EncoderConfig, relation: Predictor, tmp_path: Path) -> None:
    """A line for each text; every triple names two entities by their offsets, and no negative one is given."""
    task = TaskSpec("t", "tagging", ("O", "B-PER", "I-PER"), ("f1",))
    ner = build(tiny_encoder, task, Source(kind="tagging", text=("tokens",)), Settings(64, "head"))
    path = tmp_path / "in.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": n, "tokens": text} for n, text in enumerate(("he said that she was on it", "a"))
    ]
    rows += [
        {"tokens": TEXT.text, "entities": TEXT.entities, "relations": [{"head": 0, "tail": 1, "relation": "knows"}]}
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    out = io.StringIO()
    asked = asked_of(relation.task, None)
    told = extract(Input(str(path), Wanted(("tokens",), True)), ner, relation, asked, 0.0, out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["text"] for line in lines] == [row["tokens"] for row in rows]
    assert [line["line"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert [line["text"][one["start"] : one["end"]] for one in line["entities"]] == [
            one["text"] for one in line["entities"]
        ]
        for one in line["relations"]:
            assert one["relation"] == "knows"
            assert one["head_text"] == line["entities"][one["head"]]["text"]
            assert one["head"] != one["tail"]
    assert told["texts with gold"] == "1"
    assert told["lost by found entities"].endswith("points of F1")
    assert told["relations"].startswith("F1 ")


def test_relations_are_those_of_single_texts(relation: Predictor) -> None:
    """What a pair is answered in a batch is what it is answered alone, head and tail by the direction."""
    asked = asked_of(relation.task, None)
    want = []
    for one, other in candidates(TEXT, asked):
        answer = relation(marked(TEXT, (one, other)))
        if answer["prediction"] != "Other":
            ends = (one, other) if answer["prediction"] == "knows(e1,e2)" else (other, one)
            want.append((*ends, pytest.approx(answer["probability"], abs=1e-5)))
    found = relations([TEXT], relation, asked)[0]
    assert [(one["head"], one["tail"], one["probability"]) for one in found] == want
    assert relations([TEXT], relation, asked, least=1.1) == [[]]


@pytest.mark.parametrize("split", ["train", "test"])
def test_order_decides_in_the_generated_relations(split: str) -> None:
    """Each sentence has its pair marked both ways with opposite labels, and a pair without a relation."""
    rows = generate("relations", split)
    names = rows.names["label"]
    by_text: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        one = parse(row["text"])
        ends = [one.text[span.start : span.end] for span in (one.head, one.tail)]
        by_text.setdefault(one.text, []).append((ends[0], ends[1], names[row["label"]]))
    whole = [twins for twins in by_text.values() if len(twins) >= 3]
    assert len(whole) > 0.9 * len(by_text)
    for twins in whole:
        (forward,) = {one for one in twins if one[2].endswith("(e1,e2)")}
        assert (forward[1], forward[0], forward[2].replace("e1,e2", "e2,e1")) in twins
        assert any(label == "Other" for _, _, label in twins)

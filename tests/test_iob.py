import itertools

import numpy as np
import pytest
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.decoding import constrained_decode
from transferlab.tasks.iob import is_valid_transition, spans

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def end_of_chunk(prev_tag, tag, prev_type, type_):
    """The rules of conlleval.pl for B, I and O, one by one."""
    end = False
    if prev_tag == "B" and tag == "B":
        end = True
    if prev_tag == "B" and tag == "O":
        end = True
    if prev_tag == "I" and tag == "B":
        end = True
    if prev_tag == "I" and tag == "O":
        end = True
    if prev_tag != "O" and prev_type != type_:
        end = True
    return end


def start_of_chunk(prev_tag, tag, prev_type, type_):
    start = False
    if prev_tag == "B" and tag == "B":
        start = True
    if prev_tag == "I" and tag == "B":
        start = True
    if prev_tag == "O" and tag == "B":
        start = True
    if prev_tag == "O" and tag == "I":
        start = True
    if tag != "O" and prev_type != type_:
        start = True
    return start


def conlleval_chunks(tags):
    chunks, begin, prev_tag, prev_type = set(), 0, "O", ""
    for index, full in enumerate([*tags, "O"]):
        tag, _, type_ = full.partition("-")
        if end_of_chunk(prev_tag, tag, prev_type, type_):
            chunks.add((prev_type, begin, index))
        if start_of_chunk(prev_tag, tag, prev_type, type_):
            begin = index
        prev_tag, prev_type = tag, type_
    return chunks


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", set()),
        ("O O", set()),
        ("B-PER I-PER O B-LOC", {("PER", 0, 2), ("LOC", 3, 4)}),
        ("B-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}),
        ("I-PER I-PER O I-LOC", {("PER", 0, 2), ("LOC", 3, 4)}),  # IOB1, or IOB2 gone wrong
        ("I-PER B-PER I-PER", {("PER", 0, 1), ("PER", 1, 3)}),
        ("B-PER I-LOC I-LOC", {("PER", 0, 1), ("LOC", 1, 3)}),
        ("B-time-of-day I-time-of-day", {("time-of-day", 0, 2)}),
    ],
)
def test_spans_by_hand(tags, expected):
    assert spans(tags.split()) == expected


def test_spans_equal_conlleval_on_every_short_sequence():
    for length in range(6):
        for tags in itertools.product(LABELS, repeat=length):
            assert spans(tags) == conlleval_chunks(tags), tags


def test_spans_equal_seqeval():
    rng = np.random.default_rng(0)
    for _ in range(300):
        tags = rng.choice(LABELS, size=rng.integers(1, 12)).tolist()
        # the default mode of seqeval is conlleval's ...
        assert spans(tags) == {(kind, start, end + 1) for kind, start, end in get_entities(tags)}
        # ... its strict mode drops chunks that begin with I, so it agrees on valid sequences only
        valid = all(itertools.starmap(is_valid_transition, itertools.pairwise([None, *tags])))
        strict = {e.to_tuple()[1:] for e in Entities([tags], IOB2).entities[0]}
        assert not valid or spans(tags) == strict


def test_strict_mode_of_seqeval_is_not_conlleval():
    tags = ["O", "I-PER"]
    assert spans(tags) == {("PER", 1, 2)}
    assert Entities([tags], IOB2).entities == [[]]


@pytest.mark.parametrize("tag", ["S-PER", "E-PER", "PER", "O-PER", "", "b-PER"])
def test_foreign_tags_are_refused(tag):
    with pytest.raises(TransferlabError, match="no IOB tag"):
        spans([tag])


def test_transitions():
    table = {(before, tag): is_valid_transition(before, tag) for before in (None, *LABELS) for tag in LABELS}
    forbidden = {pair for pair, valid in table.items() if not valid}
    assert forbidden == {
        *((None, tag) for tag in ("I-PER", "I-LOC")),
        *(("O", tag) for tag in ("I-PER", "I-LOC")),
        *((f"{prefix}-PER", "I-LOC") for prefix in "BI"),
        *((f"{prefix}-LOC", "I-PER") for prefix in "BI"),
    }


def log_softmax(scores):
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.mark.parametrize("words", [1, 2, 3, 5])
def test_decode_equals_brute_force(words):
    rng = np.random.default_rng(words)
    paths = [
        path
        for path in itertools.product(range(len(LABELS)), repeat=words)
        if all(is_valid_transition(LABELS[a] if a is not None else None, LABELS[b])
               for a, b in itertools.pairwise([None, *path]))
    ]  # fmt: skip
    for _ in range(5):
        scores = rng.normal(size=(words, len(LABELS))) * 3
        logp = log_softmax(scores)
        expected = max(paths, key=lambda path: sum(logp[t, y] for t, y in enumerate(path)))
        assert constrained_decode(scores, LABELS) == list(expected)
        assert constrained_decode(logp.astype(np.float32), LABELS) == list(expected)


def test_decode_keeps_a_valid_argmax():
    best = [0, 1, 2, 2, 3, 1, 0]
    assert constrained_decode(np.eye(5)[best] * 5, LABELS) == best


def test_decode_edges():
    assert constrained_decode(np.zeros((0, 5)), LABELS) == []
    with pytest.raises(TransferlabError, match="can start"):
        constrained_decode(np.zeros((2, 1)), ["I-PER"])


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf])
def test_decode_is_valid_whatever_the_scores(fill):
    rng = np.random.default_rng(1)
    scores = np.where(rng.random((40, 5)) < 0.7, fill, rng.normal(size=(40, 5)))
    tags = [None, *(LABELS[y] for y in constrained_decode(scores, LABELS))]
    assert all(itertools.starmap(is_valid_transition, itertools.pairwise(tags)))

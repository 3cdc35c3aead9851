"""Tag schemes: what is found out of files, read as IOB2, scored, and written back."""

import itertools
import json

import numpy as np
import pytest
import seqeval.scheme
from seqeval.metrics.sequence_labeling import get_entities

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.decoding import constrained_decode
from transferlab.tasks.iob import spans
from transferlab.tasks.schemes import IOB2, Scheme, of_summary

GOLD = [["B-PER", "O", "B-LOC", "I-LOC", "B-LOC", "O"], ["O", "B-LOC", "I-LOC", "I-LOC"], ["B-PER", "B-LOC"]]
"""Two neighbours of one type, a long entity, and two neighbours of two types."""
SPELLED = {
    "IOB2": Scheme(),
    "IOB1": Scheme("IOB1"),
    "IO": Scheme("IO"),
    "BIOES": Scheme("BIOES"),
    "BILOU": Scheme("BILOU", letters="BILU"),
    "BMES": Scheme("BIOES", letters="BMES"),
    "suffixes": Scheme("IOB2", suffix=True),
    "small letters": Scheme("IOB2", "o", "bies"),
    "small letters of BIOES": Scheme("BIOES", "O", "bies"),
    "underscores": Scheme("IOB2", separator="_"),
    "underscores of BILOU, suffixes": Scheme("BILOU", letters="BILU", separator="_", suffix=True),
    "plain types": Scheme("IO", separator=""),
    "0 for O": Scheme("IOB2", "0"),
    "plain types, 0 for O": Scheme("IO", "0", separator=""),
}


def test_how_each_scheme_is_written() -> None:
    tags = GOLD[0]
    written = {name: " ".join(scheme.write(tags)) for name, scheme in SPELLED.items()}
    assert written == {
        "IOB2": "B-PER O B-LOC I-LOC B-LOC O",
        "IOB1": "I-PER O I-LOC I-LOC B-LOC O",
        "IO": "I-PER O I-LOC I-LOC I-LOC O",
        "BIOES": "S-PER O B-LOC E-LOC S-LOC O",
        "BILOU": "U-PER O B-LOC L-LOC U-LOC O",
        "BMES": "S-PER O B-LOC E-LOC S-LOC O",
        "suffixes": "PER-B O LOC-B LOC-I LOC-B O",
        "small letters": "b-PER o b-LOC i-LOC b-LOC o",
        "small letters of BIOES": "s-PER O b-LOC e-LOC s-LOC O",
        "underscores": "B_PER O B_LOC I_LOC B_LOC O",
        "underscores of BILOU, suffixes": "PER_U O LOC_B LOC_L LOC_U O",
        "plain types": "PER O LOC LOC LOC O",
        "0 for O": "B-PER 0 B-LOC I-LOC B-LOC 0",
        "plain types, 0 for O": "PER 0 LOC LOC LOC 0",
    }


@pytest.mark.parametrize("name", SPELLED)
def test_what_is_written_is_read_as_it_was(name) -> None:
    scheme = SPELLED[name]
    for tags in itertools.product(["O", "B-X", "I-X", "B-time-of-day", "I-time-of-day"], repeat=4):
        written = scheme.write(tags)
        assert spans(scheme.read(written)) == scheme.entities(tags)
        # by the tag what is written is known again
        assert scheme.write(scheme.read(written)) == written
        if scheme.name != "IO":
            assert scheme.entities(tags) == spans(tags)


def test_iob_is_read_as_conlleval_reads_it() -> None:
    rng = np.random.default_rng(0)
    for name in ("IOB1", "IOB2"):
        for _ in range(300):
            tags = rng.choice(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], size=rng.integers(1, 12)).tolist()
            # the default mode of seqeval is conlleval's
            expected = {(kind, start, end + 1) for kind, start, end in get_entities(tags)}
            assert spans(SPELLED[name].read(tags)) == expected


@pytest.mark.parametrize(("name", "letters"), [("BIOES", "BIES"), ("BILOU", "BILU")])
def test_bioes_is_read_as_the_strict_mode_of_seqeval_reads_it(name, letters) -> None:
    rng = np.random.default_rng(0)
    definition = seqeval.scheme.IOBES if name == "BIOES" else seqeval.scheme.BILOU
    tags = ["O", *(f"{letter}-{kind}" for letter in letters for kind in ("PER", "LOC"))]
    for _ in range(1000):
        sentence = rng.choice(tags, size=rng.integers(1, 12)).tolist()
        found = seqeval.scheme.Entities([sentence], definition).entities[0]
        assert spans(SPELLED[name].read(sentence)) == {entity.to_tuple()[1:] for entity in found}


def test_types_without_a_name_and_with_the_separator_inside() -> None:
    assert Scheme("BIOES").write(["B", "I", "I", "O", "B"]) == ["B", "I", "E", "O", "S"]
    assert Scheme("BIOES").read(["B", "I", "E", "O", "S"]) == ["B", "I", "I", "O", "B"]
    assert Scheme("BIOES", suffix=True).write(["B-time-of-day", "I-time-of-day"]) == ["time-of-day-B", "time-of-day-E"]


# what is found out ----------------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path, tiny_encoder):
    """A data module of sentences of tags, by split."""

    def build(**given):
        options = {key: given.pop(key) for key in ("scheme", "labels") if key in given}
        files = {}
        for split, sentences in given.items():
            files[split] = str(tmp_path / f"{split}.bio")
            blocks = ["\n".join(f"{chr(97 + n)}\t{tag}" for n, tag in enumerate(tags)) for tags in sentences]
            (tmp_path / f"{split}.bio").write_text("\n\n".join(blocks) + "\n")
        source = Source(files=files, kind="tagging", text=("tokens",), label="tags", **options)
        return TaskDataModule("own", tiny_encoder, source=source, max_length=32)

    return build


def gold(data, split="train"):
    return data.rows(split).rows["tags"][:]


@pytest.mark.parametrize("name", SPELLED)
def test_a_scheme_is_found_out(name, module) -> None:
    scheme = SPELLED[name]
    written = [scheme.write(tags) for tags in 2 * GOLD]
    data = module(train=written, test=written[:1])
    expected = [scheme.read(tags) for tags in written]
    assert gold(data) == expected
    assert gold(data, "test") == expected[:1]
    # letters that were never seen may be those of several schemes
    alike = {"BMES": SPELLED["BMES"]}.get(name, scheme)
    assert (data.spec.scheme or IOB2) == alike
    assert data.spec.labels == ("O", "B-LOC", "B-PER", "I-LOC")
    assert data.spec.entities
    data.setup("fit")
    again = module(train=written, test=written[:1])
    assert again.spec == data.spec


def test_schemes_are_found_out_over_all_splits(module) -> None:
    # the test alone has an entity of several words
    data = module(train=[["S-X", "O"]] * 3, test=[["B-X", "E-X"]])
    assert data.spec.scheme == Scheme("BIOES")
    # the training split alone could be IO
    data = module(train=[["I-X", "O", "I-X"]] * 3, test=[["I-X", "B-X", "O"]])
    assert data.spec.scheme == Scheme("IOB1")
    assert gold(data, "test") == [["B-X", "B-X", "O"]]


def test_two_ways_of_iob_are_read_and_told(module) -> None:
    data = module(train=[["I-X", "O", "I-X"]] * 3, test=[["B-X", "B-X", "O"]])
    assert data.spec.scheme == Scheme("IOB1")
    assert gold(data) == [["B-X", "O", "B-X"]] * 3
    assert data.notes == [
        "tags are written in two ways (IOB1 in train, IOB2 in test; 1 entities begin with B-), and read as conlleval "
        "does"
    ]


def test_iob2_stays_as_it_stands(module) -> None:
    # an I- that opens an entity is read as before, and told
    tags = [["B-X", "I-X", "O", "I-Y"], ["O", "B-Y", "B-X", "I-X"]]
    data = module(train=tags, test=tags[1:])
    assert data.spec.scheme is None
    assert data.spec.labels == ("O", "B-X", "B-Y", "I-X", "I-Y")
    assert gold(data) == tags
    assert data.notes == ["1 of 6 entities begin with I-, not B-; they are read as conlleval does"]


def test_mistakes_of_bioes_count_as_outside_and_are_told(module) -> None:
    data = module(train=[["B-X", "I-X", "E-X", "S-X"]] * 8 + [["O", "E-X"]], test=[["S-X", "O"]])
    assert gold(data)[-1] == ["O", "O"]
    place = f"{data.source.files['train']}, line 42"
    assert data.notes == [
        f"{place}: 'E-X' and 0 more tags of 34 are not where BIOES allows them and count as O, as in seqeval's strict "
        "mode"
    ]


def test_tags_without_entities(module) -> None:
    tags = [["DET", "NOUN", "VERB"], ["PRP$", "-LRB-", "NOUN"]]
    data = module(train=tags, test=[["NOUN", "X"]])
    assert (data.spec.scheme, data.spec.entities, data.spec.outside) == (Scheme("tags"), False, -1)
    assert data.spec.labels == ("-LRB-", "DET", "NOUN", "PRP$", "VERB", "X")
    assert data.spec.metrics == ("accuracy", "f1_macro")


def test_a_named_scheme_counts(module) -> None:
    tags = [["V", "N", "O", "O"], ["O", "N"]]
    assert module(train=tags, scheme="tags").spec.labels == ("O", "N", "V")
    assert module(train=tags).spec.scheme == Scheme("IO", separator="")
    assert module(train=[["I-X", "O", "I-X"]], scheme="IOB1").spec.scheme == Scheme("IOB1")
    assert module(train=[["S-X", "O", "B-X", "E-X"]], scheme="IOBES").spec.scheme == Scheme("BIOES")
    # B and I as letters of BIOES: entities without an end are none
    data = module(train=[["B-X", "O"]] + [["B-X", "E-X"]] * 9, scheme="BIOES")
    assert gold(data)[0] == ["O", "O"]


def test_a_tag_of_the_test_alone_is_there_to_be_missed(module) -> None:
    data = module(train=[["B-X", "O"]] * 4, test=[["B-Y", "I-Y", "B-X"]])
    assert data.spec.labels == ("O", "B-X", "B-Y", "I-Y")
    data.setup("fit")
    assert data.encoded("test").labels.values.tolist() == [2, 3, 1]
    assert data.notes == ["not in train, so not learned and counted as missed in test: B-Y (1), I-Y (1)"]


def test_names_keep_the_order_of_the_user(module) -> None:
    given = ("B-LOC", "B-PER", "I-LOC", "O")
    assert module(train=GOLD, labels=given).spec.labels == given
    bioes = [Scheme("BIOES").write(tags) for tags in GOLD]
    assert module(train=bioes, labels=("S-LOC", "E-LOC", "S-PER", "O", "B-LOC")).spec.labels == (
        "B-LOC",
        "I-LOC",
        "B-PER",
        "O",
    )
    plain = [SPELLED["plain types"].write(tags) for tags in GOLD]
    data = module(train=plain, labels=("LOC", "PER", "O"))
    assert (data.spec.labels, data.spec.outside) == (("B-LOC", "I-LOC", "B-PER", "I-PER", "O"), 4)


def test_class_numbers_of_tags(tmp_path, tiny_encoder) -> None:
    path = tmp_path / "own.jsonl"
    rows = [{"tokens": ["a", "b", "c"], "tags": [1, 0, 2]}, {"tokens": ["a"], "tags": [0]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def build(**options):
        source = Source(files={"train": str(path)}, kind="tagging", text=("tokens",), label="tags", **options)
        return TaskDataModule("own", tiny_encoder, source=source)

    data = build(labels=("S-X", "O", "S-Y"))
    assert gold(data) == [["O", "B-X", "B-Y"], ["B-X"]]
    with pytest.raises(TransferlabError, match=r"own\.jsonl, line 1: the tags are numbers \(1\)\. List their names"):
        _ = build().spec
    assert build(scheme="tags").spec.labels == ("0", "1", "2")


REFUSED = {
    "a tag of another scheme": (
        {"train": [["B-X", "I-X", "O"], ["B-X", "O", "S-X"]], "test": [["I-X"]]},
        r"train\.bio, line 7: 'S-X' is no tag of IOB2, and as BIOES no entity of several words would end\. Mend",
    ),
    "a test of another scheme": (
        {"train": [["B-X", "E-X", "O"]], "test": [["B-X", "I-X"], ["O", "B-X"]]},
        r"test\.bio, line 1: 'B-X' belongs to no entity from B to E, as 3 of 5 tags of entities, so .* not BIOES\. Mend",
    ),
    "a type without a letter": (
        {"train": [["B-X", "I-X"], ["O", "LOC"]]},
        r"train\.bio, line 5: 'LOC' is no tag of IOB as the others are spelled \(O or B-TYPE; 4 .*data\.source\.scheme",
    ),
    "a small letter among large ones": ({"train": [["B-X", "I-X", "b-X"]]}, r"line 3: 'b-X' is no tag of IOB as"),
    "two signs for outside": (
        {"train": [["B-X", "O", "O", "I-X", "0"]]},
        r"line 5: '0' is no tag of IOB as the others are spelled",
    ),
    "two signs for outside of plain types": (
        {"train": [["LOC", "O", "O", "0", "PER"]]},
        r"line 4: '0' where other words outside of entities have 'O'",
    ),
    "in the test": (
        {"train": [["B-X", "O"]], "test": [["O"], ["B-X", "X"]]},
        r"test\.bio, line 4: 'X' is no tag of IOB",
    ),
    "letters of a scheme that was not named": (
        {"train": [["B-X", "E-X", "O"]], "scheme": "IOB2"},
        r"train\.bio, line 2: 'E-X' is no tag of IOB2",
    ),
    "no letters though a scheme was named": (
        {"train": [["N", "V"]], "scheme": "BIOES"},
        r"train\.bio, line 1: 'N' has no letter such as B- or I-, so the tags are not BIOES",
    ),
    "a type that is not listed": (
        {"train": [["O", "S-Y"], ["S-X", "O"]], "labels": ("O", "S-X")},
        r"train\.bio, line 2: 'S-Y' is not in data\.source\.labels: O, S-X\.",
    ),
    "an empty tag": ({"train": [["B-X", "O"], ["", "S-X"]]}, r"train\.bio, line 4: the tag is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tags_that_fit_no_scheme_are_refused(case, module) -> None:
    given, message = REFUSED[case]
    with pytest.raises(TransferlabError, match=message) as caught:
        module(**given).setup("fit")
    assert "\n" not in str(caught.value)


# decoding -------------------------------------------------------------------------------------------------------------


def test_constrained_decoding_does_not_part_what_io_cannot() -> None:
    labels = ("O", "B-X", "I-X")
    scores = np.log(np.array([[0.1, 0.8, 0.1], [0.1, 0.7, 0.2], [0.8, 0.1, 0.1]]))
    assert constrained_decode(scores, labels) == [1, 1, 0]
    assert constrained_decode(scores, labels, parted=False) == [1, 2, 0]


def test_a_summary_keeps_the_scheme() -> None:
    assert of_summary({}) == of_summary({"scheme": None}) == IOB2
    assert of_summary(json.loads(json.dumps({"scheme": SPELLED["BMES"]}))) == SPELLED["BMES"]


def test_inspection_reads_entities_of_every_scheme(module) -> None:
    from transferlab.tasks.inspection.facts import inspect

    for name in ("IOB2", "BILOU", "underscores"):
        written = [SPELLED[name].write(tags) for tags in GOLD]
        data = module(train=written, test=written[:1])
        facts = inspect(data.source, data._read, ["train", "test"])
        assert facts["splits"]["train"]["labels"] == {"LOC": 4, "PER": 2}

"""Files with a word and its tag on each line, as corpora and programs write them."""

import re

import pytest
import torch

from transferlab.ground.errors import TransferlabError
from transferlab.strategies import FullFineTuning
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.sources import read_split


@pytest.fixture
def read(tmp_path):
    """Writes a file and reads it as the training split; the sentences as pairs of words and tags."""

    def run(content, name="own.conll", text="tokens", label="tags", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        source = Source(files={"train": str(path)}, kind="tagging", text=(text,), label=label, **options)
        rows = read_split(source, "train")
        return list(zip(rows.rows[text][:], rows.rows[label][:], strict=True)), rows

    return run


ADA = [(["Ada", "visits", "Rome"], ["B-PER", "O", "B-LOC"]), (["Bo", "too"], ["B-PER", "O"])]
PLAIN = "Ada B-PER\nvisits O\nRome B-LOC\n\nBo B-PER\ntoo O\n"
TABS = PLAIN.replace(" ", "\t")
GERMEVAL = "#\thttp://example.org\t[2009-10-17]\n1\tAda\tB-PER\tO\n2\tvisits\tO\tO\n3\tRome\tB-LOC\tO\n\n"
GERMEVAL += "#\thttp://example.org\t[2010-01-01]\n1\tBo\tB-PER\tO\n2\ttoo\tO\tO\n\n"
CONLLU = """# newdoc id = a
# sent_id = 1
# text = Ada visits Rome
1\tAda\tada\tPROPN\t_\t_\t2\tnsubj\t_\tNER=B-PER
2-3\tvisitsRome\t_\t_\t_\t_\t_\t_\t_\t_
2\tvisits\tvisit\tVERB\t_\t_\t0\troot\t_\t_
3\tRome\trome\tPROPN\t_\t_\t2\tobj\t_\t_
3.1\tvisits\tvisit\tVERB\t_\t_\t_\t_\t0:root\t_

# sent_id = 2
1\t#\t#\tSYM\t_\t_\t2\tdep\t_\t_
2\t10 000\t10 000\tNUM\t_\t_\t0\troot\t_\t_
"""
UD = [(["Ada", "visits", "Rome"], ["PROPN", "VERB", "PROPN"]), (["#", "10 000"], ["SYM", "NUM"])]
CONLL2012 = """#begin document (bc/cctv/00/cctv_0000); part 000
bc/cctv/00/cctv_0000 0 0 Ada NNP (TOP(S(NP*) - - - Speaker#1 (PERSON) (ARG0*) *
bc/cctv/00/cctv_0000 0 1 visits VBZ (VP* visit 01 1 Speaker#1 * (V*) *
bc/cctv/00/cctv_0000 0 2 Rome NNP (NP*)) - - - Speaker#1 (GPE) (ARG1*) (3)

bc/cctv/00/cctv_0000 0 0 Bo NNP (TOP(NP*)) - - - Speaker#1 (PERSON) -

#end document
"""

READ = {
    "blanks": (PLAIN, {}, ADA, "blank-separated"),
    "tabs": (TABS, {}, ADA, "tab-separated"),
    "several blanks and tabs": (PLAIN.replace(" ", " \t  "), {"delimiter": " "}, ADA, "blank-separated"),
    "a blank inside a word": (
        TABS.replace("Ada", "Ada Lee").replace("Rome", "New York"),
        {},
        [(["Ada Lee", "visits", "New York"], ADA[0][1]), ADA[1]],
        "tab-separated",
    ),
    "blanks that are no ASCII": (
        PLAIN.replace("Rome", "10\u00a0000").replace("too", "a\u3000b"),
        {},
        [(["Ada", "visits", "10\u00a0000"], ADA[0][1]), (["Bo", "a\u3000b"], ADA[1][1])],
        "blank-separated",
    ),
    "a blank inside a tag": (
        TABS.replace("B-LOC", "B-Geo Entity"),
        {},
        [(ADA[0][0], ["B-PER", "O", "B-Geo Entity"]), ADA[1]],
        "",
    ),
    "empty cells beside": ("Ada\t\tB-PER\nvisits\tx\tO\n", {}, [(["Ada", "visits"], ["B-PER", "O"])], "column 2"),
    "a tab at the end of each line": (
        TABS.replace("\n", "\t\n").replace("\n\t\n", "\n\n"),
        {},
        ADA,
        "tags in column 1",
    ),
    "lines of blanks between sentences": (PLAIN.replace("\n\n", "\n \t \n\n"), {}, ADA, ""),
    "Windows": (PLAIN.replace("\n", "\r\n"), {}, ADA, ""),
    "old Macs": (PLAIN.replace("\n", "\r"), {}, ADA, ""),
    "a byte order mark": ("\ufeff" + PLAIN, {}, ADA, ""),
    "UTF-16": (PLAIN.encode("utf-16"), {}, ADA, "UTF-16"),
    "-DOCSTART-": ("-DOCSTART- -X- O O\n\n" + PLAIN, {}, ADA, ""),
    "a # word": (PLAIN.replace("visits", "#"), {}, [(["Ada", "#", "Rome"], ADA[0][1]), ADA[1]], ""),
    "a # word at the beginning": (PLAIN.replace("Bo B-PER", "# O"), {}, [ADA[0], (["#", "too"], ["O", "O"])], ""),
    "a hashtag at the beginning": (PLAIN.replace("Bo", "#Bo"), {}, [ADA[0], (["#Bo", "too"], ADA[1][1])], ""),
    "GermEval": (GERMEVAL, {"text": "1", "label": "2"}, ADA, "words in column 1, tags in column 2"),
    "GermEval, inner entities": (
        GERMEVAL,
        {"text": "1", "label": "-1"},
        [(ADA[0][0], ["O"] * 3), (ADA[1][0], ["O"] * 2)],
        "",
    ),
    "MultiCoNER": (
        "\n# id 5b0-3 domain=train\nAda _ _ B-PER\nvisits _ _ O\nRome _ _ B-LOC\n\n\n# id 7c\nBo _ _ B-PER\ntoo _ _ O\n",
        {},
        ADA,
        "",
    ),
    "comments that end as a tag does": (
        "# a O\nAda x B-PER\nvisits x O\nRome x B-LOC\n\n# b O\nBo x B-PER\ntoo x O\n",
        {},
        ADA,
        "",
    ),
    "CoNLL-U": (CONLLU, {"name": "own.conllu"}, UD, "CoNLL-U, tab-separated, UTF-8, words in column 1 (FORM)"),
    "CoNLL-U by its columns": (CONLLU, {"text": "FORM", "label": "UPOS"}, UD, "tags in column 3 (UPOS)"),
    "CoNLL-U by small names": (CONLLU, {"text": "form", "label": "upos"}, UD, "CoNLL-U"),
    "CoNLL-U by numbers": (CONLLU, {"text": "1", "label": "3"}, UD, "CoNLL-U"),
    "CoNLL-U Plus": (
        "# global.columns = ID FORM NER\n1\tAda\tB-PER\n2\tvisits\tO\n3\tRome\tB-LOC\n\n1\tBo\tB-PER\n2\ttoo\tO\n",
        {"name": "own.conllu", "label": "NER"},
        ADA,
        "tags in column 2 (NER)",
    ),
    "CoNLL-2012": (
        CONLL2012,
        {"text": "3", "label": "4"},
        [(["Ada", "visits", "Rome"], ["NNP", "VBZ", "NNP"]), (["Bo"], ["NNP"])],
        "",
    ),
    "a header": ("tokens tags\n" + PLAIN, {}, ADA, "column 0 (tokens), tags in column 1 (tags)"),
    "a header, other columns": (
        "id\ttags\ttokens\n1\tB-PER\tAda\n2\tO\tvisits\n3\tB-LOC\tRome\n\n1\tB-PER\tBo\n2\tO\ttoo\n",
        {},
        ADA,
        "words in column 2 (tokens), tags in column 1 (tags)",
    ),
    "a header beside numbers": ("word\tner_tag\n" + TABS, {"text": "0", "label": "1"}, ADA, ""),
    "a header that is named": ("w x\n" + PLAIN, {"text": "0", "label": "1", "header": True}, ADA, ""),
    "without a header that looks like one": (
        "word O\n\n" + PLAIN,
        {},
        [(["word"], ["O"]), *ADA],
        "",
    ),
    "another delimiter": (PLAIN.replace(" ", ";"), {"delimiter": ";"}, ADA, "separated by ';'"),
    "words like separators of lines": (
        PLAIN.replace("too", "a\u2028b\x85"),
        {},
        [ADA[0], (["Bo", "a\u2028b\x85"], ADA[1][1])],
        "",
    ),
}


@pytest.mark.parametrize("case", READ)
def test_files_as_corpora_write_them(case, read) -> None:
    content, options, expected, form = READ[case]
    found, rows = read(content, **options)
    assert found == expected
    assert form in rows.form


@pytest.mark.parametrize(
    "name", ["own", "own.bio", "own.iob", "own.iob2", "own.tsv", "own.txt", "own.conll", "own.CONLL"]
)
def test_every_suffix(name, read) -> None:
    assert read(TABS, name)[0] == ADA


REFUSED = {
    "an empty word": (TABS.replace("visits", ""), {}, r"own\.conll, line 2: the word is empty: '\\tO'"),
    "an empty tag": (TABS.replace("visits\tO", "visits\t"), {}, r"own\.conll, line 2: the tag is empty: 'visits\\t'"),
    "a blank inside a word": (
        PLAIN.replace("Rome", "New York"),
        {},
        r"line 3: 3 column\(s\) where the other lines have 2, split at blanks: 'New York B-LOC'\. .*data\.source\.del",
    ),
    "a line with less": (TABS.replace("\tB-LOC", ""), {}, r"line 3: 1 column\(s\) where the other .* split at tabs"),
    "a comment inside a sentence": (PLAIN.replace("visits O\n", "# a note here\n"), {}, r"line 2: 4 column\(s\)"),
    "a column that is not there": (PLAIN, {"label": "7"}, r"data\.source\.label: .* has 2 columns, so .* no column 7"),
    "a name that the header has not": (
        "word ner_tag\n" + PLAIN,
        {},
        r"data\.source\.text: .* has no column 'tokens'.* Its first line names word, ner_tag",
    ),
    "nothing but comments": (
        "# a\n# b\n",
        {"name": "own.conllu"},
        r"data\.source\.label: .*own\.conllu has 2 columns, of which none is 'UPOS'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_lines_that_cannot_be_read(case, read) -> None:
    content, options, message = REFUSED[case]
    with pytest.raises(TransferlabError, match=message) as caught:
        read(content, **options)
    assert "\n" not in str(caught.value)


def test_entities_in_brackets_are_refused(tmp_path, tiny_encoder) -> None:
    path = tmp_path / "own.conll"
    path.write_text(CONLL2012)
    source = Source(files={"train": str(path)}, kind="tagging", text=("3",), label="10")
    with pytest.raises(TransferlabError, match=r"own\.conll, line 2: '\(PERSON\)' marks entities by brackets"):
        _ = TaskDataModule("own", tiny_encoder, source=source).spec


# "O" by its name ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoding", ["argmax", "constrained"])
@pytest.mark.parametrize("labels", [("B-PER", "B-LOC", "O"), ("O", "B-LOC", "B-PER"), ("B-LOC", "O", "B-PER")])
def test_words_that_are_not_read_are_outside_in_every_order(labels, decoding, tmp_path, tiny_encoder) -> None:
    # words beyond max_length, and one without a piece
    words = ["the", "dog", "\u200d", "was", *["dog"] * 40]
    path = tmp_path / "own.conll"
    path.write_text(
        4 * ("".join(f"{word}\t{tag}\n" for word, tag in zip(words, ["B-PER"] * 44, strict=True)) + "\n") + "a\tO\n"
    )
    source = Source(files={"train": str(path)}, kind="tagging", text=("tokens",), label="tags", labels=labels)
    data = TaskDataModule("own", tiny_encoder, source=source, max_length=16)
    data.setup("fit")
    model = FullFineTuning(data.spec, tiny_encoder).eval()
    model.head_config = type(model.head_config)(decoding=decoding)
    torch.nn.init.zeros_(model.head.out.weight)
    with torch.no_grad():
        model.head.out.bias.copy_(torch.tensor([float(label == "B-LOC") for label in labels]))
        batch = next(iter(data.whole_split("train")))
        classes = model.decode(model(batch), batch)
    row = [labels[number] for number in classes[0].tolist()]
    silent = batch.words[0].tolist()[2] < 0
    assert row[:4] == ["B-LOC", "B-LOC", "O" if silent else "B-LOC", "B-LOC"]
    assert silent
    assert set(row[15:]) == {"O"}
    assert re.fullmatch("(L|O)+", "".join(tag[-1] if tag == "O" else "L" for tag in row))

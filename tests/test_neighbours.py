"""Inputs one step beside those of other tests: the table in docs/own_data.md says how each is read or refused.

``python tests/test_neighbours.py`` prints that table.
"""

import json
import os
from pathlib import Path

import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.checks import check_text, check_word_counts
from transferlab.tasks.labels import encode_labels

PAGE = Path(__file__).parents[1] / "docs" / "own_data.md"
HEAD = "| Input | Read as, or refused |\n| --- | --- |\n"
TAGGING = {"kind": "tagging", "text": ("tokens",), "label": "tags"}


def bio(*sentences):
    """A tagging file of tags; the words are letters."""
    blocks = ["\n".join(f"{chr(97 + n)}\t{tag}" for n, tag in enumerate(tags.split())) for tags in sentences]
    return "\n\n".join(blocks) + "\n"


def rows(*objects):
    return "".join(json.dumps(one) + "\n" for one in objects)


# title: files (the training split first), keys of data.source
CASES = {
    # labels
    "labels `yes` and `Yes`": ({"train.csv": "text,label\na,yes\nb,Yes\nc,no\nd,yes\n"}, {}),
    '`1` in CSV, `1.0` and `"2.00"` in a JSON test': (
        {
            "train.csv": "text,label\na,1\nb,2\n",
            "test.jsonl": rows(*({"text": t, "label": y} for t, y in (("c", 1.0), ("d", "2.00")))),
        },
        {},
    ),
    "`-1` as a class, alone in the test": (
        {"train.csv": "text,label\na,1\nb,-1\n", "test.csv": "text,label\nc,-1\n"},
        {},
    ),
    "`true` of JSON in training, as a word in a CSV test": (
        {
            "train.jsonl": rows({"text": "a", "label": True}, {"text": "b", "label": False}),
            "test.csv": "text,label\nc,true\n",
        },
        {},
    ),
    "targets that are whole numbers in one file": (
        {"train.csv": "text,label\na,1\nb,2\n", "test.csv": "text,label\nc,1.5\nd,2\n"},
        {"kind": "regression"},
    ),
    "targets with a decimal comma": ({"train.csv": "text;label\na;3,5\nb;4,0\n"}, {"kind": "regression"}),
    "an empty target in the test": (
        {"train.csv": "text,label\na,3.5\nb,4\n", "test.csv": "text,label\nc,1\nd,\n"},
        {"kind": "regression"},
    ),
    "a label of one blank": ({"train.csv": "text,label\na,p\nb,n\n", "test.csv": "text,label\nc,p\nd, \n"}, {}),
    "a text of blanks": ({"train.csv": "text,label\na,p\n  ,n\n"}, {}),
    "`N/A`, `nan` and `null` as names": ({"train.csv": "text,label\na,N/A\nb,nan\nc,null\n"}, {}),
    "a class of the test alone": (
        {"train.csv": "text,label\na,sports\nb,politics\n", "test.csv": "text,label\nc,sports\nd,economy\n"},
        {},
    ),
    "`NaN` as a label in JSON, behind an empty line": (
        {
            "train.jsonl": rows({"text": "a", "label": "p"}, {"text": "b", "label": "n"}),
            "test.jsonl": '{"text": "c", "label": "p"}\n\n{"text": "d", "label": NaN}\n',
        },
        {},
    ),
    "class numbers in training, names in the test, `labels` given": (
        {"train.csv": "text,label\na,0\nb,1\n", "test.csv": "text,label\nc,pos\n"},
        {"labels": ("neg", "pos")},
    ),
    "a typo in a label, `labels` given": ({"train.csv": "text,label\na,neg\nb,poss\n"}, {"labels": ("neg", "pos")}),
    # tables
    "a comma in the name of a column": (
        {"train.csv": '"text, raw",label\n"good, film",p\nbad film,n\n'},
        {"text": ("text, raw",)},
    ),
    "no label behind a text of three lines": ({"train.csv": 'text,label\n"good\n\nfilm",p\nbad film,n\nx,\n'}, {}),
    "a blank between closing quote and comma": ({"train.csv": 'text,label\n"good film" ,p\n"bad, film" ,n\n'}, {}),
    "quotes behind backslashes": ({"train.csv": 'text,label\n"say \\"hi\\"",p\n"bad film",n\n'}, {}),
    "a comma in single quotes": ({"train.csv": "text,label\n'good, film',p\n'bad film',n\n"}, {}),
    "nothing but a header": ({"train.csv": "text,label\n"}, {}),
    "tabs in the header, commas in the rows": ({"train.csv": "text\tlabel\ngood film,p\nbad film,n\n"}, {}),
    "two columns called `label`": ({"train.csv": "text,label,label\na,p,x\nb,n,y\n"}, {}),
    "another case of the names, `Text,Label`": ({"train.csv": "Text,Label\na,p\nb,n\n"}, {}),
    "an Excel workbook called `.csv`": ({"train.csv": b"PK\x03\x04\x14\x00\x06\x00\x08\x00\xe9\x8f\xff\xfe"}, {}),
    "a web page in place of a download": ({"train.csv": "<!DOCTYPE html>\n<html><head></head></html>\n"}, {}),
    "a pointer of Git LFS": ({"train.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n"}, {}),
    "commas between the lines of JSON": (
        {"train.jsonl": '{"text": "a", "label": "p"},\n{"text": "b", "label": "n"}\n'},
        {},
    ),
    # tagging files
    "the header `Word`, `Tag` of a spreadsheet, which `text` does not name": (
        {"train.tsv": "\ufeffWord\tTag\r\nAda\tB-PER\r\nruns\tO\r\n"},
        TAGGING,
    ),
    "the same with `text: [Word]`, `label: Tag`": (
        {"train.tsv": "\ufeffWord\tTag\r\nAda\tB-PER\r\nruns\tO\r\n"},
        {**TAGGING, "text": ("Word",), "label": "Tag"},
    ),
    "a CSV with a word on each line (Kaggle)": (
        {"train.csv": "Sentence #,Word,POS,Tag\nSentence: 1,Ada,NNP,B-per\n,runs,VBZ,O\n"},
        {**TAGGING, "text": ("Word",), "label": "Tag"},
    ),
    "`word/tag` sentences": ({"train.txt": "Ada/B-PER runs/O\nBo/B-PER too/O now/O\n"}, TAGGING),
    "spans of characters (Doccano)": (
        {"train.jsonl": rows({"text": "Ada runs", "label": [[0, 3, "PER"]]})},
        {"kind": "tagging", "text": ("text",), "label": "label"},
    ),
    "a tag too few": (
        {"train.jsonl": rows({"tokens": ["a", "b"], "tags": ["O", "B-X"]}, {"tokens": ["a", "b"], "tags": ["O"]})},
        TAGGING,
    ),
    "a blank behind a tag": ({"train.tsv": "Ada\tB-PER \nruns\tO\nBo\tB-PER\n"}, TAGGING),
    "entities in CoNLL-U's MISC": (
        {
            "train.conllu": "# text = Ada runs\n1\tAda\t_\tPROPN\t_\t_\t2\tnsubj\t_\tB-PER\n2\truns\t_\tVERB\t_\t_\t0\troot\t_\tO\n"
        },
        {**TAGGING, "label": "MISC"},
    ),
    "entities in brackets (CoNLL-2012)": ({"train.bio": bio("(PER* *) * (LOC)")}, TAGGING),
    # schemes
    "CoNLL-2003 as released": (
        {
            "train.txt": "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\nAda NNP I-NP I-PER\nBo NNP B-NP B-PER\n"
        },
        TAGGING,
    ),
    'its chunks, `label: "2"`': (
        {"train.txt": "EU NNP I-NP I-ORG\nrejects VBZ I-VP O\nAda NNP I-NP I-PER\nBo NNP B-NP B-PER\n"},
        {**TAGGING, "label": "2"},
    ),
    "one `S-Occasion` among `B-` and `I-`": ({"train.bio": bio("B-X I-X O", "O B-X I-X I-X", "S-Occasion O")}, TAGGING),
    "plain types with `0` for `O`": ({"train.bio": bio("PER PER 0", "0 LOC 0")}, TAGGING),
    "BIOES in training, IOB2 in the test": (
        {"train.bio": bio("B-X E-X O S-X"), "test.bio": bio("O B-X I-X", "B-X O", "B-X I-X")},
        TAGGING,
    ),
    "IOB1 in training, IOB2 in the test": (
        {"train.bio": bio("I-X I-X O", "I-Y O"), "test.bio": bio("B-X I-X O B-Y")},
        TAGGING,
    ),
    "`i-PER` among `B-PER` and `I-PER`": ({"train.bio": bio("B-PER I-PER O i-PER")}, TAGGING),
    "`B_PER` and `B-LOC`": ({"train.bio": bio("B_PER I_PER O B-LOC")}, TAGGING),
    "`B`, `I`, `O` without types": ({"train.bio": bio("B I O B")}, TAGGING),
    "BMES": ({"train.bio": bio("B-X M-X E-X O S-X")}, TAGGING),
    "IOE": ({"train.bio": bio("I-X E-X O E-X", "O I-X I-X E-X")}, TAGGING),
    "parts of speech, one of them in the test alone": (
        {"train.bio": bio("PROPN VERB", "DET NOUN VERB"), "test.bio": bio("INTJ VERB")},
        TAGGING,
    ),
    "class numbers of tags without names": (
        {"train.jsonl": rows({"tokens": ["a", "b"], "tags": [0, 3]}, {"tokens": ["a"], "tags": [1]})},
        TAGGING,
    ),
    "the same with `labels` for three of four": (
        {"train.jsonl": rows({"tokens": ["a", "b"], "tags": [0, 3]}, {"tokens": ["a"], "tags": [1]})},
        {**TAGGING, "labels": ("O", "B-X", "I-X")},
    ),
    "a type of the test alone": ({"train.bio": bio("B-X O", "O B-X"), "test.bio": bio("B-Z I-Z O")}, TAGGING),
}


def outcome(files, options, folder):
    """How a task is read, or refused, in one line."""
    paths = {}
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        paths[name.partition(".")[0]] = str(folder / name)
    try:
        said = read(TaskDataModule("own", source=Source(files=paths, **options)), paths)
    except TransferlabError as error:
        said = f"refused: {error}"
    return said.replace(f"{folder}/", "").replace("|", "\\|")


def read(data, splits):
    """Texts and labels of all splits, and what the header says of them."""
    parts = []
    for split in splits:
        found = data.rows(split)
        check_text(found, data.source)
        texts = found.rows[data.source.text[0]][:]
        if data.source.kind == "tagging":
            check_word_counts(found, data.source)
        numbers = encode_labels(found, data.source, data.labels).tolist()
        names = data.spec.labels
        if data.source.kind == "tagging":
            flat = iter(numbers)
            texts = [" ".join(f"{word}/{names[next(flat)]}" for word in sentence) for sentence in texts]
            parts.append(f"{split}: {'; '.join(texts)}")
        else:
            labels = [names[number] if names else number for number in numbers]
            parts.append(f"{split}: {'; '.join(f'{t!r} {y}' for t, y in zip(texts, labels, strict=True))}")
    if data.spec.scheme:
        parts.append(f"tags {data.spec.spelling.in_words()}")
    return f"read: {' — '.join([*parts, *data.labels.notes])}"


def documented():
    """Input to outcome, as the page tells."""
    text = PAGE.read_text(encoding="utf-8")
    lines = text[text.index(HEAD) + len(HEAD) :].split("\n\n")[0].splitlines()
    return dict(line.strip("|").strip().split(" | ", 1) for line in lines)


def test_the_page_tells_of_all() -> None:
    assert len(CASES) >= 40
    assert list(documented()) == list(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_neighbour_is_read_or_refused_as_the_page_says(case, tmp_path) -> None:
    assert outcome(*CASES[case], tmp_path) == documented()[case]


if __name__ == "__main__":
    import tempfile

    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFERLAB_CACHE"] = tempfile.mkdtemp()
    print(HEAD, end="")
    for title, case in CASES.items():
        print(f"| {title} | {outcome(*case, Path(tempfile.mkdtemp()))} |")

"""Files of users, with the quirks of the programs that wrote them: read right, or refused with file and line."""

import json

import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.labels import Labels, encode_labels, label_names, nearly_equal
from transferlab.tasks.sources import read_split


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@pytest.fixture
def read(tmp_path):
    """Writes a file and reads it as the training split."""

    def run(content, name="own.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_split(Source(files={"train": str(path)}, **options), "train")

    return run


def cells(rows, *names):
    return list(zip(*(rows.rows[name][:] for name in names or ("text", "label")), strict=True))


PLAIN = [("good film", "p"), ("bad film", "n")]

READ = {
    # what is written, what is read, how that is said
    "plain": ("text,label\ngood film,p\nbad film,n\n", PLAIN, "comma-separated, UTF-8"),
    "semicolons of a European spreadsheet": ("text;label\ngood film;p\nbad film;n\n", PLAIN, "semicolon-separated"),
    "semicolons with commas inside": (
        "text;label\ngood, really;p\nbad, really;n\n",
        [("good, really", "p"), ("bad, really", "n")],
        "semicolon-separated",
    ),
    "tabs under the name of a CSV": ("text\tlabel\ngood film\tp\nbad film\tn\n", PLAIN, "tab-separated"),
    "bars": ("text|label\ngood film|p\nbad film|n\n", PLAIN, "bar-separated"),
    "a line for spreadsheets": ("sep=;\r\ntext;label\r\ngood film;p\r\nbad film;n\r\n", PLAIN, "semicolon-separated"),
    "the index of a data frame": (",text,label\n0,good film,p\n1,bad film,n\n", PLAIN, "comma-separated"),
    "a comma at the end of each line": ("text,label,\ngood film,p,\nbad film,n,\n", PLAIN, "comma-separated"),
    "a comma at the end of each row": ("text,label\ngood film,p,\nbad film,n,\n", PLAIN, "comma-separated"),
    "a comma at the end of the header": ("text,label,\ngood film,p\nbad film,n\n", PLAIN, "comma-separated"),
    "quotes around all": ('"text","label"\n"good film","p"\n"bad film","n"\n', PLAIN, "comma-separated, quoted"),
    "a delimiter in quotes": ('text,label\n"good, long",p\nbad film,n\n', [("good, long", "p"), PLAIN[1]], "quoted"),
    "doubled quotes": ('text,label\n"a ""great"" one",p\nbad film,n\n', [('a "great" one', "p"), PLAIN[1]], "quoted"),
    "an end of line in quotes": ('text,label\n"good\nfilm",p\nbad film,n\n', [("good\nfilm", "p"), PLAIN[1]], "quoted"),
    "stray quotes": (
        'text,label\n"good" film,p\nbad film 5",n\n',
        [('"good" film', "p"), ('bad film 5"', "n")],
        "UTF-8",
    ),
    "blanks behind commas": ("text, label\ngood film, p\nbad film, n\n", PLAIN, "comma-separated"),
    "blanks behind commas, in quotes": (
        'text, label\n"good, long", p\nbad film, n\n',
        [("good, long", "p"), PLAIN[1]],
        "",
    ),
    "blanks around names": (" text ,label \ngood film,p\nbad film,n\n", PLAIN, ""),
    "Windows ends of lines": ("text,label\r\ngood film,p\r\nbad film,n\r\n", PLAIN, ""),
    "ends of lines of an old Mac": ("text,label\rgood film,p\rbad film,n\r", PLAIN, ""),
    "no end of the last line": ("text,label\ngood film,p\nbad film,n", PLAIN, ""),
    "empty lines": ("\ntext,label\n\ngood film,p\n\nbad film,n\n,\n\n", PLAIN, ""),
    "a byte order mark": ("\ufefftext,label\ngood film,p\nbad film,n\n", PLAIN, "UTF-8"),
    "UTF-16 of a spreadsheet": (
        "text\tlabel\ngood film\tp\nbad film\tn\n".encode("utf-16"),
        PLAIN,
        "tab-separated, UTF-16",
    ),
    "UTF-16 without a mark": ("text,label\ngood film,p\nbad film,n\n".encode("utf-16-le"), PLAIN, "UTF-16-LE"),
    "a Western spreadsheet": (
        "text;label\nun film très réussi;p\n„schön“ – wie früher…;n\n".encode("cp1252"),
        [("un film très réussi", "p"), ("„schön“ – wie früher…", "n")],
        "semicolon-separated, Windows-1252 (guessed)",
    ),
    "separators of lines that an editor does not show": (
        "text,label\ngood\u2028film\x0bhere\x85,p\nbad film,n\n",
        [("good\u2028film\x0bhere\x85", "p"), PLAIN[1]],
        "",
    ),
    "words that libraries take for missing": (
        "text,label\nNA,null\nNone,None\n",
        [("NA", "null"), ("None", "None")],
        "",
    ),
    "more columns than are asked for": ("id,text,note,label\n1,good film,,p\n2,bad film,x,n\n", PLAIN, ""),
}


@pytest.mark.parametrize("case", READ)
def test_tables_as_programs_write_them(case, read):
    content, expected, form = READ[case]
    rows = read(content)
    assert cells(rows) == expected
    assert form in rows.form


def test_a_long_document_is_one_cell(read):
    text = "word " * 100_000
    assert cells(read(f"text,label\n{text},p\nbad film,n\n"))[0] == (text, "p")


RAW = 'text\tlabel\n"Great!" he said\tp\nsay ""hm\tn\n"all of it"\tp\n'
TABS = {
    "raw, as GLUE's": (
        RAW,
        [('"Great!" he said', "p"), ('say ""hm', "n"), ('"all of it"', "p")],
        "tab-separated, UTF-8",
    ),
    "raw, one text in quotes": ('text\tlabel\n"great"\tp\nbad film\tn\n', [('"great"', "p"), PLAIN[1]], ""),
    "quotes where they are needed": (
        'text\tlabel\n"a ""great"" one"\tp\nbad film\tn\n',
        [('a "great" one', "p"), PLAIN[1]],
        "tab-separated, quoted",
    ),
    "quotes around all texts": ('text\tlabel\n"good film"\tp\n"bad film"\tn\n', PLAIN, "tab-separated, quoted"),
    "a tab in quotes": ('text\tlabel\n"good\tfilm"\tp\nbad film\tn\n', [("good\tfilm", "p"), PLAIN[1]], "quoted"),
    "an end of line in quotes": (
        'text\tlabel\n"good\nfilm"\tp\nbad film\tn\n',
        [("good\nfilm", "p"), PLAIN[1]],
        "quoted",
    ),
    "a tab at the end of each line": ("text\tlabel\t\ngood film\tp\t\nbad film\tn\t\n", PLAIN, ""),
    "commas under the name of a TSV": ("text,label\ngood film,p\nbad film,n\n", PLAIN, "comma-separated"),
}


@pytest.mark.parametrize("case", TABS)
def test_quotes_of_tab_separated_tables(case, read):
    content, expected, form = TABS[case]
    rows = read(content, "own.tsv")
    assert cells(rows) == expected
    assert form in rows.form


def test_keys_say_what_was_found_out_wrong(read):
    assert cells(read('text\tlabel\n"great"\tp\nbad\tn\n', "own.tsv", quoted=True)) == [("great", "p"), ("bad", "n")]
    assert cells(read('text,label\n"great",p\nbad,n\n', quoted=False)) == [('"great"', "p"), ("bad", "n")]
    assert cells(read("text:label\na, b:p\nc, d:n\n", delimiter=":")) == [("a, b", "p"), ("c, d", "n")]
    assert cells(read("text,label\nпривет,p\nпока,n\n".encode("cp1251"), encoding="cp1251"))[0] == ("привет", "p")


def test_a_table_without_a_header(read):
    options = {"text": ("0",), "label": "1"}
    rows = read("good film,p\nbad film,n\n", header=False, **options)
    assert cells(rows, "0", "1") == PLAIN
    assert rows.form.endswith("without a header")
    # a first row like the others is a row
    rows = read("good film,p\nbad film,n\nfine,p\nold,n\n", **options)
    assert len(rows.rows) == 4
    # and one that names columns is none, also where columns are taken by number
    rows = read("text,label\ngood film,p\nbad film,n\nfine,p\nold,n\n", **options)
    assert (len(rows.rows), rows.lines[0]) == (4, 2)
    rows = read("text,target\ngood film,1.5\nbad film,0.25\n", kind="regression", **options)
    assert cells(rows, "0", "1") == [("good film", 1.5), ("bad film", 0.25)]
    assert cells(read("1,good film,p\n2,bad film,n\n", text=("1",), label="-1", header=False), "1", "-1") == PLAIN


REFUSED = {
    "a comma in a text": ("text,label\ngood film, really,p\nbad film, really,n\n", r"own\.csv, line 2: 3 fields .* 2"),
    "a comma in one text": (
        "text,label\ngood film,p\n\nbad, old,n\n",
        r"own\.csv, line 4: 3 fields .*'bad \|  old \| n'",
    ),
    "a row that is too short": ("text,label\ngood film,p\nbad film\n", r"own\.csv, line 3: 1 fields .* 2"),
    "a comma at the end of some lines": ("text,label\ngood film,p,\nbad film,n\n", r"own\.csv, line 2: 3 fields"),
    "a line after an end of line in quotes": (
        'text,label\n"good\n\nfilm",p\nbad, film,n\n',
        r"own\.csv, line 5: 3 fields",
    ),
    "a quote that does not close": ('text,label\n"good film,p\nbad film,n,\n', r"own\.csv, line 2: a quote is opened"),
    "another alphabet": (
        "text,label\nпривет,p\n".encode("cp1251"),
        r"line 2: this is not UTF-8 .*data\.source\.encoding",
    ),
    "two columns of one name": ("text,label,text\na,p,b\nc,n,d\n", r"own\.csv: 2 columns are called 'text'"),
    "no header": ("good film,p\nbad film,n\n", r"no column 'text'\. It has good film, p .*data\.source\.header: false"),
    "an empty text": ("text,label\na,p\n,n\n", r"own\.csv, line 3: column 'text' must hold text, not None"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tables_that_cannot_be_understood(case, tmp_path, tiny_encoder):
    content, message = REFUSED[case]
    path = tmp_path / "own.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TransferlabError, match=message) as caught:
        TaskDataModule("own", tiny_encoder, source=Source(files={"train": str(path)})).setup("fit")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "content", "message"),
    [
        ({"encoding": "utf-9"}, b"text,label\n", r"data\.source\.encoding: there is no encoding 'utf-9'"),
        ({"encoding": "utf-8"}, b"text,label\na,p\n\xe9,n\n", r"own\.csv, line 3: this is not utf-8"),
        ({"quoted": True}, b'text,label\n"a" b,p\n', r"own\.csv, line 2: .*data\.source\.quoted: false"),
    ],
)
def test_keys_that_do_not_fit_the_file(options, content, message, read):
    with pytest.raises(TransferlabError, match=message):
        read(content, **options)


# JSON -----------------------------------------------------------------------------------------------------------------

OBJECTS = [{"text": text, "label": label} for text, label in PLAIN]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.jsonl", "".join(json.dumps(row) + "\n" for row in OBJECTS)),
        ("own.jsonl", "\ufeff" + "\r\n\r\n".join(map(json.dumps, OBJECTS))),
        ("own.ndjson", "\n".join(map(json.dumps, OBJECTS))),
        ("own.json", "\n".join(map(json.dumps, OBJECTS))),
        ("own.json", json.dumps(OBJECTS, indent=1)),
        ("own.jsonl", json.dumps(OBJECTS)),
        ("own.json", json.dumps({"version": 1, "data": OBJECTS})),
        ("own.json", json.dumps({"text": [t for t, _ in PLAIN], "label": [y for _, y in PLAIN]})),
    ],
)
def test_json(name, content, read):
    assert cells(read(content, name)) == PLAIN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "label": 1}\n{"text": "b", "label"\n', r"own\.jsonl, line 2: this is not JSON"),
        ('{"text": "a", "label": 1}\n"b"\n', r"own\.jsonl, line 2: an object such as .* belongs here, not 'b'"),
        ('[{"text": "a"}, 3]', r"own\.jsonl, row 1: an object belongs here, not 3"),
        ('{"text": "a", "label": 1}\n\n{"label": 1}\n', r"own\.jsonl, line 3: column 'text' must hold text, not None"),
        ('{"text": ["a", "b"], "label": 1}\n', r"own\.jsonl, line 1: column 'text' must hold text, not \['a', 'b'\]"),
        ("[]", r"own\.jsonl has no rows"),
    ],
)
def test_json_that_cannot_be_read(content, message, read):
    with pytest.raises(TransferlabError, match=message):
        read(content, "own.jsonl")


# labels are text ------------------------------------------------------------------------------------------------------


def numbers(tmp_path, tiny_encoder, train, test, kind="csv", **options):
    """Class numbers of a test file under the labels of a training file."""
    files = {}
    for split, labels in (("train", train), ("test", test)):
        path = tmp_path / f"{split}.{kind if isinstance(kind, str) else kind[split]}"
        if path.suffix == ".csv":
            path.write_text("text,label\n" + "".join(f"a {n},{label}\n" for n, label in enumerate(labels)))
        else:
            rows = ({"text": f"a {n}", "label": label} for n, label in enumerate(labels))
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[split] = str(path)
    data = TaskDataModule("own", tiny_encoder, source=Source(files=files, **options))
    data.setup("fit")
    return data.spec.labels, data.encoded("test").labels.tolist()


@pytest.mark.parametrize(
    ("kind", "train", "test", "names", "found"),
    [
        ("csv", ["1.0", "2.0", "3.0"] * 5, [1, 2], ("1", "2", "3"), [0, 1]),
        ("csv", [1, 2, 3] * 5, ["1.0", "3.0"], ("1", "2", "3"), [0, 2]),
        ("csv", ["-1.0", "0.0", "1.0"] * 5, [0, 1], ("-1", "0", "1"), [1, 2]),
        ("jsonl", [1.0, 2.0, 10.0] * 5, [10, 1], ("1", "2", "10"), [2, 0]),
        ("jsonl", [1, 2] * 5, ["2", "1"], ("1", "2"), [1, 0]),
        ({"train": "jsonl", "test": "csv"}, ["1", "2"] * 5, [2, 1], ("1", "2"), [1, 0]),
        ("csv", ["01", "1", "02"] * 5, ["1", "01"], ("01", "02", "1"), [2, 0]),
        ("jsonl", [True, False] * 5, [False, True], ("False", "True"), [0, 1]),
        ("jsonl", ["a", 1] * 5, [1.0, "a"], ("1", "a"), [0, 1]),
        ("csv", ["NA", "1"] * 5, [1, "NA"], ("1", "NA"), [0, 1]),
        ("csv", ["1.50", "1.25"] * 5, ["1.25"], ("1.25", "1.5"), [0]),
    ],
)
def test_a_label_is_one_label_however_it_is_written(kind, train, test, names, found, tmp_path, tiny_encoder):
    assert numbers(tmp_path, tiny_encoder, train, test, kind) == (names, found)


def test_a_number_is_a_class_only_where_the_order_was_given(tmp_path, tiny_encoder):
    with pytest.raises(
        TransferlabError,
        match=r"test\.csv, line 2: unknown label 0 .* A number stands for a class only where data\.source\.l",
    ):
        numbers(tmp_path, tiny_encoder, ["neg", "pos"] * 5, [0, 1])
    given = {"labels": ("pos", "neg")}
    assert numbers(tmp_path, tiny_encoder, ["neg", "pos"] * 5, [0, "1.0"], **given)[1] == [0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["0", "1", ""], r"test\.csv, line 4: there is no label in column 'label'\. .*data\.source\.predict"),
        (["0", "2"], r"test\.csv, line 3: unknown label 2 in column 'label'.*\. Known labels: 0, 1\."),
        (["0", " 1"], r"test\.csv, line 3: unknown label ' 1' .*did you mean '1'"),
        (["", ""], r"test\.csv: the examples of split .test. carry no labels"),
    ],
)
def test_the_test_file_is_looked_at_before_training(labels, message, tmp_path, tiny_encoder):
    with pytest.raises(TransferlabError, match=message):
        numbers(tmp_path, tiny_encoder, ["0", "1"] * 5, labels)


@pytest.mark.parametrize(
    "label", [["p", "x"], ["p"], [], [1, 0], {"p": 1}, "['p', 'x']", '["p"]', [["p"], ["x"]], [None]]
)
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_several_labels_an_example_are_refused(label, kind, tmp_path, tiny_encoder):
    good = 1 if kind == "regression" else "p"
    for labels in ([label] * 4, [good, label, good, label]):
        path = tmp_path / "own.jsonl"
        path.write_text("".join(json.dumps({"text": "a", "label": one}) + "\n" for one in labels))
        source = Source(files={"train": str(path)}, kind=kind)
        row = 1 if labels[0] == label else 2
        with pytest.raises(
            TransferlabError, match=rf"own\.jsonl, line {row}: column 'label' holds .* one label an example"
        ):
            TaskDataModule("own", tiny_encoder, source=source).setup("fit")


def test_labels_that_look_alike_are_told_with_their_counts(tmp_path, tiny_encoder):
    labels = ["Pos", "pos", "pos", "pos ", "neg", "1", "01"]
    assert nearly_equal(labels) == (
        "labels that look alike count as different: 'Pos' (1) and 'pos' (2) and 'pos ' (1); '01' (1) and '1' (1)"
    )
    assert nearly_equal(["a", "b", 1, 1.0, None]) == ""
    path = tmp_path / "own.csv"
    path.write_text("text,label\n" + "".join(f"a,{label}\n" for label in labels))
    for _ in range(2):
        # also where tokens are kept
        data = TaskDataModule("own", tiny_encoder, source=Source(files={"train": str(path)}))
        data.setup("fit")
        assert data.notes == [f"{path}: {nearly_equal(labels)}"]


def test_names_stored_with_the_data_are_an_order(tmp_path, tiny_encoder):
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["yes", "no"])})
    for split, labels in (("train", [0, 1] * 5), ("test", [0, 1, 1])):
        rows = datasets.Dataset.from_dict({"text": ["a"] * len(labels), "label": labels})
        (rows.cast(features) if split == "train" else rows).to_parquet(tmp_path / f"{split}.parquet")
    files = {split: str(tmp_path / f"{split}.parquet") for split in ("train", "test")}
    data = TaskDataModule("own", tiny_encoder, source=Source(files=files))
    data.setup("fit")
    assert (data.spec.labels, data.encoded("test").labels.tolist()) == (("yes", "no"), [0, 1, 1])


def test_a_long_list_of_labels_is_not_printed(read):
    rows = read("text,label\n" + "".join(f"a,label {n}\n" for n in range(50)))
    names = label_names(rows, Source(files={"train": "x"}))
    with pytest.raises(TransferlabError, match=r"label 17 and 40 more\.") as caught:
        encode_labels(read("text,label\na,zzz\n"), Source(files={"train": "x"}), Labels(names))
    assert len(str(caught.value)) < 500


# lists in tables ------------------------------------------------------------------------------------------------------

LISTS = {"kind": "tagging", "text": ("tokens",), "label": "tags"}


@pytest.mark.parametrize(
    "content",
    [
        "tokens,tags\n\"['Ada', 'runs']\",\"['B-PER', 'O']\"\n",
        'tokens,tags\n"[""Ada"", ""runs""]","[""B-PER"", ""O""]"\n',
    ],
)
def test_lists_that_a_program_wrote_into_a_table(content, read):
    rows = read(content, **LISTS)
    assert cells(rows, "tokens", "tags") == [(["Ada", "runs"], ["B-PER", "O"])]


@pytest.mark.parametrize("cell", ["['Ada' 'runs']", "Ada runs", "['Ada', runs]", "[Ada runs]", ""])
def test_lists_of_another_form_are_refused_with_the_remedy(cell, read):
    with pytest.raises(
        TransferlabError, match=r"own\.csv, line 3: column 'tokens' must hold a list .*JSON lines or Parquet"
    ):
        read(f"tokens,tags\n\"['Bo']\",\"['O']\"\n\"{cell}\",\"['O', 'O']\"\n", **LISTS)


# a folder of files in place of files ----------------------------------------------------------------------------------


def test_tables_in_a_folder_are_read_as_files_are(tmp_path, tiny_encoder):
    folder = tmp_path / "reviews"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text("text;label\n" + "good, really;1.0\nbad, really;2\n" * 5)
    data = TaskDataModule(encoder=tiny_encoder, source=Source(path=str(folder)))
    data.setup("fit")
    assert data.source.test == ("test",)
    assert data.spec.labels == ("1", "2")
    assert data.rows("train").rows[0] == {"text": "good, really", "label": 1.0}
    (folder / "test.csv").write_text("text,label\ngood film, really,1\n")
    with pytest.raises(TransferlabError, match=r"test\.csv, line 2: 3 fields"):
        TaskDataModule(encoder=tiny_encoder, source=Source(path=str(folder))).setup("fit")

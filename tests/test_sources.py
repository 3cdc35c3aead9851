import json
import socket

import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.labels import Labels, encode_labels, is_labelled, label_names
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.sources import Rows, read_split

ROWS = [("good film", "pos"), ("bad film", "neg"), ("so, so", "neg"), ('a "great" one', "pos")]
CONLL = (
    "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\n\nPeter NNP I-NP B-PER\nBlackburn NNP I-NP I-PER\n"
)


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@pytest.fixture
def offline(monkeypatch):
    """What HF_HUB_OFFLINE=1 sets; the libraries read it once, when they are imported."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def written(folder, name, content=None):
    import pandas

    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content, encoding="utf-8")
    elif path.suffix == ".parquet":
        pandas.DataFrame(ROWS, columns=["text", "label"]).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in ROWS))
    elif path.suffix == ".tsv":
        # a quotation mark is a character like any other in the TSV files of GLUE
        path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS))
    else:
        pandas.DataFrame(ROWS, columns=["text", "label"]).to_csv(path, index=False)
    return str(path)


def read(folder, name, content=None, **options):
    return read_split(Source(files={"train": written(folder, name, content)}, **options), "train").rows


def module(tiny_encoder, source, task="own", **options):
    return TaskDataModule(task, tiny_encoder, source=source, **{"batch_size": 2, **options})


# files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["own.csv", "own.tsv", "own.jsonl", "own.parquet"])
def test_file_of_every_kind(tmp_path, name):
    rows = read(tmp_path, name)
    assert list(zip(rows["text"], rows["label"], strict=True)) == ROWS


def test_words_that_pandas_takes_for_missing(tmp_path):
    rows = read(tmp_path, "own.csv", "text,label\nnull,NA\nNone,none\nn/a,NA\n")
    assert rows["text"][:] == ["null", "None", "n/a"]
    assert label_names(Rows(rows, "own.csv"), Source(files={"train": "x"})) == ("NA", "none")


def test_empty_cell_is_missing(tmp_path, tiny_encoder):
    source = Source(files={"train": written(tmp_path, "own.csv", "text,label\na,x\n,y\nb,x\nc,y\n")})
    with pytest.raises(TransferlabError, match=r"own\.csv, line 3: column 'text' must hold text, not None"):
        module(tiny_encoder, source).setup("fit")


def test_row_that_is_not_text(tmp_path, tiny_encoder):
    lines = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}, {"text": 5, "label": "y"}]
    path = written(tmp_path, "own.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(TransferlabError, match=r"own\.jsonl, line 3: column 'text' must hold text, not 5"):
        module(tiny_encoder, Source(files={"train": path})).encoded("train")


def test_column_of_numbers_is_not_text(tmp_path, tiny_encoder):
    source = Source(files={"train": written(tmp_path, "own.csv", "text,label\n1,x\n2,y\n")})
    with pytest.raises(
        TransferlabError, match=r"data\.source\.text: column 'text' of \S*own\.csv holds nothing but numbers"
    ):
        module(tiny_encoder, source).encoded("train")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", r"data\.source\.files\.train: \S*empty\.csv is empty"),
        ("header.csv", "text,label\n", r"data\.source\.files\.train: \S*header\.csv has no rows"),
        ("header.tsv", "text\tlabel\n", r"data\.source\.files\.train: \S*header\.tsv has no rows"),
        ("blank.jsonl", "\n", r"data\.source\.files\.train: \S*blank\.jsonl has no rows"),
        ("ragged.csv", "text,label\na,x\nb,y,z,0\n", r"ragged\.csv, line 3: 4 fields where the first line has 2"),
        ("half.jsonl", '{"text": "a", "label": 0}\n{"text"', r"half\.jsonl, line 2: this is not JSON"),
        ("cyrillic.csv", "text,label\nпривет,1\n".encode("cp1251"), r"cyrillic\.csv, line 2: this is not UTF-8"),
        ("not.parquet", "text", r"cannot read \S*not\.parquet: "),
        ("own.xlsx", "text", r"own\.xlsx has an unknown suffix '\.xlsx'; use \.csv, "),
    ],
)
def test_unreadable_file(tmp_path, name, content, message):
    with pytest.raises(TransferlabError, match=message):
        read(tmp_path, name, content)


def test_missing_file_and_unknown_split(tmp_path):
    source = Source(files={"train": str(tmp_path / "none.csv")})
    with pytest.raises(TransferlabError, match=r"data\.source\.files\.train: no such file: \S*none\.csv"):
        read_split(source, "train")
    with pytest.raises(TransferlabError, match=r"no file for split 'dev'; there are \['train'\]"):
        read_split(source, "dev")


def test_missing_column_names_the_nearest(tmp_path, tiny_encoder):
    path = written(tmp_path, "own.csv", "txt,label\na,x\nb,y\n")
    with pytest.raises(
        TransferlabError, match=r"data\.source\.text: \S*own\.csv has no column 'text' \(did you mean 'txt'"
    ):
        module(tiny_encoder, Source(files={"train": path})).rows("train")
    path = written(tmp_path, "two.csv", "text,labels\na,x\nb,y\n")
    with pytest.raises(TransferlabError, match=r"data\.source\.label: \S*two\.csv has no column 'label' .*'labels'"):
        module(tiny_encoder, Source(files={"train": path}, labels=("x", "y"))).rows("train")


# which split is which -------------------------------------------------------------------------------------------------


def test_files_of_the_usual_names_are_used():
    source = Source(files={"train": "a", "validation": "b", "test": "c"})
    assert (source.validation, source.test) == ("validation", ("test",))


def test_what_is_named_wins():
    source = Source(
        files={"train": "a", "validation": "b", "test": "c", "dev": "d"}, validation="dev", predict=("test",)
    )
    assert (source.validation, source.test) == ("dev", ())
    # selecting checkpoints on what is tested on takes `selection: official`
    source = Source(files={"train": "a", "validation": "b"}, test=("validation",))
    assert (source.validation, source.test) == ("", ("validation",))
    assert Source(path="nyu-mll/glue", test=("validation",)).validation == ""


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_split_without_labels(tmp_path, tiny_encoder, split):
    files = {"train": written(tmp_path, "own.csv")}
    files[split] = written(tmp_path, "bare.csv", "text,label\na,-1\nb,-1\n")
    data = module(tiny_encoder, Source(files=files))
    with pytest.raises(
        TransferlabError, match=rf"bare\.csv: the examples of split '{split}' carry no labels .*predict"
    ):
        data.encoded(split)


def test_split_to_predict_needs_no_label_column(tmp_path, tiny_encoder):
    files = {"train": written(tmp_path, "own.csv"), "new": written(tmp_path, "new.csv", "text\na\nb\nc\n")}
    data = module(tiny_encoder, Source(files=files, predict=("new",)))
    data.setup("predict")
    (loader,) = data.predict_dataloader()
    batches = list(loader)
    assert sorted(row for batch in batches for row in batch.index.tolist()) == [0, 1, 2]
    assert all(batch.labels is None for batch in batches)


# CoNLL ----------------------------------------------------------------------------------------------------------------


def test_conll(tmp_path):
    rows = read(tmp_path, "own.conll", CONLL, kind="tagging", text=("tokens",), label="tags")
    assert rows["tokens"][:] == [["EU", "rejects"], ["Peter", "Blackburn"]]
    assert rows["tags"][:] == [["B-ORG", "O"], ["B-PER", "I-PER"]]


def test_conll_columns_by_number(tmp_path):
    rows = read(tmp_path, "own.txt", CONLL, kind="tagging", text=("0",), label="1")
    assert rows["1"][:] == [["NNP", "VBZ"], ["NNP", "NNP"]]


@pytest.mark.parametrize("content", ["\ufeffEU B-ORG\nsays O\n", "EU B-ORG\r\nsays O\r\n\r\n", "EU\tB-ORG\nsays\tO"])
def test_conll_of_other_editors(tmp_path, content):
    rows = read(tmp_path, "own.bio", content, kind="tagging")
    assert rows[0] == {"text": ["EU", "says"], "label": ["B-ORG", "O"]}


def test_conll_line_with_too_few_columns(tmp_path):
    with pytest.raises(
        TransferlabError, match=r"own\.conll, line 3: 1 column\(s\) where the other lines have 2.*'rejects'"
    ):
        read(tmp_path, "own.conll", "EU B-ORG\n\nrejects\n", kind="tagging")


def test_conll_of_another_encoding(tmp_path):
    with pytest.raises(TransferlabError, match=r"own\.conll, line 1: this is not UTF-8"):
        read(tmp_path, "own.conll", b"\xef\xf0\xe8 O\n", kind="tagging")


def test_conll_of_blank_lines(tmp_path):
    with pytest.raises(TransferlabError, match=r"own\.conll has no rows"):
        read(tmp_path, "own.conll", "\n\n", kind="tagging")


# labels ---------------------------------------------------------------------------------------------------------------


def labelled(values, **options):
    rows = Table.from_dict({"text": ["a"] * len(values), "label": values})
    return Rows(rows, "own.csv", split="train"), Source(files={"train": "x"}, **options)


def classes(values, names, ordered=True, **options):
    return encode_labels(*labelled(values, **options), Labels(names, ordered)).tolist()


def stored(values, names):
    rows, source = labelled(values)
    return rows._replace(rows=Table(rows.rows.arrow, {"label": tuple(names)})), source


def test_labels_are_inferred_in_sorted_order():
    assert label_names(*labelled(["pos", "neg", "pos"])) == ("neg", "pos")
    assert label_names(*labelled([10, 9, 2])) == ("2", "9", "10")
    rows, source = labelled([["B-X", "O"], ["A-Y", "I-X"]], kind="tagging")
    # "O" is class 0, which stands for words that were cut off
    assert label_names(rows, source) == ("O", "A-Y", "B-X", "I-X")


def test_labels_stored_with_the_data_keep_their_order():
    assert label_names(*stored([0, 1, 0], ["yes", "no"])) == ("yes", "no")


def test_labels_are_matched_by_name():
    rows, source = stored([0, 1, 2], ["contradiction", "entailment", "neutral"])
    names = ("entailment", "neutral", "contradiction")
    assert encode_labels(rows, source, Labels(names)).tolist() == [2, 0, 1]


def test_class_numbers_in_place_of_names():
    assert classes([0, 1, 1], ("negative", "positive")) == [0, 1, 1]


@pytest.mark.parametrize("values", [[1, 2, 0], ["1", "2", "0"]])
def test_a_number_among_numeric_names_is_a_name(values):
    # 0 is no label here, and must not be taken for the number of class "1"
    with pytest.raises(TransferlabError, match=r"own\.csv \(train\), row 2: unknown label '?0'?"):
        classes(values, ("1", "2"))


@pytest.mark.parametrize("value", ["maybe", "POS"])
def test_unknown_label(value):
    with pytest.raises(
        TransferlabError, match=r"row 1: unknown label .* in column 'label'.*\. Known labels: neg, pos\."
    ):
        classes(["pos", value], ("neg", "pos"))


@pytest.mark.parametrize("value", [None, "", float("nan"), -1])
def test_no_label(value):
    values = ["pos", value] if isinstance(value, str | None) else [0, value]
    with pytest.raises(TransferlabError, match=r"row 1: there is no label in column 'label'"):
        classes(values, ("neg", "pos"))


def test_unknown_tag_names_the_sentence():
    with pytest.raises(TransferlabError, match=r"own\.csv \(train\), row 1: unknown label 'B-Z'"):
        classes([["O", "B-X"], ["O", "B-Z"]], ("O", "B-X"), kind="tagging")


def test_unknown_label_in_validation(tmp_path, tiny_encoder):
    files = {
        "train": written(tmp_path, "own.csv"),
        "validation": written(tmp_path, "v.csv", "text,label\na,pos\nb,meh\n"),
    }
    with pytest.raises(TransferlabError, match=r"v\.csv, line 3: unknown label 'meh'"):
        module(tiny_encoder, Source(files=files)).setup("fit")


@pytest.mark.parametrize("names", [(), ("x", "y")])
def test_a_single_class(tmp_path, tiny_encoder, names):
    path = written(tmp_path, "own.csv", "text,label\na,x\nb,x\nc,x\nd,x\n")
    with pytest.raises(TransferlabError, match=r"own\.csv: .*(1 different label|same label)"):
        module(tiny_encoder, Source(files={"train": path}, labels=names)).setup("fit")


def test_is_labelled():
    def is_so(values, names=()):
        rows, source = labelled(values)
        return is_labelled(rows.rows, source, names)

    assert not is_so([-1, -1])
    assert not is_so([None, None])
    assert is_so([0, 1])
    # a target of -1 is a number like any other
    assert is_so([-1.0, 0.5])
    assert is_so([-1, -1], ("-1", "0", "1")), "a label of that name"


def test_regression(tmp_path, tiny_encoder):
    path = written(tmp_path, "own.csv", "text,label\na,-1\nb,0.25\nc,4\nd,5\n")
    data = module(tiny_encoder, Source(files={"train": path}, kind="regression"))
    data.setup("fit")
    assert data.spec.labels == ()
    assert data.spec.outputs == 1
    assert data.spec.metrics == ("pearson", "spearman", "mse")
    assert data.encoded("train").labels.tolist() == [-1.0, 0.25, 4.0, 5.0]


@pytest.mark.parametrize("value", ["much", "nan", "inf"])
def test_target_that_is_no_number(tmp_path, tiny_encoder, value):
    path = written(tmp_path, "own.csv", f"text,label\na,1\nb,{value}\nc,2\nd,3\n")
    with pytest.raises(TransferlabError, match=r"own\.csv, line 3: column 'label' must hold a number"):
        module(tiny_encoder, Source(files={"train": path}, kind="regression")).setup("fit")


# repositories ---------------------------------------------------------------------------------------------------------


def repository(folder):
    """A folder laid out like a data set repository, with two configurations; one stores another label order."""
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})
    rows = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    for config in ("one", "two"):
        (folder / config).mkdir(parents=True)
        taken = datasets.Dataset.from_dict(rows, features=features)
        taken.to_parquet(folder / config / "train-00000-of-00001.parquet")
    lines = [f"- config_name: {c}\n  data_files:\n  - split: train\n    path: {c}/train-*" for c in ("one", "two")]
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(lines) + "\n---\n")
    return folder


def test_folder_that_stands_for_a_name_on_the_hub(tmp_path, monkeypatch, tiny_encoder):
    folder = repository(tmp_path / "mine" / "reviews")
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path / "mine"))
    source = Source(path="someone/reviews", config="one", revision="abc", labels=("neg", "pos"))
    rows, origin, *_ = read_split(source, "train")
    assert origin == f"local folder {folder}"
    assert rows["text"][:] == [text for text, _ in ROWS]
    data = module(tiny_encoder, source)
    assert data.encoded("train").labels.tolist() == [1, 0, 0, 1]
    assert len(read_split(source, "two/train").rows) == 4


@pytest.mark.parametrize(
    ("options", "split", "message"),
    [
        ({"config": "one"}, "dev", r"cannot read split 'dev' of someone/reviews \(one\) from \S*reviews: .*dev"),
        ({"config": "three"}, "train", r"of someone/reviews \(three\) from \S*reviews: .*'three' not found"),
    ],
)
def test_folder_without_that_part(tmp_path, monkeypatch, options, split, message):
    repository(tmp_path / "reviews")
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path))
    with pytest.raises(TransferlabError, match=message):
        read_split(Source(path="someone/reviews", **options), split)


def test_folder_with_a_damaged_file(tmp_path, monkeypatch):
    folder = repository(tmp_path / "reviews")
    path = folder / "one" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path))
    with pytest.raises(
        TransferlabError, match=r"cannot read split 'train' of someone/reviews \(one\) from \S*: Parquet"
    ):
        read_split(Source(path="someone/reviews", config="one"), "train")


def test_hub_out_of_reach_names_the_remedies(offline, monkeypatch):
    tried = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: tried.append(address))
    with pytest.raises(TransferlabError) as caught:
        read_split(Source(path="nyu-mll/glue", config="sst2", revision="abc"), "train")
    assert tried == []
    for part in ("nyu-mll/glue (sst2)", "$TRANSFERLAB_DATA/glue", "HF_HUB_OFFLINE=1", "transferlab demo"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "columns", "labels"),
    [
        ("chnsenticorp", {"text": ["房间很好", "服务太差"], "label": [1, 0]}, ("negative", "positive")),
        ("tnews", {"text": ["上课时学生", "今年的房价"], "label": [3, 11]}, ("3", "11")),
        ("afqmc", {"sentence1": ["花呗", "借呗"], "sentence2": ["花呗吗", "还款"], "score": [1, 0]}, ("0", "1")),
    ],
)
def test_chinese_tasks_are_read_from_a_folder_laid_out_like_the_hub(task, columns, labels, tmp_path, monkeypatch):
    import datasets

    from transferlab.tasks.table import TASKS

    source = TASKS[task]
    assert len(source.revision) == 40
    folder = tmp_path / source.path.rsplit("/", 1)[-1] / "data"
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        datasets.Dataset.from_dict(columns).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path))
    rows = read_split(source, "train")
    assert label_names(rows, source) == labels
    assert rows.rows[source.text[0]][:] == columns[source.text[0]]
    assert {source.train, source.validation, *source.test} - {""} <= {"train", "validation", "test"}

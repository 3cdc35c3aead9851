"""Rows in Arrow's memory: what is asked of them, and that reading the user's files imports neither `datasets` nor pandas."""

import subprocess
import sys

import numpy as np
import pytest

from transferlab.tasks.reading import files
from transferlab.tasks.reading.arrow import Table, concatenate
from transferlab.tasks.sources import read_split
from transferlab.tasks.spec import Source

COLUMNS = {"text": ["a", "b", "c"], "label": [1, 0, 1], "words": [["x"], [], ["y", "z"]]}


@pytest.fixture
def table():
    return Table.from_dict(COLUMNS, {"label": ("no", "yes"), "gone": ("x",)})


def test_columns_and_rows(table):
    assert (len(table), table.column_names, table.names) == (3, ["text", "label", "words"], {"label": ("no", "yes")})
    assert table["words"][:] == list(table["words"]) == COLUMNS["words"]
    assert (table["text"][np.int64(2)], table["text"][-1], table["text"][1:]) == ("c", "c", ["b", "c"])
    assert table[1] == {"text": "b", "label": 0, "words": []}
    assert list(table) == [table[number] for number in range(3)]
    assert list(table.iter(2)) == [
        {"text": ["a", "b"], "label": [1, 0], "words": [["x"], []]},
        {"text": ["c"], "label": [1], "words": [["y", "z"]]},
    ]


def test_other_rows_and_columns(table):
    chosen = table.select(np.array([2, 0, 2]))
    assert (chosen["text"][:], chosen.names) == (["c", "a", "c"], table.names)
    assert len(table.select([])) == 0
    assert table.remove_columns("label").names == {}
    alone = table.remove_columns(table.column_names).add_column("new", [3, 2, 1])
    assert (alone.column_names, len(alone)) == (["new"], 3)
    assert table.set_column("text", ["d", "e", "f"]).column_names == table.column_names
    both = concatenate([table, table.select([1])])
    assert (both["text"][:], both.names) == (["a", "b", "c", "b"], table.names)


def test_cells_of_several_types_become_text():
    assert Table.from_dict({"label": [1, "one", None]})["label"][:] == ["1", "one", None]


@pytest.mark.parametrize("limit", [2**25, 0])
def test_names_of_class_numbers_come_with_a_file(limit, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(files, "AT_ONCE", limit)
    label = datasets.ClassLabel(names=["no", "yes"])
    for name, feature, cells in (("one", label, [1, 0]), ("several", datasets.Sequence(label), [[1], [0, 1]])):
        features = datasets.Features({"text": datasets.Value("string"), "label": feature})
        path = tmp_path / f"{name}.parquet"
        datasets.Dataset.from_dict({"text": ["a", "b"], "label": cells}, features).to_parquet(path)
        rows = read_split(Source(files={"train": str(path)}), "train").rows
        assert (rows["label"][:], rows.names) == (cells, {"label": ("no", "yes")})


def test_a_parquet_file_is_read_without_datasets(tmp_path):
    path = tmp_path / "train.parquet"
    import pyarrow.parquet

    pyarrow.parquet.write_table(Table.from_dict(COLUMNS).arrow, path)
    program = (
        "import sys\nfrom transferlab.tasks.sources import read_split\nfrom transferlab.tasks.spec import Source\n"
        f"rows = read_split(Source(files={{'train': {str(path)!r}}}), 'train').rows\nprint(rows['text'][:])\n"
        "print(sorted({'datasets', 'pandas', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['a', 'b', 'c']", "[]"]

"""ACLSum: papers with one sentence on each of three aspects, in the files of its authors.

Takeshita et al. 2024, https://arxiv.org/abs/2403.05303. A row has the columns ``id``, ``title``, the sections
``abstract``, ``introduction`` and ``conclusion``, and the summaries ``challenge``, ``approach`` and ``outcome``.
"""

from typing import Any

from transferlab.config.places import local_folder
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.json import read_json
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.spec import Source

NAME = "aclsum"
FILES = {"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"}
SECTIONS = ("abstract", "introduction", "conclusion")


def is_papers(source: Source) -> bool:
    """Whether a source is this data set."""
    return source.path == NAME and not source.files


def read_papers(split: str) -> Rows:
    """Reads a split from the folder or the installed package of that name.

    Raises:
        TransferlabError: Neither is there, no such split, or a line that is no paper; names file, line and remedy.
    """
    folder = local_folder(NAME, "TRANSFERLAB_DATA")
    path = folder / FILES[split] if folder and split in FILES else None
    if folder and path is None:
        raise TransferlabError(f"data: {NAME} has no split {split!r}; there are {', '.join(FILES)}.")
    if path is None or not path.is_file():
        raise TransferlabError(
            f"data: {path or NAME} is not on this machine. Remedies: (1) pip install --no-deps aclsum==0.1.2; (2) put "
            f"{', '.join(FILES.values())} of its authors into $TRANSFERLAB_DATA/{NAME}."
        )
    read = read_json(path)
    papers = [dict(zip(read.columns, cells, strict=True)) for cells in zip(*read.columns.values(), strict=True)]
    lines = read.lines or range(len(papers))
    rows = [_row(paper, f"{path}, line {line}") for paper, line in zip(papers, lines, strict=True)]
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return Rows(Table.from_dict(columns), str(path), read.lines)


def _row(paper: Any, place: str) -> dict[str, str]:
    try:
        sections = {name: " ".join(paper["sentences"][name]) for name in SECTIONS}
        return {"id": str(paper["id"]), "title": str(paper["title"]), **sections, **paper["summary"]}
    except (KeyError, TypeError) as error:
        raise TransferlabError(
            f"{place}: this is no paper of {NAME}: {error} is missing or of another form; take the authors' files."
        ) from error

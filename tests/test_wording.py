"""Texts use the field's terms: no page, message, help text or config comment holds a word that has a usual one."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTEAD = {
    r"(?:training|train|validation|test|held-out|unlabell?ed) rows?": "training examples, validation set, test set",
    r"rows? (?:that|which) (?:trains?|selects?|tests?)": "training examples, validation set, test set",
    r"run folders?": "run directory",
    r"(?:parameters|weights) that learn\b(?! at)": "trainable parameters",
    r"(?:goes|gone|went|going) on (?:from|with|in|bit)": "resumes, continues",
    r"(?:ends|ended|exits) with status": "exit code",
    r"end(?:s|ed)? with status|with status \d": "exit code",
}
"""Pattern of a word that is replaced -> the word that is used."""

EVERYWHERE = re.compile("|".join(f"(?:{pattern})" for pattern in INSTEAD), re.IGNORECASE)
TEXTS = [
    *ROOT.glob("*.md"),
    *(path for path in (ROOT / "docs").rglob("*.md") if "evidence" not in path.parts),
    *(ROOT / "configs").rglob("*.yaml"),
    *(ROOT / "experiments").rglob("*.yaml"),
    ROOT / "Makefile",
]
CODE = sorted((ROOT / "src").rglob("*.py"))


def literals(source: str) -> list[tuple[int, str]]:
    """Line and text of every string in Python code, docstrings and the parts of f-strings included."""
    nodes = ast.walk(ast.parse(source))
    return [
        (node.lineno, node.value) for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def found(path: Path) -> list[str]:
    """Place and word of each one that is replaced in a file."""
    text = path.read_text(encoding="utf-8")
    parts = literals(text) if path.suffix == ".py" else [(1, text)]
    return [
        f"{path.relative_to(ROOT)}:{line + part[: match.start()].count(chr(10))}: {match.group()!r}"
        for line, part in parts
        for match in EVERYWHERE.finditer(part)
    ]


@pytest.mark.parametrize(("where", "least"), [("texts", 60), ("code", 150)])
def test_no_word_that_has_a_usual_one(where, least):
    paths = {"texts": TEXTS, "code": CODE}[where]
    assert len(paths) > least
    words = [word for path in paths for word in found(path)]
    assert not words, "\n".join([*words, *(f"{pattern} -> {word}" for pattern, word in INSTEAD.items())])


@pytest.mark.parametrize(
    "text",
    ["x = 'the run folder'", "x = f'{n} training rows'", '"""Ends with status 2."""', "x = 'it goes on from there'"],
)
def test_such_a_word_is_found(text, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "page.py"
    path.write_text(text)
    assert len(found(path)) == 1

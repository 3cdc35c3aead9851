"""The pages: links and anchors lead somewhere, commands exist, and the Python in them runs."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

import transferlab
from transferlab.cli.commands import COMMANDS
from transferlab.cli.completion import options
from transferlab.cli.keys.check import is_option
from transferlab.cli.parsing import check
from transferlab.config import experiments

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NOTEBOOK = ROOT / "docs" / "notebooks" / "python.ipynb"
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]\n]*\]\(\s*<?([^)>\s]+)>?[^)\n]*\)")


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    return [text for language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


@cache
def anchors(page):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    found = {}
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if not number else f"{slug}-{number}" for slug, count in found.items() for number in range(count + 1)}


def check_link(page, target):
    """Says what is wrong with a link; empty where it leads somewhere."""
    if re.match(r"[a-z]+:", target):
        return "" if target.startswith(("https://", "mailto:")) else "no https"
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    if not place.exists():
        return "no such file"
    if anchor and place.suffix == ".md" and anchor not in anchors(place):
        return "no such heading"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    wrong = {target: reason for target in LINK.findall(text) if (reason := check_link(page, target))}
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_are_named_exist(page):
    """Files and folders of this repository in backquotes: ``src/transferlab/tasks/table.py``, ``configs/task``."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|docs|tests|configs|experiments|benchmarks)/[\w./-]*)`", text)
    placeholders = {path for path in named if re.search(r"[A-Z]{2,}", path)}
    assert [path for path in named if not (ROOT / path).exists() and path not in EXAMPLES | placeholders] == []


EXAMPLES = {"experiments/mine.yaml", "configs/task/mine.yaml", "configs/task/reviews.yaml"}
"""Files that a page tells its reader to write."""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_exist(page):
    """Of every ``transferlab COMMAND`` and ``make TARGET`` on the page."""
    text = page.read_text(encoding="utf-8")
    lines = [*"\n".join(blocks(page, "sh", "bash", "console")).splitlines(), *re.findall(r"`([^`\n]+)`", text)]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    wrong = []
    for line in lines:
        if given := re.match(r"\s*transferlab ([a-z]\S*)", line):
            wrong += [line] * any(word not in {*COMMANDS, "COMMAND"} for word in given[1].split("|"))
        if given := re.match(r"\s*make ([a-z]\S*)", line):
            wrong += [line] * (given[1] not in targets)
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_on_the_page_exist_and_have_what_they_change(page):
    """Of whole command lines; dotted keys are those of `test_documented_runs.py`."""
    text = page.read_text(encoding="utf-8")
    lines = "\n".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ").splitlines()
    lines += [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", BLOCK.sub("", text))]
    wrong = []
    for line in lines:
        given = re.match(r"\s*transferlab ([a-z-]+) ", line)
        if not given or given[1] not in COMMANDS or "--files" in line:
            continue
        words = {word.partition("=")[0] for word in shlex.split(line, comments=True)[2:] if is_option(word)}
        unknown = {word for word in words if "." not in word} - options.of(given[1], []).keys()
        changed = {*experiments.OPTIONS} & words if given[1] in ("fit", "baseline") else set()
        wrong += [line] * bool(unknown or (changed and not words & {"--experiment", "--config"}))
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_on_the_page_compiles_and_uses_names_that_exist(page):
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tl":
                assert hasattr(transferlab, node.attr), node.attr


def ten_lines():
    return blocks(ROOT / "docs" / "python.md", "python")[0]


def test_the_ten_lines_are_the_same_everywhere():
    assert ten_lines().strip() in (ROOT / "README.md").read_text(encoding="utf-8")
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]]
    assert ten_lines().strip() in cells
    assert not any(cell.get("outputs") for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"])
    assert len([line for line in ten_lines().splitlines() if line]) <= 12


def test_the_ten_lines_run(tiny_folder, tmp_path, monkeypatch):
    """With a tiny encoder; `test_the_notebook_runs` runs them as they stand."""
    monkeypatch.chdir(tmp_path)
    text = ten_lines().replace("sentence-transformers/all-MiniLM-L6-v2", str(tiny_folder))
    assert str(tiny_folder) in text
    exec(compile(text.replace("L.Trainer(", "L.Trainer(enable_progress_bar=False, "), "python.md", "exec"), {})
    (run,) = (tmp_path / "runs" / "lora_from_python").iterdir()
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "finished"
    assert 0 <= summary["metrics"]["test/accuracy"] <= 1


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=None, kernel_name="python3", resources=place).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "frozen_from_python" in said
    assert "lora_from_python" in said
    scores = {}
    for run in (tmp_path / "runs").glob("*/*/summary.json"):
        summary = json.loads(run.read_text(encoding="utf-8"))
        scores[summary["experiment"]] = summary["metrics"]["test/accuracy"]
    # at the class's old learning rate, 1e-4, LoRA had 0.43
    assert scores.keys() == {"lora_from_python", "frozen_from_python"}
    assert min(scores.values()) > 0.85


def test_every_public_name_has_a_page_in_the_reference():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    described = {path.rsplit(".", 1)[-1] for path in re.findall(r"^::: (\S+)", pages, re.MULTILINE)}
    assert set(transferlab.__all__) - {"__version__"} <= described


@pytest.mark.slow
def test_the_pages_build_and_load_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    loaded = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="https?://[^"]*"|url\(https?:')
    for page in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        assert not loaded.search(page.read_text(encoding="utf-8")), page


def test_metadata_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == transferlab.__version__
    assert project["license"] == citation["license"]
    assert project["authors"] == citation["authors"]
    assert all(url.startswith("https://") for url in project.get("urls", {}).values())


def test_the_workflow_runs_the_checks_and_pins_what_it_uses():
    text = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert {"run": ".ci/run"} in steps
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step)


def test_the_image_runs_a_command_that_exists():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    given = dict(line.split(" ", 1) for line in lines if line.startswith(("ENTRYPOINT", "CMD")))
    assert json.loads(given["ENTRYPOINT"]) == ["transferlab"]
    check(json.loads(given["CMD"]))
    copied = {part for line in lines if line.startswith("COPY") for part in line.split()[1:-1]}
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in kept if line.startswith("!")} == copied
    assert all((ROOT / part).exists() for part in copied)


def test_no_page_names_a_place_that_only_this_machine_has():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    pages = [ROOT / path for path in tracked if path.endswith((".md", ".ipynb", ".yaml", ".toml", ".cff"))]
    assert [
        name(page) for page in pages if re.search(r"/(home|root|Users|work)/", page.read_text(encoding="utf-8"))
    ] == []

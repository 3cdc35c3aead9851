"""The Makefile: its help fits a terminal, and an installation tells how far it is."""

import importlib.machinery
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALL = ROOT / ".ci" / "install"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.fixture
def page():
    command = ["make", "--no-print-directory", "help"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_help_names_every_target_once_in_a_group_within_80_columns(page):
    assert max(map(len, page.splitlines())) <= 80
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    assert sorted(re.findall(r"^  ([a-z-]+) +\S", page.partition("RUN is an")[0], re.MULTILINE)) == sorted(targets)
    groups = ["Start", "Train", "Use a finished run", "Compare", "Watch", "Develop"]
    assert [line for line in page.splitlines() if line in groups] == groups


def test_help_names_the_variables_that_a_target_reads(page):
    for rule in re.split(r"\n(?=[a-z-]+:.*##)", MAKEFILE)[1:]:
        name = rule.partition(":")[0]
        shown = page.split(f"\n  {name} ")[1].split("\n  make exp")[0]
        shown = re.split(r"\n\n|\n  [a-z]", shown)[0]
        needed = set(re.findall(r"\$\(call need,(\w+)", rule))
        assert needed <= set(re.findall(r"\b[A-Z]+\b", shown)), name


def test_nothing_is_installed_in_silence():
    done = subprocess.run(
        ["make", "-n", "install", "VENV=nowhere"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "nowhere/bin/python .ci/install --use-pep517 -c constraints.txt -e" in done.stdout
    assert "installing into nowhere" in done.stdout
    assert "--quiet" not in MAKEFILE


def module():
    loader = importlib.machinery.SourceFileLoader("install_steps", str(INSTALL))
    spec = importlib.util.spec_from_loader("install_steps", loader)
    found = importlib.util.module_from_spec(spec)
    loader.exec_module(found)
    return found


def test_steps_of_pip_in_words():
    steps = module().Steps(131)
    said = []
    for line in (
        "Looking in indexes: https://pypi.org/simple",
        "Obtaining file:///work",
        "Collecting torch>=2.8 (from transferlab==0.1.0)",
        "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (797.1 MB)",
        "Collecting jsonargparse[signatures]<4.54,>=4.47 (from transferlab==0.1.0)",
        "  Using cached jsonargparse-4.47.0-py3-none-any.whl.metadata (14 kB)",
        "Requirement already satisfied: rich in /somewhere (14.0)",
        "Building wheels for collected packages: transferlab",
        "  Building wheel for transferlab (pyproject.toml): started",
        "Installing collected packages: torch, jsonargparse, transferlab",
    ):
        steps.read(line)
        said.append(steps.line(75))
    assert said[0] == "1:15  package 0 of about 131: asking the index"
    assert said[2] == "1:15  package 1 of about 131: torch"
    assert said[3] == "1:15  package 1 of about 131: torch (797.1 MB)"
    assert said[5] == "1:15  package 2 of about 131: jsonargparse (14 kB)"
    assert said[-1] == "1:15  installing 3 packages, the last step"
    assert module().pinned(["-c", str(ROOT / "constraints.txt"), "-e", "."]) > 100


def test_a_real_installation_tells_how_it_went(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "tiny"\nversion = "1"\n'
    )
    (tmp_path / "tiny.py").write_text("")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path / "there")]
    done = subprocess.run(
        [sys.executable, str(INSTALL), *options, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, bool(re.search(r"^installed in \d+ s$", done.stdout, re.MULTILINE))) == (0, True)
    assert (tmp_path / "there" / "tiny.py").is_file()


def test_what_pip_says_is_shown_where_it_fails(tmp_path):
    done = subprocess.run(
        [sys.executable, str(INSTALL), "--no-index", "--target", str(tmp_path), "nosuchpackage"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "No matching distribution found for nosuchpackage" in done.stderr
    assert "installed" not in done.stdout

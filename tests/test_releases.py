"""The lowest and the highest release of jsonargparse that is allowed: the same keys are refused, in the same words."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PARSER = "jsonargparse"
DRIVER = """
import contextlib, io, json, os, sys, traceback
import jsonargparse
from transferlab.__main__ import main

def run(cache, words):
    os.environ["TRANSFERLAB_CACHE"] = cache
    os.environ.pop("TRANSFERLAB_RUN_DIR", None)
    sys.argv = ["transferlab", *words]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            return end.code or 0, said.getvalue()
        except BaseException:
            return 1, said.getvalue() + traceback.format_exc()
    return 0, said.getvalue()

answers = [run(*asked) for asked in json.load(sys.stdin)]
json.dump([jsonargparse.__file__, jsonargparse.__version__, answers], open("answers.json", "w"))
"""
LORA = ("fit", "--experiment", "lora_demo_sentences")
PAGES = ("model", "data", "encoder", "trainer", "early_stopping", "checkpoint", "run", "cache")
REFUSED = {
    (*LORA, "--trainer.max_epoch", "3"): "did you mean '--trainer.max_epochs'",
    (*LORA, "--trainer.max_epo=3"): "did you mean '--trainer.max_epochs'",
    (*LORA, "--lr", "1e-4"): "no key '--lr' (did you mean '--model.optimizer.lr'?)",
    (*LORA, "--model.method.rank", "4"): "--model.method.r",
    (*LORA, "--trainer.max_epochs", "three"): "trainer.max_epochs: must be a whole number or null, not 'three'",
    (*LORA, "--model.optimizer", "AdamWW"): "did you mean 'AdamW'",
    ("fit",): "give --experiment NAME",
}
"""Command line to what is said of it."""
SMALL = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.logger", "false")
TAKEN = {
    **{("fit", "--help", page): f"--{page}." for page in PAGES},
    (*LORA, *SMALL, "--model.method.r", "4"): "test/accuracy",
    ("test", "--run", "lora_demo_sentences"): "accuracy",
}


def allowed():
    """The bounds that pyproject.toml gives the parser."""
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return next(found.specifier for found in map(Requirement, lines) if found.name == PARSER)


def bound(operator):
    return next(one.version for one in allowed() if one.operator == operator)


def test_the_parser_is_bounded_on_both_sides():
    assert {one.operator for one in allowed()} == {">=", "<"}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("which", ["lowest", "highest"])
def test_keys_values_help_and_a_run_with_every_release(which, tmp_path):
    wanted = f"{PARSER}=={bound('>=')}.*" if which == "lowest" else f"{PARSER}{allowed()}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(tmp_path / "release"), wanted], check=True)
    # without a catalog of keys, which each command finds in a folder of its own, and with one
    cold = [(str(tmp_path / f"cache{number}"), line) for number, line in enumerate(REFUSED)]
    asked = [*cold, *((str(tmp_path / "cache"), line) for line in (*TAKEN, *REFUSED))]
    subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(asked),
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "release"), str(ROOT / "src")])},
        check=True,
    )
    place, number, answers = json.loads((tmp_path / "answers.json").read_text())
    assert place.startswith(str(tmp_path))
    assert number in allowed()
    (found,) = (tmp_path / "release").glob(f"{PARSER}-{number}.dist-info")
    assert found.is_dir()
    wrong = []
    for (_, line), (code, said) in zip(asked, answers, strict=True):
        wanted = (0, TAKEN[tuple(line)]) if tuple(line) in TAKEN else (2, REFUSED[tuple(line)])
        if code != wanted[0] or wanted[1] not in said:
            wrong.append(f"{' '.join(line)}: {code}, {said[-2000:]}")
    assert not wrong, "\n\n".join([number, *wrong])

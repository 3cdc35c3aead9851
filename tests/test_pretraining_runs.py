"""Whole runs of ``transferlab pretrain``: what is left, killed and resumed, on two processes, and a task from there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_pretraining import write

from transferlab.config import shipped, trees
from transferlab.ground.errors import TransferlabError
from transferlab.pretraining import options

OBJECTIVES = "transferlab.pretraining.objectives"


def config(tmp_path: Path, **model: Any) -> dict[str, Any]:
    return {
        "data": {
            "class_path": "transferlab.pretraining.data.PretrainingData",
            "init_args": {
                "text": {"files": [write(tmp_path / "text.txt")]},
                "held_out": 0.1,
                "max_length": 24,
                "batch_size": 16,
            },
        },
        "encoder": {"new": {"layers": 1, "hidden": 16, "heads": 2, "positions": 64, "vocabulary": 300}},
        "model": {
            "class_path": f"{OBJECTIVES}.MaskedLM",
            "init_args": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}},
            **model,
        },
        "trainer": {
            "accelerator": "cpu",
            "precision": "32-true",
            "max_epochs": 2,
            "log_every_n_steps": 1,
            "logger": False,
            "devices": 1,
        },
        "run": {"checkpoint_every_steps": 2},
    }


def pretrain(tmp_path: Path, tree: dict[str, Any], *more: str, kill: int | None = None, name: str = "tiny") -> Any:
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    variables = {"TRANSFERLAB_CACHE": str(tmp_path / "cache"), "KILL_AT": "" if kill is None else str(kill)}
    script = str(Path(__file__).parent / "kill_pretraining.py")
    line = more if more[:1] == ("--resume",) else ("--config", str(path), *more)
    environment = {key: value for key, value in os.environ.items() if key != "TRANSFERLAB_RUN_DIR"} | variables
    return subprocess.run(
        [sys.executable, script, *line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def run_of(tmp_path: Path, name: str = "tiny") -> Path:
    return max((tmp_path / "runs" / name).iterdir(), key=lambda path: path.stat().st_mtime)


def weights(run: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run / "encoder" / "model.safetensors")


@pytest.mark.parametrize("name", shipped.listed("configs/pretrain"))
def test_every_shipped_config_has_right_keys(name: str) -> None:
    from transferlab.pretraining.cli import PretrainCLI

    class Parsed(PretrainCLI):
        def _set_seed(self) -> None: ...
        def before_instantiate_classes(self) -> None: ...
        def instantiate_classes(self) -> None: ...
        def _run_subcommand(self, subcommand: str) -> None: ...

    path = shipped.listed("configs/pretrain")[name]
    assert trees.describe(path)
    Parsed(["fit", "--config", str(path)])
    if name == "demo":
        with pytest.raises(TransferlabError, match="batch_size"):
            Parsed(["fit", "--config", str(path), "--data.batch_sise", "3"])


def test_a_name_or_file_is_asked_for() -> None:
    with pytest.raises(TransferlabError, match="mlm_imdb"):
        options.main([])
    with pytest.raises(TransferlabError, match="mlm_imdb"):
        options.main(["mlm_imbd"])
    with pytest.raises(TransferlabError, match="--config"):
        options.main(["mine.yaml"])


def test_a_text_that_is_named_takes_the_whole_place_of_the_configs() -> None:
    begin = ["--config", "x.yaml"]
    for more in (["--data.text.files", "[a.txt]"], ["--data.text.task=sst2"], ["--data.text", "{path: p, column: c}"]):
        line = options.with_text_alone([*begin, "--seed_everything", "1", *more])
        assert (line[:2], line[4:]) == (begin, ["--seed_everything", "1", *more])
        assert line[2] == "--data.text"
        found = json.loads(line[3])
        assert (found["task"], found["files"], found["splits"], found["most"]) == ("", [], ["train"], None)
    for line in (
        [*begin, "--data.text.most", "3"],
        [*begin, "--data.text", "{most: 3}"],
        [*begin, "--data.text", "{files: ["],
        ["--resume", "r", "--data.text.task", "sst2"],
    ):
        assert options.with_text_alone(line) == line


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["MaskedLM", "ReplacedTokens"])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, kind: str) -> None:
    tree = config(tmp_path, class_path=f"{OBJECTIVES}.{kind}")
    # WordPiece gives other ids in every training: a second one would show
    tree["encoder"]["new"]["tokenizer"] = "wordpiece"
    # with dropout, and in the middle of accumulated batches
    tree["trainer"]["accumulate_grad_batches"] = 2
    assert pretrain(tmp_path, tree, name="whole").returncode == 0
    for number, at in enumerate((5, 11)):
        more = () if number == 0 else ("--resume", str(run_of(tmp_path)))
        assert pretrain(tmp_path, tree, *more, kill=at).returncode == -9
    # what the tokenizer was cached as is gone
    done = pretrain(tmp_path, tree, "--resume", str(run_of(tmp_path)))
    assert done.returncode == 0, done.stderr
    one, other = (run_of(tmp_path, name) for name in ("whole", "tiny"))
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    lines = [(run / "metrics.jsonl").read_text() for run in (one, other)]
    assert lines[0] == lines[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["MaskedLM", "ReplacedTokens"])
def test_two_processes_train_as_one_does(tmp_path: Path, kind: str) -> None:
    tree = config(tmp_path, class_path=f"{OBJECTIVES}.{kind}")
    tree["encoder"]["dropout"] = 0.0
    tree["model"]["init_args"]["optimizer"]["init_args"]["lr"] = 0.1 if kind == "MaskedLM" else 1e-3
    assert pretrain(tmp_path, tree, name="one").returncode == 0
    two = tree | {"trainer": tree["trainer"] | {"devices": 2, "strategy": "ddp"}}
    two["data"]["init_args"]["batch_size"] = 8
    done = pretrain(tmp_path, two, name="two")
    assert done.returncode == 0, done.stderr
    a, b = (weights(run_of(tmp_path, name)) for name in ("one", "two"))
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=1e-6, rtol=1e-5)
    found = [json.loads((run_of(tmp_path, name) / "summary.json").read_text())["metrics"] for name in ("one", "two")]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.slow
def test_a_task_starts_from_what_is_left(tmp_path: Path) -> None:
    tree = config(tmp_path)
    assert pretrain(tmp_path, tree).returncode == 0
    run = run_of(tmp_path)
    assert not (run / "checkpoints" / "best.ckpt").exists()
    line = ["fit", "--experiment", "full_finetuning_demo_sentences", "--encoder.name", "tiny"]
    line += ["--trainer.max_epochs", "1", "--trainer.logger", "false", "--data.max_unknown", "1"]
    code = "import sys; from transferlab.__main__ import main; sys.argv[0] = 'transferlab'; main()"
    variables = os.environ | {"TRANSFERLAB_CACHE": str(tmp_path / "cache")}
    variables.pop("TRANSFERLAB_RUN_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *line], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "test texts of demo_sentences were not looked for" in " ".join(done.stdout.split())
    summary = json.loads((run_of(tmp_path, "full_finetuning_demo_sentences") / "summary.json").read_text())
    left = json.loads((run / "summary.json").read_text())
    # the tokenizer says what the encoder reads, so that longer texts are cut or refused
    positions = json.loads((run / "encoder" / "config.json").read_text())["max_position_embeddings"]
    assert json.loads((run / "encoder" / "tokenizer_config.json").read_text())["model_max_length"] == positions
    assert summary["base"] == left["encoder_content"]
    assert summary["lineage"]["run"] == run.name
    assert summary["encoder"] == "tiny"
    # neither in the way of a comparison
    code = f"import sys; sys.argv[1:] = ['compare', {str(tmp_path / 'runs')!r}]; from transferlab.__main__ import main; main()"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "full_finetuning" in shown
    assert "MaskedLM" not in shown

"""Completion: what can stand next on a command line, and three real shells that ask for it."""

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys

import pytest

from transferlab.baselines.choice import METHODS
from transferlab.cli import commands, expansion, pages
from transferlab.cli.completion import options
from transferlab.cli.completion.candidates import candidates
from transferlab.cli.keys import catalog
from transferlab.cli.parsing import collected
from transferlab.config import experiments
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder


@pytest.fixture
def known():
    """All keys, on disk."""
    catalog.save(collected())


def words(*given):
    return [one.word for one in candidates(given)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with two runs and an experiment of its own."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("lora_sst2/20260101-000000-s0-aaaa", "lora_mrpc/20260102-000000-s0-bbbb")):
        place = tmp_path / "runs" / name / "summary.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"status": "finished"}))
        os.utime(place, (number, number))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "lora_mine.yaml").write_text("# my own\nbases: [task/sst2, strategy/lora]\n")
    return tmp_path


def test_commands():
    assert set(words("")) == {*commands.COMMANDS, "help", "--help", "--version"}
    assert words("comp") == ["compare", "completion"]
    assert words("help", "sw") == ["sweep"]
    assert words("nosuch", "") == words("help", "fit", "") == []


def test_experiments_tasks_strategies_encoders_trainers_and_loggers(project):
    assert words("fit", "--experiment", "lora_m") == ["lora_mine", "lora_mnli", "lora_mrpc"]
    assert candidates(["fit", "--experiment", "lora_mi"])[0].text == "my own"
    assert words("fit", "--encoder", "bert_base_c") == ["bert_base_cased", "bert_base_chinese"]
    assert words("fit", "--task", "ss") == ["sst2"]
    assert words("fit", "--strategy", "do") == ["dora"]
    assert words("fit", "--trainer", "d") == ["ddp"]
    assert words("fit", "--logger", "") == ["comet", "csv", "mlflow", "none", "tensorboard", "wandb"]
    assert words("seeds", "lora_mi") == ["lora_mine"]
    assert words("sweep", "mr") == ["mrpc", "mrpc_small"]
    assert words("search", "")[:2] == ["demo", "lora_sst2"]
    assert words("configs", "copy", "encoder/distil") == ["encoder/distilbert"]
    assert words("claims", "--claim", "pe") == ["peft"]
    assert words("compare", "--task", "mr") == ["mrpc"]


def test_runs_come_newest_first(project):
    assert words("test", "--run", "") == [
        "lora_mrpc",
        "lora_sst2",
        "20260102-000000-s0-bbbb",
        "20260101-000000-s0-aaaa",
    ]
    assert words("fit", "--resume", "20260101") == ["20260101-000000-s0-aaaa"]
    for name in words("test", "--run", ""):
        run_folder.find(name)
    assert words("submission", "lora_sst2", "lora_m") == words("forgetting", "--run", "x", "lora_m") == ["lora_mrpc"]
    assert words("card", "--root", "elsewhere", "--run", "") == []


def test_a_value_can_be_joined_to_its_option(known, project):
    assert words("fit", "--experiment=lora_mi") == ["--experiment=lora_mine"]
    assert words("fit", "--trainer.precision=bf16-m") == ["--trainer.precision=bf16-mixed"]
    assert words("fit", "--config=") == [":files"]


def test_keys_come_by_the_steps_of_their_names(known):
    first = words("fit", "--")
    assert {"--trainer.", "--trainer", "--experiment", "--seed_everything"} <= set(first)
    assert not [word for word in first if "." in word and not word.endswith(".")]
    assert words("fit", "--trainer.max_e") == ["--trainer.max_epochs"]
    assert words("fit", "--trainer.accelerator", "") == ["auto", "cpu", "gpu", "mps"]
    assert words("fit", "--run.experiment", "") == []
    assert set(words("predict", "--")) & {"--experiment", "--resume", "--encoder"} == set()


def test_keys_are_those_of_the_classes_that_are_named(known):
    lora = ["fit", "--experiment", "lora_sst2"]
    assert {"--model.method.r", "--model.method.alpha"} <= set(words(*lora, "--model.method."))
    assert words(*lora, "--model.mix_") == words(*lora, "--model.method.ra") == []
    assert "--model.method.r" not in words(*lora, "--model.method", "BitFit", "--model.method.")
    assert "--model.optimizer.lr" in words(*lora, "--model.optimizer.")
    assert words(*lora, "--model.method", "LoR") == ["LoRA"]
    # a value that is wrong, or an experiment that is not there, hides nothing
    assert "--trainer.max_epochs" in words("fit", "--experiment", "nosuch", "--trainer.max_")
    assert "--trainer.max_epochs" in words(*lora, "--trainer.nosuch", "3", "--trainer.max_")


def test_values_of_keys(known):
    assert words("fit", "--encoder.pooling", "") == ["mean", "cls", "max", "last"]
    assert words("fit", "--data.task", "mr") == ["mrpc"]
    assert "AdamW" in words("fit", "--model.optimizer", "Ada")
    assert set(pages.SECTIONS) < set(words("fit", "--help", ""))
    assert words("fit", "--help", "LoR") == ["LoRA"]


def test_without_a_catalog_the_most_used_keys_are_known():
    assert catalog.load() is None
    assert set(pages.SECTIONS) <= {word.strip("-.") for word in words("fit", "--")}
    assert words("fit", "--trainer.max_ep") == ["--trainer.max_epochs"]


def test_options_are_those_that_the_commands_take(known):
    assert {*expansion.ARGUMENTS, *experiments.OPTIONS, "--resume"} - {"--run"} <= set(options.of("fit", []))
    assert {"--run", "--config"} <= set(options.of("test", []))
    assert {"--task", "--reference", "--format"} <= set(words("compare", "--"))
    assert words("compare", "--format", "") == ["terminal", "markdown", "csv", "latex"]
    assert words("baseline", "--method", "") == ["all", *METHODS]
    assert set(METHODS) <= set(re.split(r"\W+", pages.BASELINE))
    assert {"--data.", "--run."} <= set(words("baseline", "--"))
    assert not {"--trainer.", "--model."} & set(words("baseline", "--"))
    assert {"--output", "--calibrated", "--data."} <= set(words("predict", "--run", "x", "--"))
    assert words("predict", "--run", "x", "new") == [":files"]
    assert {"--seeds", "--trainer."} <= set(words("seeds", "lora_sst2", "--"))
    assert "--experiment" not in words("seeds", "lora_sst2", "--")


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_has_options_and_a_help_page_that_names_them(command, monkeypatch, capsys):
    from transferlab.__main__ import main

    monkeypatch.setattr(sys, "argv", ["transferlab", command, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):
        main()
    page = capsys.readouterr().out
    assert f"transferlab {command}" in page
    if not commands.COMMANDS[command].keys:
        assert all(option in page for action in options._actions(command) for option in action.option_strings)
    assert max(map(len, page.splitlines())) <= 80


def test_help_and_candidates_of_all_commands_import_no_torch(known, project):
    code = """if True:
        import contextlib, io, sys
        from transferlab.__main__ import main
        for words in sys.stdin.read().splitlines():
            sys.argv = ["transferlab", *words.split(" ")]
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                main()
            assert "torch" not in sys.modules and "transformers" not in sys.modules, words
    """
    asked = [f"{command} --help" for command in commands.COMMANDS]
    for command in commands.COMMANDS:
        asked += [f"completion words -- {command} {word}" for word in ("", "-", "--experiment lora_sst2 --model.")]
    done = subprocess.run([sys.executable, "-c", code], input="\n".join(asked), text=True, check=False)
    assert done.returncode == 0


def test_an_unknown_shell_is_refused():
    from transferlab.cli.completion.command import main

    with pytest.raises(TransferlabError, match=r"invalid choice: 'tcsh'"):
        main(["tcsh"])


# shells ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path, known):
    """A folder with ``transferlab`` as a program."""
    place = tmp_path / "bin" / "transferlab"
    place.parent.mkdir()
    place.write_text(f'#!/bin/sh\nexec {sys.executable} -m transferlab "$@"\n')
    place.chmod(0o755)
    return place


def bash(program, project, *line):
    """What bash offers; words are split as its line editor does."""
    script = """
        source <("$1" completion bash)
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _transferlab
        printf '%s\\n' "${COMPREPLY[@]}"
        complete -p transferlab >&2
    """
    command = ["bash", "--norc", "-c", script, "bash", str(program), *line]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert "-F _transferlab" in done.stderr
    return done.stdout.split()


def test_bash(program, project):
    assert bash(program, project, "comp") == ["compare", "completion"]
    assert bash(program, project, "fit", "--experiment", "lora_mi") == ["lora_mine"]
    assert bash(program, project, "fit", "--experiment", "=", "lora_mi") == ["lora_mine"]
    assert bash(program, project, "test", "--run", "=") == [
        "lora_mrpc",
        "lora_sst2",
        "20260102-000000-s0-bbbb",
        "20260101-000000-s0-aaaa",
    ]
    assert bash(program, project, "fit", "--experiment", "lora_mine", "--model.method.r") == ["--model.method.r"]
    assert bash(program, project, "fit", "--config", "experiments/lo") == ["experiments/lora_mine.yaml"]
    assert bash(program, project, "nosuch", "") == []


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_fish(program, project):
    def fish(line):
        code = f"transferlab completion fish | source; complete -C '{line}'"
        environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(project)}
        command = ["fish", "--no-config", "-c", code]
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
        return [one.split("\t")[0] for one in done.stdout.splitlines()]

    assert fish("transferlab comp") == ["compare", "completion"]
    assert fish("transferlab fit --experiment lora_mi") == ["lora_mine"]
    assert fish("transferlab fit --experiment=lora_mi") == ["--experiment=lora_mine"]
    assert fish("transferlab fit --experiment lora_mine --model.method.va") == ["--model.method.variant"]
    assert fish("transferlab fit --config experiments/lo") == ["experiments/lora_mine.yaml"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh(program, project):
    def zsh(typed, wanted):
        """Types into a zsh on a terminal and waits until it has put in what is wanted."""
        child, terminal = pty.fork()
        if not child:
            os.chdir(project)
            os.environ.update({"PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "xterm", "HOME": str(project)})
            os.execvp("zsh", ["zsh", "-f", "-i"])
        seen = b""
        try:
            # each line is typed when the one before has been answered
            ready = b"source <(transferlab completion zsh); echo re''ady\n"
            for line, answer in ((ready, b"ready\r"), (typed, wanted)):
                os.write(terminal, line)
                while answer not in seen:
                    seen += os.read(terminal, 65536)
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(terminal)

    zsh(b"transferlab compl\t", b"transferlab completion")
    zsh(b"echo X transferlab; transferlab fit --experiment=lora_mi\t", b"lora_mine")
    zsh(b"transferlab fit --experiment lora_mine --model.method.va\t", b"riant")
    zsh(b"transferlab fit --config experiments/lora\t", b"_mine.yaml")

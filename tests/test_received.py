"""What others wrote is data: configurations that look like less than they are, names that look like instructions."""

import csv
import io
import os
import subprocess
import sys
import tarfile

import pytest
import yaml

from tests.mistakes import ROOT, experiment
from transferlab.analysis.claims import evidence
from transferlab.config import experiments, plain, trees
from transferlab.config import received as received_runs
from transferlab.ground import escapes, screen
from transferlab.ground.errors import TransferlabError

pytest_plugins = ["tests.mistakes"]

# a run directory ------------------------------------------------------------------------------------------------------


def received(folder, **changes):
    """A run directory as someone else may have made it; what it would run leaves a marker."""
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\nclass Evil: ...\n"
    )
    (folder / "summary.json").write_text('{"status": "finished"}')
    (folder / "config.yaml").write_text(yaml.safe_dump(experiment(**changes)))
    return folder


EVIL = {
    "trainer.callbacks": [{"class_path": "sent.evil.Evil"}],
    "trainer.logger": {"class_path": "sent.evil.Evil"},
    "trainer.strategy": "sent.evil.Evil",
    "model.init_args.optimizer": "sent.evil.Evil",
    "data.class_path": "sent.evil.Evil",
    "model": {"class_path": "sent.evil.Evil"},
}


@pytest.mark.parametrize("key", EVIL)
@pytest.mark.parametrize(
    "command", [["test", "--run"], ["validate", "--run"], ["predict", "--run"], ["fit", "--resume"]]
)
def test_a_run_names_no_code_of_its_own(fails, place, command, key):
    received(place / "sent", **{key: EVIL[key]})
    (place / "checkpoints").mkdir()
    assert "sent.evil.Evil, which is neither this package's" in (message := fails(*command, "sent"))
    assert key in message
    assert "--trust" in message
    assert not (place / "sent" / "ran").exists()


def test_started_as_a_module_nothing_of_the_working_directory_is_imported(tmp_path):
    received(tmp_path / "sent", **{"trainer.callbacks": EVIL["trainer.callbacks"]})
    for name in ("json", "yaml", "argparse"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    line = [sys.executable, "-m", "transferlab", "test", "--run", "sent"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "--trust" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "sent" / "ran").exists()


@pytest.mark.parametrize(
    "path",
    [
        "lightning.pytorch.callbacks.LambdaCallback",
        "lightning.pytorch.callbacks.StochasticWeightAveraging",
        "transferlab.launch.fetch.subprocess.Popen",
        "transferlab.ground.errors.os.system",
        "transferlab.system",
        "torch.optim.adamw.os.system",
        "torch.load",
        "os.system",
        "builtins.eval",
        "Evil",
        "",
    ],
)
def test_class_that_is_not_known(path, tmp_path):
    with pytest.raises(TransferlabError, match="--trust"):
        received_runs.check({"trainer": {"callbacks": [{"class_path": path}]}}, tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "transferlab.strategies.FullFineTuning",
        "transferlab.FeatureExtraction",
        "transferlab.tracking.wandb_logger.WandbLogger",
        "torch.optim.AdamW",
        "torch.optim.lr_scheduler.CosineAnnealingLR",
        "lightning.pytorch.callbacks.EarlyStopping",
        "lightning.pytorch.callbacks.early_stopping.EarlyStopping",
        "lightning.pytorch.loggers.CSVLogger",
        "lightning.pytorch.strategies.DDPStrategy",
    ],
)
def test_class_that_is_known(path, tmp_path):
    received_runs.check({"trainer": {"callbacks": [{"class_path": path}]}}, tmp_path)


def test_a_function_by_name_and_a_place_outside(tmp_path, monkeypatch):
    hook = {"class_path": "lightning.pytorch.strategies.DDPStrategy", "init_args": {"ddp_comm_hook": "os.system"}}
    with pytest.raises(TransferlabError, match=r"trainer\.strategy\.init_args\.ddp_comm_hook names os\.system"):
        received_runs.check({"trainer": {"strategy": hook}}, tmp_path)
    for place in ("/tmp/elsewhere", "../elsewhere"):
        profiler = {"class_path": "lightning.pytorch.profilers.SimpleProfiler", "init_args": {"dirpath": place}}
        with pytest.raises(TransferlabError, match="outside of the run directory"):
            received_runs.check({"trainer": {"profiler": profiler}}, tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "retests").symlink_to(tmp_path)
    with pytest.raises(TransferlabError, match="leads out of the run directory"):
        received_runs.check({}, tmp_path / "run")
    monkeypatch.setenv(received_runs.TRUST, "1")
    received_runs.check({"trainer": {"profiler": profiler}}, tmp_path / "run")


def test_every_shipped_experiment_names_known_classes_only(tmp_path):
    for name in experiments.names():
        received_runs.check(experiments.compose(name), tmp_path)


def test_an_archive_writes_nowhere_else(tmp_path):
    (tmp_path / "from").mkdir()
    with tarfile.open(tmp_path / "from" / f"runs{evidence.SUFFIX}", "w:xz") as archive:
        member = tarfile.TarInfo("../outside.txt")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(TransferlabError, match="is damaged"):
        evidence.unpack(tmp_path / "from", tmp_path / "into")
    assert not (tmp_path / "outside.txt").exists()


# YAML -----------------------------------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)
REFUSED = {
    "aliases that multiply": (BOMB, r"its aliases \(\*name\) make more than 100,000 values of \d+"),
    "alias within itself": ("a: 1\nb: &b\n  c: [*b]\n", "line 2: an alias stands inside of what it names"),
    "brackets": ("a: " + "[" * 3000, "line 1: nested more than 100 deep"),
    "dashes": ("- " * 100_000 + "a", "line 1: nested more than 100 deep"),
    "indented": ("\n".join(" " * deep + "a:" for deep in range(500)), "line 101: nested more than 100 deep"),
    "key twice": (
        "lr: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
        "key 'c' stands twice, in line 3 and line 5; keep one of them",
    ),
    "key twice in a line": ("a: {b: 1, b: 2}", "key 'b' stands twice, in line 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_yaml_that_is_refused(case, tmp_path):
    text, message = REFUSED[case]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(TransferlabError, match=rf"mine\.yaml is not valid YAML: .*{message}") as refused:
        trees.read_yaml(path)
    assert "\n" not in str(refused.value)


def test_yaml_of_every_day_is_read_as_before():
    text = (
        "base: &base {lr: 1.0e-3, names: [a, b]}\nmine:\n  <<: *base\n  lr: 2\n'1': x\n1.5: [null, true, 2020-01-01]\n"
    )
    assert plain.load(text) == yaml.safe_load(text)
    assert plain.load("") is None
    assert plain.load("~") is None


# what is shown ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ±★▼ näive 日本", "plain ±★▼ näive 日本"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\rb\x9bc", "a\\rb\\x9bc"),
        ("abc\u202etxt", "abc\\u202etxt"),
        ("two\tthree\nfour", "two\tthree\nfour"),
    ],
)
def test_control_characters_are_seen_and_do_nothing(text, shown):
    assert escapes.visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lora_sst2 (r=4, 95 %) < 0.001 [0.1, 0.2]", "lora_sst2 (r=4, 95 %) < 0.001 [0.1, 0.2]"),
        ("a|b", "a\\|b"),
        ("<img src=x>", "\\<img src=x>"),
        ("[click](http://x)", "[click\\](http://x)"),
        ("*bold* _it_ `code` \\|", "\\*bold\\* \\_it\\_ \\`code\\` \\\\\\|"),
        ("one\n# two", "one # two"),
    ],
)
def test_markdown_is_text(text, shown):
    assert escapes.markdown(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)"])
def test_a_spreadsheet_computes_nothing(text):
    assert escapes.cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-", "+", "-1", "+1.5", "-1e-3", "a=b", "lora", "", "-12.5%"])
def test_cells_that_compute_nothing_stay(text):
    assert escapes.cell(text) == text


def test_names_in_a_table_of_facts_are_text(capsys):
    screen.console().print(screen.facts({"label": "[red]a[/red] \x1b[31m"}, "facts"))
    assert "[red]a[/red] \\x1b[31m" in capsys.readouterr().out


def test_a_hostile_name_in_every_form_of_compare(tmp_path, capsys):
    from transferlab.analysis.comparison import command
    from transferlab.record.folder import write_json

    name = "=cmd|'\x1b[31m<b>"
    for number, title in enumerate([name, "lora"]):
        folder = tmp_path / f"e{number}" / f"20260101-00000{number}-s0-abcd"
        folder.mkdir(parents=True)
        write_json(
            folder / "summary.json",
            {"experiment": title, "strategy": title, "encoder": "bert", "task": "t", "primary": "accuracy"}
            | {"kind": "classification", "metrics": {"test/accuracy": 0.5}, "status": "finished", "seed": 0},
        )
    shown = {}
    for form in command.FORMATS:
        command.main([str(tmp_path), "--format", form])
        shown[form] = capsys.readouterr().out
        assert "\x1b[31m" not in shown[form]
    rows = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert any(row["strategy"].startswith("'=cmd|") for row in rows)
    assert r"=cmd\|" in shown["markdown"]
    assert r"\<b>" in shown["markdown"]


def test_the_optimizer_of_a_strategy_that_names_none_is_known(tmp_path):
    import inspect

    from transferlab import strategies

    kinds = [getattr(strategies, name) for name in strategies.__all__]
    defaults = {inspect.signature(kind).parameters["optimizer"].default for kind in kinds}
    paths = [f"{function.__module__}.{function.__qualname__}" for function in defaults]
    for path in (*paths, "transferlab.strategies.base.adamw"):
        received_runs.check({"model": {"init_args": {"optimizer": path}}}, tmp_path)
    with pytest.raises(TransferlabError, match="names transferlab.ground.progress.loading"):
        received_runs.check({"model": {"init_args": {"optimizer": "transferlab.ground.progress.loading"}}}, tmp_path)

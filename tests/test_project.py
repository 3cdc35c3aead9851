"""The shipped configs to look at and copy, and a project folder that works."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from transferlab.cli import project
from transferlab.config import experiments, shipped, trees
from transferlab.ground.errors import TransferlabError


def test_all_configs_are_listed_with_their_place(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    project.configs([])
    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if "  " in line}
    assert set(lines.values()) == {"shipped"}
    assert {"experiments/lora_sst2", "task/sst2", "encoder/minilm_l6", "sweep/demo", "cluster/slurm"} <= set(lines)


def test_a_copy_is_used_and_never_overwrites(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    project.configs(["copy", "configs/task/mrpc.yaml"])
    own = tmp_path / "configs" / "task" / "mrpc.yaml"
    assert own.read_text() == (shipped.SHIPPED / "configs" / "task" / "mrpc.yaml").read_text()
    own.write_text(own.read_text().replace("task: mrpc", "task: changed"))
    assert experiments.compose("lora_mrpc")["data"]["init_args"]["task"] == "changed"
    assert shipped.is_own(shipped.listed("configs/task")["mrpc"])
    with pytest.raises(TransferlabError, match="there already; nothing was copied"):
        project.configs(["copy", "task/mrpc"])
    with pytest.raises(TransferlabError, match="did you mean 'task/mrpc'"):
        project.configs(["copy", "task/mprc"])


def test_the_last_part_of_a_name_is_enough_where_it_says_which_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project.copy("bert_base") == Path("configs/encoder/bert_base.yaml")
    assert project.copy("smoke.yaml") == Path("configs/trainer/smoke.yaml")
    with pytest.raises(TransferlabError, match="'sst2' is the name of several: give one of .*task/sst2"):
        project.copy("sst2")
    with pytest.raises(TransferlabError, match="did you mean 'roberta_base'"):
        project.copy("robert_base")


def test_a_composed_name_is_copied_as_a_file_that_means_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    composed = experiments.compose("feature_extraction_conll2003")
    assert project.copy("feature_extraction_conll2003") == Path("experiments/feature_extraction_conll2003.yaml")
    assert experiments.resolve("feature_extraction_conll2003") is not None
    assert experiments.compose("feature_extraction_conll2003") == composed
    assert project.copy("feature_extraction_demo_pairs") == Path("experiments/feature_extraction_demo_pairs.yaml")


def test_a_misspelt_file_of_the_package_gets_a_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert trees.read_yaml(Path("configs/task/sst2.yaml")) == trees.read_yaml(
        shipped.SHIPPED / "configs/task/sst2.yaml"
    )
    with pytest.raises(TransferlabError, match=r"no such file: configs/task/sst3.yaml \(did you mean 'sst2'\?\)"):
        trees.read_yaml(Path("configs/task/sst3.yaml"))


def test_a_project_is_made_once_and_composes(tmp_path, monkeypatch, capsys):
    project.init([str(tmp_path / "mine")])
    monkeypatch.chdir(tmp_path / "mine")
    assert Path(".gitignore").is_file()
    source = experiments.compose("lora_reviews")["data"]["init_args"]["source"]
    assert all(Path(path).is_file() for path in source["files"].values())
    assert experiments.compose("lora_reviews_r16")["model"]["init_args"]["method"]["init_args"]["r"] == 16
    assert len(Path("Makefile").read_text().splitlines()) < 25
    with pytest.raises(TransferlabError, match="nothing was written"):
        project.init(["."])


def test_the_commands_answer_without_torch(tmp_path):
    code = (
        "import sys\n"
        "from transferlab.cli import project\n"
        "from transferlab.config import experiments\n"
        "project.configs([]); project.init(['p']); experiments.main([])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_every_config_and_experiment_is_in_the_wheel_and_in_the_checkout():
    root = Path(__file__).parents[1]
    for folder in ("configs", "experiments"):
        here = sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*.yaml"))
        there = sorted(f"{folder}/{name}.yaml" for name in shipped.listed(folder, root / "nowhere"))
        assert here == there
    assert yaml.safe_load((shipped.SHIPPED / "configs/task/sst2.yaml").read_text())


@pytest.mark.slow
def test_an_installed_wheel_trains_from_an_empty_folder(tmp_path):
    root = Path(__file__).parents[1]
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(root)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(tmp_path / "site")], check=True)
    (tmp_path / "empty").mkdir()
    run = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); sys.argv[0] = 'transferlab'\n"
        "import transferlab; assert 'site' in transferlab.__file__\n"
        "from transferlab.__main__ import main; main()"
    )
    keys = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.logger", "false"]
    for command in (["list"], ["fit", "--experiment", "lora_demo_sentences", *keys], ["sweep", "demo", "--dry"]):
        subprocess.run([sys.executable, "-c", run, *command], cwd=tmp_path / "empty", check=True)

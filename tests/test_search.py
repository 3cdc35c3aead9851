import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from transferlab.config import experiments
from transferlab.ground.errors import TransferlabError
from transferlab.launch.search import spec, write

HERE = Path(__file__).parent.parent
TREE = {
    "experiment": "lora_sst2",
    "trials": 4,
    "startup": 2,
    "set": {"data.train_examples": 100},
    "space": {
        "model.optimizer.lr": {"low": 1.0e-4, "high": 1.0e-2, "log": True},
        "model.method.r": [4, 8],
        "model.schedule.warmup": {"low": 0.0, "high": 0.2, "step": 0.1},
    },
}


def read(tmp_path, **changes):
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump({**TREE, **changes}))
    return spec.read(path, HERE)


def test_every_shipped_search_can_be_read():
    files = sorted((HERE / "configs" / "search").glob("*.yaml"))
    assert len(files) == 2
    for path in files:
        assert spec.read(path, HERE).space


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trial": 3}, "no key 'trial' .*'trials'"),
        ({"experiment": "lora_sst3"}, "no experiment 'lora_sst3' .*'lora_sst2'"),
        ({"sampler": "tpee"}, "sampler: no 'tpee' .*'tpe'"),
        ({"trials": 0}, "trials: 0 is not an integer from 1 on"),
        ({"space": {}}, "space is missing"),
        ({"space": {"a.b": [1]}}, "two or more plain values"),
        ({"space": {"a.b": {"low": 1, "hgih": 2}}}, "space.a.b must be a list"),
        ({"space": {"a.b": {"low": 1, "high": 2, "lgo": True}}}, "no key 'lgo' .*'log'"),
        ({"space": {"a.b": {"low": "1e-4", "high": 1.0}}}, "write 1.0e-3"),
        ({"space": {"a.b": {"low": 2, "high": 1}}}, "low must be below high"),
        ({"space": {"a.b": {"low": 0.0, "high": 1.0, "log": True}}}, "above 0"),
        ({"space": {"data.train_examples": [10, 20]}}, "cannot be in `space` and in `set`"),
        ({"sampler": "grid"}, "a grid needs a list or a step for model.optimizer.lr"),
    ],
)
def test_a_mistake_is_answered_by_the_nearest_right_word(tmp_path, changes, message):
    with pytest.raises(TransferlabError, match=message):
        read(tmp_path, **changes)


def test_the_winner_is_an_experiment_that_differs_in_these_keys_only(tmp_path):
    search = read(tmp_path, experiment="lora_mrpc", set={"trainer.max_epochs": 2, "trainer.logger": False})
    path = tmp_path / "best.yaml"
    write.winner(path, search, {"model.optimizer.lr": 3.0e-4, "model.method.r": 4}, "val/primary 0.9", HERE)
    assert len(path.read_text().splitlines()) <= 15
    from transferlab.config.trees import expand

    expected = experiments.compose("lora_mrpc", HERE)
    expected["trainer"]["max_epochs"] = 2
    expected["model"]["init_args"]["optimizer"]["init_args"]["lr"] = 3.0e-4
    expected["model"]["init_args"]["method"]["init_args"]["r"] = 4
    del expected["run"]["experiment"]
    (tmp_path / "configs").symlink_to(HERE / "configs")
    assert expand(path) == expected
    write.winner(path, search, {"model.optimizer.lr": 4.0e-4}, "again", HERE)
    path.write_text("bases: []\n")
    with pytest.raises(TransferlabError, match="was not written by a search"):
        write.winner(path, search, {}, "", HERE)


def test_the_sweep_of_wandb(tmp_path):
    sweep = write.wandb_sweep(read(tmp_path), Path("runs"))
    assert sweep["parameters"] == {
        "data.train_examples": {"value": 100},
        "model.optimizer.lr": {"distribution": "log_uniform_values", "min": 1.0e-4, "max": 1.0e-2},
        "model.method.r": {"values": [4, 8]},
        "model.schedule.warmup": {"distribution": "q_uniform", "min": 0.0, "max": 0.2, "q": 0.1},
    }
    assert (sweep["method"], sweep["metric"]["goal"], sweep["command"][-1]) == ("bayes", "maximize", "${args}")
    logged = write.wandb_sweep(read(tmp_path, set={"trainer.logger": False, "trainer.max_epochs": 2}), Path("runs"))
    assert "trainer.logger" not in logged["parameters"]
    assert "trainer.max_epochs" in logged["parameters"]


def test_validations_are_read_while_they_are_written(tmp_path):
    studies = pytest.importorskip("transferlab.launch.search.study")
    path = tmp_path / "metrics.jsonl"
    assert studies.validations(tmp_path) == []
    lines = [{"step": 0, "val/primary": 0.1}, {"step": 3, "train/loss": 1.0}, {"step": 4, "val/primary": 0.5}]
    path.write_text("\n".join(map(json.dumps, [*lines, {"step": 9, "val/primary": 0.6}])) + '\n{"step": 12, "val/pr')
    assert studies.validations(tmp_path) == [0.5, 0.6]


def test_a_killed_trial_is_queued_once_more_with_its_values_and_its_folder(tmp_path):
    optuna = pytest.importorskip("optuna")
    from transferlab.launch.search import study as studies

    search = read(tmp_path)
    script = (
        "import os, sys; from pathlib import Path; from transferlab.training import lock\n"
        "from transferlab.launch.search import spec, study\n"
        "search = spec.read(Path(sys.argv[1]), Path(sys.argv[3])); known = study.open_study(search, Path(sys.argv[2]))\n"
        "trial = known.ask(); trial.set_user_attr('owner', lock.identity()); study.suggest(trial, search)\n"
        "trial.set_user_attr('folder', 'some-t0'); os._exit(9)\n"
    )
    database = tmp_path / "x" / "some.db"
    command = [sys.executable, "-c", script, str(tmp_path / "some.yaml"), str(database), str(HERE)]
    assert subprocess.run(command, check=False).returncode == 9
    study = studies.open_study(search, database)
    (dead,) = study.trials
    assert dead.state == optuna.trial.TrialState.RUNNING
    assert studies.recover(study) == 1
    trial = study.ask()
    assert studies.suggest(trial, search) == dead.params
    assert trial.user_attrs["folder"] == "some-t0"
    trial.set_user_attr("owner", studies.lock.identity())
    assert studies.recover(study) == 0
    study.tell(trial, 0.5)
    assert studies.count(study) == 1


def test_a_grid_is_gone_through_once(tmp_path):
    pytest.importorskip("optuna")
    from transferlab.launch.search import study as studies

    space = {"a.b": {"low": 0.0, "high": 0.3, "step": 0.1}, "c.d": [1, 2]}
    search = read(tmp_path, sampler="grid", space=space)
    assert studies.choices(search.space["a.b"]) == [0.0, 0.1, 0.2, 0.3]
    study = studies.open_study(search, tmp_path / "grid.db")
    for _ in range(len(studies.grid(search))):
        trial = study.ask()
        studies.suggest(trial, search)
        study.tell(trial, 0.0)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 8
    # nothing is queued a second time
    assert len(studies.open_study(search, tmp_path / "grid.db").trials) == 8


def test_writing_for_wandb_needs_neither_torch_nor_optuna(tmp_path):
    code = (
        "import sys; from transferlab.launch.search.command import main\n"
        f"main(['demo', '--wandb', {str(tmp_path / 'w.yaml')!r}]); sys.exit('torch' in sys.modules or 'optuna' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE, check=False).returncode == 0
    assert yaml.safe_load((tmp_path / "w.yaml").read_text())["name"] == "demo"

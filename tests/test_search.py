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


GRID = {"a.b": {"low": 0.0, "high": 0.3, "step": 0.1}, "c.d": [1, 2]}
WORKER = """
import os, signal, sys, time
from pathlib import Path
from transferlab.launch.search import command, spec, study

file, database, root, limit, mark, other = sys.argv[1:]

def train(trial, cell):
    # each has a trial before the other ends one, and the second one of the first process is its last
    number = int(cell.folder.name.rpartition("-t")[2])
    Path(mark).touch()
    while not Path(other).exists():
        time.sleep(0.01)
    dies = Path(mark).with_name("dies")
    if mark.endswith("killed") and number >= 2:
        dies.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while number >= 2 and not dies.exists():
        time.sleep(0.01)
    if trial.params.get("c.d") == 2 and trial.params["a.b"] > 0.15:
        raise RuntimeError("too large")
    return sum(float(value) for value in trial.params.values())

trials = study.Trials(spec.read(Path(file), Path(root)), Path(database))
command.work(trials, Path("runs"), int(limit), train)
"""


def value_of(trial, cell):
    if trial.params.get("c.d") == 2 and trial.params["a.b"] > 0.15:
        raise RuntimeError("too large")
    return sum(float(value) for value in trial.params.values())


def worked(search, path, limit, train=value_of):
    """A search of one process, with a function in place of the training."""
    command = pytest.importorskip("transferlab.launch.search.command")
    studies = pytest.importorskip("transferlab.launch.search.study")
    trials = studies.Trials(search, path)
    command.work(trials, Path("runs"), limit, train)
    return trials


def found(trials):
    return {number: (trial.params, trial.value, trial.state.name) for number, trial in sorted(trials.known().items())}


@pytest.mark.parametrize("sampler", ["random", "grid", "tpe"])
def test_later_searches_equal_one_uninterrupted_search(tmp_path, sampler):
    search = read(tmp_path, sampler=sampler, **({"space": GRID} if sampler == "grid" else {}))
    whole = worked(search, tmp_path / "whole.db", 6)
    path = tmp_path / "later.db"
    for limit in (2, 6, 6):
        later = worked(search, path, limit)
        assert len(later.known()) == limit
    assert found(later) == found(whole)
    assert len({str(trial.params) for trial in later.known().values()}) == 6
    # nothing that ended was begun again
    assert len(later.study.trials) == 6


@pytest.mark.parametrize("sampler", ["random", "grid", "tpe"])
def test_a_killed_and_a_second_process_leave_what_one_would(tmp_path, sampler):
    search = read(tmp_path, sampler=sampler, **({"space": GRID} if sampler == "grid" else {}))
    path, marks = tmp_path / "x" / "two.db", [str(tmp_path / "killed"), str(tmp_path / "alive")]
    command = [sys.executable, "-c", WORKER, str(tmp_path / "some.yaml"), str(path), str(HERE), "8"]
    both = [subprocess.Popen([*command, *order]) for order in (marks, marks[::-1])]
    killed, alive = [process.wait() for process in both]
    assert (killed, alive) == (-9, 0)
    # what it left is trained by whoever is there, or comes next
    trials = worked(search, path, 8)
    points = [str(trial.params) for trial in trials.known().values()]
    assert len(points) == len(set(points)) == 8
    if sampler != "tpe":
        assert found(trials) == found(worked(search, tmp_path / "whole.db", 8))
    # and it was trained again in its folder: its number is there twice for Optuna
    cut = [trials.number(trial) for trial in trials.study.trials]
    assert len(cut) - len(set(cut)) == 1


def test_a_grid_ends_when_every_combination_is_done_or_failed(tmp_path, capsys):
    search = read(tmp_path, sampler="grid", space=GRID)
    points = pytest.importorskip("transferlab.launch.search.points")
    from transferlab.launch.search.command import _limit, conclusion

    assert points.choices(search.space["a.b"]) == [0.0, 0.1, 0.2, 0.3]
    assert _limit(search, None) == _limit(search, 100) == 8
    path = tmp_path / "grid.db"
    trials = worked(search, path, 8)
    assert [trial.params for trial in trials.known().values()] == points.grid(search)
    assert "2 failed (--retry tries them once more)" in conclusion(trials, 8)
    capsys.readouterr()
    again = worked(search, path, 8)
    assert capsys.readouterr().out == ""
    assert len(again.study.trials) == 8
    again.retry()
    whole = worked(search, path, 8, lambda trial, cell: 1.0)
    assert conclusion(whole, 8) == "some: all 8 combinations of the grid are done."
    assert len(whole.study.trials) == 10


def test_a_search_in_which_nothing_succeeds_ends_early(tmp_path, capsys):
    def broken(trial, cell):
        raise RuntimeError("no such task")

    trials = worked(read(tmp_path), tmp_path / "broken.db", 8, broken)
    assert len(trials.known()) == 3
    assert "trial 2: failed: no such task" in capsys.readouterr().out


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_space_that_ends_is_gone_through_once(tmp_path, sampler):
    search = read(tmp_path, sampler=sampler, space={"a.b": [1, 2, 3], "c.d": {"low": 1, "high": 2}})
    trials = worked(search, tmp_path / "few.db", 100)
    assert len(trials.study.trials) == 6
    assert len({str(trial.params) for trial in trials.study.trials}) == 6


def test_points_of_a_random_search_are_those_that_its_seed_always_drew(tmp_path):
    optuna = pytest.importorskip("optuna")
    from transferlab.launch.search import points

    search = read(tmp_path, sampler="random", space={"a.b": TREE["space"]["model.optimizer.lr"]})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(search.seed))
    drawn = [points.suggest(study.ask(), search) for _ in range(5)]
    assert points.planned(search, 5) == drawn
    assert points.planned(search, 3) == drawn[:3]


def test_of_equal_values_the_first_trial_wins(tmp_path):
    trials = worked(read(tmp_path), tmp_path / "equal.db", 4, lambda trial, cell: 0.5)
    # a later trial of Optuna with an earlier number
    trials.study.enqueue_trial(trials.study.trials[0].params, user_attrs={"folder": "some-t0"})
    again = trials.study.ask()
    trials.study.tell(again, 0.5)
    assert trials.best()[0] == 0


def test_a_grid_of_before_goes_on(tmp_path):
    optuna = pytest.importorskip("optuna")
    from transferlab.launch.search import points
    from transferlab.launch.search import study as studies

    search = read(tmp_path, sampler="grid", space=GRID)
    trials = studies.Trials(search, tmp_path / "old.db")
    for values in points.grid(search):
        trials.study.enqueue_trial(values, skip_if_exists=True)
    first = trials.study.ask()
    points.suggest(first, search)
    first.set_user_attr("folder", "some-t0")
    trials.study.tell(first, 0.5)
    whole = worked(search, tmp_path / "old.db", 8)
    assert [trial.params for trial in whole.known().values()] == points.grid(search)
    assert whole.known()[0].value == 0.5
    assert len(whole.study.trials) == 8
    assert whole.known()[1].state == optuna.trial.TrialState.COMPLETE


def test_a_pruned_trial_is_pruned_at_the_epoch_that_says_so_however_late_one_looks(tmp_path):
    studies = pytest.importorskip("transferlab.launch.search.study")
    trials = studies.Trials(read(tmp_path), tmp_path / "pruned.db")
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder, values in ((good, [0.5, 0.6, 0.7]), (bad, [0.6, 0.4, 0.9])):
        folder.mkdir()
        rows = [{"step": step + 1, "val/primary": value} for step, value in enumerate(values)]
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for _ in range(2):
        trial = trials.take(4)
        assert not studies._is_pruned(trial, good)
        trials.study.tell(trial, 0.7)
    trial = trials.take(4)
    (bad / "metrics.jsonl").write_text((bad / "metrics.jsonl").read_text().replace("0.6", "0.3"))
    assert studies._is_pruned(trial, bad)
    assert list(trials.study.trials[-1].intermediate_values) == [0]


def test_the_first_use_of_dry_says_what_there_is_to_do(tmp_path, capsys):
    pytest.importorskip("optuna")
    from transferlab.launch.search.command import main

    main(["demo", "--dry", "--root", str(tmp_path)])
    said = capsys.readouterr().out
    assert "demo has not been started. The same command without --dry (DRY=1) trains 6 trials, by TPE from" in said
    assert not list(tmp_path.iterdir())
    grid = tmp_path / "small.yaml"
    grid.write_text(yaml.safe_dump({**TREE, "sampler": "grid", "space": {"model.method.r": [4, 8]}}))
    main([str(grid), "--dry", "--root", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["0", "to", "do", "model.method.r", "4"],
        ["1", "to", "do", "model.method.r", "8"],
    ]
    assert "trains 2 trials." in lines[2]


def test_writing_for_wandb_needs_neither_torch_nor_optuna(tmp_path):
    code = (
        "import sys; from transferlab.launch.search.command import main\n"
        f"main(['demo', '--wandb', {str(tmp_path / 'w.yaml')!r}]); sys.exit('torch' in sys.modules or 'optuna' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE, check=False).returncode == 0
    assert yaml.safe_load((tmp_path / "w.yaml").read_text())["name"] == "demo"

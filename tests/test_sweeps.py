import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from transferlab.config import grids as spec
from transferlab.config import trees
from transferlab.ground import room
from transferlab.ground.errors import TransferlabError
from transferlab.launch import demo
from transferlab.launch.sweeps import cells, command, run, view, worker

HERE = Path(__file__).parent.parent
GRID = {
    "tasks": ["sst2", "mrpc"],
    "strategies": ["distillation", "distillation_no_teacher", "full_finetuning"],
    "baselines": ["tfidf"],
    "seeds": 2,
    "train_examples": [20, "all"],
    "set": {"trainer": {"max_epochs": 3}, "data.holdout": 0.1},
    "set_for": {
        "mrpc": {"data.max_length": 64},
        "full_finetuning": {"trainer.max_epochs": 2},
        20: {"trainer.max_epochs": 9},
    },
}


def parsed(**changes):
    return spec.parse({**GRID, **changes}, "grid", "grid.yaml", HERE)


def option(cell, name):
    return cell.arguments[cell.arguments.index(f"--{name}") + 1]


def test_every_combination_is_one_cell_with_a_folder_of_its_own():
    built = cells.build(parsed(), Path("runs"), HERE)
    assert len(built) == 2 * 2 * 2 * (3 + 1)
    assert len({cell.folder for cell in built}) == len(built)
    assert [cell.number for cell in built] == list(range(len(built)))
    assert Path("runs/full_finetuning_mrpc/grid-minilm_l6-n20-s1") in {cell.folder for cell in built}
    assert built == cells.build(parsed(), Path("runs"), HERE)


def test_later_overrides_win_and_a_baseline_takes_data_only():
    built = {str(cell.folder): cell for cell in cells.build(parsed(), Path("runs"), HERE)}
    few, whole = (built[f"runs/full_finetuning_mrpc/grid-minilm_l6-n{n}-s0"] for n in ("20", "all"))
    assert [option(few, "trainer.max_epochs"), option(whole, "trainer.max_epochs")] == ["9", "2"]
    assert option(few, "data.train_examples") == "20"
    assert "--data.train_examples" not in whole.arguments
    assert option(few, "data.max_length") == "64"
    baseline = built["runs/baseline_tfidf_mrpc/grid-n20-s0"]
    assert option(baseline, "data.max_length") == "64"
    assert not any(argument.startswith("--trainer") for argument in baseline.arguments)


def test_a_student_follows_the_teacher_of_its_task_size_and_seed():
    built = cells.build(parsed(), Path("runs"), HERE)
    students = [cell for cell in built if "/distillation_" in str(cell.folder) and "no_teacher" not in str(cell.folder)]
    assert len(students) == 8
    for student in students:
        (number,) = student.after
        teacher = built[number]
        assert number < student.number
        assert option(student, "model.teacher") == os.path.abspath(teacher.folder)
        assert teacher.folder.name == student.folder.name
        assert teacher.folder.parent.name == student.folder.parent.name.replace("distillation", "full_finetuning")
    controls = [cell for cell in built if "no_teacher" in str(cell.folder)]
    assert all(cell.after == () and option(cell, "model.teacher") == "" for cell in controls)


@pytest.mark.parametrize("asks", [{"model.inner.hidden": 1.0}, {"model.inner": {"patient": 1.0}}, {"model.beta": 0.5}])
def test_a_student_that_learns_from_the_inside_alone_keeps_its_teacher(asks):
    built = cells.build(parsed(set_for={"distillation": {"model.alpha": 1.0, **asks}}), Path("runs"), HERE)
    students = [cell for cell in built if "/distillation_" in str(cell.folder) and "no_teacher" not in str(cell.folder)]
    assert students
    assert all(cell.after and option(cell, "model.teacher") for cell in students)


def test_a_teacher_outside_of_the_sweep_is_left_to_the_run():
    built = cells.build(parsed(strategies=["distillation"], set_for={}), Path("runs"), HERE)
    assert all("--model.teacher" not in cell.arguments and not cell.after for cell in built)


def test_an_experiment_that_teaches_itself_is_refused():
    with pytest.raises(TransferlabError, match="teach itself"):
        cells.build(parsed(set={"model.teacher": "distillation_{task}"}), Path("runs"), HERE)


def test_tracks_keep_students_behind_their_teacher():
    built = cells.build(parsed(), Path("runs"), HERE)
    together = cells.tracks(built)
    assert sorted(cell.number for track in together for cell in track) == list(range(len(built)))
    assert sorted(map(len, together)) == [1] * 16 + [2] * 8
    assert all(track[1].after == (track[0].number,) for track in together if len(track) == 2)


def test_another_encoder_is_laid_over_the_experiment():
    built = cells.build(parsed(encoders=["minilm_l6", "bert_base"], baselines=["majority"]), Path("runs"), HERE)
    assert any("configs/encoder/bert_base.yaml" in cell.arguments for cell in built)
    for cell in built:
        assert ("bert_base" in cell.folder.name) == ("configs/encoder/bert_base.yaml" in cell.arguments)


def test_an_encoder_that_differs_in_one_key_alone_is_laid_over_the_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = trees.expand(HERE / "configs" / "encoder" / "minilm_l6.yaml")["encoder"]
    (tmp_path / "configs" / "encoder").mkdir(parents=True)
    for name, more in (("same", {}), ("lower", {"keep_layers": [0, 1]}), ("tuned", {"from_run": "lora_mnli"})):
        path = tmp_path / "configs" / "encoder" / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"encoder": own | more}))
    changes = {"encoders": ["same", "lower", "tuned"], "baselines": ["majority"]}
    sweep = spec.parse({**GRID, **changes}, "grid", "grid.yaml", tmp_path)
    built = cells.build(sweep, Path("runs"), tmp_path)
    for name in ("same", "lower", "tuned"):
        # a strategy that keeps layers of its own has the last word, as with `fit --encoder`
        mine = [cell for cell in built if name in cell.folder.name and "distil" not in cell.label]
        assert mine
        for cell in mine:
            assert (f"configs/encoder/{name}.yaml" in cell.arguments) == (name != "same")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 3}, "no key 'seed' .*'seeds'"),
        ({"strategies": ["loar"]}, "strategies: no 'loar' .*'lora'"),
        ({"tasks": ["sst"]}, "tasks: no 'sst' .*'sst2'"),
        ({"baselines": ["tf-idf"]}, "baselines: no 'tf-idf' .*'tfidf'"),
        ({"experiments": ["lora_sst3"]}, "experiments: no 'lora_sst3' .*'lora_sst2'"),
        ({"seeds": 0}, "seeds must be a number"),
        ({"seeds": [1, 1]}, "seeds must be a number"),
        ({"train_examples": [0.5]}, "train_examples: 0.5 is not a number of examples"),
        ({"train_fraction": [0.5]}, "exclude each other"),
        ({"set": ["x"]}, "set must hold"),
        ({"set_for": {"full_finetunin": {"a.b": 1}}}, "set_for: 'full_finetunin' .*'full_finetuning'"),
        ({"set_for": {30: {"a.b": 1}}}, "set_for: '30'"),
        ({"strategies": [], "baselines": []}, "strategies must be a list"),
    ],
)
def test_a_mistake_is_answered_by_the_nearest_right_word(changes, message):
    with pytest.raises(TransferlabError, match=message):
        parsed(**changes)


def test_every_shipped_sweep_can_be_built():
    files = sorted((HERE / "configs" / "sweep").glob("*.yaml"))
    assert len(files) == 31
    for path in files:
        assert cells.build(spec.read(path, HERE), Path("runs"), HERE)


def test_a_cell_that_was_run_with_other_settings_is_not_taken_for_this_one(tmp_path):
    (cell, *_) = cells.build(parsed(), tmp_path, HERE)
    assert cells.state(cell) == "to do"
    cells.note(cell)
    (cell.folder / "summary.json").write_text('{"status": "finished"}')
    assert cells.state(cell) == "finished"
    (other, *_) = cells.build(parsed(set={"data.holdout": 0.2}), tmp_path, HERE)
    with pytest.raises(TransferlabError, match="different are data.holdout"):
        cells.state(other)


def made(tmp_path, number, *arguments, after=()):
    return cells.Cell(number, f"x/{number}", arguments, tmp_path / "x" / str(number), after)


def test_failures_do_not_stop_the_rest_but_what_waits_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PRELOAD", [])
    monkeypatch.chdir(HERE)
    board = run.Board(
        [
            made(tmp_path, 0, "lits"),
            made(tmp_path, 1, "list", after=(0,)),
            made(tmp_path, 2, "list"),
            made(tmp_path, 3, "list", after=(2,)),
        ],
        dict.fromkeys(range(4), "to do"),
    )
    lines = []
    run.prepare()
    assert run.run(board, 2, lambda _, line: lines.append(line)) == 1
    assert board.states == {0: "failed", 1: "waiting for another", 2: "finished", 3: "finished"}
    assert "did you mean 'list'" in run.reason(board.cells[0])
    assert "lora_sst2" in (tmp_path / "x" / "2" / worker.LOG).read_text()
    assert any("x/0: failed" in line and "no command 'lits'" in line for line in lines)


def test_time_left_goes_by_the_experiment(tmp_path):
    folders = ("a/1", "a/2", "b/1", "c/1")
    made = [cells.Cell(n, name, (), tmp_path / name) for n, name in enumerate(folders)]
    board = run.Board(made, {0: "finished", 1: "to do", 2: "finished", 3: "to do"})
    assert view.left(board) is None
    board.seconds = {0: 10.0, 2: 30.0}
    assert view.left(board) == 10 + (10 + 30) / 2
    assert [view.clock(s) for s in (59, 61, 7260)] == ["59 s", "1 min", "2 h 01 min"]


def test_a_baseline_says_nothing_of_how_long_a_training_takes(tmp_path):
    made = [
        cells.Cell(n, f"{n}", (what,), tmp_path / f"{n}" / "s0") for n, what in enumerate(("baseline", "fit", "fit"))
    ]
    board = run.Board(made, {0: "finished", 1: "to do", 2: "to do"})
    board.seconds = {0: 1.0}
    assert view.left(board) is None
    board.states[1], board.seconds[1] = "finished", 50.0
    assert view.left(board) == 50


def test_runs_at_a_time_go_by_cores_and_memory(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(room, "ACCELERATORS", ())
    monkeypatch.setattr(room.sys, "platform", "linux")
    monkeypatch.setattr(room, "cores", lambda: 4)
    monkeypatch.setattr(room, "free_memory_mb", lambda: 8000.0)
    made = [cells.Cell(n, f"{n}", (), tmp_path / f"{n}") for n in range(9)]
    assert command.jobs_of(None, made) == 3
    # what one of them has needed counts
    made[0].folder.mkdir()
    (made[0].folder / "summary.json").write_text(json.dumps({"perf": {"peak_mem_mb": 1000.0}}))
    assert command.jobs_of(None, made) == 4
    assert command.jobs_of(None, made[:2]) == 2
    (made[0].folder / "summary.json").write_text(json.dumps({"perf": {"peak_mem_mb": 9000.0}}))
    assert command.jobs_of(None, made) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert command.jobs_of(None, made[1:]) == 2
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert command.jobs_of(None, made[1:]) == 1
    assert command.jobs_of(5, made) == 5
    with pytest.raises(TransferlabError, match="--jobs: 0"):
        command.jobs_of(0, made)


def test_a_container_has_the_cores_and_the_memory_that_it_is_given(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    whole = room.cores()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert room.cores() == whole
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert room.cores() == 1
    (tmp_path / "memory.max").write_text(f"{300 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{100 * 2**20}\n")
    assert room.free_memory_mb() <= 200


def test_the_demo_is_a_sweep_that_goes_on(monkeypatch, tmp_path):
    monkeypatch.chdir(HERE)
    made = demo.cells(["demo_entities"], tmp_path, ["--trainer.max_epochs", "1", "--data.train_examples=50"])
    labels = [cell.folder.parent.name for cell in made]
    assert {f"{name}_demo_entities" for name in demo.STRATEGIES} < set(labels)
    assert {"baseline_majority_demo_entities", "baseline_token_majority_demo_entities"} < set(labels)
    student = made[labels.index("distillation_demo_entities")]
    assert [labels[number] for number in student.after] == ["full_finetuning_demo_entities"]
    assert option(student, "trainer.max_epochs") == "1"
    assert option(student, "data.train_examples") == "50"
    assert not any(
        word.startswith("--trainer") for cell in made if cell.arguments[0] != "fit" for word in cell.arguments
    )
    assert demo.cells(["demo_entities"], tmp_path, []) == demo.cells(["demo_entities"], tmp_path, [])
    for wrong in (["--trainer.max_epochs"], ["once", "more"]):
        with pytest.raises(TransferlabError, match="--key value pairs"):
            demo.cells(["demo_entities"], tmp_path, wrong)


def test_a_student_without_its_teacher_says_which_run_to_train_first(monkeypatch, tmp_path):
    from jsonargparse import Namespace

    from transferlab.cli import chosen

    monkeypatch.chdir(HERE)

    def settings(teacher, **arguments):
        model = Namespace(init_args=Namespace(teacher=teacher, **arguments))
        data = Namespace(init_args=Namespace(task="sst2"))
        return Namespace(model=model, data=data, run=Namespace(root=str(tmp_path)))

    first = "no run of full_finetuning_sst2 .*transferlab fit --experiment full_finetuning_sst2$"
    with pytest.raises(TransferlabError, match=first):
        chosen.teacher(settings("full_finetuning_{task}", alpha=0.5), training=True)
    # neither a model on the Hub, nor a control that asks no teacher, nor a run that is only tested
    chosen.teacher(settings("textattack/bert-base-uncased-SST-2", alpha=0.5), training=True)
    chosen.teacher(settings("full_finetuning_{task}", alpha=1), training=True)
    for asks in ({"sequence": True}, {"inner": Namespace(hidden=1.0)}, {"beta": 0.5}):
        with pytest.raises(TransferlabError, match="Train the teacher first"):
            chosen.teacher(settings("full_finetuning_{task}", alpha=1, **asks), training=True)
    chosen.teacher(settings("full_finetuning_{task}", alpha=1, inner=Namespace(hidden=None)), training=True)
    chosen.teacher(settings("full_finetuning_{task}", alpha=0.5), training=False)
    run_of = tmp_path / "full_finetuning_sst2" / "one"
    run_of.mkdir(parents=True)
    (run_of / "summary.json").write_text("{}")
    found = settings("full_finetuning_{task}", alpha=0.5)
    chosen.teacher(found, training=True)
    assert found.model.init_args.teacher == str(run_of)


def test_a_dry_list_estimates_the_time_from_finished_runs_only(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(HERE)
    asked = ["lora_sst2", "--seeds", "4", "--dry", "--jobs", "2", "--root", str(tmp_path)]
    command.seeds(asked)
    assert capsys.readouterr().out.endswith("no time estimate before one of them has finished\n")
    for seed, (status, seconds) in enumerate([("finished", 600.0), ("failed", 3.0)]):
        folder = tmp_path / "lora_sst2" / f"seeds-s{seed}"
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"status": status, "perf": {"wall_s": seconds}}))
    command.seeds(asked)
    listed = capsys.readouterr().out.splitlines()
    assert listed[-2] == "4 cells, 1 finished, 3 to do"
    # three of ten minutes, two at a time
    assert listed[-1].startswith("about 15 min left with 2 at a time")


def test_seeds_hand_keys_on_and_refuse_misspelt_options(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(HERE)
    command.seeds(["lora_sst2", "--seeds", "3", "--dry", "--root", str(tmp_path), "--model.method.r", "16"])
    assert "3 cells, 0 finished, 3 to do" in capsys.readouterr().out
    with pytest.raises(TransferlabError, match="--jbs.*'--jobs'"):
        command.seeds(["lora_sst2", "--jbs", "2"])


def test_listing_needs_no_torch():
    code = (
        "import sys; from transferlab.launch.sweeps.command import main; main(['demo', '--dry', '--root', '/nonexistent']);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE, check=False).returncode == 0


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_and_gives_the_bits_of_the_command(tmp_path):
    import torch

    file = tmp_path / "tiny.yaml"
    file.write_text(
        "tasks: [demo_sentences]\nstrategies: [full_finetuning]\nbaselines: [majority]\ntrain_examples: [200]\n"
        "set: {trainer.max_epochs: 2, trainer.logger: false, data.batch_size: 8, trainer.log_every_n_steps: 1}\n"
    )
    sweep = [sys.executable, "-m", "transferlab", "sweep", str(file), "--root", str(tmp_path / "runs")]
    folder = tmp_path / "runs" / "full_finetuning_demo_sentences" / "tiny-minilm_l6-n200-s0"
    process = subprocess.Popen(sweep, cwd=HERE)
    while not (folder / "metrics.jsonl").exists() or len((folder / "metrics.jsonl").read_text().splitlines()) < 4:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 75
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert subprocess.run(sweep, cwd=HERE, check=False).returncode == 0
    arguments = json.loads((folder / cells.RECORD).read_text())["arguments"]
    environment = {**os.environ, "TRANSFERLAB_RUN_DIR": str(tmp_path / "alone"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "transferlab", *arguments], cwd=HERE, env=environment, check=True)
    one, other = (
        torch.load(f / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        for f in (folder, tmp_path / "alone")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    again = subprocess.run(sweep, cwd=HERE, check=False, capture_output=True, text=True)
    assert (again.returncode, "2 of them finished" in again.stdout) == (0, True)


@pytest.mark.slow
def test_two_at_a_time_give_what_one_after_another_gives(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "tasks: [demo_sentences]\nstrategies: [distillation, full_finetuning, feature_extraction]\nbaselines: [tfidf]\n"
        "train_examples: [80]\nset: {trainer.max_epochs: 1, trainer.logger: false}\n"
    )
    found = []
    for jobs in ("1", "2"):
        environment = {**os.environ, "TRANSFERLAB_CACHE": str(tmp_path / f"cache{jobs}")}
        root = tmp_path / f"runs{jobs}"
        sweep = [sys.executable, "-m", "transferlab", "sweep", str(file), "--root", str(root), "--jobs", jobs]
        subprocess.run(sweep, cwd=HERE, env=environment, check=True)
        files = sorted(root.rglob("predictions/test.jsonl"))
        found.append([(path.relative_to(root), path.read_bytes()) for path in files])
    assert len(found[0]) == 4
    assert found[0] == found[1]


def test_the_demo_shows_other_kinds_of_task_beside_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(HERE)
    alone = demo.cells([demo.TASK], tmp_path, [])
    made = demo.cells([demo.TASK, *demo.BESIDE], tmp_path, [])
    assert made[: len(alone)] == alone
    assert [cell.number for cell in made] == list(range(len(made)))
    further = [cell.folder.parent.name for cell in made[len(alone) :]]
    assert {"full_finetuning_demo_answers", "baseline_word_overlap_demo_answers"} <= set(further)
    assert all(set(cell.after) < set(range(len(made))) for cell in made)
    # two models that write, from scratch, and nothing that texts do not have
    written = demo.cells(["demo_dates"], tmp_path, [])
    assert {cell.folder.parent.name for cell in written} == {"from_scratch_demo_dates"}
    assert sorted(cell.folder.name for cell in written) == ["demo-tiny_llama-s0", "demo-tiny_t5-s0"]
    # each strategy can be asked for alone, with what its kind of task needs
    asked = demo.cells(["demo_answers"], tmp_path, [])
    (frozen,) = [cell for cell in asked if cell.folder.parent.name == "feature_extraction_demo_answers"]
    assert option(frozen, "model.solver") == "sgd"
    names = {cell.folder.parent.name for cell in asked if cell.arguments[0] == "baseline"}
    assert names == {"baseline_word_overlap_demo_answers", "baseline_no_answer_demo_answers"}

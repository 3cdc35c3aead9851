"""Job files and what they do, with recording scripts in place of Slurm; tests/cluster has the real one."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from transferlab.__main__ import main
from transferlab.ground import queue
from transferlab.ground.errors import TransferlabError
from transferlab.launch.cluster import arrays, jobs
from transferlab.launch.cluster import command as submit
from transferlab.launch.cluster import job as job_part
from transferlab.launch.cluster.jobs import Command
from transferlab.launch.cluster.settings import Slurm, build, read
from transferlab.training import lock

ROOT = Path(__file__).parents[1]
SLURM = ROOT / "configs" / "cluster" / "slurm.yaml"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the project's files; its name has a blank and a per cent sign."""
    place = tmp_path / "a place 5%"
    place.mkdir()
    for name in ("configs", "experiments"):
        (place / name).symlink_to(ROOT / name)
    monkeypatch.chdir(place)
    for variable in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(variable, raising=False)
    return place


@pytest.fixture
def programs(place, monkeypatch):
    """Puts scripts on PATH that note their arguments, a line each call; returns how to write one."""
    folder = place / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.path.dirname(sys.executable)}:/usr/bin:/bin")

    def write(name, answer="", status=0):
        path = folder / name
        note = shlex.quote(f"{folder}/{name}.calls")
        path.write_text(f'#!/bin/bash\nprintf "%q " "$@" >> {note}\necho >> {note}\n{answer}\nexit {status}\n')
        path.chmod(0o755)

    write.calls = lambda name: [shlex.split(line) for line in (folder / f"{name}.calls").read_text().splitlines()]
    return write


def asked(text):
    """The options of a job file."""
    lines = [shlex.split(line)[1] for line in text.splitlines() if line.startswith("#SBATCH ")]
    return {name: value for name, _, value in (line.removeprefix("--").partition("=") for line in lines)}


# settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("2:00:00", 7200),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:15", 131415),
        ("24:00:00", 86400),
    ],
)
def test_time_limits(time, seconds, tmp_path):
    path = tmp_path / "mine.yaml"
    # without quotes YAML makes 7200 of 2:00:00, which Slurm takes for five days
    path.write_text(f"cluster:\n  time: {time}\n")
    assert read(path).time == time
    assert read(path).seconds == seconds


def test_the_shipped_file_says_what_the_defaults_are():
    assert read(SLURM) == Slurm()
    assert set(yaml.safe_load(SLURM.read_text())["cluster"]) == set(Slurm.__dataclass_fields__)
    # what a run was submitted with is read again from JSON
    settings = read(SLURM, {"setup": "module load cuda", "gpus_per_node": "4", "parallel": "2", "offline": "False"})
    again = json.loads(json.dumps(settings.__dict__))
    assert build(again) == settings
    assert (settings.setup, settings.processes, settings.offline) == (("module load cuda",), 4, False)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tim", "1", r"no key 'cluster\.tim' \(did you mean 'time'"),
        ("time", "2h", r"cluster\.time: '2h' is no time limit; write minutes"),
        ("time", "1:75:00", r"cluster\.time: '1:75:00' is no time limit"),
        ("time", "0", r"cluster\.time: '0' is no time limit"),
        ("time", "1", r"not longer than cluster\.signal_seconds, 60"),
        ("time", "null", r"cluster\.time must have a value"),
        ("nodes", "0", r"cluster\.nodes: 0 is below 1"),
        ("nodes", "two", r"cluster\.nodes: 'two' is not a whole number"),
        ("memory", "32 GB", r"cluster\.memory: '32 GB' has a blank"),
        ("memory", "32GB", r"cluster\.memory: '32GB' is no amount"),
        ("partition", "a b", r"cluster\.partition: 'a b' has a blank"),
        ("offline", "yes", r"cluster\.offline: 'yes' is neither true nor false"),
        ("options", "mail-type=END", r"must look like --mail-type=END"),
        ("options", "--array=1", r"--array cannot be given here; SEEDS=5 decides"),
    ],
)
def test_wrong_settings(key, value, message):
    with pytest.raises(TransferlabError, match=message):
        read(SLURM, {key: value})


def test_wrong_files(tmp_path):
    with pytest.raises(TransferlabError, match=r"no such file: .*slum\.yaml \(did you mean 'slurm'"):
        read(SLURM.with_name("slum.yaml"))
    for text in ("", "cluster: 3", "other: {}", "cluster: {}\nother: {}"):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(TransferlabError, match=r"must hold one mapping, `cluster:`"):
            read(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("cluster: {")
    with pytest.raises(TransferlabError, match=r"mine\.yaml is not valid YAML"):
        read(tmp_path / "mine.yaml")


# job files --------------------------------------------------------------------------------------------------------


def test_a_job_file(place, capsys):
    settings = read(SLURM, {"nodes": "2", "gpus_per_node": "4", "memory": "64G", "partition": "gpu", "time": "2:00:00"})
    run = place / "runs" / "lora_sst2" / "one"
    command = Command(["--experiment", "lora_sst2", "--run.tags", "[a b]"], run)
    assert jobs.submit(command, settings, dry=True) == ""
    text = capsys.readouterr().out
    assert asked(text) == {
        "job-name": "lora_sst2",
        "partition": "gpu",
        "nodes": "2",
        "ntasks-per-node": "4",
        "cpus-per-task": "4",
        "gpus-per-node": "4",
        "mem": "64G",
        "time": "2:00:00",
        "signal": "USR1@60",
        "chdir": str(place),
        "output": f"{run}/slurm/job.log".replace("%", "%%"),
        "open-mode": "append",
        "requeue": "",
    }
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    assert not (place / "runs").exists()


def test_the_trainer_follows_the_job(place):
    def keys(*arguments, **settings):
        text = jobs.prepare(Command(["--experiment", "lora_sst2", *arguments], place / "r"), Slurm(**settings)).text
        words = shlex.split(text.partition('fit "$@" ')[2].splitlines()[0])
        return dict(zip(words[::2], words[1::2], strict=True))

    alone = {"--trainer.num_nodes": "1", "--trainer.devices": "1", "--trainer.accelerator": "cpu"}
    # without GPUs asked for none is used, even on a machine with one
    assert keys() == alone
    assert "--trainer.accelerator" not in keys("--trainer", "ddp")
    several = keys(nodes=2, gpus_per_node=4)
    assert several == {
        "--trainer.num_nodes": "2",
        "--trainer.devices": "4",
        "--trainer.accelerator": "gpu",
        "--trainer.strategy": "ddp",
    }
    given = keys("--trainer.strategy", "fsdp", "--trainer.accelerator", "cpu", nodes=2, gpus_per_node=4)
    assert (given["--trainer.strategy"], given["--trainer.accelerator"]) == ("fsdp", "cpu")
    with pytest.raises(TransferlabError, match=r"--trainer\.devices: in a job cluster\.processes_per_node decides"):
        keys("--trainer.devices=2")


def test_what_a_job_runs(place, programs):
    """The job file under bash: a first start that is told to stop, a second one that finishes."""
    programs("sbatch", "echo 7")
    programs("srun", "", 75)
    programs("scontrol", "echo JobId=7 JobName=x JobState=RUNNING Reason=None")
    programs("squeue")
    run = place / "runs" / "mine" / "one"
    command = Command(["--experiment", "lora_sst2", "--run.tags", "[a b]"], run)
    assert jobs.submit(command, read(SLURM)) == "7"
    assert programs.calls("sbatch") == [["--parsable", f"{run}/slurm/job.sbatch"]]
    assert jobs.last_job(run) == "7"
    # later changes of the files do not reach the job
    tree = yaml.safe_load((run / "slurm" / "experiment.yaml").read_text())
    assert "bases" not in tree
    assert tree["data"]["init_args"]["task"] == "sst2"

    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", "SLURM_JOB_ID": "7"}

    def start(**more):
        line = ["bash", run / "slurm" / "job.sbatch"]
        return subprocess.run(line, env=environment | more, capture_output=True, text=True)

    done = start()
    assert done.returncode == 75, done.stderr
    assert "the run was told to stop; job 7 is requeued" in done.stdout
    assert programs.calls("scontrol") == [["show", "job", "--oneliner", "7"], ["requeue", "7"]]
    # that file is there from the moment that a run has begun
    (run / "config.yaml").touch()
    (run / "summary.json").write_text('{"status": "finished"}')
    programs("srun")
    done = start(SLURM_RESTART_COUNT="1")
    assert done.returncode == 0, done.stderr
    # srun says 0 of processes that it does not hear from any more
    (run / "summary.json").write_text('{"status": "running"}')
    done = start(SLURM_RESTART_COUNT="2")
    assert (done.returncode, "did not come to its end" in done.stdout) == (1, True)
    first, second, _ = programs.calls("srun")
    logs = f"--output={run}/slurm/rank%t.log".replace("5%", "5%%")
    same = ["--kill-on-bad-exit=1", "--cpus-per-task=4", "--open-mode=append", logs, sys.executable]
    assert first[:5] == second[:5] == same
    assert first[5:10] == ["-m", "transferlab", "fit", "--config", f"{run}/slurm/experiment.yaml"]
    assert second[5:10] == ["-m", "transferlab", "fit", "--resume", str(run)]
    # a job without GPUs computes on the processor, also where its node has some
    keys = ["--trainer.num_nodes", "1", "--trainer.devices", "1", "--trainer.accelerator", "cpu", "--run.tags", "[a b]"]
    assert first[10:] == second[10:] == keys
    assert len(programs.calls("scontrol")) == 2


@pytest.mark.parametrize(
    ("line", "first", "again"),
    [
        (["pretrain", "demo"], ["pretrain", "--config", "{run}/slurm/experiment.yaml"], "config.yaml"),
        (["multitask", "demo"], ["multitask", "--config", "{run}/slurm/experiment.yaml"], "config.yaml"),
        (["sequence", "demo", "--method", "ewc"], ["sequence", "{run}/slurm/experiment.yaml"], "sequence.json"),
    ],
)
def test_other_commands_are_jobs_too(place, capsys, line, first, again):
    submit.main([*line, "--trainer.max_epochs", "1", "--dry"])
    text = capsys.readouterr().out
    run = Path(asked(text)["output"].replace("%%", "%")).parents[1]
    assert run.parent == place / "runs" / {"sequence": "sequence_demo_ewc"}.get(line[0], "demo")
    # what the job would run, before and after it has begun
    chosen = f'if [ -f "$run/{again}" ]; then set -- --resume "$run"; else set -- '
    assert next(one for one in text.splitlines() if one.startswith("if [")).startswith(chosen)
    words = shlex.split(text.partition("-m transferlab ")[2].splitlines()[0])
    assert (words[:2], words[-2:]) == ([line[0], "$@"], ["--trainer.max_epochs", "1"])
    script = (
        text.partition("export ")[0] + next(one for one in text.splitlines() if one.startswith("if [")) + '\necho "$@"'
    )
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.strip() == " ".join(first[1:]).format(run=run)


def test_other_commands_are_submitted_again_as_they_were(place, programs, monkeypatch, capfd):
    monkeypatch.setattr(submit, "_check", lambda *_: None)
    programs("sbatch", "echo 7")
    programs("squeue")
    submit.main(["pretrain", "demo"])
    run = next((place / "runs" / "demo").iterdir())
    assert jobs.command_of(run) == "pretrain"
    submit.main(["--resume", str(run), "--dry"])
    assert '-m transferlab pretrain "$@"' in capfd.readouterr().out
    # one that was begun without a job is known by its kind
    other = place / "runs" / "several" / "one"
    other.mkdir(parents=True)
    (other / "summary.json").write_text('{"kind": "multitask"}')
    (other / "config.yaml").write_text("{}")
    submit.main(["--resume", str(other), "--dry"])
    assert '-m transferlab multitask "$@"' in capfd.readouterr().out
    with pytest.raises(TransferlabError, match="multitask trains on one process"):
        submit.main(["multitask", "demo", "--dry", "--cluster.processes_per_node", "2"])
    with pytest.raises(TransferlabError, match="submit pretrain: say which"):
        submit.main(["pretrain", "--dry"])


@pytest.mark.parametrize(
    ("status", "state", "requeued"),
    [
        (75, "RUNNING", True),
        (138, "RUNNING", True),
        (143, "RUNNING", True),
        (75, "CANCELLED", False),
        (75, "PENDING", False),
        (0, "COMPLETING", False),
        (1, "RUNNING", False),
        (137, "RUNNING", False),
    ],
)
def test_what_is_requeued(place, programs, monkeypatch, status, state, requeued):
    programs("scontrol", f"echo JobId=9 ArrayJobId=8 JobState={state}")
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "8")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    (place / "summary.json").write_text('{"status": "finished"}')
    assert job_part.end(place, status) == status
    calls = programs.calls("scontrol") if (place / "bin" / "scontrol.calls").exists() else []
    assert (["requeue", "8_3"] in calls) == requeued


def test_requeues_in_vain_are_counted(place, monkeypatch):
    def start(restart):
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(restart))
        job_part.start(place, 2)

    (place / "slurm").mkdir()
    checkpoint = place / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    for restart in (0, 1, 2):
        start(restart)
    # one checkpoint, and the count begins anew
    checkpoint.touch()
    for restart in (3, 4, 5):
        start(restart)
    with pytest.raises(TransferlabError, match=r"3 requeues in a row without a new checkpoint.*\(2\): giving up"):
        start(6)
    # and so it does when a person submits the run again
    start(0)


# submitting -------------------------------------------------------------------------------------------------------


def test_an_array_leaves_out_what_is_done(place, programs):
    programs("sbatch", "echo 11")
    programs("squeue", "echo 11_3")
    runs = [place / "runs" / "mine" / f"s{seed}" for seed in range(5)]
    commands = [Command(["--experiment", "lora_sst2", "--seed_everything", str(n)], run) for n, run in enumerate(runs)]
    folder = place / "runs" / "mine" / "array"
    assert arrays.submit_array(commands, folder, Slurm(parallel=2)) == "11"
    text = (folder / "array.sbatch").read_text()
    assert asked(text)["array"] == "0-4%2"
    assert [jobs.last_job(run) for run in runs] == [f"11_{number}" for number in range(5)]
    # what an element starts
    (runs[2] / "slurm" / "run.sh").write_text('echo "this is $run"\n')
    done = subprocess.run(["bash"], input=text, text=True, capture_output=True, env={"SLURM_ARRAY_TASK_ID": "2"})
    assert (done.returncode, done.stderr) == (0, "")

    (runs[1] / "summary.json").write_text('{"status": "finished"}')
    (runs[2] / "summary.json").write_text('{"status": "interrupted"}')
    assert [command.arguments for command in arrays.array_commands(folder)] == [
        ["--seed_everything", str(number)] for number in range(5)
    ]
    programs("sbatch", "echo 12")
    assert arrays.submit_array(arrays.array_commands(folder), folder, Slurm()) == "12"
    assert asked((folder / "array.sbatch").read_text())["array"] == "0,2,4"
    assert [jobs.last_job(run) for run in runs] == ["12_0", "11_1", "12_2", "11_3", "12_4"]
    programs("squeue", "echo 12_0; echo 12_2; echo 11_3; echo 12_4")
    assert arrays.submit_array(arrays.array_commands(folder), folder, Slurm()) == ""
    assert len(programs.calls("sbatch")) == 2


def command(monkeypatch, capfd, *arguments):
    monkeypatch.setattr(sys, "argv", ["transferlab", *arguments])
    with contextlib.suppress(SystemExit):
        main()
    return capfd.readouterr()


def test_mistakes(place, programs, monkeypatch, capfd):
    def error(*arguments):
        written = command(monkeypatch, capfd, "submit", *arguments).err
        assert written.count("\n") == 1
        return written

    good = Command(["--experiment", "lora_sst2"], place / "runs" / "mine" / "one")
    with monkeypatch.context() as patched:
        patched.setenv("PATH", "")
        with pytest.raises(TransferlabError, match=r"no sbatch on PATH.*DRY=1"):
            jobs.submit(good, Slurm())
    programs("sbatch", "echo 'sbatch: error: invalid partition specified: x' >&2", 1)
    programs("squeue", "echo 5")
    with pytest.raises(TransferlabError, match=r"sbatch refused the job: invalid partition specified: x"):
        jobs.submit(good, Slurm())
    assert not good.run.exists()
    programs("sbatch", "echo '5;cluster'")
    assert jobs.submit(good, Slurm()) == "5"
    with pytest.raises(TransferlabError, match=r"is in the queue already, as job 5\. To stop that one: scancel 5"):
        jobs.submit(good, Slurm())

    assert "did you mean 'lora_sst2'" in error("--experiment", "lora_sst", "--dry")
    assert "give one of --experiment NAME" in error("--dry")
    assert "give one of --experiment NAME" in error("--experiment", "a", "--resume", "b")
    assert "--seeds: '0' is not" in error("--experiment", "lora_sst2", "--seeds", "0", "--dry")
    assert "leave that one out" in error("--experiment", "lora_sst2", "--seeds", "2", "--seed_everything=3", "--dry")
    assert "--cluster.time needs a value" in error("--experiment", "lora_sst2", "--cluster.time")
    assert "no run 'nothing'" in error("--resume", "nothing")
    assert sorted(path.name for path in (place / "runs").iterdir()) == ["mine"]


def test_a_run_goes_on_with_its_number_of_processes(place, monkeypatch, capfd):
    run = place / "runs" / "mine" / "one"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("trainer: {devices: '2', num_nodes: 1}")
    (run / "summary.json").write_text('{"status": "interrupted"}')
    message = command(monkeypatch, capfd, "submit", "--resume", "one", "--dry").err
    assert "begun with trainer.devices 2, the job has 1: give --cluster.processes_per_node 2" in message
    keys = ["--cluster.processes_per_node", "2", "--trainer.max_epochs", "9"]
    text = command(monkeypatch, capfd, "submit", "--resume", "one", "--dry", *keys).out
    assert 'fit "$@" --trainer.max_epochs 9\n' in text
    (run / "summary.json").write_text('{"status": "finished"}')
    assert "is finished" in command(monkeypatch, capfd, "submit", "--resume", "one").out


def test_a_lock_of_a_job_that_is_gone(place, programs):
    holder, mine = {"host": "far", "job": "7"}, {"host": "here", "job": "8"}
    programs("squeue", "echo RUNNING")
    assert lock.lives(holder, mine)
    programs("squeue", "echo PENDING")
    assert not lock.lives(holder, mine)
    programs("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2", 1)
    assert not lock.lives(holder, mine)
    # no answer says nothing
    programs("squeue", "echo 'Unable to contact slurm controller' >&2", 1)
    assert lock.lives(holder, mine)
    assert programs.calls("squeue")[0] == ["--noheader", "--format=%T", "--jobs=7"]


def test_numbers_as_slurm_writes_them():
    assert arrays.ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert queue.this_job() == os.environ.get("SLURM_JOB_ID", "")


def test_a_dry_array_writes_nothing(place, monkeypatch, capfd):
    text = command(monkeypatch, capfd, "submit", "--experiment", "lora_sst2", "--seeds", "3", "--dry").out
    assert "3 runs: 0 finished, 0 in the queue, 3 to submit" in text
    assert asked(text)["array"] == "0-2"
    assert text.count("--seed_everything 2") == 1
    assert not (place / "runs").exists()

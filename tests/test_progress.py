"""What is on the screen while work is going on: on a real pseudo-terminal, and on a pipe."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from tests.terminal import as_stdout, screen
from transferlab.config import places
from transferlab.ground import hints, progress, signals
from transferlab.record import pace
from transferlab.record.progress import RunProgress
from transferlab.strategies import FullFineTuning
from transferlab.training import inside

ROOT = Path(__file__).parents[1]


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_the_terminal_of_these_tests():
    assert screen("ab\r\ncd\r\n\x1b[1A\x1b[2Kxy\r\n", 80) == ["ab", "xy", ""]
    assert screen("abcdef", 4) == ["abcd", "ef"]


def test_a_line_every_thirty_seconds_with_the_time_left(capsys):
    seconds = Seconds()
    lines = progress.Lines("tokenising", 4000, seconds)
    for _ in range(5):
        seconds.now += 9
        lines.advance(100)
    # 400 in 36 s, so 3,600 more take 324 s
    assert capsys.readouterr().out == "tokenising: 400 of 4,000, 5 min left\n"
    unknown = progress.Lines("reading", None, seconds)
    seconds.now += 30
    unknown.advance(7)
    assert capsys.readouterr().out == "reading: 7 after 30 s\n"


def test_short_work_prints_nothing_on_a_pipe(capsys):
    assert list(progress.counted([1, 2, 3], "computing")) == [1, 2, 3]
    assert capsys.readouterr().out == ""


def test_a_bar_on_a_terminal_is_gone_at_the_end():
    import rich

    # made here at the latest, where no terminal is
    assert not rich.get_console().is_interactive
    with as_stdout() as terminal:
        assert list(progress.counted(iter([1, 2, 3]), "computing", total=3)) == [1, 2, 3]
    assert "computing" in terminal.text
    assert "100%" in terminal.text
    assert not any(terminal.screen)


def test_silent_work_is_told_after_a_while(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SOON", 0.01)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    ended = threading.Event()
    sizes = iter([5.0, 12.0])

    def size():
        try:
            return next(sizes)
        except StopIteration:
            ended.set()
            return 40.0

    with progress.waiting("downloading x", size):
        ended.wait(60)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "downloading x: 0 s, 7 MB"
    assert lines[1] == "downloading x: 0 s, 35 MB"


def test_a_download_is_told_with_what_has_arrived(capsys, monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(progress, "SOON", 0.01)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    blobs = tmp_path / "models--some--encoder" / "blobs"
    blobs.mkdir(parents=True)
    told = threading.Event()

    def files_state(folder):
        assert folder == blobs
        found = places_state(folder)
        if found and len(asked) > 1:
            told.set()
        asked.append(found)
        return found

    asked, places_state = [], places.files_state
    monkeypatch.setattr(places, "files_state", files_state)
    with places.from_hub("models", "some/encoder", "loading some/encoder"):
        (blobs / "weights.incomplete").write_bytes(bytes(3 << 20))
        told.wait()
    assert "loading some/encoder: 0 s, 3 MB" in capsys.readouterr().out.splitlines()


def test_on_a_terminal_the_bars_of_the_hub_tell_it(monkeypatch):
    monkeypatch.setattr(progress, "SOON", 0.0)
    with as_stdout() as shown:
        monkeypatch.setattr(sys, "stderr", sys.stdout)
        with places.from_hub("models", "some/encoder", "loading some/encoder"):
            assert not [thread for thread in threading.enumerate() if thread.name == "waiting"]
    assert shown.text == ""


def test_a_start_says_which_processes_it_waits_for(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SOON", 0.0)

    def gather():
        while not (told := capsys.readouterr().out):
            pass
        lines.append(told)

    lines = []
    strategy = SimpleNamespace(setup_environment=gather)
    inside.tell_of_waiting(SimpleNamespace(world_size=4, num_nodes=2, strategy=strategy))
    strategy.setup_environment()
    assert lines == ["waiting for all 4 processes; each of 2 nodes must run this command ...\n"]
    inside.tell_of_waiting(SimpleNamespace(world_size=1, num_nodes=1))


def test_tokenising_tells_how_far_it_is_on_a_pipe(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    encode = progress.told(lambda columns: {"ids": [[1] for _ in columns["text"]]}, "tokenising", 3)
    assert encode({"text": ["a", "b"]}) == {"ids": [[1], [1]]}
    encode({"text": ["c"]})
    assert [line.split(", ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "tokenising: 2 of 3",
        "tokenising: 3 of 3",
    ]


# a lock that its own thread asks for once more: no signal interrupts that
IN_C = """import ctypes
lock, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
library.pthread_mutex_lock(lock)
print('here', flush=True)
library.pthread_mutex_lock(lock)
"""


@pytest.mark.parametrize(
    "waits",
    [
        # an import that swallows what comes up in it, as libraries do
        "import signal\ntry:\n    print('here', flush=True)\n    signal.pause()\nexcept BaseException:\n    pass\n",
        # a library that waits in C, as torch does for other processes
        IN_C,
    ],
    ids=["swallows", "in C"],
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, signals.STOPPED)])
def test_a_signal_during_slow_imports_ends_with_one_line(number, code, waits, tmp_path):
    (tmp_path / "slow.py").write_text(waits)
    code_text = "from transferlab.ground import signals\nwith signals.ending():\n    import slow\nprint('went on')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(tmp_path)])}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, "-c", code_text], **options) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out) == (code, "")
    assert err == "\nstopped before anything began; the same command starts it.\n"


def test_what_is_loaded_is_said_once(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    progress.loading()
    assert capsys.readouterr() == ("", "loading torch, lightning, transformers ...\n")
    monkeypatch.setenv("LOCAL_RANK", "1")
    progress.loading()
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.setenv(progress.PART, "demo")
    progress.loading()
    assert capsys.readouterr() == ("", "")


def test_the_pace_of_batches_and_validations():
    now = Seconds()
    run = pace.Pace(now)
    run.start_validation()
    now.now += 6
    run.end_validation()
    run.start()
    now.now += 50  # the first batch warms up
    run.batch()
    assert run.left(10, 1) is None
    for _ in range(4):
        now.now += 2
        run.batch()
    run.start_validation()
    now.now += 4
    run.end_validation()
    now.now += 2
    run.batch()
    # 2 s a batch; validations took 6 s and 4 s
    assert run.left(10, 3) == 10 * 2 + 3 * 5
    assert run.left(float("inf"), 3) is None
    assert run.seconds == 50 + 8 + 4 + 2


class Lengths(Callback):
    """Notes the length of the run after each batch."""

    def __init__(self):
        self.found = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.found.append(pace.length(trainer, batch_idx + 1))


@pytest.mark.parametrize(
    ("options", "total", "validations"),
    [
        ({"max_epochs": 3}, 12, 3),
        ({"max_epochs": 3, "val_check_interval": 0.5}, 12, 6),
        ({"max_epochs": 3, "check_val_every_n_epoch": 3}, 12, 1),
        ({"max_epochs": 2, "val_check_interval": 3, "check_val_every_n_epoch": None}, 8, 8 / 3),
        ({"max_epochs": -1, "max_steps": 3, "accumulate_grad_batches": 2}, 6, 1.5),
        ({"max_epochs": 2, "limit_val_batches": 0}, 8, 0),
    ],
)
def test_the_length_of_a_run(options, total, validations, data, tiny_encoder, fit):
    module = data("classification")
    lengths = Lengths()
    fit(FullFineTuning(module.spec, tiny_encoder), module, callbacks=[lengths], **options)
    assert [one.done for one in lengths.found] == list(range(1, total + 1))
    assert {one.total for one in lengths.found} == {total}
    one = lengths.found[0]
    assert one.validations == pytest.approx((total - 1) / total * validations)


def train(folder, model, module, bars, **options):
    """As `transferlab fit`: validates the untrained model, trains, validates the best checkpoint, tests."""
    best = ModelCheckpoint(folder, "best", monitor="val/primary", mode="max", save_weights_only=True)
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        callbacks=[RunProgress(bars), best],
        default_root_dir=folder,
        **options,
    )
    trainer.validate(model, module, verbose=False)
    trainer.fit(model, module)
    trainer.validate(model, module, ckpt_path=best.best_model_path, verbose=False, weights_only=True)
    trainer.test(model, module, verbose=False)
    sys.stdout.flush()
    return trainer


@pytest.fixture
def run(data, tiny_encoder, tmp_path):
    module = data("classification", eval_batch_size=4)

    def start(bars, **options):
        return train(tmp_path, FullFineTuning(module.spec, tiny_encoder), module, bars, **options)

    return start


VALUES = r"val/accuracy \d\.\d{4}  (val/f1_macro \d\.\d{4}  )?val/loss \d+\.\d{4}"
HISTORY = [
    rf"untrained model  {VALUES}",
    rf"epoch 1/2        {VALUES}  train/loss \d+\.\d{{4}}  \d+ (s|min), \d+ (s|min) left",
    rf"epoch 2/2        {VALUES}  train/loss \d+\.\d{{4}}  \d+ (s|min)",
    rf"best checkpoint \(epoch [12]/2\)  {VALUES}",
]


def test_a_pipe_gets_one_line_for_each_validation(run, capsys):
    run(bars=False, max_epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(HISTORY)
    for line, form in zip(lines, HISTORY, strict=True):
        assert re.fullmatch(form, line), line


def test_long_epochs_tell_where_they_are_on_a_pipe(run, capsys, monkeypatch):
    monkeypatch.setattr("transferlab.record.progress.EVERY", 0.0)
    run(bars=False, max_epochs=1, limit_train_batches=3, limit_test_batches=2)
    out = capsys.readouterr().out
    assert re.search(r"^epoch 1/1  batch 2/3  loss \d+\.\d{4}  \d+ (s|min) left$", out, re.MULTILINE)
    # the last of a pass is told by its result
    assert "batch 3/3" not in out
    assert re.search(r"^test  batch 1/2$", out, re.MULTILINE)


def test_on_a_terminal_the_history_stays_and_the_bars_go(run):
    with as_stdout(width=110) as terminal:
        run(bars=True, max_epochs=2)
    lines = [line for line in terminal.screen if line]
    assert len(lines) == len(HISTORY)
    # the bar tells what is left
    for line, form in zip(lines, HISTORY, strict=True):
        assert re.fullmatch(form.replace(r", \d+ (s|min) left", ""), line), line
    for shown in ("epoch 1/2  batch ", "epoch 2/2  batch ", " left", "validation, untrained model", "test"):
        assert shown in terminal.text, shown
    assert "0/0" not in terminal.text
    # a process that is killed leaves the cursor as it was
    assert terminal.text.count("\x1b[?25h") >= terminal.text.count("\x1b[?25l")


def test_validations_inside_an_epoch_say_where(run, capsys):
    run(bars=False, max_epochs=1, limit_train_batches=4, val_check_interval=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["untrained model", "epoch 1/1, batch 2", "epoch 1/1"]


def test_a_narrow_terminal_keeps_the_leading_metric_and_the_time(run):
    with as_stdout(width=42) as terminal:
        run(bars=True, max_epochs=1)
    lines = [line for line in terminal.screen if line]
    assert len(lines) == 4
    assert re.fullmatch(r"epoch 1/1        val/accuracy \d\.\d{4}  \d+ (s|min)", lines[1]), lines[1]


def test_a_bar_is_gone_when_training_fails(run, monkeypatch):
    monkeypatch.setattr("transferlab.strategies.step.StepMean.finish", _fail)
    with as_stdout() as terminal, pytest.raises(ValueError, match="gone wrong"):
        run(bars=True, max_epochs=1)
    assert "epoch 1/1  batch 0" in terminal.text
    assert [line.split("  ")[0] for line in terminal.screen if line] == ["untrained model"]


def _fail(*arguments):
    raise ValueError("gone wrong")


def test_runs_without_an_end_have_no_time_left():
    trainer = SimpleNamespace(
        num_training_batches=5,
        max_epochs=-1,
        max_steps=-1,
        current_epoch=2,
        val_check_batch=5,
        check_val_every_n_epoch=1,
        enable_validation=True,
        accumulate_grad_batches=1,
    )
    assert pace.length(trainer, 1) == (11, float("inf"), 0)


def test_hints_are_in_the_words_that_were_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, other = tmp_path / "runs" / "lora" / "one-s0", tmp_path / "some where" / "lora" / "one-s0"
    assert hints.resume(run) == "transferlab fit --resume one-s0"
    assert hints.resume(other) == f"transferlab fit --resume '{other}'"
    assert hints.over_runs("compare", tmp_path / "runs") == "transferlab compare"
    monkeypatch.setenv(hints.MAKE, "1")
    assert hints.resume(run, "--trainer.max_epochs 6") == "make resume RUN=one-s0 ARGS='--trainer.max_epochs 6'"
    assert hints.over_runs("report", tmp_path / "other") == f"make report ARGS={tmp_path}/other"
    assert hints.predict(run) == "make predict RUN=one-s0"


def test_a_model_prints_beside_the_progress_of_a_run(capsys):
    progress_bar = RunProgress(bars=False)
    model = L.LightningModule()
    model.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[progress_bar])
    for _ in range(2):  # shown, then not
        model.print("a line")
        progress_bar.disable()
    assert capsys.readouterr().out.count("a line\n") == 2

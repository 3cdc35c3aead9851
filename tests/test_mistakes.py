"""No traceback for what a user can cause: values are checked before data are read and before a run directory exists."""

import copy
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import lightning as L
import pytest
import yaml

from tests.mistakes import LORA as LORA_SPEC
from tests.mistakes import ROOT, experiment
from transferlab.__main__ import main
from transferlab.adapters import AdaLoRA, LoRA
from transferlab.baselines import command as baseline
from transferlab.cli import blame, boundary, bounds
from transferlab.cli.messages import explain
from transferlab.cli.parsing import check, check_text, collected
from transferlab.config.plain import DEEPEST
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig
from transferlab.learning.heads import HeadConfig
from transferlab.record.config import RunConfig
from transferlab.record.folder import whole_summary
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.labels import label_names
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.place import Rows

pytest_plugins = ["tests.mistakes"]

ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}


@pytest.fixture
def refused(fit_fails, tiny_folder, monkeypatch):
    """Fits a small experiment that works but for what is changed, and returns the message; no data may be read."""
    read = []
    monkeypatch.setattr(TaskDataModule, "prepare_data", lambda self: read.append(self))

    def run(*arguments, **changes):
        model = copy.deepcopy(LORA_SPEC)
        model["init_args"]["optimizer"] = ADAMW
        small = {"encoder.name": str(tiny_folder), "model": model, "data.init_args.train_examples": 96}
        message = fit_fails(*arguments, **{**small, **changes})
        assert read == []
        return message

    return run


COMMANDS = [
    # as it is without a GPU
    ("--trainer.accelerator gpu", ["trainer.accelerator", "gpu", "--trainer auto"]),
    ("--trainer.accelerator cuda", ["trainer.accelerator: cuda", "--trainer cpu"]),
    ("--trainer.accelerator nonsense", ["trainer.accelerator", "nonsense", "--trainer auto"]),
    ("--trainer.devices 0", ["trainer.devices: '0'", "`auto`"]),
    ("--trainer.devices abc", ["trainer.devices: 'abc'", "`auto`"]),
    ("--trainer.devices 1.5", ["trainer.devices: '1.5'", "`auto`"]),
    ("--trainer.devices [1,2]", ["trainer.devices: [1, 2]", "`auto`"]),
    ("--trainer.max_epochs -5", ["trainer.max_epochs", "1 or more", "-5"]),
    ("--trainer.max_epochs 0", ["trainer.max_epochs", "1 or more"]),
    ("--trainer.max_time 1h", ["trainer.max_time", "DD:HH:MM:SS", "'1h'"]),
    ("--trainer.num_nodes 2", ["trainer.num_nodes", "transferlab submit"]),
    ("--trainer.profiler x", ["trainer.profiler: 'x'", "simple"]),
    ("--trainer.strategy nonsense", ["trainer.strategy: 'nonsense'", "--trainer ddp"]),
    ("--trainer.gradient_clip_val -1", ["trainer.gradient_clip_val", "0 or null for no clipping", "-1"]),
    ("--data.batch_size 0", ["data.batch_size: 0", "1 or more"]),
    ("--model.optimizer.lr -1", ["model.optimizer.lr: -1.0", "AdamW", "Invalid learning rate"]),
    ("--model.optimizer LBFGS", ["model.optimizer: LBFGS", "AdamW suits every strategy"]),
    ("--model.optimizer SparseAdam", ["model.optimizer: SparseAdam", "dense gradients"]),
    ("--model.method.alpha -1", ["model.method.alpha: -1.0 is not above 0"]),
    ("--early_stopping.monitor val/f2", ["early_stopping.monitor: 'val/f2' is not logged", "val/accuracy"]),
    ("--checkpoint.monitor val/los", ["checkpoint.monitor: 'val/los' is not logged (did you mean 'val/loss'?)"]),
    (
        "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor val/f2",
        ["trainer.callbacks.monitor: 'val/f2' is not logged"],
    ),
    ("--trainer.callbacks+=Timer --trainer.callbacks.interval x", ["trainer.callbacks.interval: 'x'", "Timer"]),
    ("--ckpt_path other/last.ckpt", ["ckpt_path: other/last.ckpt is not taken by fit", "--resume RUN"]),
    (f"--trainer.logger {'[' * 3000}", ["--trainer.logger", f"more than {DEEPEST} deep"]),
]


@pytest.mark.parametrize(("given", "parts"), COMMANDS, ids=[given[:60] for given, _ in COMMANDS])
def test_value_is_refused_with_key_and_remedy(refused, given, parts):
    message = refused(*given.split())
    assert [part for part in parts if part not in message] == []


def test_interval_longer_than_an_epoch_is_refused_once_the_data_are_there(fit_fails, tiny_folder):
    message = fit_fails(
        "--trainer.val_check_interval",
        "5",
        **{
            "encoder.name": str(tiny_folder),
            "model": LORA_SPEC,
            "trainer.limit_train_batches": 3,
            "data.init_args.train_examples": 200,
        },
    )
    assert "trainer.val_check_interval: 5 is more than the 3 training batches" in message


def test_steps_that_end_before_the_first_validation_are_refused_once_the_data_are_there(fit_fails, tiny_folder):
    given = {"encoder.name": str(tiny_folder), "model": LORA_SPEC, "trainer.limit_train_batches": 5}
    options = {**given, "data.init_args.train_examples": 200, "trainer.accumulate_grad_batches": 2}
    message = fit_fails("--trainer.max_steps", "2", **options)
    assert "trainer.max_steps: 2 end before the first validation, after 3 steps" in message


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, 10),
        ({"accumulate_grad_batches": 3}, 4),
        ({"val_check_interval": 0.5}, 5),
        ({"val_check_interval": 3}, 3),
        ({"check_val_every_n_epoch": 2}, 20),
        ({"check_val_every_n_epoch": None, "val_check_interval": 15}, 15),
        ({"limit_train_batches": 4}, 4),
    ],
)
def test_the_fewest_steps_that_hold_a_validation(settings, needed):
    def trainer(steps):
        options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        return L.Trainer(max_steps=steps, enable_checkpointing=False, **{**options, **settings})

    data = SimpleNamespace(train_dataloader=lambda: range(10))
    bounds.check_interval(trainer(needed), data)
    bounds.check_interval(trainer(-1), data)
    with pytest.raises(TransferlabError, match=rf"trainer\.max_steps: {needed - 1} end before .* after {needed} steps"):
        bounds.check_interval(trainer(needed - 1), data)


# every bound -----------------------------------------------------------------------------------------------------------

WRONG = {
    "run.experiment": ("../../esc", "/abs", "a/b", "a\nb", "a'b", "$(x)", "-rf", ".", "..", "a;b", "x" * 200),
    "seed_everything": (-1, 2**32),
    "trainer.max_epochs": (0, -2),
    "trainer.min_epochs": (-1,),
    "trainer.max_steps": (0, -2),
    "trainer.min_steps": (-1,),
    "trainer.max_time": ("1h", "x", "01:00"),
    "trainer.accumulate_grad_batches": (0, -2),
    "trainer.log_every_n_steps": (0, -1),
    "trainer.check_val_every_n_epoch": (0, 2),
    "trainer.val_check_interval": (0, 1.5, -1, "x", 0.0),
    "trainer.limit_train_batches": (0, -1, 2.5),
    "trainer.limit_val_batches": (0, 0.0),
    "trainer.limit_test_batches": (0,),
    "trainer.limit_predict_batches": (-3,),
    "trainer.overfit_batches": (-1, 1.5),
    "trainer.gradient_clip_val": (-1, -0.1),
    "trainer.gradient_clip_algorithm": ("x",),
    "trainer.num_sanity_val_steps": (-2,),
    "trainer.reload_dataloaders_every_n_epochs": (-1,),
    "trainer.num_nodes": (0, 2),
    "trainer.fast_dev_run": (-3,),
    "trainer.enable_checkpointing": (False,),
    "trainer.barebones": (True,),
    "checkpoint.mode": ("maxx",),
    "checkpoint.monitor": (None,),
    "checkpoint.filename": ("mine",),
    "checkpoint.save_top_k": (0, 2, -1),
    "checkpoint.save_last": (True, "link"),
    "checkpoint.every_n_epochs": (0,),
    "early_stopping.mode": ("x",),
    "early_stopping.patience": (-1,),
    "ckpt_path": ("other.ckpt",),
}
RIGHT = {
    "run.experiment": ("lora_sst2", "größe-2", "a=1,b", "v1.5+x", ""),
    "seed_everything": (0, True, 2**32 - 1),
    "trainer.max_epochs": (1, -1, None),
    "trainer.max_steps": (-1, 1),
    "trainer.max_time": ("00:00:30:00", {"hours": 1}, None),
    "trainer.val_check_interval": (1, 1.0, 0.25, "00:00:10:00", None),
    "trainer.limit_val_batches": (1, 0.5, None),
    "trainer.gradient_clip_val": (0, 1.0, None),
    "trainer.fast_dev_run": (False, True, 3),
    "early_stopping.patience": (0, 5),
}


@pytest.fixture(scope="module")
def settings():
    """A parsed configuration whose values are right."""
    return check_text(yaml.safe_dump(experiment())).settings


def test_every_bound_has_a_wrong_value_here():
    assert {bound.key for bound in bounds.BOUNDS} <= set(WRONG)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_value_out_of_bounds(settings, key, value):
    changed = settings.clone()
    changed[key] = value
    with pytest.raises(TransferlabError, match=rf"^{key}: "):
        bounds.check(changed, "fit")


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in RIGHT.items() for value in values])
def test_value_within_bounds(settings, key, value):
    changed = settings.clone()
    changed[key] = value
    bounds.check(changed, "fit")


def test_what_only_training_reads_is_not_asked_of_a_finished_run(settings):
    changed = settings.clone()
    changed["trainer.max_epochs"], changed["ckpt_path"] = 0, "best.ckpt"
    bounds.check(changed, "test")


def test_several_machines_are_right_where_something_starts_them(settings, monkeypatch):
    changed = settings.clone()
    changed["trainer.num_nodes"] = 2
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    bounds.check(changed, "fit")


OWN = [
    ("data.batch_size", lambda encoder: TaskDataModule("demo_sentences", encoder, batch_size=-4)),
    ("data.eval_batch_size", lambda encoder: TaskDataModule("demo_sentences", encoder, eval_batch_size=0)),
    ("data.num_workers", lambda encoder: TaskDataModule("demo_sentences", encoder, num_workers=-1)),
    ("data.test_examples", lambda encoder: TaskDataModule("demo_sentences", encoder, test_examples=0)),
    ("data.train_examples", lambda encoder: TaskDataModule("demo_sentences", encoder, train_examples=1)),
    ("model.head.lr", lambda encoder: HeadConfig(lr=-1)),
    ("model.head.dropout", lambda encoder: HeadConfig(dropout=2)),
    ("model.head.hidden", lambda encoder: HeadConfig(hidden=-2)),
    ("model.head.layers", lambda encoder: HeadConfig(layers=0)),
    ("model.method.alpha", lambda encoder: LoRA(alpha=0)),
    ("model.method.alpha", lambda encoder: AdaLoRA(alpha=-1)),
    ("model.method.orthogonality", lambda encoder: AdaLoRA(orthogonality=-1)),
    ("encoder.dropout", lambda encoder: EncoderConfig(dropout=1)),
    ("encoder.attention_dropout", lambda encoder: EncoderConfig(attention_dropout=-0.1)),
    ("encoder.lstm_size", lambda encoder: EncoderConfig(lstm_size=0)),
    ("encoder.mix_lr", lambda encoder: EncoderConfig(mix_lr=0)),
    ("encoder.name", lambda encoder: EncoderConfig(name="")),
    ("cache.limit_gb", lambda encoder: CacheConfig(limit_gb=-1)),
    ("run.root", lambda encoder: RunConfig(root="")),
]


@pytest.mark.parametrize(("key", "make"), OWN, ids=[key for key, _ in OWN])
def test_our_own_classes_check_their_numbers(tiny_encoder, key, make):
    with pytest.raises(TransferlabError, match=rf"^{key}: "):
        make(tiny_encoder)


def test_values_are_checked_where_a_command_line_is_only_read(place):
    (place / "mine.yaml").write_text(yaml.safe_dump(experiment()))
    with pytest.raises(TransferlabError, match=r"trainer\.max_epochs: must be 1 or more"):
        check(["fit", "--config", "mine.yaml", "--trainer.max_epochs", "0"])
    # a login node has no GPU; the job may
    check(["fit", "--config", "mine.yaml", "--trainer.accelerator", "gpu"])


# who is guilty --------------------------------------------------------------------------------------------------------


def build(arguments):
    if arguments["a"] < 0:
        raise ValueError("a is negative. More words.")
    if arguments["b"] and arguments["c"]:
        raise ValueError("b and c exclude each other")
    return arguments


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"a": -1, "b": True, "c": False}, ["a"]),
        ({"a": 1, "b": True, "c": True}, ["b", "c"]),
        ({"a": -1, "b": 1, "c": 1}, []),
    ],
)
def test_guilty_is_the_argument_without_which_it_works(given, names):
    assert blame.guilty(build, given, {"a": 0, "b": False, "c": False}) == names


def test_reason_is_the_first_sentence():
    assert blame.reason(ValueError("a is negative. More words.")) == "a is negative"
    assert blame.reason(ZeroDivisionError()) == "ZeroDivisionError"


# the boundary ---------------------------------------------------------------------------------------------------------


def wrapped(cause):
    error = TransferlabError("cannot read a file")
    error.__cause__ = cause
    return error


class MisconfigurationException(Exception):
    """Called as Lightning's own."""


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (TransferlabError("a: b"), "a: b"),
        (MemoryError(), "memory is full"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "data.batch_size"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "memory is full"),
        (wrapped(MemoryError()), "memory is full"),
        (OSError(28, "No space left on device", "runs/x"), "the disk is full: runs/x"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (MisconfigurationException("No gpu\nfound!"), "Lightning refuses this setting: No gpu found!"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_library_exception_is_one_line(error, part, capsys):
    def command():
        raise error

    with pytest.raises(SystemExit) as stopped:
        boundary.run(command)
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert part in printed
    assert len(printed.splitlines()) == 1


def test_chain_of_exceptions_that_bites_its_tail():
    first, second = TransferlabError("a: b"), KeyError("c")
    first.__cause__, second.__context__ = second, first
    assert boundary.message_of(first) == "a: b"


def test_fault_of_the_program_keeps_its_traceback():
    def command():
        raise KeyError("nobody foresaw this")

    with pytest.raises(KeyError):
        boundary.run(command)


def test_debug_shows_the_traceback(fails, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["transferlab", "fit", "--debug", "--experiment", "lora_sst3"])
    with pytest.raises(SystemExit):
        main()
    printed = capfd.readouterr().err
    assert "Traceback" in printed
    assert "error: no experiment 'lora_sst3'" in printed
    monkeypatch.delenv(boundary.DEBUG)


def test_memory_that_runs_out_during_the_imports(tmp_path):
    # numpy first, whose BLAS ends the process by itself
    script = (
        "import numpy, re, resource, sys; from pathlib import Path; from transferlab.__main__ import main\n"
        "used = int(re.search(r'VmSize:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))\n"
        "sys.argv[1:] = ['fit', '--experiment', 'lora_demo_sentences']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "memory is full" in done.stderr
    assert "Traceback" not in done.stderr


def test_damaged_checkpoint_is_named(fails, place, tiny_folder):
    (place / "mine.yaml").write_text(yaml.safe_dump(experiment(**{"encoder.name": str(tiny_folder)})))
    (place / "best.ckpt").write_bytes(b"PK\x03\x04 half a file")
    assert "best.ckpt is damaged or no checkpoint" in fails("test", "--config", "mine.yaml", "--ckpt_path", "best.ckpt")


WHOLE = {
    "experiment": "lora_mine",
    "strategy": "lora",
    "encoder": "bert",
    "seed": 0,
    "task": "mine",
    "primary": "accuracy",
    "metrics": {"val/accuracy": 0.75, "test/accuracy": 0.5},
    "per_class": {"a": {"recall": 0.5, "support": 4}},
    "status": "finished",
}
DAMAGED = [
    json.dumps(WHOLE)[:100],
    "7",
    "",
    "[" * 100_000,
    *(json.dumps(WHOLE | {key: wrong}) for key in WHOLE for wrong in (["x"], {"y": ["z"]})),
    json.dumps(WHOLE | {"metrics": {"test/accuracy": "high"}}),
    json.dumps(WHOLE | {"per_class": {"a": None}}),
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_summary_is_listed_and_takes_nobody_down(place, content, monkeypatch, capsys):
    for number, text in enumerate([json.dumps(WHOLE), content]):
        folder = place / "runs" / f"lora_{number}" / f"20260101-00000{number}-s0-abcd"
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(text)
    for arguments in (["compare"], ["compare", "--runs", "--format", "csv"], ["report", "--output", "page.html"]):
        monkeypatch.setattr(sys, "argv", ["transferlab", *arguments])
        main()
        shown = capsys.readouterr().out if arguments[0] == "compare" else (place / "page.html").read_text()
        assert "unreadable" in shown
        assert "0.5" in shown or "50.0" in shown


def test_damaged_summary_ends_what_goes_on_from_it(tmp_path):
    folder = tmp_path / "kept" / "mine" / "20260101-000000-s0-abcd"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text('{"status": "fini')
    with pytest.raises(
        TransferlabError, match=r"summary\.json is damaged \(.*\)\. Put back a copy of it, or start a new"
    ):
        whole_summary(folder)


def test_baseline_takes_the_saved_configuration_of_a_run(place):
    tree = experiment(**{"run.experiment": "mine", "run.keep_last": False, "run.tags": ["a"]})
    (place / "config.yaml").write_text(check_text(yaml.safe_dump(tree)).dumped)
    arguments = ["--config", "config.yaml", "--method", "majority"]
    baseline.check(arguments)
    assert list(baseline.parse(arguments, baseline.build_parser()).run.tags) == ["a"]


@pytest.mark.parametrize("port", ["99999", "0", "-1"])
def test_port_that_is_none(fails, port):
    assert f"--port: {port} is no port" in fails("dashboard", "--port", port)


def test_thousands_of_brackets_in_a_file(fails, place):
    (place / "deep.yaml").write_text("a: " + "[" * 3000 + "]" * 3000)
    assert f"deep.yaml is not valid YAML: line 1: nested more than {DEEPEST} deep." in fails(
        "fit", "--config", "deep.yaml"
    )


# lines that used to mislead --------------------------------------------------------------------------------------------

VALUES = [
    ("--model.optimizer.lr 1,0e-3", ["model.optimizer.lr: must be a number, not '1,0e-3'", "1.0e-3"]),
    ("--model.optimizer AdamWW", ["model.optimizer: no class 'AdamWW' (did you mean 'AdamW'"]),
    ("--trainer.logger mlflo", ["trainer.logger", "'MLFlowLogger'"]),
    ("--seed_everything abc", ["seed_everything: must be true, false or a whole number, not 'abc'"]),
    ("--data.source.text review", ["data.source.text: must be a list of texts, not 'review'; write [review]"]),
    ("--model.method.r sixteen", ["model.method.r: must be a whole number, not 'sixteen'"]),
    ("--trainer.fast_dev_run", ["--trainer.fast_dev_run needs a value behind it"]),
    (
        "--encoder.pooling medain",
        ["encoder.pooling: must be mean, cls, max or last, not 'medain' (did you mean 'mean'?)"],
    ),
    ("--trainer.callbacks+=EarlyStopping", ["trainer.callbacks.monitor is missing; EarlyStopping needs it"]),
    ("--run.tags first", ["run.tags: must be a list of texts, not 'first'; write [first]"]),
    ("--data.source.files train.csv", ["data.source.files: must be a mapping, not 'train.csv'"]),
]


@pytest.mark.parametrize(("given", "parts"), VALUES, ids=[given for given, _ in VALUES])
def test_wrong_value_is_told_in_words_of_yaml(given, parts):
    model = {**LORA_SPEC, "init_args": {**LORA_SPEC["init_args"], "optimizer": ADAMW}}
    config = yaml.safe_dump(experiment(model=model))
    error = ValueError("Parser key: Expected a <class 'int'>")
    message = explain(error, collected(), ["fit", "--config", config, *given.split()])
    assert [part for part in parts if part not in message] == []
    assert "Expected a" not in message


@pytest.mark.parametrize(("given", "parts"), VALUES[:2], ids=[given for given, _ in VALUES[:2]])
def test_wrong_value_on_the_command_line(refused, given, parts):
    message = refused(*given.split())
    assert [part for part in parts if part not in message] == []


def test_teacher_that_is_nowhere(fit_fails, tiny_folder):
    model = {"class_path": "transferlab.strategies.Distillation", "init_args": {"teacher": "nosuch"}}
    assert "model.teacher: 'nosuch' is neither a run under runs/ nor a fine-tuned model" in fit_fails(
        model=model, **{"encoder.name": str(tiny_folder)}
    )


def test_data_folder_that_is_not_there(fit_fails, tiny_folder, monkeypatch):
    monkeypatch.setenv("TRANSFERLAB_DATA", "/nonexistent")
    message = fit_fails(**{"data.init_args.task": "sst2", "encoder.name": str(tiny_folder)})
    assert "$TRANSFERLAB_DATA is /nonexistent, and there is no such folder" in message


PLAIN = "I like it very much,pos\nI hate it from the first day on,neg\n" * 10
ROWS = "".join(f"I like number {number},{'pos' if number % 2 else 'neg'}\n" for number in range(100))
SCORES = "".join(f"I like number {number},{number / 7:.3f}\n" for number in range(100))
FILES = {
    "no header": (PLAIN, {}, "set data.source.header: false"),
    "swapped": (f"text,label\n{ROWS}", {"text": ["label"], "label": "text"}, "Is it the label?"),
    "scores": (f"text,label\n{SCORES}", {}, "or set data.source.kind: regression"),
}


@pytest.mark.parametrize("case", FILES)
def test_file_that_is_not_what_it_seems(fit_fails, place, tiny_folder, case):
    content, columns, said = FILES[case]
    (place / "train.csv").write_text(content)
    source = {"files": {"train": "train.csv"}, **columns}
    message = fit_fails(
        **{"encoder.name": str(tiny_folder), "data.init_args.source": source, "data.init_args.task": "own"}
    )
    assert said in message
    assert len(message) < 400


def test_few_labels_of_an_unknown_row_are_listed_not_all(fit_fails, place, tiny_folder):
    rows = "".join(f"the of and to in was is it by {number},label {number % 50}\n" for number in range(200))
    (place / "train.csv").write_text(f"text,label\n{rows}")
    (place / "validation.csv").write_text("text,label\nthe of and to in was is it by a,label 99\n")
    source = {"files": {"train": "train.csv", "validation": "validation.csv"}}
    message = fit_fails(
        **{"encoder.name": str(tiny_folder), "data.init_args.source": source, "data.init_args.task": "own"}
    )
    assert "and 40 more" in message


def test_classes_with_one_example_each_are_labels():
    names = [f"transfer not received {number}" for number in range(50)]
    rows = Rows(Table.from_dict({"text": names, "label": [f"intent_{number}" for number in range(50)]}), "train.csv")
    assert len(label_names(rows, Source(path="own"))) == 50

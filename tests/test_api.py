"""From Python: a plain Trainer leaves the run directory of the command line, and both read the other's."""

import json
import shutil
import signal
import subprocess
import sys

import lightning as L
import pytest
import torch
import yaml

import transferlab as tl
from transferlab.ground import signals
from transferlab.record import setting
from transferlab.record.folder import read_summary
from transferlab.training.resume import Resumable

WAYS = {
    "contrastive": (tl.Contrastive, {}, {}),
    "lora": (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, {}),
    "frozen features": (tl.FeatureExtraction, {}, {}),
    "cached hidden states": (tl.FullFineTuning, {"top_layers": 1}, {}),
    "packed": (tl.FullFineTuning, {"optimizer": lambda p: torch.optim.SGD(p, lr=0.1)}, {"packed": True}),
}


def build(files, encoder, way="lora", **options):
    """What a script puts together."""
    kind, arguments, settings = WAYS[way]
    L.seed_everything(3)
    data = tl.TaskDataModule(
        "tiny", encoder, source=files["classification"], batch_size=4, max_length=64, seed=3, **settings, **options
    )
    return kind(data.spec, encoder, **arguments), data


def trainer_of(folder, **options):
    chosen = {"max_epochs": 2, "callbacks": tl.run_callbacks("py", folder, run=tl.RunConfig(tags=("mine",))), **options}
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **chosen,
    )


def train(folder, model, data, **options):
    """A script's lines of training, selection and test; the first, as the command does, is of the untrained head."""
    trainer = trainer_of(folder, **options)
    trainer.validate(model, data, verbose=False)
    trainer.fit(model, data)
    trainer.validate(model, data, ckpt_path="best", verbose=False)
    trainer.test(model, data, ckpt_path="best", verbose=False)
    return trainer


def command(monkeypatch, *arguments):
    """A command of ``transferlab`` in this process."""
    from transferlab.cli.train import TransferCLI

    monkeypatch.delenv("TRANSFERLAB_RUN_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", ["transferlab", *arguments])
    TransferCLI(list(arguments))


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder, name="best.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


def check_same_run(one, other):
    (first, *rest), (second, *others) = rows(one), rows(other)
    assert rest == others
    # the command validates the untrained head on cached states, which are kept in 16 bits; a script computes them
    assert first == pytest.approx(second, abs=1e-5)
    assert weights(one).keys() == weights(other).keys()
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())
    for split in ("validation", "test"):
        name = f"predictions/{split}.jsonl"
        assert (one / name).read_text() == (other / name).read_text()
    first, second = read_summary(one), read_summary(other)
    assert first.keys() == second.keys()
    same = (
        "setting",
        "hardware",
        "early_stopping",
        "metrics",
        "after",
        "params",
        "data",
        "kept",
        "seed",
        "status",
        "per_class",
    )
    assert {key: first[key] for key in same} == {key: second[key] for key in same}


@pytest.mark.parametrize("way", WAYS)
def test_a_script_leaves_the_directory_of_the_command(way, files, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "py" / "one"
    train(folder, *build(files, tiny_encoder, way))
    assert {path.name for path in folder.iterdir()} >= {
        "checkpoints",
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "predictions",
        "summary.json",
    }
    assert {path.name for path in (folder / "checkpoints").iterdir()} >= {"best.ckpt", "last.ckpt"}
    assert read_summary(folder)["status"] == "finished"
    # the configuration runs again, and gives the same to the last bit
    command(monkeypatch, "fit", "--config", str(folder / "config.yaml"))
    (again,) = (path for path in folder.parent.iterdir() if path != folder)
    check_same_run(folder, again)


def test_what_the_command_line_reads(files, tiny_encoder, tmp_path, monkeypatch, capsys):
    from transferlab.analysis.comparison.command import main as compare
    from transferlab.analysis.page.command import main as report

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "py" / "one"
    train(folder, *build(files, tiny_encoder))
    capsys.readouterr()
    compare(["runs", "--format", "csv"])
    assert "ParameterEfficient" in capsys.readouterr().out
    report(["runs", "--output", "report.html"])
    assert (tmp_path / "report.html").stat().st_size > 10_000
    before = (folder / "predictions" / "test.jsonl").read_text()
    command(monkeypatch, "test", "--run", str(folder))
    assert (folder / "predictions" / "test.jsonl").read_text() == before


def stop_at(monkeypatch, batch):
    """Sends SIGTERM to this process when a batch begins."""
    hook = Resumable.on_train_batch_start

    def begin(self, trainer, *rest):
        hook(self, trainer, *rest)
        if trainer.fit_loop.total_batch_idx == batch:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Resumable, "on_train_batch_start", begin)


def test_a_stopped_script_resumes_from_python_and_from_the_command_line(files, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole, stopped, copied = (tmp_path / "runs" / "py" / name for name in ("whole", "stopped", "copied"))
    train(whole, *build(files, tiny_encoder))
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        with pytest.raises(SystemExit) as ended:
            train(stopped, *build(files, tiny_encoder))
    assert ended.value.code == signals.STOPPED
    assert signal.getsignal(signal.SIGTERM) is handler
    assert read_summary(stopped)["status"] == "interrupted"
    (stopped / "run.lock").unlink()
    shutil.copytree(stopped, copied)

    model, data = build(files, tiny_encoder)
    with pytest.raises(tl.TransferlabError, match=r"To resume it: trainer.fit\(model, data, ckpt_path="):
        trainer_of(stopped).fit(model, data)
    trainer = trainer_of(stopped)
    trainer.fit(model, data, ckpt_path="last")
    trainer.validate(model, data, ckpt_path="best", verbose=False)
    trainer.test(model, data, ckpt_path="best", verbose=False)
    check_same_run(whole, stopped)

    command(monkeypatch, "fit", "--resume", str(copied))
    check_same_run(whole, copied)


def test_refusals(files, tiny_encoder, deep_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "py" / "one"
    model, data = build(files, tiny_encoder)
    train(folder, model, data, max_epochs=1)
    before = (folder / "summary.json").read_text()
    with pytest.raises(tl.TransferlabError, match="is finished"):
        trainer_of(folder, max_epochs=1).fit(model, data)
    with pytest.raises(tl.TransferlabError, match=r"different are .*batch_size"):
        trainer_of(folder, max_epochs=1).fit(
            *build(files, tiny_encoder, eval_batch_size=8, holdout=0.2)[:1], _eight(files, tiny_encoder)
        )
    # what is refused is not noted in the record of the run that is there
    assert (folder / "summary.json").read_text() == before
    other = tl.TaskDataModule("tiny", deep_encoder, source=files["classification"])
    for wrong, text in ((other, "give both the same EncoderConfig"), (data.train_dataloader(), "TaskDataModule")):
        with pytest.raises(tl.TransferlabError, match=text):
            trainer_of(tmp_path / "runs" / "py" / "two").fit(model, wrong)
    with pytest.raises(tl.TransferlabError, match="fast_dev_run"):
        trainer_of(tmp_path / "runs" / "py" / "two", fast_dev_run=True).fit(model, data)
    assert not (tmp_path / "runs" / "py" / "two").exists()


def _eight(files, encoder):
    return tl.TaskDataModule("tiny", encoder, source=files["classification"], batch_size=8, max_length=64, seed=3)


class Loud(L.Callback):
    """A user's own callback."""


class Mine(tl.FullFineTuning):
    """A user's own strategy, in a module that can be imported."""

    def __init__(self, task, encoder, strength: float = 0.5):
        super().__init__(task, encoder)


def test_what_a_configuration_cannot_hold_is_said(files, tiny_encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, data = build(files, tiny_encoder)
    folder = tmp_path / "runs" / "py" / "one"
    callbacks = [*tl.run_callbacks("py", folder), Loud()]
    trainer_of(folder, max_epochs=1, callbacks=callbacks).fit(Mine(data.spec, tiny_encoder, strength=0.25), data)
    assert "config.yaml cannot hold callback Loud: only this script" in capsys.readouterr().out
    assert read_summary(folder)["not_in_config"] == ["callback Loud"]
    model = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    assert model["class_path"].endswith("test_api.Mine")
    assert model["init_args"] == {"strength": 0.25}
    with pytest.raises(tl.TransferlabError, match=r"names .*Mine, which is neither .* add --trust"):
        command(monkeypatch, "fit", "--resume", str(folder))
    monkeypatch.setenv("TRANSFERLAB_TRUST", "1")
    with pytest.raises(tl.TransferlabError, match="resume it with the same script"):
        command(monkeypatch, "fit", "--resume", str(folder))


def test_a_rule_to_stop_early_of_ones_own(files, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rule = L.pytorch.callbacks.EarlyStopping("val/accuracy", patience=1, mode="max", min_delta=2.0)
    model, data = build(files, tiny_encoder)
    with pytest.raises(tl.TransferlabError, match="two rules to stop early"):
        trainer_of("runs/py/none", callbacks=[*tl.run_callbacks("py", "runs/py/none"), rule]).fit(model, data)
    folder = tmp_path / "runs" / "py" / "one"
    callbacks = [*tl.run_callbacks("py", folder, patience=None), rule]
    train(folder, model, data, max_epochs=5, callbacks=callbacks)
    assert read_summary(folder)["early_stopping"]["epoch"] == 2
    assert "not_in_config" not in read_summary(folder)
    command(monkeypatch, "fit", "--config", str(folder / "config.yaml"))
    (again,) = (path for path in folder.parent.iterdir() if path != folder)
    check_same_run(folder, again)


def test_a_seed_that_was_not_set_is_said(files, tiny_encoder, tmp_path, monkeypatch, capsys):
    model, data = build(files, tiny_encoder)
    monkeypatch.delenv("PL_GLOBAL_SEED")
    trainer_of(tmp_path / "one", max_epochs=1, limit_train_batches=1).fit(model, data)
    assert "call lightning.seed_everything(3) before the strategy is built" in capsys.readouterr().out


def test_plain_trainer_without_callbacks(files, tiny_folder, tmp_path):
    """Hidden states cached by the callback, and computed in every step without it, train the same."""
    encoder = tl.EncoderConfig(str(tiny_folder), dropout=0.0)
    found = []
    for callbacks in ([], [tl.FrozenWork(tl.CacheConfig(precision="32"))]):
        # without dropout: computing the states takes random numbers
        model, data = build(files, encoder, "cached hidden states")
        model.head.dropout.p = 0.0
        trainer = trainer_of(tmp_path, callbacks=callbacks, enable_checkpointing=False, default_root_dir=tmp_path)
        trainer.fit(model, data)
        assert bool(data.attached) is bool(callbacks)
        found.append(model.head.out.weight.detach())
    assert torch.allclose(*found, atol=1e-5)


def test_teacher_without_the_callback_is_refused(files, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, data = build(files, tiny_encoder)
    model = tl.Distillation(data.spec, tiny_encoder, teacher="runs/none")
    with pytest.raises(tl.TransferlabError, match="FrozenWork"):
        trainer_of(tmp_path, callbacks=[], enable_checkpointing=False).fit(model, data)


@pytest.mark.parametrize(
    "options", [{}, {"max_time": "00:01:00:05"}, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}]
)
def test_the_arguments_of_the_trainer_are_written(options, files, tiny_encoder, tmp_path):
    from transferlab.api.tree import Written
    from transferlab.cli import parsing

    model, data = build(files, tiny_encoder)
    options = {"max_epochs": 3, "limit_val_batches": 0.5, "precision": "bf16-mixed", "deterministic": True} | options
    try:
        trainer = trainer_of(tmp_path, callbacks=[], enable_checkpointing=False, **options)
        trainer.strategy.connect(model)
        written = Written()
        tree = written.run(trainer, model, data, tl.RunConfig())
    finally:
        torch.use_deterministic_algorithms(False)
    assert not written.lost
    parsed = setting.parse(parsing.check_text(yaml.safe_dump(tree)).dumped)["trainer"]
    assert {key: parsed[key] for key in options} == options


def test_every_argument_of_the_trainer_is_known():
    """Of a new release too: either it is written, or it decides no result."""
    import inspect

    from transferlab.api import tree

    source = inspect.getsource(tree.Written.trainer)
    indifferent = {
        "barebones",
        "benchmark",
        "callbacks",
        "default_root_dir",
        "enable_autolog_hparams",
        "enable_checkpointing",
        "enable_model_summary",
        "enable_progress_bar",
        "fast_dev_run",
        "logger",
        "model_registry",
        "num_sanity_val_steps",
        "plugins",
        "profiler",
        "use_distributed_sampler",
    }
    known = {name for name in inspect.signature(L.Trainer.__init__).parameters if f'"{name}"' in source}
    assert set(inspect.signature(L.Trainer.__init__).parameters) - {"self"} - known - indifferent == set()


def differing(tree, other):
    one, two = setting.deciding(tree), setting.deciding(other)
    return {key: (one.get(key), two.get(key)) for key in one.keys() | two.keys() if one.get(key) != two.get(key)}


LR, HEAD = "model.init_args.optimizer.init_args.lr", "model.init_args.head.lr"
SHIPPED = {
    "feature_extraction": (tl.FeatureExtraction, {"head": tl.HeadConfig(unit=True), "solver": "lbfgs"}, {}),
    "full_finetuning": (tl.FullFineTuning, {}, {}),
    "top_layers": (tl.FullFineTuning, {"top_layers": 2}, {}),
    "gradual_unfreezing": (tl.FullFineTuning, {"unfreeze_every": 1, "layer_decay": 0.95}, {LR: (1e-4, 2e-4)}),
    "from_scratch": (tl.FromScratch, {}, {}),
    "distillation_no_teacher": (tl.Distillation, {"alpha": 1.0, "teacher": "full_finetuning_{task}"}, {}),
    "distillation": (tl.Distillation, {"teacher": "full_finetuning_{task}"}, {}),
    "contrastive": (tl.Contrastive, {}, {}),
    "prompting": (tl.Prompting, {}, {}),
    "lora": (tl.ParameterEfficient, {"method": tl.LoRA()}, {}),
    "bitfit": (tl.ParameterEfficient, {"method": tl.BitFit()}, {}),
    "norm_tuning": (tl.ParameterEfficient, {"method": tl.NormTuning()}, {}),
    "adalora": (tl.ParameterEfficient, {"method": tl.AdaLoRA()}, {}),
    "rslora": (
        tl.ParameterEfficient,
        {"method": tl.LoRA(variant="rslora", targets=("query", "value"))},
        {LR: (1e-3, 5e-4)},
    ),
    "dora": (
        tl.ParameterEfficient,
        {"method": tl.LoRA(variant="dora", targets=("query", "value"))},
        {LR: (1e-3, 5e-4)},
    ),
    "adapter": (tl.ParameterEfficient, {"method": tl.Bottleneck()}, {LR: (1e-3, 3e-4)}),
    "houlsby": (tl.ParameterEfficient, {"method": tl.Bottleneck(placement="houlsby")}, {LR: (1e-3, 3e-4)}),
    "fusion": (
        tl.ParameterEfficient,
        {"method": tl.Fusion(runs=("adapter_mnli", "adapter_{task}"))},
        {LR: (1e-3, 1e-4)},
    ),
    "ia3": (
        tl.ParameterEfficient,
        {"method": tl.IA3()},
        {LR: (1e-3, 5e-3), "model.init_args.optimizer.init_args.weight_decay": (0.01, 0.0)},
    ),
    "prompt_tuning": (tl.ParameterEfficient, {"method": tl.PromptTuning()}, {LR: (1e-3, 5e-3)}),
    "tuner": (tl.ParameterEfficient, {"method": tl.Tuner("miss", {"r": 8}, ("all",))}, {}),
}
"""A shipped strategy: the class, what is given, and what is different all the same (class, shipped); docs/python.md."""


@pytest.fixture(scope="module")
def parse():
    """Parses a whole configuration as the command line does; returns its tree."""
    from transferlab.cli import parsing

    def read(tree):
        return setting.parse(parsing.check_text(yaml.safe_dump(tree)).dumped)

    return read


@pytest.mark.parametrize("name", SHIPPED)
def test_class_defaults_are_those_of_the_shipped_configs(name, files, tiny_encoder, language_folder, parse):
    from transferlab.api.tree import Written
    from transferlab.config import experiments

    kind, arguments, known = SHIPPED[name]
    model, data = build(files, tiny_encoder, "lora")
    encoder = tl.EncoderConfig(str(language_folder)) if name == "prompting" else tiny_encoder
    model, written = kind(data.spec, encoder, **arguments), Written()
    shipped = experiments.compose(f"{name}_demo_sentences")
    mine = {"model": written._part(model, {"encoder", "task"}), "data": shipped["data"]}
    assert differing({"model": parse(mine)["model"]}, {"model": parse(shipped)["model"]}) == known


def test_every_shipped_strategy_is_compared():
    from transferlab.config import experiments

    assert set(SHIPPED) == set(_names(experiments, "strategy"))


def _names(experiments, group):
    from pathlib import Path

    return sorted(path.stem for path in (Path(__file__).parents[1] / "configs" / group).glob("*.yaml"))


def test_public_names_come_without_torch():
    code = "import transferlab, sys; dir(transferlab); assert 'torch' not in sys.modules; from transferlab import *; LoRA, run_callbacks"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(hasattr(tl, name) for name in tl.__all__)
    with pytest.raises(AttributeError):
        tl.Lora  # noqa: B018

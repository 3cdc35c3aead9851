"""The gradient of an optimizer step is that of a mean over all its examples, in however many batches and processes."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_strategies import STRATEGIES

from transferlab.learning.optim import Schedule
from transferlab.strategies.step import counted
from transferlab.tasks.batch import Examples

ROOT = Path(__file__).parents[1]
KINDS = ("classification", "regression", "pairs", "tagging", "windows", "multilabel")
NAMES = [name for name in STRATEGIES if name != "unfreeze_every"]
QUICK = [("all", kind) for kind in KINDS] + [(name, "tagging") for name in NAMES if name != "all"]
PAIRS = [
    pytest.param(name, kind, marks=[] if (name, kind) in QUICK else pytest.mark.slow)
    for name in NAMES
    for kind in KINDS
]


def sgd(parameters):
    # Adam's division would blow up the last bit of a gradient near 0
    return torch.optim.SGD(parameters, lr=0.05)


def make(name, module, encoder):
    torch.manual_seed(3)
    strategy, arguments = STRATEGIES[name]
    model = strategy(
        task=module.spec, encoder=encoder, optimizer=sgd, schedule=Schedule("constant", warmup=0.0), **arguments
    )
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return model


def batches(module, sizes):
    """The training examples in order, as batches of these sizes."""
    split, rows = module.part_rows("train")
    attached = {field: values[split] for field, values in module.attached.items() if split in values}
    view = Examples(module.encoded(split), np.sort(rows), attached)
    ends = np.cumsum(sizes)
    assert ends[-1] <= len(view)
    return [view.__getitems__(list(range(end - size, end))) for size, end in zip(sizes, ends, strict=True)]


def trained(model, loader, fit, accumulate):
    model = copy.deepcopy(model)
    fit(model, None, accumulate_grad_batches=accumulate, limit_train_batches=1.0, train=loader)
    return {name: value.clone() for name, value in model.state_dict().items() if name in model.learned()}


@pytest.fixture
def fit(tmp_path):
    import lightning as L

    def run(model, _, *, train, **options):
        trainer = L.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            max_epochs=1,
            limit_val_batches=0,
            default_root_dir=tmp_path,
            **options,
        )
        trainer.fit(model, torch.utils.data.DataLoader(train, batch_size=None))

    return run


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_accumulated_batches_are_one_batch(name, kind, data, tiny_encoder, fit):
    if kind == "windows" and name in {"prompt", "bilstm"}:
        pytest.skip("reads no windows")
    module = data(kind)
    model = make(name, module, tiny_encoder)
    module = model.wrap_data(module)
    # 16 as 8 + 8, 12 as 8 + 4, and a last step of fewer batches than a full one has
    whole = trained(model, batches(module, [16, 12, 8]), fit, 1)
    for sizes, accumulate in (([8, 8, 8, 4, 8], 2), ([4, 4, 4, 4, 3, 3, 3, 3, 4, 4], 4)):
        parts = trained(model, batches(module, sizes), fit, accumulate)
        for key, value in whole.items():
            torch.testing.assert_close(parts[key], value, rtol=0, atol=1e-6, msg=f"{key} after {sizes}")


def test_an_incomplete_step_learns_at_the_full_rate(data, tiny_encoder, fit):
    module = data("classification")
    model = make("all", module, tiny_encoder)
    alone = trained(model, batches(module, [8]), fit, 1)
    incomplete = trained(model, batches(module, [8]), fit, 4)
    for key, value in alone.items():
        torch.testing.assert_close(incomplete[key], value, rtol=0, atol=1e-6)


def test_a_step_of_one_batch_keeps_its_bits(data, tiny_encoder, fit, monkeypatch):
    from transferlab.strategies.step import StepMean

    module = data("tagging")
    model = make("all", module, tiny_encoder)
    now = trained(model, batches(module, [8, 8]), fit, 1)
    monkeypatch.setattr(StepMean, "add", lambda self, loss, batch, trainer: (loss, loss))
    monkeypatch.setattr(StepMean, "finish", lambda self, module, trainer: None)
    plain = trained(model, batches(module, [8, 8]), fit, 1)
    assert all(torch.equal(now[key], plain[key]) for key in plain)


def test_words_are_counted_that_the_encoder_saw(data):
    (batch,) = batches(data("tagging"), [8])
    assert int(counted(batch)) == int(((batch.labels != -100) & (batch.words >= 0)).sum())
    (batch,) = batches(data("classification"), [8])
    assert int(counted(batch)) == 8


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_processes_are_one(tmp_path, tiny_folder, quick):
    """In a process of its own, which forks: 16 = two processes of 8, with unequal numbers of words, and 12 as 8 + 4."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "two_processes.py"),
            str(tiny_folder),
            str(tmp_path),
            *["--quick"] * quick,
        ],
        env=environment,
        check=True,
    )
    differences = json.loads((tmp_path / "differences.json").read_text())
    assert len(differences) == (4 if quick else 13)
    assert max(differences.values()) <= 1e-6, differences

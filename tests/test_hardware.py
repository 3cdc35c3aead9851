import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from transferlab.ground.errors import TransferlabError
from transferlab.ground.hardware import best_precision, native_bf16, settle


@pytest.fixture
def machine(monkeypatch):
    """Pretends to be a machine with these parts."""

    def build(cuda=None, mps=False, avx=False, amx=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda is not None)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bool(cuda))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)

    return build


@pytest.mark.parametrize(
    ("parts", "accelerator", "expected"),
    [
        ({}, "cpu", "32-true"),
        ({"avx": True}, "cpu", "bf16-mixed"),
        ({"amx": True}, "auto", "bf16-mixed"),
        ({"cuda": True}, "auto", "bf16-mixed"),
        ({"cuda": True}, "gpu", "bf16-mixed"),
        # an older GPU emulates it, whatever the processor can do
        ({"cuda": False, "avx": True}, "auto", "32-true"),
        ({"cuda": True}, "cpu", "32-true"),
        ({"mps": True, "avx": True}, "auto", "32-true"),
        ({"avx": True}, "mps", "32-true"),
    ],
)
def test_bf16_where_the_hardware_multiplies_it(parts, accelerator, expected, machine):
    machine(**parts)
    assert best_precision(accelerator) == expected


def test_a_release_of_torch_that_cannot_be_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not native_bf16("cpu")


FAULTS = """
import resource, sys
import torch
from transferlab.ground.hardware import keep_freed_memory

taken = keep_freed_memory() if sys.argv[1] == "kept" else None
# an aligned block needs a little more than one that was freed, so it takes a few until they fit
for _ in range(20):
    torch.zeros(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.zeros(2**23)
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_used_again():
    """20 blocks of 32 MiB: without the setting the kernel maps each of their 4 KiB pages anew."""
    faults = {}
    for name in ("given back", "kept"):
        done = subprocess.run([sys.executable, "-c", FAULTS, name], capture_output=True, text=True, check=True)
        taken, count = done.stdout.split()
        assert taken == {"given back": "None", "kept": "True"}[name]
        faults[name] = int(count)
    # huge pages, where they are on, make fewer of them
    assert faults["kept"] < 100 < faults["given back"]


def settled(training=True, accelerator="auto", strategy="auto", precision=None):
    trainer = SimpleNamespace(accelerator=accelerator, strategy=strategy, precision=precision)
    settle(trainer, training)
    return trainer.accelerator, trainer.precision


def test_auto_becomes_what_the_machine_has(machine):
    machine()
    assert settled() == settled(accelerator="cpu") == ("cpu", "32-true")
    machine(avx=True)
    assert settled() == settled(accelerator="cpu") == ("cpu", "bf16-mixed")
    machine(cuda=True)
    assert settled() == ("gpu", "bf16-mixed")
    assert settled(precision="32-true") == ("gpu", "32-true")
    # the processor was asked for
    assert settled(accelerator="cpu") == ("cpu", "32-true")
    # with several processes the Trainer chooses, and the setting is that of earlier runs
    assert settled(strategy={"class_path": "Replicated"}) == ("auto", "bf16-mixed")
    machine(mps=True)
    assert settled() == ("mps", "32-true")


def test_a_gpu_that_is_not_there_is_refused_in_training_and_done_without_in_a_test(machine):
    machine()
    for name in ("gpu", "cuda"):
        with pytest.raises(
            TransferlabError, match=f"trainer.accelerator: {name}, but torch finds no GPU here.*; --trainer auto"
        ):
            settled(accelerator=name)
    assert settled(training=False, accelerator="gpu", precision="bf16-mixed") == ("cpu", "bf16-mixed")
    machine(cuda=True)
    assert settled(training=False, accelerator="gpu", precision="bf16-mixed") == ("gpu", "bf16-mixed")

import pytest
import torch

from transferlab.hardware import best_precision, native_bf16


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

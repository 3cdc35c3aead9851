"""AdapterFusion: the adapters of finished runs side by side."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from transferlab.adapters import Bottleneck, Fusion, LoRA, Method
from transferlab.adapters.bottleneck import Adapted
from transferlab.adapters.fusion import fused_in
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.pretraining.objectives.base import merging
from transferlab.strategies import ParameterEfficient
from transferlab.tasks import TaskSpec
from transferlab.training.checkpoints import AtomicCheckpointIO

TASK = TaskSpec("mine", "classification", ("bad", "good"), ("accuracy",))


def trained(folder: Path, encoder: EncoderConfig, method: Method, **given: Any) -> ParameterEfficient:
    """Leaves a run directory as training does, with adapters that do something."""
    model = ParameterEfficient(TASK, encoder, method).eval()
    for module in model.modules():
        if isinstance(module, Adapted):
            nn.init.normal_(module.up.weight, std=0.3)
    state: dict[str, Any] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(state)
    (folder / "checkpoints").mkdir(parents=True)
    AtomicCheckpointIO().save_checkpoint(state, folder / "checkpoints" / "best.ckpt")
    (folder / "summary.json").write_text("{}", encoding="utf-8")
    path = f"transferlab.adapters.{type(method).__name__}"
    tree = {"model": {"init_args": {"method": {"class_path": path, "init_args": given}}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return model


def tokens(model: ParameterEfficient) -> torch.Tensor:
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    with torch.no_grad():
        found: torch.Tensor = model.encoder(ids, torch.ones_like(ids))
    return found


def test_the_adapters_of_runs_are_read_and_stay_in_the_checkpoint(tiny_encoder: EncoderConfig, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    alone = trained(one, tiny_encoder, Bottleneck(size=4), size=4)
    trained(other, tiny_encoder, Bottleneck(size=4), size=4)
    # the same run twice: whatever the attention, the mean is the run itself, up to the noise in V
    twice = ParameterEfficient(TASK, tiny_encoder, Fusion((str(one), str(one)), size=4)).eval()
    torch.testing.assert_close(tokens(twice), tokens(alone), atol=1e-3, rtol=0)
    both = ParameterEfficient(TASK, tiny_encoder, Fusion((str(one), str(other)), size=4)).eval()
    assert (tokens(both) - tokens(alone)).abs().max() > 1e-2
    state: dict[str, Any] = {"state_dict": both.state_dict()}
    both.on_save_checkpoint(state)
    for folder in (one, other):
        shutil.rmtree(folder)
    again = ParameterEfficient(TASK, tiny_encoder, Fusion((str(one), str(other)), size=4)).eval()
    with pytest.raises(TransferlabError, match="model.method.runs: no finished run .*one"):
        again.on_train_start()
    again.on_load_checkpoint(state)
    again.load_state_dict(state["state_dict"], strict=False)
    assert torch.equal(tokens(again), tokens(both))
    assert again.missing == []
    assert not any(p.requires_grad for f in fused_in(both.encoder.backbone).values() for p in f.adapters.parameters())


def test_runs_that_do_not_fit_are_refused(tiny_encoder: EncoderConfig, tmp_path: Path) -> None:
    low, narrow, other = tmp_path / "low", tmp_path / "narrow", tmp_path / "other"
    trained(low, tiny_encoder, LoRA(r=2), r=2)
    trained(narrow, tiny_encoder, Bottleneck(size=4), size=4)
    for run, fusion, said in (
        (low, {"size": 4}, "has no bottleneck adapters"),
        (narrow, {}, "model.method.size: 64, but the adapters of .*narrow have 4"),
        (narrow, {"size": 4, "placement": "houlsby"}, "model.method.placement: houlsby, but"),
    ):
        with pytest.raises(TransferlabError, match=said):
            ParameterEfficient(TASK, tiny_encoder, Fusion((str(run), str(run)), **fusion))
    # the same name with other weights
    moved = tmp_path / "moved" / Path(tiny_encoder.name).name
    shutil.copytree(tiny_encoder.name, moved)
    weights = moved / "model.safetensors"
    from safetensors.torch import load_file, save_file

    changed = {name: value + 0.01 for name, value in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    trained(other, EncoderConfig(str(moved)), Bottleneck(size=4), size=4)
    with pytest.raises(
        TransferlabError, match="belongs to the base weights .* adapters are put together on the encoder"
    ):
        ParameterEfficient(TASK, tiny_encoder, Fusion((str(narrow), str(other)), size=4))


def test_pretraining_refuses_what_cannot_be_merged(tiny_encoder: EncoderConfig) -> None:
    from transformers import AutoModel

    backbone = AutoModel.from_pretrained(tiny_encoder.name)
    with pytest.raises(TransferlabError, match="the parts of Bottleneck cannot be merged"):
        merging(Bottleneck(size=4), backbone)
    backbone = AutoModel.from_pretrained(tiny_encoder.name)
    assert any("lora_A" in name for name, _ in merging(LoRA(r=2), backbone).named_parameters())

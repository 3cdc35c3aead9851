"""The adapters that AdapterFusion puts together: those of finished runs."""

from pathlib import Path
from typing import Any

from torch import Tensor

from transferlab.adapters import Fusion
from transferlab.adapters.fusion import fused_in
from transferlab.config.places import find_run
from transferlab.config.trees import read_yaml
from transferlab.encoders import Encoder
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import content
from transferlab.tasks import TaskSpec

INSIDE = "encoder.backbone."


def read_adapters(method: Fusion, encoder: Encoder, task: TaskSpec) -> list[str]:
    """Fills in the adapters of the runs.

    Args:
        method: Names them.
        encoder: Its backbone has been through `Fusion.apply`.
        task: That of the run at hand.

    Returns:
        Runs that are not there, whose adapters are zero: a checkpoint of this run has them too.

    Raises:
        TransferlabError: A run of another pretrained encoder, or with other adapters.
    """
    missing = []
    for number, name in enumerate(method.runs):
        run = find_run(name.replace("{task}", task.name))
        if run is None or not (run / "checkpoints" / "best.ckpt").is_file():
            missing.append(name)
        else:
            _read(run, number, method, encoder, task)
    return missing


def _read(run: Path, number: int, method: Fusion, encoder: Encoder, task: TaskSpec) -> None:
    said = f"model.method.runs: {run}"
    _check_form(run, method)
    checkpoint = content.read(run / "checkpoints" / "best.ckpt")
    facts = checkpoint.get("transferlab", {})
    belongs = content.Belongs(encoder.config, encoder.content, task)
    named = Path(str(facts.get("encoder", encoder.config.name))).name
    if named != Path(encoder.config.name).name or (changed := content.changed_base(facts, belongs, leans=True)):
        why = f"began from {named}" if named != Path(encoder.config.name).name else changed
        raise TransferlabError(f"{said}: {why}; adapters are put together on the encoder that they were trained in.")
    stored: dict[str, Tensor] = checkpoint["state_dict"]
    inside = {name.removeprefix(INSIDE): value for name, value in stored.items() if name.startswith(INSIDE)}
    wanted = {
        f"{site}.{part}": value
        for site, fused in fused_in(encoder.backbone).items()
        for part, value in fused.adapters[number].state_dict().items()
    }
    if {n: v.shape for n, v in inside.items()} != {n: v.shape for n, v in wanted.items()}:
        raise TransferlabError(f"{said}: its adapters stand in other layers than those of this encoder.")
    for name, value in wanted.items():
        value.copy_(inside[name])


def _check_form(run: Path, method: Fusion) -> None:
    """Refuses a run without bottleneck adapters, or with others than the method says."""
    model = read_yaml(run / "config.yaml").get("model") or {}
    given: dict[str, Any] = (model.get("init_args") or {}).get("method") or {}
    if str(given.get("class_path", "")).rpartition(".")[2] != "Bottleneck":
        raise TransferlabError(
            f"model.method.runs: {run} has no bottleneck adapters; train it with strategy/adapter or strategy/houlsby."
        )
    for key, own in {key: getattr(method, key) for key in ("size", "placement", "activation", "top_layers")}.items():
        usual = Fusion.__dataclass_fields__[key].default
        if (found := (given.get("init_args") or {}).get(key, usual)) != own:
            raise TransferlabError(f"model.method.{key}: {own}, but the adapters of {run} have {found}.")

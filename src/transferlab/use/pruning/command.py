"""``transferlab prune --run RUN``."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from transferlab.config.trees import read_yaml
from transferlab.encoders.heads import attentions, keep_heads
from transferlab.ground.progress import counted
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.record import setting
from transferlab.strategies import Strategy, content
from transferlab.strategies.teacher import restore
from transferlab.training.checkpoints import AtomicCheckpointIO
from transferlab.use.pruning.importance import importance, keep
from transferlab.use.refused import refuse_texts
from transferlab.use.reread import data_of

BATCH = 16
KEPT = (
    *("strategy", "seed", "tags", "precision", "hardware", "task", "kind", "labels", "scheme", "spec", "primary"),
    *("protocol", "fold", "data", "inspection", "weights", "base", "imbalance", "without_effect", "early_stopping"),
)
"""What the summary of a pruned run has from its run; the rest is measured anew."""


def run(name: str, share: float, examples: int, experiment: str | None, root: Path) -> None:
    """Prunes a run, validates and tests the result, and prints what was dropped.

    Raises:
        TransferlabError: No such run, or an encoder whose heads cannot be dropped.
    """
    quiet()
    source = run_folder.find(name, root)
    folder = prune(source, share, examples, experiment, root)
    for command in ("validate", "test"):
        _evaluate(command, folder)
    kept = read_yaml(folder / "config.yaml")["encoder"]["keep_heads"]
    print(f"\nTo train with these heads only, from the pretrained weights: fit with\n  --encoder.keep_heads '{kept}'")


def _evaluate(command: str, folder: Path) -> None:
    """What ``transferlab validate --run`` and ``test --run`` do, whose first results of a run are of record."""
    from transferlab.cli.train import TransferCLI

    os.environ.pop(run_folder.VARIABLE, None)
    sys.argv[1:] = [command, "--run", str(folder)]
    TransferCLI(sys.argv[1:])


def prune(
    source: Path, share: float, examples: int = 512, experiment: str | None = None, root: Path = Path("runs")
) -> Path:
    """Writes a run without the least important heads of another one.

    Args:
        source: The run directory.
        share: Of all heads, to drop.
        examples: Validation examples that tell how important a head is, at most.
        experiment: Name of the new one; None: that of the run, and how many percent of the heads are left.
        root: Folder of runs.

    Returns:
        The new run directory, with a checkpoint, not yet tested.

    Raises:
        TransferlabError: The run has no checkpoint, or an encoder whose heads cannot be dropped.
    """
    model = restore(source)
    refuse_texts(model.task, "prune")
    counts = [attention.heads for attention in attentions(model.encoder.backbone)]
    scores = importance(model, _validation(source, examples))
    left = keep(scores, counts, share)
    print(_table(scores, left, counts))
    summary = run_folder.read_summary(source)
    named = experiment or f"{summary.get('experiment')}_heads{round(100 * sum(map(len, left)) / sum(counts))}"
    folder = root / named / run_folder.new_id(int(summary.get("seed") or 0))
    numbers = _original(model, left)
    keep_heads(model.encoder.backbone, left)
    model.encoder_config = replace(model.encoder_config, keep_heads=numbers)
    try:
        _write(folder, source, model, summary, named, share)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _validation(source: Path, examples: int) -> Any:
    """Padded batches of the validation set."""
    data = data_of(source)
    split, rows = data.part_rows("validation")
    encoded, chosen = data.encoded(split), rows[:examples].tolist()
    parts = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
    return (encoded.collate(part) for part in counted(parts, "importance of heads, batch"))


def _original(model: Strategy, left: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """The numbers that heads have in the pretrained encoder, of which the run may have lacked some already."""
    known = model.encoder_config.keep_heads
    if known is None:
        # a top layer that nobody reads is not there any more, and stands in the configuration all the same
        missing = model.encoder_config.layers == "second_to_last" and model.encoder.config.layers == "last"
        return (*left, *([left[-1]] if missing else []))
    found = tuple(tuple(known[layer][head] for head in heads) for layer, heads in enumerate(left))
    return (*found, *known[len(found) :])


def _write(folder: Path, source: Path, model: Strategy, summary: dict[str, Any], experiment: str, share: float) -> None:
    run_folder.create(folder)
    tree = read_yaml(source / "config.yaml")
    tree["encoder"]["keep_heads"] = [list(heads) for heads in model.encoder_config.keep_heads or ()]
    tree["run"]["experiment"] = experiment
    tree["checkpoint"] = {**(tree.get("checkpoint") or {}), "dirpath": str(folder / "checkpoints")}
    tree["trainer"]["default_root_dir"] = str(folder)
    # the rest of it says of which step and of which release of Lightning it is
    checkpoint = content.read(source / "checkpoints" / "best.ckpt") | {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    path = folder / "checkpoints" / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    run_folder.write_text(folder / "config.yaml", yaml.safe_dump(tree, sort_keys=False))
    total = sum(parameter.numel() for parameter in model.parameters())
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    found = {key: summary[key] for key in KEPT if key in summary} | {
        "experiment": experiment,
        "run": folder.name,
        # which heads go differs between seeds, and training with these heads only is something else
        "setting": setting.fingerprint({"pruned": share, "of": summary.get("setting")}),
        "encoder": model.encoder_config.label,
        "pruned_from": summary.get("setting"),
        "params": {"total": total, "trainable": trainable, "trainable_pct": 100 * trainable / total},
        "metrics": {},
        "perf": {},
        "checkpoint_mb": round(path.stat().st_size / 2**20, 3),
        "status": "finished",
    }
    run_folder.write_json(folder / "summary.json", found)


def _table(scores: Tensor, left: Sequence[tuple[int, ...]], counts: Sequence[int]) -> str:
    lines = [
        f"heads: {sum(map(len, left))} of {sum(counts)} are kept; importance of each, the dropped ones in brackets"
    ]
    for layer, (kept, count) in enumerate(zip(left, counts, strict=True)):
        told = [f"{float(scores[layer, head]):.2f}" for head in range(count)]
        shown = [f" {one} " if head in kept else f"[{one}]" for head, one in enumerate(told)]
        lines.append(f"layer {layer}  {' '.join(shown)}")
    return "\n".join(lines)

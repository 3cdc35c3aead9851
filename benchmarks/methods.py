"""What each method of peft does in an encoder: ``python -m benchmarks.methods``, or ``--docs`` for docs/methods.md.

Each is put into the encoder, trained for a few steps on an arbitrary loss, and what `transferlab.adapters.Tuner` calls
learned is written to a file; another process, with another seed, puts it back and must give the same outputs.
"""

import argparse
import copy
import multiprocessing
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.table import markdown
from transferlab.adapters import Tuner
from transferlab.adapters.tuner import methods
from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.ground.quiet import quiet

ARGUMENTS: dict[str, dict[str, Any]] = {
    "c3a": {"block_size": 32},
    "fourierft": {"n_frequency": 32},
    "oft": {"oft_block_size": 8, "r": 0},
    "road": {"group_size": 8},
    "vblora": {"vector_length": 64, "num_vectors": 90},
    "waveft": {"n_frequency": 32},
}
"""Arguments of methods that have no rank, or whose defaults are for large models."""
PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
STEPS = 5


class Facts(NamedTuple):
    """What was seen of a method.

    Attributes:
        start: Largest difference of an output to the plain encoder's before the first step.
        trainable: Number of trained parameters.
        fixed: Numbers in the checkpoint that are not trained: fixed matrices, and weights that the start changed.
        without_gradient: Trained parameters that no step reached.
        merged: Largest difference of an output after merging in fp32; None where the method cannot be merged.
    """

    start: float
    trainable: int
    fixed: int
    without_gradient: list[str]
    merged: float | None


def arguments_of(
    name: str, usual: Mapping[str, Any], special: Mapping[str, dict[str, Any]] = ARGUMENTS
) -> dict[str, Any]:
    """The arguments that a method is tried with: the usual ones that it takes, unless it has special ones."""
    return special.get(name, {key: value for key, value in usual.items() if key in methods()[name]})


def outputs(module: nn.Module, batch: Mapping[str, Any]) -> torch.Tensor:
    """Vectors of the real tokens ``[tokens, hidden]``."""
    with torch.no_grad():
        states: torch.Tensor = module.eval()(**batch).last_hidden_state
    return states[batch["attention_mask"].bool()]


def tuned(method: Tuner, base: nn.Module, batch: Mapping[str, Any]) -> tuple[nn.Module, list[str]]:
    """The encoder after a few steps, and the trained parameters that no step reached."""
    module = method.apply(base)  # type: ignore[arg-type]
    trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
    optimizer, reached = torch.optim.SGD(trained.values(), lr=0.05), dict.fromkeys(trained, False)
    aim = torch.randn(1, 1, base.config.hidden_size)  # type: ignore[union-attr, arg-type]
    for _ in range(STEPS):
        optimizer.zero_grad()
        ((module.train()(**batch).last_hidden_state - aim) ** 2).mean().backward()
        for name, value in trained.items():
            reached[name] |= value.grad is not None and bool(value.grad.any())
        optimizer.step()
    return module, [name for name, seen in reached.items() if not seen]


def facts_of(
    name: str, arguments: dict[str, Any], base: nn.Module, batch: Mapping[str, Any], targets: tuple[str, ...]
) -> Facts:
    """Puts a method into a copy of an encoder, trains it a little, merges it."""
    method, plain = Tuner(name, arguments, targets), outputs(base, batch)
    start = float((outputs(method.apply(copy.deepcopy(base)), batch) - plain).abs().max())  # type: ignore[arg-type]
    module, unreached = tuned(method, copy.deepcopy(base), batch)
    state, learned = module.state_dict(), method.learned(module)
    trained = sum(value.numel() for value in module.parameters() if value.requires_grad)
    stored = {state[entry].data_ptr(): state[entry].numel() for entry in learned}
    before = outputs(module, batch)
    method.merge(module)
    could = any(getattr(part, "merged", False) for part in module.modules())
    merged = float((outputs(module, batch) - before).abs().max()) if could else None
    return Facts(start, trained, sum(stored.values()) - trained, unreached, merged)


def _save(name: str, arguments: dict[str, Any], base: nn.Module, batch: Any, targets: Any, folder: str) -> None:
    method = Tuner(name, arguments, targets)
    module, _ = tuned(method, copy.deepcopy(base), batch)
    entries = method.learned(module)
    kept = {entry: value for entry, value in module.state_dict().items() if entry in entries}
    torch.save({"kept": kept, "out": outputs(module, batch)}, f"{folder}/{name}.pt")


def _reloaded(folder: str, trials: dict[str, dict[str, Any]], batch: Any, targets: Any) -> dict[str, float]:
    quiet()
    torch.manual_seed(1234)
    base: Any = build_encoder(EncoderConfig()).backbone.eval()
    differences = {}
    for name, arguments in trials.items():
        saved = torch.load(f"{folder}/{name}.pt", weights_only=True)
        module = Tuner(name, arguments, targets).apply(copy.deepcopy(base))
        module.load_state_dict(saved["kept"], strict=False)
        differences[name] = float((outputs(module, batch) - saved["out"]).abs().max())
    return differences


def table(targets: tuple[str, ...]) -> str:
    """One row a method, in markdown."""
    torch.manual_seed(0)
    encoder: Any = build_encoder(EncoderConfig()).backbone.eval()
    ids = torch.randint(1000, 20000, (4, 24))
    mask = torch.ones_like(ids)
    mask[1, 16:] = 0
    batch = {"input_ids": ids, "attention_mask": mask}
    trials = {name: arguments_of(name, {"r": 8}) for name in methods()}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        facts = {}
        for name, arguments in trials.items():
            facts[name] = facts_of(name, arguments, encoder, batch, targets)
            _save(name, arguments, encoder, batch, targets, folder)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            reloaded = pool.apply(_reloaded, (folder, trials, batch, targets))
    for name, seen in facts.items():
        unreached = f"all but {len(seen.without_gradient)} tensors" if seen.without_gradient else "yes"
        rows.append(
            [
                f"`{name}`",
                "`" + ", ".join(f"{key}: {value}" for key, value in trials[name].items()) + "`" if trials[name] else "",
                "yes" if seen.start < 1e-5 else f"no, {seen.start:.2g}",
                f"{seen.trainable:,}",
                f"{seen.fixed:,}" if seen.fixed else "–",
                "yes" if reloaded[name] == 0 else f"{reloaded[name]:.0e}",
                "no" if seen.merged is None else f"{seen.merged:.0e}",
                unreached,
            ]
        )
    head = ["Method", "Arguments", "Starts as the encoder", "Trained", "Saved, not trained", "Equal after reload"]
    return markdown([*head, "Merged, largest difference", "Every parameter has a gradient"], rows)


def main() -> None:
    """Prints the table, or writes it into docs/methods.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write docs/methods.md")
    parser.add_argument("--targets", nargs="+", default=["query", "value"], help="linear maps")
    options = parser.parse_args()
    quiet()
    found = table(tuple(options.targets))
    if not options.docs:
        print(found)
        return
    parts = re.split(r"(<!-- methods.*?-->\n|<!-- end of methods -->)", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text("".join([*parts[:2], found.rstrip() + "\n", *parts[3:]]), encoding="utf-8")


if __name__ == "__main__":
    main()

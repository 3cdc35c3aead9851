"""Trains each kind and some strategies in one process and in two, and writes the largest difference of a weight."""

import copy
import json
import sys
from pathlib import Path

import lightning as L
import torch
from conftest import _source
from test_step import batches, make

from transferlab.encoders import EncoderConfig
from transferlab.learning.steady import Steady
from transferlab.tasks import TaskDataModule

CASES = [
    *(("all", kind) for kind in ("classification", "regression", "pairs", "tagging", "windows")),
    ("lora", "tagging"),
    ("adalora", "classification"),
    ("bottleneck", "tagging"),
    ("linear", "tagging"),
    ("distillation", "tagging"),
    ("steady", "classification"),
    ("steady", "tagging"),
    ("all", "qa"),
]
# examples that count alike, unequal numbers of words, several rows an example, a loss with a teacher
QUICK = [("all", "classification"), ("all", "tagging"), ("all", "windows"), ("distillation", "tagging")]


class Part(torch.utils.data.IterableDataset):
    """Every second batch, beginning with the number of the process."""

    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        return iter(self.parts[rank::world])

    def __len__(self):
        return len(self.parts) // (torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1)


def train(model, parts, folder, **options):
    model = copy.deepcopy(model)
    loader = torch.utils.data.DataLoader(Part(parts), batch_size=None)
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        max_epochs=1,
        limit_val_batches=0,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(model, loader)
    return {name: value.clone() for name, value in model.state_dict().items() if name in model.learned()}


def main(encoder_folder, folder, quick):
    torch.set_num_threads(1)
    encoder = EncoderConfig(name=encoder_folder)
    differences = {}
    for name, kind in QUICK if quick else CASES:
        place = folder / f"{name} {kind}"
        lengths = {"windows": {"truncation": "windows", "max_length": 16}, "qa": {"max_length": 48, "stride": 8}}
        settings = lengths.get(kind, {"max_length": 64})
        module = TaskDataModule(f"tiny_{kind}", encoder, source=_source(place, kind), **settings)
        module.setup("fit")
        model = make("all" if name == "steady" else name, module, encoder)
        if name == "steady":
            model.begin(Steady(fgm=0.5, l2_sp=1.0, label_smoothing=0.1, swa=0.0))
        module = model.wrap_data(module)
        one = train(model, batches(module, [16, 12, 8]), folder, devices=1)
        two = train(model, batches(module, [8, 8, 8, 4, 5, 3]), folder, devices=2, strategy="ddp_fork")
        both = train(
            model,
            batches(module, [4, 4, 4, 4, 3, 2, 4, 3, 5, 3]),
            folder,
            devices=2,
            strategy="ddp_fork",
            accumulate_grad_batches=2,
        )
        differences[f"{name} {kind}"] = max(
            float((one[key].double() - other[key].double()).abs().max()) for key in one for other in (two, both)
        )
    (folder / "differences.json").write_text(json.dumps(differences))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "--quick" in sys.argv)

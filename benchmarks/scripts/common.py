"""Arguments and rows that the scripts share."""

import argparse
import json
from pathlib import Path
from typing import Any


def parser(description: str) -> argparse.ArgumentParser:
    """Options that every script has."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--data", type=Path, required=True, help="folder with train, validation and test as Parquet")
    found.add_argument("--model", required=True, help="folder of the pretrained encoder, or of the tuned model")
    found.add_argument("--output", required=True, help="folder for what is written")
    found.add_argument("--seed", type=int, default=0)
    return found


def writer(description: str) -> argparse.ArgumentParser:
    """Options of the scripts that train models that write."""
    found = parser(description)
    found.add_argument("--lr", type=float, default=1e-3)
    found.add_argument("--epochs", type=int, default=1)
    found.add_argument("--batch", type=int, default=32)
    found.add_argument("--length", type=int, default=64, help="tokens of an input [64]")
    found.add_argument("--target", type=int, default=16, help="tokens of a target [16]")
    found.add_argument("--written", type=int, default=11, help="tokens of an output [11]")
    return found


def settings(asked: argparse.Namespace) -> dict[str, Any]:
    """What the trainers of both scripts are told: the settings of our side; examples are drawn in random order."""
    return {
        "output_dir": asked.output,
        "num_train_epochs": asked.epochs,
        "per_device_train_batch_size": asked.batch,
        "learning_rate": asked.lr,
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
        "use_cpu": True,
        "seed": asked.seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def facts(data: Path) -> dict[str, Any]:
    """Columns, labels and metric of the rows."""
    found: dict[str, Any] = json.loads((data / "task.json").read_text(encoding="utf-8"))
    return found


def result(**found: Any) -> None:
    """Prints the result as the last line."""
    print(json.dumps(found), flush=True)

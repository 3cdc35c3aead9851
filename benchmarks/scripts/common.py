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


def facts(data: Path) -> dict[str, Any]:
    """Columns, labels and metric of the rows."""
    found: dict[str, Any] = json.loads((data / "task.json").read_text(encoding="utf-8"))
    return found


def result(**found: Any) -> None:
    """Prints the result as the last line."""
    print(json.dumps(found), flush=True)

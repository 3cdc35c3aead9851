"""setfit as its readme uses it: JSON on standard input, answers and CPU seconds on the last line."""

import json
import random
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch


def main() -> None:
    """Trains with the defaults of the package."""
    from datasets import Dataset

    # of a Python of its own
    from setfit import SetFitModel, Trainer, TrainingArguments  # type: ignore[import-not-found]

    asked: dict[str, Any] = json.load(sys.stdin)
    torch.set_num_threads(1)
    for draw in (random.seed, np.random.seed, torch.manual_seed):
        draw(asked["seed"])
    model = SetFitModel.from_pretrained(asked["encoder"], device="cpu")
    model.model_body.max_seq_length = asked["max_length"]
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, seed=asked["seed"], report_to="none", show_progress_bar=False, save_strategy="no"
        )
        rows = Dataset.from_dict({"text": asked["train"], "label": asked["labels"]})
        started = time.process_time()
        Trainer(model=model, args=arguments, train_dataset=rows).train()
        seconds = time.process_time() - started
    answers = [int(answer) for answer in model.predict(asked["test"], show_progress_bar=False)]
    sys.stdout.write("\n" + json.dumps({"answers": answers, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()

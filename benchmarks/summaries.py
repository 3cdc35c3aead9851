"""The loss of both sides on the same inputs, targets and weights: ``-m benchmarks.summaries FOLDER MODEL``."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.scripts.trainer_summary import LENGTH, TARGET, tokenised
from transferlab.encoders.language import target_logits
from transferlab.learning.kinds import KINDS
from transferlab.tasks.batch import collate
from transferlab.tasks.generation import Generation
from transferlab.tasks.texts import Form, encode


def losses(rows: dict[str, list[str]], tokenizer: Any, model: Any) -> dict[str, float]:
    """Losses of a batch: ours, and that of run_summarization's tokens by the model itself."""
    from transformers import DataCollatorForSeq2Seq

    form = Form(tokenizer, ("input",), False, LENGTH, "head", Generation(target_length=TARGET))
    split = encode({"input": rows["input"]}, [[text] for text in rows["target"]], form)
    batch = collate(split, range(len(split)))
    found = tokenised(tokenizer, rows)
    theirs = DataCollatorForSeq2Seq(tokenizer, model=model)(
        [{name: found[name][row] for name in ("input_ids", "attention_mask", "labels")} for row in range(len(split))]
    )
    with torch.no_grad():
        loss = float(model.eval()(**theirs).loss)
        assert batch.labels is not None
        logits = target_logits(model, batch.input_ids, batch.attention_mask, batch.labels)
    return {"rows": len(split), "ours": float(KINDS["text"].loss(logits, batch.labels, None)), "theirs": loss}


def main(folder: Path, place: str, most: int = 64) -> None:
    """Prints the losses on the first training rows of a comparison."""
    import datasets
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    rows: Any = datasets.load_dataset("parquet", data_files=str(folder / "train.parquet"), split=f"train[:{most}]")
    columns = {name: list(rows[name]) for name in ("input", "target")}
    model = AutoModelForSeq2SeqLM.from_pretrained(place)
    print(json.dumps(losses(columns, AutoTokenizer.from_pretrained(place), model)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

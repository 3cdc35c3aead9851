"""Outputs for the inputs of a file: transformers' generate, batch after batch in the order of the file."""

from pathlib import Path
from typing import Any

from benchmarks.scripts import common

BATCH, LENGTH = 64, 64


def main() -> None:
    """Writes a line for each input."""
    asked = common.parser(__doc__ or "").parse_args()
    import datasets
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    rows: Any = datasets.load_dataset("json", data_files=str(asked.data / "inputs.jsonl"), split="train")["input"]
    texts = list(rows)
    tokenizer, model = AutoTokenizer.from_pretrained(asked.model), AutoModelForSeq2SeqLM.from_pretrained(asked.model)
    model.eval()
    found: list[str] = []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            texts[start : start + BATCH], padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        with torch.inference_mode():
            outputs = model.generate(**batch)
        found += [text.strip() for text in tokenizer.batch_decode(outputs, skip_special_tokens=True)]
    Path(f"{asked.output}.txt").write_text("\n".join(found), encoding="utf-8")
    common.result(examples=len(found))


if __name__ == "__main__":
    main()

"""Labels for the lines of a CSV file: with transformers.pipeline, or with onnxruntime in fp32."""

import csv
from pathlib import Path
from typing import Any

from benchmarks.scripts import common

ONNX = "model.onnx"


def with_pipeline(model: str, texts: list[str], batch: int) -> list[str]:
    """As the documentation of pipelines does it."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=model, batch_size=batch, device="cpu")
    return [answer["label"] for answer in classify(texts, truncation=True, max_length=128)]


def with_onnx(model: str, texts: list[str], batch: int) -> list[str]:
    """One thread, batches in the order of the file, each padded to its longest text."""
    import json

    import onnxruntime
    from tokenizers import Tokenizer

    names = json.loads((Path(model) / "config.json").read_text(encoding="utf-8")).get("id2label", {})
    tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(pad_id=0)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(Path(model) / ONNX), settings, providers=["CPUExecutionProvider"])
    import numpy as np

    found: list[str] = []
    for start in range(0, len(texts), batch):
        rows = tokenizer.encode_batch(texts[start : start + batch])
        feeds = {
            "input_ids": np.array([row.ids for row in rows], dtype=np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], dtype=np.int64),
        }
        logits: Any = session.run(None, feeds)[0]
        found += [names.get(str(number), f"LABEL_{number}") for number in logits.argmax(-1).tolist()]
    return found


def export(model: str) -> None:
    """Writes the ONNX graph of a fine-tuned classifier beside its weights."""
    import torch
    from transformers import AutoModelForSequenceClassification

    tuned: Any = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
    axes = {0: "batch", 1: "length"}
    example = torch.ones(2, 8, dtype=torch.long)
    torch.onnx.export(
        tuned,
        (example, example),
        str(Path(model) / ONNX),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
        dynamo=False,
    )


def main() -> None:
    """Reads ``texts.csv`` of the data and writes the labels."""
    options = common.parser(__doc__ or "")
    options.add_argument("--with", dest="library", choices=("pipeline", "onnx"), default="pipeline")
    options.add_argument("--export", action="store_true", help="write the ONNX graph and predict nothing")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--most", type=int, default=None, help="texts, at most")
    asked = options.parse_args()
    if asked.export:
        export(asked.model)
        common.result()
        return
    with (asked.data / "texts.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["sentence"] for row in csv.DictReader(file)][: asked.most]
    found = {"pipeline": with_pipeline, "onnx": with_onnx}[asked.library](asked.model, texts, asked.batch)
    Path(asked.output).mkdir(parents=True, exist_ok=True)
    with (Path(asked.output) / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([label] for label in ["label", *found])
    common.result(examples=len(found))


if __name__ == "__main__":
    main()

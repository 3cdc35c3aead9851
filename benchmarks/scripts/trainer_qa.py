"""Question answering as run_qa.py does it: windows of the context with a stride, HF Trainer, the n best in Python."""

from collections import defaultdict
from typing import Any

import datasets
import numpy as np
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from benchmarks.scripts import common

MAX_LENGTH, STRIDE, BEST, LONGEST = 384, 128, 20, 30
Columns = dict[str, list[Any]]


def cut(tokenizer: Any, rows: Columns, pad: bool) -> Any:
    """The windows of some rows, with where their tokens stand and which row each belongs to."""
    return tokenizer(
        [question.lstrip() for question in rows["question"]],
        rows["context"],
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=STRIDE,
        padding="max_length" if pad else False,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def trained(tokenizer: Any, rows: Columns, pad: bool = False) -> Columns:
    """Windows with the first and the last token of the answer; both are [CLS] in a window that does not hold it."""
    found = cut(tokenizer, rows, pad)
    starts, ends = [], []
    for window, spots in enumerate(found["offset_mapping"]):
        first = last = found["input_ids"][window].index(tokenizer.cls_token_id)
        held = [place for place, part in enumerate(found.sequence_ids(window)) if part == 1]
        answers = listed(rows["answers"][found["overflow_to_sample_mapping"][window]])
        if answers:
            begin, low, high = answers[0]["answer_start"], held[0], held[-1]
            end = begin + len(answers[0]["text"])
            if spots[low][0] <= begin and spots[high][1] >= end:
                while low < len(spots) and spots[low][0] <= begin:
                    low += 1
                while spots[high][1] >= end:
                    high -= 1
                first, last = low - 1, high + 1
        starts.append(first)
        ends.append(last)
    kept = {key: found[key] for key in found if key not in ("offset_mapping", "overflow_to_sample_mapping")}
    return {**kept, "start_positions": starts, "end_positions": ends}


def read(tokenizer: Any, rows: Columns, pad: bool = False) -> Columns:
    """Windows that are not trained on, with where the tokens of the context stand, None for other tokens."""
    found = cut(tokenizer, rows, pad)
    owners = [rows["number"][row] for row in found["overflow_to_sample_mapping"]]
    spots = [
        [spot if part == 1 else None for spot, part in zip(own, found.sequence_ids(window), strict=True)]
        for window, own in enumerate(found["offset_mapping"])
    ]
    kept = {key: found[key] for key in found if key != "overflow_to_sample_mapping"}
    return {**kept, "offset_mapping": spots, "owner": owners}


def listed(answers: Any) -> list[dict[str, Any]]:
    """Answers as a list of text and place, also from the Hub's two lists."""
    if not isinstance(answers, dict):
        return list(answers)
    pairs = zip(answers["text"], answers["answer_start"], strict=True)
    return [{"text": text, "answer_start": start} for text, start in pairs]


def choose(rows: Any, windows: Any, logits: Any) -> list[str]:
    """The best span of each row over its windows, of all pairs of the 20 best starts and ends of a window."""
    held = defaultdict(list)
    for window, owner in enumerate(windows["owner"]):
        held[owner].append(window)
    offsets, answers = windows["offset_mapping"][:], []
    for number, context in enumerate(rows["context"]):
        found = [(-np.inf, "")]
        for window in held[number]:
            start, end, spots = logits[0][window], logits[1][window], offsets[window]
            for first in np.argsort(start)[-1 : -BEST - 1 : -1].tolist():
                for last in np.argsort(end)[-1 : -BEST - 1 : -1].tolist():
                    if max(first, last) >= len(spots) or not spots[first] or not spots[last]:
                        continue
                    if first <= last < first + LONGEST:
                        text = context[spots[first][0] : spots[last][1]]
                        found.append((float(start[first] + end[last]), text))
        answers.append(max(found, key=lambda one: one[0])[1])
    return answers


def f1_of(rows: Any, found: list[str]) -> float:
    """The F1 of SQuAD 1.1, between 0 and 1."""
    from torchmetrics.text import SQuAD

    said = [{"prediction_text": text, "id": str(number)} for number, text in enumerate(found)]
    wanted = []
    for number, answers in enumerate(rows["answers"]):
        texts = [one["text"] for one in listed(answers)]
        wanted.append({"answers": {"text": texts, "answer_start": [0] * len(texts)}, "id": str(number)})
    return float(SQuAD()(said, wanted)["f1"]) / 100


def main() -> None:
    """Trains for one epoch, answers the validation rows, then the test rows."""
    options = common.parser(__doc__ or "")
    options.add_argument("--lr", type=float, default=1e-4)
    options.add_argument("--pad", action="store_true", help="to 384 tokens, as run_qa.py does unless told otherwise")
    asked = options.parse_args()
    set_seed(asked.seed)
    files = {split: str(asked.data / f"{split}.parquet") for split in ("train", "validation", "test")}
    rows: Any = datasets.load_dataset("parquet", data_files=files)
    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    model = AutoModelForQuestionAnswering.from_pretrained(asked.model)
    columns = rows["train"].column_names
    train = rows["train"].map(lambda batch: trained(tokenizer, batch, asked.pad), batched=True, remove_columns=columns)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=asked.output,
            num_train_epochs=1,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=64,
            learning_rate=asked.lr,
            use_cpu=True,
            seed=asked.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=train,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model()
    score = 0.0
    for split in ("validation", "test"):
        some = rows[split].add_column("number", list(range(len(rows[split]))))
        windows = some.map(
            lambda batch: read(tokenizer, batch, asked.pad), batched=True, remove_columns=some.column_names
        )
        found: Any = trainer.predict(windows.remove_columns(["offset_mapping", "owner"]))
        score = f1_of(some, choose(some, windows, found.predictions))
    common.result(score=score, examples=len(rows["train"]))


if __name__ == "__main__":
    main()

"""Texts from texts as run_summarization.py does it: Seq2SeqTrainer, dynamic padding, generation at each evaluation."""

from typing import Any

import datasets
import numpy as np
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    set_seed,
)

from benchmarks.scripts import common

LENGTH, TARGET = 64, 16
"""Tokens of an input and of a target."""


def tokenised(tokenizer: Any, rows: dict[str, list[str]]) -> Any:
    """Inputs with the tokens of their targets as labels."""
    found = tokenizer(rows["input"], max_length=LENGTH, truncation=True)
    labels = tokenizer(text_target=[f"{text}</s>" for text in rows["target"]], max_length=TARGET, truncation=True)
    found["labels"] = labels["input_ids"]
    return found


def main() -> None:
    """Trains, then writes the outputs of the validation rows and of the test rows."""
    asked = common.writer(__doc__ or "").parse_args()
    set_seed(asked.seed)
    files = {split: str(asked.data / f"{split}.parquet") for split in ("train", "validation", "test")}
    rows: Any = datasets.load_dataset("parquet", data_files=files)
    tokenizer: Any = AutoTokenizer.from_pretrained(asked.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(asked.model)
    names = rows["train"].column_names
    parts = {
        split: part.map(lambda batch: tokenised(tokenizer, batch), batched=True, remove_columns=names)
        for split, part in rows.items()
    }

    def right(found: Any) -> dict[str, float]:
        outputs, labels = (
            np.where(ids < 0, tokenizer.pad_token_id, ids) for ids in (found.predictions, found.label_ids)
        )
        pairs = zip(*(tokenizer.batch_decode(ids, skip_special_tokens=True) for ids in (outputs, labels)), strict=True)
        return {"exact_match": float(np.mean([one.strip() == other.strip() for one, other in pairs]))}

    trainer = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            **common.settings(asked),
            per_device_eval_batch_size=128,
            predict_with_generate=True,
            # the start token counts
            generation_max_length=asked.written + 1,
            generation_num_beams=1,
            eval_strategy="epoch",
        ),
        train_dataset=parts["train"],
        eval_dataset=parts["validation"],
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model, label_pad_token_id=-100),
        processing_class=tokenizer,
        compute_metrics=right,
    )
    trainer.train()
    trainer.save_model()
    found = trainer.predict(parts["test"]).metrics or {}
    common.result(score=found["test_exact_match"], examples=len(rows["train"]))


if __name__ == "__main__":
    main()

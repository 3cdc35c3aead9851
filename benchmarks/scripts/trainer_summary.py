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

LENGTH, TARGET, WRITTEN = 64, 16, 12
"""Tokens of an input, of a target, and of an output with its start token."""


def tokenised(tokenizer: Any, rows: dict[str, list[str]]) -> Any:
    """Inputs with the tokens of their targets as labels."""
    found = tokenizer(rows["input"], max_length=LENGTH, truncation=True)
    labels = tokenizer(text_target=[f"{text}</s>" for text in rows["target"]], max_length=TARGET, truncation=True)
    found["labels"] = labels["input_ids"]
    return found


def main() -> None:
    """Trains for one epoch, then writes the outputs of the validation rows and of the test rows."""
    options = common.parser(__doc__ or "")
    options.add_argument("--lr", type=float, default=1e-3)
    asked = options.parse_args()
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
            output_dir=asked.output,
            num_train_epochs=1,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=128,
            learning_rate=asked.lr,
            predict_with_generate=True,
            generation_max_length=WRITTEN,
            generation_num_beams=1,
            eval_strategy="epoch",
            use_cpu=True,
            seed=asked.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
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

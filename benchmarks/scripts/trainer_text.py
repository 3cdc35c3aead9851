"""Text classification as run_glue.py does it: HF Trainer with dynamic padding and length-grouped batches; or with peft.

After the training the model is evaluated on the validation rows, then on the test rows.
"""

from typing import Any

import datasets
import numpy as np
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from benchmarks.scripts import common


def accuracy(found: Any) -> dict[str, float]:
    """Share of right labels."""
    return {"accuracy": float((np.argmax(found.predictions, -1) == found.label_ids).mean())}


def main() -> None:
    """Trains for one epoch, evaluates, and saves the model."""
    options = common.parser(__doc__ or "")
    options.add_argument("--lora", action="store_true")
    options.add_argument("--lr", type=float, default=1e-4)
    asked = options.parse_args()
    facts = common.facts(asked.data)
    set_seed(asked.seed)
    files = {split: str(asked.data / f"{split}.parquet") for split in ("train", "validation", "test")}
    rows = datasets.load_dataset("parquet", data_files=files)
    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    model: Any = AutoModelForSequenceClassification.from_pretrained(asked.model, num_labels=len(facts["labels"]))
    if asked.lora:
        from peft import LoraConfig, TaskType, get_peft_model

        model = get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS, r=8, lora_alpha=16, lora_dropout=0.1))

    def encode(batch: dict[str, Any]) -> dict[str, Any]:
        encoded = tokenizer(*(batch[name] for name in facts["text"]), max_length=128, truncation=True)
        return {**encoded, "labels": batch[facts["label"]]}

    rows = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=asked.output,
            num_train_epochs=1,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=32,
            learning_rate=asked.lr,
            train_sampling_strategy="group_by_length",
            use_cpu=True,
            seed=asked.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=accuracy,
    )
    trainer.train()
    trainer.save_model()
    trainer.evaluate()
    found: Any = trainer.predict(rows["test"])
    common.result(score=accuracy(found)["accuracy"], examples=len(rows["train"]))


if __name__ == "__main__":
    main()

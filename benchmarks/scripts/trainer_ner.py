"""Token classification as run_ner.py does it: HF Trainer, dynamic padding, entity F1 by seqeval."""

from importlib import import_module
from typing import Any

import datasets
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from benchmarks.scripts import common


def main() -> None:
    """Trains for one epoch, evaluates on the validation rows, then on the test rows."""
    options = common.parser(__doc__ or "")
    options.add_argument("--lr", type=float, default=1e-4)
    asked = options.parse_args()
    facts = common.facts(asked.data)
    labels: list[str] = facts["labels"]
    set_seed(asked.seed)
    files = {split: str(asked.data / f"{split}.parquet") for split in ("train", "validation", "test")}
    rows = datasets.load_dataset("parquet", data_files=files)
    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    model = AutoModelForTokenClassification.from_pretrained(asked.model, num_labels=len(labels))

    def encode(batch: dict[str, Any]) -> dict[str, Any]:
        encoded = tokenizer(batch[facts["text"][0]], max_length=256, truncation=True, is_split_into_words=True)
        aligned = []
        for number, tags in enumerate(batch[facts["label"]]):
            before, found = None, []
            for word in encoded.word_ids(batch_index=number):
                # the first piece of a word has its tag, the others none
                found.append(tags[word] if word is not None and word != before else -100)
                before = word
            aligned.append(found)
        return {**encoded, "labels": aligned}

    # a package without types
    f1_score: Any = import_module("seqeval.metrics").f1_score

    def scores(found: Any) -> dict[str, float]:
        guesses = found.predictions.argmax(-1)
        kept = found.label_ids != -100
        gold = [[labels[n] for n in row[on]] for row, on in zip(found.label_ids, kept, strict=True)]
        said = [[labels[n] for n in row[on]] for row, on in zip(guesses, kept, strict=True)]
        return {"f1": float(f1_score(gold, said))}

    rows = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=asked.output,
            num_train_epochs=1,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=32,
            learning_rate=asked.lr,
            use_cpu=True,
            seed=asked.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=scores,
    )
    trainer.train()
    trainer.save_model()
    trainer.evaluate()
    found = trainer.predict(rows["test"])
    common.result(score=(found.metrics or {})["test_f1"], examples=len(rows["train"]))


if __name__ == "__main__":
    main()

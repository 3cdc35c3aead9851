"""A decoder that goes on behind a prompt, as TRL's SFTTrainer trains it: prompt and completion, loss on the latter."""

from typing import Any

from benchmarks.scripts import common


def rows_of(data: Any, split: str) -> Any:
    """Prompts as ours are, with a line break behind them, and the targets as completions."""
    import datasets

    rows: Any = datasets.load_dataset("parquet", data_files=str(data / f"{split}.parquet"), split="train")
    (text,), label = (common.facts(data)[key] for key in ("text", "label"))
    return rows.map(
        lambda row: {"prompt": f"{row[text]}\n", "completion": row[label]}, remove_columns=rows.column_names
    )


def trainer_of(asked: Any, model: Any, tokenizer: Any, train: Any) -> Any:
    """Their trainer with the settings of the comparison."""
    from trl import SFTConfig, SFTTrainer

    return SFTTrainer(
        model=model,
        args=SFTConfig(
            **common.settings(asked),
            max_length=asked.length + asked.target,
            completion_only_loss=True,
            gradient_checkpointing=False,
            bf16=False,
        ),
        train_dataset=train,
        processing_class=tokenizer,
    )


def main() -> None:
    """Trains, then writes the outputs of the validation rows and of the test rows."""
    asked = common.writer(__doc__ or "").parse_args()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(asked.seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(asked.model, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(asked.model)
    train = rows_of(asked.data, "train")
    trainer = trainer_of(asked, model, tokenizer, train)
    trainer.train()
    trainer.save_model()
    model.eval()
    score = 0.0
    for split in ("validation", "test"):
        rows = rows_of(asked.data, split)
        right = 0
        for start in range(0, len(rows), 128):
            part = rows[start : start + 128]
            options = {"truncation": True, "max_length": asked.length, "return_token_type_ids": False}
            batch = tokenizer(part["prompt"], padding=True, return_tensors="pt", **options)
            with torch.inference_mode():
                outputs = model.generate(**batch, max_new_tokens=asked.written)[:, batch["input_ids"].shape[1] :]
            texts = tokenizer.batch_decode(outputs, skip_special_tokens=True)
            right += sum(one.strip() == other for one, other in zip(texts, part["completion"], strict=True))
        score = right / len(rows)
    common.result(score=score, examples=len(train))


if __name__ == "__main__":
    main()

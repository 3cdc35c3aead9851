"""A decoder that goes on behind a prompt, as TRL's SFTTrainer trains it: prompt and completion, loss on the latter."""

from typing import Any

from benchmarks.scripts import common

WRITTEN, LENGTH = 11, 80


def rows_of(data: Any, split: str) -> Any:
    """Prompts as ours are, with a line break behind them, and the targets as completions."""
    import datasets

    rows: Any = datasets.load_dataset("parquet", data_files=str(data / f"{split}.parquet"), split="train")
    return rows.map(
        lambda row: {"prompt": f"{row['input']}\n", "completion": row["target"]}, remove_columns=rows.column_names
    )


def trainer_of(asked: Any, model: Any, tokenizer: Any, train: Any) -> Any:
    """Their trainer with the settings of the comparison."""
    from trl import SFTConfig, SFTTrainer

    return SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=asked.output,
            num_train_epochs=1,
            per_device_train_batch_size=32,
            learning_rate=asked.lr,
            max_length=LENGTH,
            completion_only_loss=True,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            seed=asked.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=train,
        processing_class=tokenizer,
    )


def main() -> None:
    """Trains for one epoch, then writes the outputs of the validation rows and of the test rows."""
    options = common.parser(__doc__ or "")
    options.add_argument("--lr", type=float, default=1e-3)
    asked = options.parse_args()
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
            batch = tokenizer(part["prompt"], padding=True, return_tensors="pt", return_token_type_ids=False)
            with torch.inference_mode():
                outputs = model.generate(**batch, max_new_tokens=WRITTEN)[:, batch["input_ids"].shape[1] :]
            texts = tokenizer.batch_decode(outputs, skip_special_tokens=True)
            right += sum(one.strip() == other for one, other in zip(texts, part["completion"], strict=True))
        score = right / len(rows)
    common.result(score=score, examples=len(train))


if __name__ == "__main__":
    main()

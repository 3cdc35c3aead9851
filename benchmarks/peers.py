"""What a user would pick instead, written from the documented API of transformers and peft.

``python -m benchmarks.peers JOB`` measures one variant.

Same encoder weights, head, rows, batch size, epochs, optimizer, schedule and seeds as in `benchmarks.ours`. The clock
starts when the rows are tokenised and stops when the model is trained, with one validation after each epoch; no
checkpoint is written in between, though ours writes them.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

from benchmarks.measure import Clock, Job, Measurement, peak_memory_mb, report
from benchmarks.rows import SPLITS, read_facts
from transferlab.encoders.loading import locate

TEMPERATURE, ALPHA = 2.0, 0.5


class Peer(NamedTuple):
    """What sets a variant apart.

    Attributes:
        padding: ``max_length`` as in run_glue.py, ``dynamic`` to the longest of a batch, or ``grouped``: dynamic, and
            rows of similar length in one batch.
        train: What learns: ``all``, ``head``, or ``lora``.
        teacher: Whether a teacher answers in every step.
    """

    padding: str = "dynamic"
    train: str = "all"
    teacher: bool = False


VARIANTS = {
    "full_padded": Peer(padding="max_length"),
    "full_grouped": Peer(padding="grouped"),
    "full": Peer(),
    "frozen": Peer(train="head"),
    "lora": Peer(train="lora"),
    "distillation": Peer(teacher=True),
}


class Classifier(nn.Module):
    """An encoder with mean pooling, dropout and a linear layer; for tagging the same on every token.

    Args:
        encoder: A BERT without head.
        outputs: Number of classes.
        tagging: Whether each token has a label.
    """

    def __init__(self, encoder: nn.Module, outputs: int, tagging: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.tagging = tagging
        self.dropout = nn.Dropout(0.1)
        config: Any = encoder.config
        self.head = nn.Linear(config.hidden_size, outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Loss and logits ``[batch, classes]``, for tagging ``[batch, length, classes]`` with -100 for no label."""
        vectors = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if not self.tagging:
            mask = attention_mask.unsqueeze(-1)
            vectors = (vectors * mask).sum(1) / mask.sum(1)
        logits = self.head(self.dropout(vectors)).float()
        if labels is None:
            return {"logits": logits}
        return {"loss": functional.cross_entropy(logits.flatten(0, -2), labels.flatten()), "logits": logits}


class DistillingTrainer(Trainer):
    """Asks the teacher in every step: ``alpha CE + (1 - alpha) T^2 KL(teacher || student)``."""

    teacher: nn.Module

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch; in validation the teacher is not asked."""
        outputs = model(**inputs)
        loss = outputs["loss"]
        if model.training:
            with torch.no_grad():
                wanted = self.teacher(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            divergence = functional.kl_div(
                (outputs["logits"] / TEMPERATURE).log_softmax(-1),
                (wanted.float() / TEMPERATURE).softmax(-1),
                reduction="batchmean",
            )
            loss = ALPHA * loss + (1 - ALPHA) * TEMPERATURE**2 * divergence
        return (loss, outputs) if return_outputs else loss


def build(job: Job, peer: Peer, outputs: int, tagging: bool) -> Classifier:
    """The model of a variant, with only what learns left trainable."""
    encoder: Any = AutoModel.from_pretrained(locate(job.encoder, None).target)
    # ours pools itself; left in, it would be a part without gradient
    encoder.pooler = None
    if job.keep_layers:
        encoder.encoder.layer = nn.ModuleList(encoder.encoder.layer[number] for number in job.keep_layers)
        encoder.config.num_hidden_layers = len(job.keep_layers)
    if peer.train == "head":
        encoder.requires_grad_(False)
    if peer.train == "lora":
        from peft import LoraConfig, get_peft_model

        encoder = get_peft_model(encoder, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    return Classifier(encoder, outputs, tagging)


def optimizer(model: Classifier, job: Job) -> torch.optim.Optimizer:
    """Fused AdamW with a rate for the head and no decay on biases and norms, as in our strategies."""
    groups = [
        {"params": [p for p in part.parameters() if p.requires_grad and (p.ndim > 1) == decays], "lr": lr, **decay}
        for part, lr in ((model.encoder, job.lr), (model.head, job.head_lr))
        for decays, decay in ((True, {}), (False, {"weight_decay": 0.0}))
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=job.lr, weight_decay=0.01, fused=True)


def arguments(job: Job, peer: Peer) -> TrainingArguments:
    """The settings of the Trainer."""
    return TrainingArguments(
        output_dir=job.folder,
        num_train_epochs=job.epochs,
        per_device_train_batch_size=job.batch_size,
        per_device_eval_batch_size=128,
        lr_scheduler_type="linear",
        warmup_steps=0.1,
        max_grad_norm=1.0,
        bf16=job.precision == "bf16",
        use_cpu=True,
        seed=job.seed,
        train_sampling_strategy="group_by_length" if peer.padding == "grouped" else "random",
        eval_strategy="epoch",
        prediction_loss_only=True,
        save_strategy="no",
        logging_steps=20,
        report_to="none",
        disable_tqdm=True,
    )


def tokenised(job: Job, peer: Peer, tokenizer: Any) -> Any:
    """The splits with ``input_ids`` and ``labels``; for tagging a word's label is that of its first piece."""
    import datasets

    facts = read_facts(job.data)
    files = {split: str(Path(job.data) / f"{split}.parquet") for split in SPLITS}
    rows = datasets.load_dataset("parquet", data_files=files)
    columns = facts["text"]
    options: dict[str, Any] = {"truncation": True, "max_length": job.max_length}
    if peer.padding == "max_length":
        options["padding"] = "max_length"

    def encode(batch: dict[str, Any]) -> dict[str, Any]:
        encoded = tokenizer(*(batch[name] for name in columns), **options)
        return {**encoded, "labels": batch[facts["label"]]}

    def encode_words(batch: dict[str, Any]) -> dict[str, Any]:
        encoded = tokenizer(batch[columns[0]], is_split_into_words=True, **options)
        labels = []
        for number, tags in enumerate(batch[facts["label"]]):
            words = encoded.word_ids(number)
            first = [word is not None and word != before for word, before in zip(words, [None, *words], strict=False)]
            labels.append([tags[word] if starts else -100 for word, starts in zip(words, first, strict=True)])
        return {**encoded, "labels": labels}

    function = encode_words if facts["kind"] == "tagging" else encode
    return rows.map(function, batched=True, remove_columns=rows["train"].column_names)


def fit(job: Job) -> Measurement:
    """Trains a variant and scores it on the test rows."""
    peer, facts = VARIANTS[job.variant], read_facts(job.data)
    set_seed(job.seed)
    tagging = facts["kind"] == "tagging"
    tokenizer = AutoTokenizer.from_pretrained(locate(job.encoder, None).target)
    clock = Clock()
    data = tokenised(job, peer, tokenizer)
    tokenising = clock.read("tokenise_")
    model = build(job, peer, len(facts["labels"]), tagging)
    trainer = (DistillingTrainer if peer.teacher else Trainer)(
        model=model,
        args=arguments(job, peer),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=(DataCollatorForTokenClassification if tagging else DataCollatorWithPadding)(tokenizer),
        processing_class=tokenizer,
        optimizers=(optimizer(model, job), None),
    )
    if isinstance(trainer, DistillingTrainer):
        trainer.teacher = AutoModelForSequenceClassification.from_pretrained(f"{job.teacher}/../../../exported").eval()
    # as on our side, model and Trainer are there when the clock starts
    clock = Clock()
    trainer.train()
    training = clock.read() | {"peak_mem_mb": peak_memory_mb()}
    return {
        **tokenising,
        **training,
        "score": score(trainer, data["test"], facts),
        "epochs": job.epochs,
        "examples": len(data["train"]),
        "tokens": sum(sum(mask) for mask in data["train"]["attention_mask"]),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def score(trainer: Trainer, rows: Any, facts: dict[str, Any]) -> float:
    """Accuracy, or entity F1 by the rules of conlleval."""
    trainer.args.prediction_loss_only = False
    found: Any = trainer.predict(rows)
    classes = found.predictions.argmax(-1)
    if facts["kind"] != "tagging":
        return float((classes == found.label_ids).mean())
    from transferlab.tasks.iob import spans

    right = total = 0
    for row, gold in zip(classes, found.label_ids, strict=True):
        kept = gold >= 0
        ours, theirs = ({*spans([facts["labels"][c] for c in tags[kept]])} for tags in (row, gold))
        right += len(ours & theirs)
        total += len(ours) + len(theirs)
    return 2 * right / max(total, 1)


def predict(job: Job) -> Measurement:
    """Labels the test rows with a pipeline, from raw text."""
    import datasets

    facts = read_facts(job.data)
    rows = datasets.load_dataset("parquet", data_files={"test": f"{job.data}/test.parquet"}, split="test")
    texts, gold = rows[facts["text"][0]][:], rows[facts["label"]][:]
    classify = pipeline("text-classification", model=f"{job.teacher}/../../../exported", batch_size=32, device="cpu")
    clock = Clock()
    answers = classify(texts, truncation=True, max_length=job.max_length)
    measured = clock.read() | {"peak_mem_mb": peak_memory_mb()}
    right = sum(answer["label"] == facts["labels"][label] for answer, label in zip(answers, gold, strict=True))
    return measured | {"score": right / len(gold), "examples": len(gold)}


def main() -> None:
    """Measures the job in the first argument."""
    job = Job.read()
    report(predict(job) if job.variant == "predict" else fit(job))


if __name__ == "__main__":
    main()

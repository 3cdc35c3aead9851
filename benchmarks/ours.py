"""Our side of a comparison, through the real command: ``python -m benchmarks.ours JOB``.

The clock starts when the rows are tokenised and stops when the model is trained, so it counts all that
`transferlab fit` does in between: features or teacher logits, validation before training and after each epoch,
checkpoints, the record.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from benchmarks.measure import Clock, Job, Measurement, peak_memory_mb, report
from benchmarks.rows import read_facts, read_source
from transferlab.cli.train import TransferCLI
from transferlab.encoders import EncoderConfig
from transferlab.ground.quiet import quiet
from transferlab.strategies import Strategy
from transferlab.tasks import TaskDataModule

Tree = dict[str, Any]


# variant: the strategy file, and what is laid over its `model.init_args`
VARIANTS: dict[str, tuple[str, Tree]] = {
    "full": ("full_finetuning", {}),
    # stepped as on the other side, over as many epochs
    "frozen": ("feature_extraction", {"solver": None, "head": {"kind": "linear", "unit": None}}),
    "top_layer": ("top_layers", {"top_layers": 1}),
    "top_layer_uncached": ("top_layers", {"top_layers": 1}),
    "lora": ("lora", {}),
    "distillation": ("distillation", {}),
    # pooled and read like the classification model of transformers, so that it can be exported as one
    "teacher": ("full_finetuning", {"head": {"kind": "mlp"}}),
}


class MeasuredCLI(TransferCLI):
    """`transferlab fit` with a clock from tokenised rows to the trained model."""

    finish = False
    tokenising: Measurement
    training: Measurement

    def before_fit(self) -> None:
        """Tokenises, then starts the clock."""
        clock = Clock()
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        self.tokenising = clock.read("tokenise_")
        self.clock = Clock()
        super().before_fit()

    def after_fit(self) -> None:
        """Stops the clock; the weights stay those of the last epoch, as on the other side."""
        self.training = self.clock.read() | {"peak_mem_mb": peak_memory_mb()}
        if self.finish:
            super().after_fit()


def experiment(job: Job) -> Tree:
    """The experiment file of a job."""
    strategy, arguments = VARIANTS[job.variant]
    settings: Tree = {
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": job.lr}},
        "schedule": {"kind": "linear", "warmup": 0.1},
        **arguments,
        "head": {"lr": job.head_lr, **arguments.get("head", {})},
    }
    if job.variant == "distillation":
        settings["teacher"] = job.teacher
    pooling = "cls" if job.variant == "teacher" else "mean"
    return {
        "bases": ["trainer/cpu", "logger/none", f"strategy/{strategy}"],
        "seed_everything": job.seed,
        "run": {"experiment": job.variant, "root": f"{job.folder}/runs"},
        "cache": {"enabled": not job.variant.endswith("uncached")},
        "encoder": {"name": job.encoder, "pooling": pooling, "keep_layers": list(job.keep_layers)},
        "data": {
            "class_path": "transferlab.tasks.TaskDataModule",
            "init_args": {
                "task": read_facts(job.data)["task"],
                "source": asdict(read_source(job.data, ("train", "validation"))),
                "batch_size": job.batch_size,
                "max_length": job.max_length,
            },
        },
        "model": {"init_args": settings},
        "trainer": {"max_epochs": job.epochs, "precision": {"bf16": "bf16-mixed", "fp32": "32-true"}[job.precision]},
        # the other side trains all epochs
        "early_stopping": {"patience": 1000},
    }


def fit(job: Job) -> Measurement:
    """Runs `transferlab fit` on a job and scores the last weights on the test rows."""
    path = Path(job.folder) / f"{job.variant}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(experiment(job), sort_keys=False), encoding="utf-8")
    MeasuredCLI.finish = job.variant == "teacher"
    run = MeasuredCLI(["fit", "--config", str(path)])
    if job.variant == "teacher":
        export(run.model, Path(job.folder) / "exported")
    lengths = run.datamodule.encoded("train").ids.lengths
    return {
        **run.tokenising,
        **run.training,
        "score": score(job, run),
        "epochs": run.trainer.current_epoch,
        "examples": len(lengths),
        "tokens": int(lengths.sum()),
        "run": str(run.folder),
    }


def score(job: Job, run: MeasuredCLI) -> float:
    """The metric of the last weights on the test rows, which are read by the encoder itself and not from a cache."""
    facts = read_facts(job.data)
    tests = read_source(job.data, ("train", "test"))
    module = TaskDataModule(facts["task"], run.datamodule.encoder, tests, max_length=job.max_length)
    values = plain_trainer(job).validate(run.model, module, verbose=False)[0]
    return values[f"val/{facts['metric']}"]


def plain_trainer(job: Job) -> L.Trainer:
    """A Trainer that keeps no record."""
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        precision="bf16-mixed" if job.precision == "bf16" else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=job.folder,
    )


def export(model: Strategy, folder: Path) -> None:
    """Saves a fine-tuned model as transformers' classification model, which gives the same logits.

    BERT reads ``W2 tanh(W1 h_cls + b1) + b2``: our `mlp` head on `cls` pooling with ``b1 = 0``.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from transferlab.encoders.loading import locate

    place = locate(model.encoder_config.name, model.encoder_config.revision).target
    labels = dict(enumerate(model.task.labels))
    peer = AutoModelForSequenceClassification.from_pretrained(
        place, id2label=labels, label2id={name: number for number, name in labels.items()}
    )
    weights = {f"bert.{name}": value for name, value in model.encoder.backbone.state_dict().items()}
    dense: Any = model.head.inner
    weights["bert.pooler.dense.weight"] = dense[0].weight
    weights["bert.pooler.dense.bias"] = dense[0].weight.new_zeros(len(dense[0].weight))
    weights |= {f"classifier.{name}": value for name, value in model.head.out.state_dict().items()}
    peer.load_state_dict(weights)
    peer.save_pretrained(folder)
    AutoTokenizer.from_pretrained(place).save_pretrained(folder)


def predict(job: Job) -> Measurement:
    """Labels the test rows from raw text with a finished run; the clock includes tokenising and the records."""
    from transferlab.record.predictions import records
    from transferlab.strategies.teacher import restore

    model = restore(Path(job.teacher))
    tests = read_source(job.data, ("train", "test"), predict=("test",))
    encoder: EncoderConfig = replace(model.encoder_config, name=job.encoder)
    module = TaskDataModule(model.task.name, encoder, tests, max_length=job.max_length)
    rows = module.rows("test").rows
    trainer = plain_trainer(job)
    clock = Clock()
    outputs: Any = trainer.predict(model, module)
    lines = sorted(
        (line for batch in outputs for line in records(model.task, batch, None)), key=lambda line: line["id"]
    )
    measured = clock.read() | {"peak_mem_mb": peak_memory_mb()}
    gold = [model.task.labels[number] for number in rows[read_facts(job.data)["label"]][:]]
    right = sum(line["prediction"] == label for line, label in zip(lines, gold, strict=True))
    lengths = module.encoded("test").ids.lengths
    return measured | {"score": right / len(gold), "examples": len(gold), "tokens": int(lengths.sum())}


def main() -> None:
    """Measures the job in the first argument."""
    quiet()
    job = Job.read()
    report(predict(job) if job.variant == "predict" else fit(job))


if __name__ == "__main__":
    main()

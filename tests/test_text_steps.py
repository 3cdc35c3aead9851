"""Steps of a model that writes are those of transformers' Trainer on the same batches: losses and weights."""

import copy

import lightning as L
import pytest
import torch
from torch.optim import AdamW
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from transferlab.encoders import EncoderConfig
from transferlab.encoders.one_way import positions
from transferlab.learning.kinds import text
from transferlab.learning.optim import Schedule
from transferlab.strategies import FullFineTuning
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batch import IGNORE, collate
from transferlab.tasks.generation import Generation

STEPS, SIZE, RATE, DECAY, WARMUP = 20, 8, 3e-3, 0.01, 0.1


def adamw(parameters):
    return AdamW(parameters, lr=RATE, weight_decay=DECAY)


def theirs_of(batch, causal):
    """A batch as transformers reads it: a decoder's prompt and target in one row, the prompt not learned."""
    if not causal:
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}
    mask = torch.cat([batch.attention_mask, (batch.labels != IGNORE).long()], 1)
    return {
        "input_ids": torch.cat([batch.input_ids, batch.labels.clamp(min=0)], 1),
        "attention_mask": mask,
        "position_ids": positions(mask),
        "labels": torch.cat([torch.full_like(batch.input_ids, IGNORE), batch.labels], 1),
    }


def theirs_trained(causal, model, batches, folder, accumulate):
    """The losses of the steps of their Trainer, which takes these batches in this order."""
    kinds = (Trainer, TrainingArguments) if causal else (Seq2SeqTrainer, Seq2SeqTrainingArguments)

    class Given(kinds[0]):
        def get_train_dataloader(self):
            return torch.utils.data.DataLoader(batches, batch_size=None)

        def get_decay_parameter_names(self, model):
            # by name, T5's table of relative positions would be a bias
            return [key for key, value in model.named_parameters() if value.ndim >= 2]

        def training_step(self, *arguments, **named):
            loss = super().training_step(*arguments, **named)
            losses.append(float(loss))
            return loss

    losses: list[float] = []

    settings = {
        "output_dir": str(folder),
        "num_train_epochs": 1,
        "gradient_accumulation_steps": accumulate,
        "learning_rate": RATE,
        "weight_decay": DECAY,
        "warmup_steps": WARMUP,
        "optim": "adamw_torch",
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    trainer = Given(model=model, args=kinds[1](**settings), train_dataset=batches)
    if not causal:
        # T5 takes the number of tokens of a step and does not divide by it (transformers 5.23), so its loss and gradient
        # would be as many times too large as batches are accumulated; these targets are all of one length
        trainer.model_accepts_loss_kwargs = False
    trainer.train()
    return [sum(losses[start : start + accumulate]) for start in range(0, len(losses), accumulate)]


class Noted(L.Callback):
    """Notes the loss of each step."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        if (number + 1) % trainer.accumulate_grad_batches == 0:
            self.losses.append(float(trainer.callback_metrics["train/loss"]))


@pytest.mark.parametrize(("accumulate", "large"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("name", ["t5", "llama"])
def test_steps_are_those_of_their_trainer(name, accumulate, large, tmp_path, monkeypatch):
    if large:
        # as with a large vocabulary, where the gradient of the logits takes their place
        monkeypatch.setattr(text, "LARGE", 0)
    config = EncoderConfig(f"embedded/{name}", architecture="random", pooling="last")
    generation = Generation(target_length=16, max_new_tokens=11)
    data = TaskDataModule("demo_dates", config, max_length=64, generation=generation)
    data.setup("fit")
    split, rows = data.part_rows("train")
    batches = [collate(data.encoded(split), rows[start : start + SIZE]) for start in range(0, STEPS * SIZE, SIZE)]
    torch.manual_seed(0)
    model = FullFineTuning(data.spec, config, optimizer=adamw, schedule=Schedule(warmup=WARMUP))
    other = copy.deepcopy(model.encoder.backbone)
    noted = Noted()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        gradient_clip_val=1.0,
        accumulate_grad_batches=accumulate,
        callbacks=[noted],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    causal = name == "llama"
    want = theirs_trained(causal, other, [theirs_of(batch, causal) for batch in batches], tmp_path, accumulate)
    assert noted.losses == pytest.approx(want, abs=1e-5)
    known = dict(other.named_parameters())
    for key, value in model.encoder.backbone.named_parameters():
        torch.testing.assert_close(value, known[key], rtol=0, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")

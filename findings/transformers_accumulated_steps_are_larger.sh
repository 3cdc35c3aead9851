#!/usr/bin/env bash
# transformers 5.23.0: accumulated steps of Trainer are as many times too large as there are batches in them.
#
# Guessed: gradient_accumulation_steps=4 with 2 rows a batch makes the step of one batch of 8 rows.
# Seen: with the models for sequence classification the gradient is 4 times that, and so is the logged loss: Trainer leaves the
# division to any model whose forward has **kwargs, and these do not divide. A compute_loss of one's own that returns a mean
# is hit too. Clipping at 1 and Adam hide most of it, SGD shows it all; every loss curve is 4 times as high. With
# label_smoothing_factor the step is right, so runs with and without it are not compared at the same rate.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 accelerate==1.15.0
cd "$place" && TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import copy

import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 50}
still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
start = BertForSequenceClassification(BertConfig(**sizes, **still))
rows = [{"input_ids": torch.randint(1, 50, (6,)), "labels": torch.tensor(row % 2)} for row in range(8)]


class Own(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return torch.nn.functional.cross_entropy(model(inputs["input_ids"]).logits, inputs["labels"])


def step(kind, size, times, **more):
    """Length of the change that one step makes, and the loss that is reported."""
    off = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True, "use_cpu": True}
    more |= {"optim": "sgd", "learning_rate": 0.1, "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "max_steps": 1}
    arguments = TrainingArguments("out", per_device_train_batch_size=size, gradient_accumulation_steps=times, **more, **off)
    model = copy.deepcopy(start)
    loss = kind(model=model, args=arguments, train_dataset=rows).train().training_loss
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    return float(torch.cat([(new - old).flatten() for new, old in pairs]).norm()), loss


def ratio(kind, **more):
    (much, high), (once, low) = step(kind, 2, 4, **more), step(kind, 8, 1, **more)
    return round(much / once, 2), round(high / low, 2)


seen = {"Trainer": ratio(Trainer), "compute_loss": ratio(Own), "smoothing": ratio(Trainer, label_smoothing_factor=0.1)}
print("transformers", transformers.__version__, "4 batches of 2 rows against one of 8, step and loss:", seen)
assert seen["smoothing"] == (1.0, 1.0)
assert seen["Trainer"] == seen["compute_loss"] == (4.0, 4.0), "accumulated steps have their size now"
PY

#!/usr/bin/env bash
# transformers 5.23.0: eval_loss of Trainer depends on the batch size where a batch has many labels.
#
# Guessed: the loss of an evaluation is the mean over all labelled tokens, as that of training has become.
# Seen: each batch gives the mean over its own tokens, and these means are averaged by the number of texts: a tag in a short
# sentence counts more than one in a long one, by as much as the batches are small. The same model on the same seven
# sentences has another loss with batches of 1, 2 and 7, and load_best_model_at_end may keep another checkpoint.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 accelerate==1.15.0
cd "$place" && TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForTokenClassification, Trainer, TrainingArguments

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 50}
model = BertForTokenClassification(BertConfig(**sizes, num_labels=3, initializer_range=0.5)).eval()
lengths = (2, 20, 3, 18, 2, 12, 4)
rows = [{"input_ids": torch.randint(1, 50, (length,)), "labels": torch.randint(0, 3, (length,))} for length in lengths]


def batch(rows):
    pad = torch.nn.utils.rnn.pad_sequence
    ids = pad([row["input_ids"] for row in rows], batch_first=True)
    labels = pad([row["labels"] for row in rows], batch_first=True, padding_value=-100)
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels}


def evaluate(size):
    arguments = TrainingArguments("out", per_device_eval_batch_size=size, report_to="none", use_cpu=True, disable_tqdm=True)
    trainer = Trainer(model=model, args=arguments, data_collator=batch, eval_dataset=rows)
    return round(trainer.evaluate()["eval_loss"], 3)


with torch.no_grad():
    each = [cross_entropy(model(row["input_ids"][None]).logits[0], row["labels"], reduction="sum") for row in rows]
mean, seen = round(float(sum(each)) / sum(lengths), 3), {size: evaluate(size) for size in (1, 2, 7)}
print("transformers", transformers.__version__, "mean over the tokens", mean, "eval_loss by batch size", seen)
assert abs(seen[7] - mean) < 0.002
assert abs(seen[1] - mean) > 0.01, "eval_loss is the mean over the tokens now"
PY

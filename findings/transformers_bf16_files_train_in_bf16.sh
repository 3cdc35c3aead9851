#!/usr/bin/env bash
# transformers 5.23.0: a model whose file is in bfloat16 is trained in bfloat16, and most of its weights do not move.
#
# Guessed: from_pretrained gives weights in float32, as torch does and version 4 did, and steps of 2e-5, the usual rate of fine-tuning,
# change all of them.
# Seen: the weights have the type of the file. Near 0.02 bfloat16 has steps of 1e-4, so an update of 2e-5 is rounded away: after 20 steps
# of AdamW seven of ten weights of a matrix are what they were, and nothing is said. With dtype=torch.float32 every weight moves. Any
# model that was saved after .to(torch.bfloat16) is such a file.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - "$place/model" 2> "$place/said" <<'PY' || { cat "$place/said"; exit 1; }
import sys

import torch
import transformers
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
BertForSequenceClassification(BertConfig(vocab_size=50, **sizes)).to(torch.bfloat16).save_pretrained(sys.argv[1])
words, labels = torch.randint(50, (16, 10)), torch.arange(16) % 2


def moved(**how):
    """The type of the weights that are read, and the share of a matrix that 20 steps change."""
    model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], **how)
    weight = model.bert.encoder.layer[0].intermediate.dense.weight
    before, optimizer = weight.detach().clone(), torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0)
    for _ in range(20):
        optimizer.zero_grad()
        model(input_ids=words, labels=labels).loss.backward()
        optimizer.step()
    return str(model.dtype), round(float((weight != before).float().mean()), 3)


usual, asked = moved(), moved(dtype=torch.float32)
print("transformers", transformers.__version__, "as it is read:", usual, "asked for float32:", asked)
assert asked == ("torch.float32", 1.0)
assert usual[0] == "torch.bfloat16" and usual[1] < 0.5, "such a file is read in float32 now, or all weights move"
PY
grep -qiE "bfloat16|precision" "$place/said" && { echo "it is told now"; exit 1; } || true

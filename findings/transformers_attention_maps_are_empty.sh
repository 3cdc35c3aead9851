#!/usr/bin/env bash
# transformers 5.23.0: asked for attention maps, a model under its default attention gives an empty tuple.
#
# Guessed: output_attentions=True is an error under sdpa, or the layers fall back to eager for that call, as they once did.
# Seen: outputs.attentions is (), said by one log line a process. A loss over zip(student.attentions, teacher.attentions) is
# then a sum of nothing: distillation of attention trains on 0.0 and looks well. Given to from_pretrained instead of to the
# call, the same option switches the model to eager and the maps are there.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - "$place/model" 2>/dev/null <<'PY'
import sys

import torch
import transformers
from transformers import BertConfig, BertModel

sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
BertModel(BertConfig(vocab_size=50, **sizes)).save_pretrained(sys.argv[1])
ids = torch.arange(10)[None]


def maps(**more):
    return BertModel.from_pretrained(sys.argv[1], **more).eval()(ids, output_attentions=True).attentions


usual, eager, asked = maps(), maps(attn_implementation="eager"), maps(output_attentions=True)
loss = sum(torch.nn.functional.mse_loss(one, other) for one, other in zip(usual, eager))
print("transformers", transformers.__version__, "maps:", len(usual), len(eager), len(asked), "loss", loss)
assert usual == () and loss == 0, "attention maps are there, or refused, by default now"
assert len(eager) == len(asked) == 2
PY

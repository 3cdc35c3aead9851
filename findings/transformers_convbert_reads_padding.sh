#!/usr/bin/env bash
# transformers 5.23.0: ConvBertModel gives a text other vectors when its batch is padded, whatever the attention mask says.
#
# Guessed: positions that attention_mask leaves out do not change the others, as in BERT, ERNIE or DeBERTa.
# Seen: the convolutions inside its attention read the hidden states of padding, so the last tokens of a shorter text change with
# the longest text of its batch; answers depend on which texts stand together.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
"$place/venv/bin/python" -W ignore - 2>/dev/null <<'PY'
import torch
import transformers
from transformers import AutoConfig, AutoModel

SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def moved(family, **more):
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(family, **SIZES, **more)).eval()
    alone = torch.tensor([[5, 6, 7, 8]])
    padded = torch.cat([alone, torch.zeros(1, 2, dtype=torch.long)], 1)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.no_grad():
        one = model(input_ids=alone, attention_mask=torch.ones_like(alone)).last_hidden_state
        other = model(input_ids=padded, attention_mask=mask).last_hidden_state[:, :4]
    return float((one - other).abs().max())


conv, bert = moved("convbert", embedding_size=16, conv_kernel_size=3), moved("bert")
print("transformers", transformers.__version__, f"padding moves ConvBERT by {conv:.1e}, BERT by {bert:.1e}")
assert conv > 1e-4, "ConvBERT leaves padding out now"
assert bert < 1e-5
PY

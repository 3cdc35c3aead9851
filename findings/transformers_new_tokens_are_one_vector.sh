#!/usr/bin/env bash
# transformers 5.23.0: new tokens of resize_token_embeddings all get one and the same vector.
#
# Guessed: new rows are drawn at random, so that markers such as <e1> and <e2> differ from the start.
# Seen: they are the mean of the old rows plus noise of a covariance scaled down a billion times: the cosine of any two is
# 1.000000, and a frozen or briefly trained encoder can't tell which is which, nor the direction of a relation. The text
# that is logged speaks of "mean and covariance" only. mean_resizing=False draws them apart.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from transformers import BertConfig, BertModel


def closest(**more):
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertModel(BertConfig(vocab_size=1000, **sizes))
    model.resize_token_embeddings(1004, **more)
    new = torch.nn.functional.normalize(model.get_input_embeddings().weight[-4:], dim=-1)
    return float((new @ new.T)[~torch.eye(4, dtype=bool)].abs().min())


usual, apart = closest(), closest(mean_resizing=False)
print("transformers", transformers.__version__, "smallest cosine between new tokens:", usual, "without:", apart)
assert usual > 0.9999, "new tokens differ now"
assert apart < 0.9, "mean_resizing=False changed"
PY

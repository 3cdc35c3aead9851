#!/usr/bin/env bash
# transformers 5.23.0: BertForPreTraining gives no loss, and no word, where the labels of sentence pairs are missing.
#
# Guessed: with labels of masked tokens alone the loss is that of the masked tokens, since both heads are there and each has
# labels of its own (other models add what they are given labels for).
# Seen: loss is None unless both labels are given, in ALBERT's class too: labels of the tokens alone train nothing.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from transformers import AlbertConfig, AlbertForPreTraining, BertConfig, BertForPreTraining

transformers.logging.set_verbosity_error()
torch.manual_seed(0)
sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
ids = torch.tensor([[2, 7, 8, 3]])
for model, order in (
    (BertForPreTraining(BertConfig(**sizes)), "next_sentence_label"),
    (AlbertForPreTraining(AlbertConfig(embedding_size=8, **sizes)), "sentence_order_label"),
):
    alone = model(input_ids=ids, labels=ids).loss
    both = model(input_ids=ids, labels=ids, **{order: torch.tensor([0])}).loss
    print(f"transformers {transformers.__version__}, {type(model).__name__}: labels alone {alone}, both {float(both):.2f}")
    assert both is not None
    assert alone is None, "labels of the masked tokens are enough now"
PY

#!/usr/bin/env bash
# sentence-transformers 6.2.0: a CrossEncoder that fits targets with MSELoss does not predict them.
#
# Guessed: what `MSELoss` fits is what `predict` returns, so a model trained on similarities from 0 to 5 predicts from 0 to 5.
# Seen: the loss compares raw outputs with the targets, `predict` and the evaluators put a sigmoid behind one output. A model with
# a loss of zero on the target 4 predicts 0.98; targets 3 and 5 are 0.95 and 0.99. Ranks stay, so a correlation by rank hides it,
# while errors, thresholds and Pearson do not. CrossEncoder(..., activation_fn=torch.nn.Identity()) gives the targets.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 sentence-transformers==6.2.0
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - "$place" <<'PY'
import sys
from importlib.metadata import version

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.losses import MSELoss
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

plain = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "cat": 3}, unk_token="[UNK]"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(sys.argv[1])
shape = {"vocab_size": 4, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "num_labels": 1}
model = BertForSequenceClassification(BertConfig(**shape))
with torch.no_grad():
    # a model that is right: it gives 4 to every pair
    model.classifier.weight.zero_()
    model.classifier.bias.fill_(4.0)
model.save_pretrained(sys.argv[1])
usual = CrossEncoder(sys.argv[1], device="cpu")
plain = CrossEncoder(sys.argv[1], device="cpu", activation_fn=torch.nn.Identity())
loss = float(MSELoss(usual)([["a"], ["cat"]], torch.tensor([4.0])))
found, wanted = (float(one.predict([("a", "cat")])[0]) for one in (usual, plain))
print("sentence-transformers", version("sentence-transformers"), f"loss {loss:.4f} predicted {found:.4f}, plain {wanted:.4f}")
assert loss < 1e-6 and abs(wanted - 4) < 1e-4, "the model does not fit its target"
assert abs(found - 0.982) < 1e-3, "what is fitted is what is predicted now"
PY

#!/usr/bin/env bash
# peft 0.21.2: task_type="SEQ_CLS" saves the new classifier and neither trains nor saves BERT's pooler, new or not.
#
# Guessed: what get_peft_model leaves out of an adapter's folder is in the base, so the folder and the base are the model.
# Seen: a base without a pooler (a checkpoint of a masked language model) gets a random one at load, which stays frozen
# under the trained head; the folder lacks it, and the next process draws another: other logits from the same two folders,
# with no word from peft (DistilBERT's new pre_classifier is saved). modules_to_save=["pooler"] has to be asked for.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - "$place" <<'PY'
import sys

import peft
import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

base, adapter = f"{sys.argv[1]}/base", f"{sys.argv[1]}/adapter"
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
BertForMaskedLM(BertConfig(vocab_size=50, **sizes)).save_pretrained(base)
ids = torch.arange(10)[None]


def reloaded(**more):
    torch.manual_seed(1)
    model = BertForSequenceClassification.from_pretrained(base, num_labels=2)
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", **more)).eval()
    trained = sum("pooler" in name and value.requires_grad for name, value in model.named_parameters())
    model.save_pretrained(adapter)
    torch.manual_seed(2)
    again = BertForSequenceClassification.from_pretrained(base, num_labels=2)
    again = peft.PeftModel.from_pretrained(again, adapter).eval()
    return trained, float((model(input_ids=ids).logits - again(input_ids=ids).logits).abs().max())


plain, asked = reloaded(), reloaded(modules_to_save=["classifier", "pooler"])
print("peft", peft.__version__, "trained tensors of the pooler, difference after reload:", plain, asked)
assert plain[0] == 0 and plain[1] > 1e-4, "the pooler is trained or saved now"
assert asked[0] == 2 and asked[1] < 1e-6, "modules_to_save changed"
PY

#!/usr/bin/env bash
# peft 0.21.2: what is left when a PiSSA or OLoRA adapter is switched off or unloaded is not the pretrained model.
#
# Guessed: init_lora_weights says how an adapter begins. disable_adapter() gives the
# pretrained model: to compare with, or as the reference of a preference loss. So does unload().
# Seen: these beginnings take the adapter's share out of the pretrained weights and never put it back. Switched off, deleted or
# unloaded, what remains is a model that nobody trained; the comparison praises the adapter, a distance to the reference is far
# from 0 at the first step. Only a second adapter beside it gives a warning. A plain LoRA leaves the pretrained model as it was.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$place/venv/bin/python" - <<'PY'
import warnings

import peft
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertModel

SIZES = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def pretrained():
    torch.manual_seed(0)
    return BertModel(BertConfig(**SIZES, initializer_range=0.3))


def off(model):
    """How far the outputs are from those of the pretrained model."""
    given = {"input_ids": torch.arange(3, 13)[None]}
    with torch.no_grad():
        return round((model.eval()(**given)[0] - pretrained().eval()(**given)[0]).abs().max().item(), 3)


seen = {}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for kind in (True, "pissa", "olora"):
        adapted = get_peft_model(pretrained(), LoraConfig(target_modules=["query", "value"], r=4, init_lora_weights=kind))
        begins = off(adapted)
        with adapted.disable_adapter():
            switched_off = off(adapted)
        seen[kind] = begins, switched_off, off(adapted.unload())
print("peft", peft.__version__, "off the pretrained model at the start, switched off, unloaded:", seen)
assert seen[True] == (0, 0, 0)
for kind in ("pissa", "olora"):
    assert seen[kind][0] == 0 and min(seen[kind][1:]) > 0.1, "switched off, it is the pretrained model now"
    assert not any(kind in str(one.message).lower() for one in said), "it is told now"
PY

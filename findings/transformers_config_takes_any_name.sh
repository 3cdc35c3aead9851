#!/usr/bin/env bash
# transformers 5.23.0: a config takes a setting under any name, and the model has the usual value.
#
# Guessed: hidden_dropout_prob=0.5, the name in BERT, sets the dropout of each encoder, or is refused where the family calls it
# otherwise, as a misspelt argument of any function is.
# Seen: DistilBERT (dropout) and ModernBERT (mlp_dropout and others) store the name beside their own and keep 0.1 and 0.0; the
# value even stands in the saved config.json, so a table of runs shows a dropout that no run had. AutoConfig.from_pretrained
# drops the name altogether. Only from_pretrained of a model refuses it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
TRANSFORMERS_VERBOSITY=warning "$place/venv/bin/python" - "$place/saved" <<'PY'
import sys
import warnings

import torch
import transformers
from transformers import AutoConfig, AutoModel, BertConfig, DistilBertConfig, ModernBertConfig

names = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
short = {"vocab_size": 50, "dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}
modern = {**names, "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}


def dropouts(config):
    modules = AutoModel.from_config(config).modules()
    return sorted({module.p for module in modules if isinstance(module, torch.nn.Dropout)})


warnings.simplefilter("error", UserWarning)
asked = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.5)
kinds = BertConfig, DistilBertConfig, ModernBertConfig
made = {kind.__name__: kind(**sizes, **asked) for kind, sizes in zip(kinds, (names, short, modern), strict=True)}
seen = {name: dropouts(config) for name, config in made.items()}
made["DistilBertConfig"].save_pretrained(sys.argv[1])
stored = AutoConfig.from_pretrained(sys.argv[1]).hidden_dropout_prob
print("transformers", transformers.__version__, "asked for a dropout of 0.5, the modules have", seen, "config.json has", stored)
assert seen["BertConfig"] == [0.5] and stored == 0.5
assert seen["DistilBertConfig"] == [0.1], "the setting is refused or obeyed now"
assert 0.5 not in seen["ModernBertConfig"]
PY

#!/usr/bin/env bash
# peft 0.21.2: of the names in a LoraConfig that match nothing, some are told and some are dropped in silence.
#
# Guessed: a layer, a target or a part to be trained that the model does not have is refused, or at least told, as it is where
# nothing at all matches.
# Seen: layers_to_transform=[0, 99] on a model of two layers adapts layer 0; target_modules=["query", "valeu"] adapts the
# queries; modules_to_save=["clasifier"] trains no classifier; none says a word. A wrong key of rank_pattern does give a warning.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
"$place/venv/bin/python" - <<'PY' 2>/dev/null
import warnings

import peft
from transformers import BertConfig, BertModel

sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def adapted(**settings):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        given = {"target_modules": ["query"], "r": 2, **settings}
        model = peft.get_peft_model(BertModel(BertConfig(vocab_size=50, **sizes)), peft.LoraConfig(**given))
    said = [str(one.message) for one in told if "pattern" in str(one.message) or "match" in str(one.message)]
    return sum(weight.requires_grad for weight in model.parameters()), len(said)


cases = {
    "all right": {},
    "layer 99": {"layers_to_transform": [0, 99]},
    "target valeu": {"target_modules": ["query", "valeu"]},
    "part clasifier": {"modules_to_save": ["clasifier"]},
    "rank of qurey": {"rank_pattern": {"qurey": 4}},
}
found = {name: adapted(**settings) for name, settings in cases.items()}
for name, (weights, said) in found.items():
    print(f"peft {peft.__version__}, {name}: {weights} trainable weights, {said} warnings")
assert found["all right"] == (4, 0)
assert found["rank of qurey"][1] == 1
silent = {"layer 99": 2, "target valeu": 4, "part clasifier": 4}
assert all(found[name] == (weights, 0) for name, weights in silent.items()), "it is told now"
PY

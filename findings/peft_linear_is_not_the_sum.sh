#!/usr/bin/env bash
# peft 0.21.2: add_weighted_adapter(combination_type="linear") is not the weighted sum of the adapters' updates.
#
# Guessed: task arithmetic with weights 1 and 1 gives the model whose change of each matrix is the sum of both changes.
# Seen: A and B are summed apart, so the product holds the cross terms B1 A2 and B2 A1: for two unrelated adapters the
# error is as large as the sum itself. With one adapter and weight -1 it is exact, which hides it in a first test. "cat"
# is exact for sums and differences, at the price of the ranks added up.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import peft
import torch
from transformers import BertConfig, BertModel

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
settings = peft.LoraConfig(target_modules=["query"], r=4, init_lora_weights=False)
model = peft.get_peft_model(BertModel(BertConfig(vocab_size=50, **sizes)), settings, adapter_name="a")
model.add_adapter("b", settings)
model.add_weighted_adapter(["a"], [-1.0], "negated", combination_type="linear")
for kind in ("linear", "cat"):
    model.add_weighted_adapter(["a", "b"], [1.0, 1.0], kind, combination_type=kind)
query = model.base_model.model.encoder.layer[0].attention.self.query


def change(name):
    model.set_adapter(name)
    return query.get_delta_weight(name).detach()


total = change("a") + change("b")
errors = {name: float((change(name) - total).norm() / total.norm()) for name in ("linear", "cat")}
negated = float((change("negated") + change("a")).norm() / change("a").norm())
print("peft", peft.__version__, "error relative to the sum:", errors, "of the negated one:", negated)
assert errors["linear"] > 0.5, "linear is the sum of the updates now"
assert errors["cat"] < 1e-5 and negated < 1e-5
PY

#!/usr/bin/env bash
# peft 0.21.2: the loss of a model with AdaLoRA has the penalty in it, in evaluation too.
#
# Guessed: in eval mode the loss is that of the task, so validation losses of AdaLoRA and LoRA are compared as they are.
# Seen: a penalty for the orthogonality of the factors is added whenever labels are given: at the start, when the adapter changes
# nothing yet, the loss of a classifier of two classes is three times the cross entropy of its own logits. Early
# stopping looks at the sum, a perplexity made of it is wrong; where the loss is computed from the logits, as with class
# weights, the penalty is missing in training, without a word.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import peft
import torch
from transformers import BertConfig, BertForSequenceClassification

sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 50}
rows, labels = torch.arange(24).reshape(4, 6), torch.tensor([0, 1, 0, 1])


def losses(settings):
    torch.manual_seed(0)
    model = peft.get_peft_model(BertForSequenceClassification(BertConfig(**sizes)), settings).eval()
    with torch.no_grad():
        output = model(input_ids=rows, labels=labels)
    return round(float(output.loss), 3), round(float(torch.nn.functional.cross_entropy(output.logits, labels)), 3)


shared = {"task_type": "SEQ_CLS", "target_modules": ["query"]}
lora, ada = losses(peft.LoraConfig(r=8, **shared)), losses(peft.AdaLoraConfig(init_r=8, total_step=100, **shared))
print(f"peft {peft.__version__}: loss and cross entropy of the logits, LoRA {lora}, AdaLoRA {ada}")
assert lora[0] == lora[1] == ada[1]
assert ada[0] > 2 * ada[1], "the loss of an evaluation is that of the task now"
PY

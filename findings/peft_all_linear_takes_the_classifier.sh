#!/usr/bin/env bash
# peft 0.21.2: target_modules="all-linear" takes the new classifier too, and with a task type it does so or ends in an
# error.
#
# Guessed: "all-linear" is all linear maps of the encoder; the output layer is left out, as the documentation of LoRA
# says of it, so a fresh classifier is trained whole where task_type names the task, and stays as it is where nothing
# does.
# Seen: without a task type the classifier gets low-rank parts and its random weights stay frozen, and so does the
# pooler. With SEQ_CLS the classifier is trained whole; with TOKEN_CLS and QUESTION_ANS get_peft_model raises a
# TypeError about modules_to_save that names no setting.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==5.24.0 peft==0.21.2
"$place/venv/bin/python" - <<'PY'
import peft
from peft import LoraConfig, get_peft_model
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

tiny = BertConfig(vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


def trained(model, task):
    try:
        wrapped = get_peft_model(model(tiny), LoraConfig(target_modules="all-linear", task_type=task))
    except TypeError as error:
        return str(error)[:30]
    names = [name for name, weight in wrapped.named_parameters() if weight.requires_grad]
    head = [name.split("classifier.")[1].split(".")[0] for name in names if "classifier" in name]
    return sorted(set(head)), any("pooler" in name for name in names)


seen = {
    "none": trained(BertForSequenceClassification, None),
    "SEQ_CLS": trained(BertForSequenceClassification, "SEQ_CLS"),
    "TOKEN_CLS": trained(BertForTokenClassification, "TOKEN_CLS"),
    "QUESTION_ANS": trained(BertForQuestionAnswering, "QUESTION_ANS"),
}
print("peft", peft.__version__, seen)
assert seen["none"] == (["lora_A", "lora_B"], True), "the classifier is left out without a task type now"
assert seen["SEQ_CLS"] == (["modules_to_save"], True)
assert seen["TOKEN_CLS"] == seen["QUESTION_ANS"] == "modules_to_save cannot be appl", "tagging works now"
PY

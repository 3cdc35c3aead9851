#!/usr/bin/env bash
# peft 0.21.2 with transformers 5.23.0: with prompt tuning the classifier of BERT reads a prompt vector, not [CLS].
#
# Guessed: virtual tokens are put beside the text, and the classifier still reads the hidden state of [CLS].
# Seen: they are put in front of everything and BERT's pooler takes position 0, so the sentence vector is the hidden state of
# the first virtual token; that of [CLS] (here at position 4) is read by nothing. What was pretrained as a summary is not used.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
"$place/venv/bin/python" -W ignore - <<'PY'
import peft
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification

transformers.logging.set_verbosity_error()
torch.manual_seed(0)
sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
bert = BertForSequenceClassification(BertConfig(vocab_size=50, max_position_embeddings=32, **sizes))
model = peft.get_peft_model(bert, peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4)).eval()
seen = {}
bert.bert.pooler.register_forward_pre_hook(lambda module, given: seen.update(hidden=given[0].detach()))
bert.bert.pooler.register_forward_hook(lambda module, given, vector: seen.update(vector=vector.detach()))
text = torch.tensor([[2, 7, 8, 3]])
with torch.no_grad():
    model(input_ids=text, attention_mask=torch.ones_like(text))
    places = [torch.tanh(bert.bert.pooler.dense(seen["hidden"][:, place])) for place in range(8)]
read = [place for place, vector in enumerate(places) if torch.allclose(vector, seen["vector"], atol=1e-6)]
print(f"peft {peft.__version__}, transformers {transformers.__version__}: 4 prompt vectors, then [CLS] at position 4;", end=" ")
print(f"the pooler reads position {read[0]}")
assert seen["hidden"].shape[1] == 8
assert read == [0], "the pooler reads [CLS] now"
PY

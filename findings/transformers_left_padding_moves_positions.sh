#!/usr/bin/env bash
# transformers 5.23.0: GPT-2 counts padding on the left as positions, though the attention mask leaves it out, unless it generates.
#
# Guessed: with the mask given, padding on either side changes no text's logits; decoders are padded on the left, and generate
# gives the same continuation with and without it.
# Seen: generate makes positions from the mask, a plain forward numbers all columns: logits of a text, its log-likelihood and
# the answer of GPT2ForSequenceClassification change with the longest text of the batch, silently.
# Models with rotary positions are not hit, so code that was tested on one of them fails on this one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, LlamaConfig, LlamaForSequenceClassification

torch.manual_seed(0)
tokens = dict.fromkeys(("pad_token_id", "eos_token_id", "bos_token_id"), 49) | {"vocab_size": 50, "initializer_range": 0.3}
small = GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=32, **tokens)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
text = torch.tensor([[5, 6, 7, 8]])
padded = torch.tensor([[49, 49, 49, 5, 6, 7, 8]])
mask = (padded != 49).long()


@torch.no_grad()
def moved(model, **more):
    return float((model.eval()(text).logits[0] - model(padded, attention_mask=mask, **more).logits[0]).abs().max())


classifier, rotary = GPT2ForSequenceClassification(small), LlamaForSequenceClassification(LlamaConfig(**sizes, **tokens))
given = {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
seen = {"GPT-2": moved(classifier), "with position_ids": moved(classifier, **given), "Llama": moved(rotary)}
writer, steps = GPT2LMHeadModel(small).eval(), {"max_new_tokens": 5, "do_sample": False}
alone = writer.generate(text, attention_mask=torch.ones_like(text), **steps)[0, 4:].tolist()
beside = writer.generate(padded, attention_mask=mask, **steps)[0, 7:].tolist()
print("transformers", transformers.__version__, "logits move by", seen, "generated the same:", alone == beside)
assert alone == beside and seen["with position_ids"] < 1e-4 and seen["Llama"] < 1e-4
assert seen["GPT-2"] > 0.1, "positions follow the mask now"
PY

#!/usr/bin/env bash
# transformers 5.23.0: sequence classification of a decoder skips an end-of-sequence token that closes the text.
#
# Guessed: the last token that the attention mask lets the model see is read, so a text that ends with its end-of-sequence
# token is read there.
# Seen: where the padding token is that token, as is usual for decoders, the last token is looked for by its id. The end is
# taken for padding though the mask attends to it: the logits are those of the token before, and nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PY'
import torch
from transformers import AutoModelForSequenceClassification, GPT2Config, LlamaConfig, Qwen3Config

EOS = 2
SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
CONFIGS = {
    "gpt2": GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=EOS, pad_token_id=EOS),
    "llama": LlamaConfig(**SIZES, bos_token_id=1, eos_token_id=EOS, pad_token_id=EOS),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=4, head_dim=8, bos_token_id=1, eos_token_id=EOS, pad_token_id=EOS),
}
ids = torch.tensor([[5, 9, 13, EOS]])
mask = torch.ones_like(ids)
for name, config in CONFIGS.items():
    config.initializer_range = 0.2
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
        states = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
        by_token = model.score(states)[0]
    before, end = ((logits[0] - by_token[place]).abs().max().item() for place in (2, 3))
    print(f"{name}: off the token before the end by {before:.1e}, off the attended end by {end:.2f}")
    assert before < 1e-6, "the end is read now"
    assert end > 1e-3
PY

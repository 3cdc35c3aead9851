#!/usr/bin/env bash
# transformers 5.23.0: layers of a decoder look up their attention by the place that they have now.
#
# Guessed: a layer carries its own reach, windowed or full, so layers that are left after others were taken away
# (`model.layers = ...`, `config.num_hidden_layers = ...`) compute what they computed before.
# Seen: ModernBERT does so. ModernBERT-decoder (Qwen2 and Qwen3 are written alike) asks config.layer_types by place: its upper
# layers, run alone on the states of the lower ones, give another result in silence until config.layer_types is cut too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PY'
import torch
from transformers import AutoConfig, AutoModel

TYPES = ["full_attention", "sliding_attention", "full_attention", "full_attention"]
SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
ids = torch.arange(3, 33)[None]
mask = torch.ones_like(ids)


def off(family: str, cut_types: bool, **reach: int) -> float:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, **IDS, **reach, layer_types=list(TYPES), initializer_range=0.2)
    config.use_cache = False
    model = AutoModel.from_config(config).eval()
    with torch.no_grad():
        whole = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        # the layers above the first, on what the first one gave
        model.layers, config.num_hidden_layers = model.layers[1:], 3
        if cut_types:
            config.layer_types = TYPES[1:]
        model.embeddings.forward = lambda *_, **__: whole.hidden_states[1]
        upper = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return (upper - whole.last_hidden_state).abs().max().item()


encoder = off("modernbert", False, local_attention=4)
decoder, cut = off("modernbert-decoder", False, sliding_window=4), off("modernbert-decoder", True, sliding_window=4)
print(f"off by: modernbert {encoder:.1e}, modernbert-decoder {decoder:.2f}, with its layer_types cut {cut:.1e}")
assert encoder < 1e-4
assert decoder > 1e-2, "the kind is kept in the layer now"
assert cut < 1e-4
PY

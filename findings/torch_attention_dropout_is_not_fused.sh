#!/usr/bin/env bash
# torch 2.13.0 on a processor: attention with dropout leaves the fused kernel, in silence, and keeps the weights of all pairs of tokens.
#
# Guessed: scaled_dot_product_attention is fused with dropout_p as it is without: its memory grows with the length, not with its square,
# which is what "sdpa" of transformers is chosen for. Encoders train with a dropout of 0.1 by default.
# Seen: without dropout one fused kernel runs and 4 times as many tokens keep 4 times as many bytes for the gradient; with dropout the plain
# computation runs, and 4 times as many tokens keep over 10 times as many. In evaluation, where nothing is dropped, nobody sees it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" - <<'PY'
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile


def attended(tokens, dropout):
    """Names of the operators, and bytes that are kept for the gradient, of attention over two texts by two heads."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 2, tokens, 32, requires_grad=True) for _ in range(3))
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), profile(activities=[ProfilerActivity.CPU]) as seen:
        F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    return {event.key for event in seen.key_averages()}, sum(kept.values())


FUSED, PLAIN = "aten::_scaled_dot_product_flash_attention_for_cpu", "aten::_scaled_dot_product_attention_math"
growth = {}
for dropout in (0.0, 0.1):
    (names, short), (_, long) = attended(128, dropout), attended(512, dropout)
    growth[dropout] = long / short
    print(f"torch {torch.__version__}, dropout {dropout}: fused {FUSED in names}, plain {PLAIN in names}, 4 times the tokens keep "
          f"{growth[dropout]:.1f} times the bytes")
    assert (FUSED in names, PLAIN in names) == (dropout == 0, dropout > 0), "another kernel runs now"
assert growth[0.0] < 5 < 10 < growth[0.1], "it grows otherwise now"
PY

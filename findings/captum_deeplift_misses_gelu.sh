#!/usr/bin/env bash
# captum 0.9.0: DeepLift through a GELU, a SiLU or a LayerNorm does not add up, and nothing says that they are not supported.
#
# Guessed: DeepLift's contributions sum up to the difference of the output from that at the baseline, as the method promises and
# as they do for ReLU and Tanh; an activation without a rule is refused, or told.
# Seen: a module that is not in captum's table is passed with its plain gradient. Of the difference the contributions sum up to
# 85 % behind a GELU, to 212 % behind a SiLU and to 19 % behind a LayerNorm, which are in every encoder of today, and the
# words are ranked by them. return_convergence_delta=True shows it to those who ask.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 captum==0.9.0
"$place/venv/bin/python" - <<'PY'
import warnings

import captum
import torch
from captum.attr import DeepLift


def shares(activation):
    """The sum of the contributions over what they have to sum up to, for two rows, and what was told."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 16), activation, torch.nn.Linear(16, 1))
    rows = 2 * torch.randn(2, 6)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        total = DeepLift(network).attribute(rows).sum(1).detach()
    share = total / (network(rows) - network(0 * rows))[:, 0].detach()
    return [round(float(value), 3) for value in share], any(type(activation).__name__ in str(one.message) for one in said)


made = torch.nn.ReLU(), torch.nn.Tanh(), torch.nn.GELU(), torch.nn.SiLU(), torch.nn.LayerNorm(16)
seen = {type(activation).__name__: shares(activation) for activation in made}
print("captum", captum.__version__, "share of the output's difference that is explained, and whether it is told:", seen)
assert all(share == [1.0, 1.0] for share in (seen["ReLU"][0], seen["Tanh"][0]))
others = [seen[name] for name in ("GELU", "SiLU", "LayerNorm")]
assert all(max(abs(value - 1) for value in share) > 0.05 and not told for share, told in others), "it adds up or is told now"
PY

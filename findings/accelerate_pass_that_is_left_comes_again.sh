#!/usr/bin/env bash
# accelerate 1.15.0: with the seedable sampler each pass that is left early gives the same rows as the one before.
#
# Guessed: a shuffled loader is in another order in each pass, so an "epoch" of at most so many steps (`break` after them, as is
# usual with large data) sees other rows each time. use_seedable_sampler=True, which Trainer sets too, makes the order repeatable
# from run to run, not from pass to pass.
# Seen: the order is the seed plus the number of passes, and only a pass that ran to its end counts. Broken off at three of six
# batches, five passes train on the same half of the rows, and the other half is never seen. Without the setting all are seen.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 accelerate==1.15.0
"$place/venv/bin/python" -W ignore - <<'PY'
from itertools import islice

import accelerate
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from torch.utils.data import DataLoader


def passes(seedable):
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=seedable))
    loader = accelerator.prepare(DataLoader(list(range(12)), batch_size=2, shuffle=True))
    left = [sorted(torch.cat(list(islice(loader, 3))).tolist()) for _ in range(5)]
    whole = [torch.cat(list(loader)).tolist() for _ in range(2)]
    return left, whole


for seedable in (False, True):
    left, whole = passes(seedable)
    seen = set(sum(left, []))
    print("accelerate", accelerate.__version__, "seedable" if seedable else "plain", "rows of five passes", left, "in all", len(seen))
    assert whole[0] != whole[1], "whole passes are the same"
    if seedable:
        assert len(seen) == 6 and left == left[:1] * 5, "passes that are left early differ now"
    else:
        assert len(seen) > 9
PY

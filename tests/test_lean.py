"""What a command imports before it works."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
from transferlab.ground.lean import import_torchmetrics
import_torchmetrics()
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
from lightning_utilities.core.imports import RequirementCache, package_available
assert package_available("scipy") and RequirementCache("scipy") and RequirementCache("transformers>=4.4")
import torch
from torchmetrics import PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import BinaryF1Score, MulticlassMatthewsCorrCoef
one, other = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 9.0])
assert abs(SpearmanCorrCoef()(one, other) - 1) < 1e-5
# two hits, one false alarm
assert abs(BinaryF1Score()(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 0, 0, 1])) - 4 / 5) < 1e-6
"""


def test_torchmetrics_leaves_out_what_its_other_metrics_read():
    """Scores stay; whoever asks for the packages afterwards finds them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "torchmetrics" in loaded
    assert not loaded & {"matplotlib", "scipy", "transformers", "pandas", "sklearn"}

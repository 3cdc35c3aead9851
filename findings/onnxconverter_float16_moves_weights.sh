#!/usr/bin/env bash
# onnxconverter-common 1.16.0: its float16 conversion stops large weights at 10,000 and lifts small ones to 1e-7.
#
# Guessed: convert_float_to_float16 rounds each weight to the nearest float16, as numpy and torch do: 20,000 and
# 60,000 fit (the largest is 65,504), and 1e-9 becomes 0.
# Seen: 20,000 and 60,000 become 10,000, and 1e-9 and 1e-12 become 1e-7, with a warning for each tensor that does not
# say so of which. So an epsilon of 1e-12 is another one, embeddings that are nearly 0 grow a hundredfold, and two
# masks or scales above 10,000 become equal. max_finite_val=65504 and min_positive_val=6e-8 come near to rounding.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxconverter-common==1.16.0
"$place/venv/bin/python" - <<'PY'
import warnings
from importlib.metadata import version

import numpy as np
from onnx import helper, numpy_helper
from onnxconverter_common.float16 import convert_float_to_float16

warnings.filterwarnings("ignore")
weights = np.array([20000, -60000, 1e-9, -1e-12, 1, 0], dtype=np.float32)
ends = [helper.make_tensor_value_info(name, 1, [6]) for name in "xy"]
graph = helper.make_graph(
    [helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")]
)


def halves(**keys):
    found = convert_float_to_float16(helper.make_model(graph), **keys).graph.initializer[0]
    return numpy_helper.to_array(found).astype(float)


here, wide = halves(), halves(max_finite_val=65504.0, min_positive_val=6e-8)
print("onnxconverter-common", version("onnxconverter-common"), "converted", here.tolist(), "wide", wide.tolist())
assert list(here[:2]) == [10000, -10000], "large weights are kept now"
assert np.allclose(np.abs(here[2:4]), 1.2e-7, atol=3e-8), "small weights are rounded now"
assert list(wide[:2]) == [20000, -60000]
PY

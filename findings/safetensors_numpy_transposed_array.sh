#!/usr/bin/env bash
# safetensors 0.8.0: safetensors.numpy writes a transposed array with its values in another order.
#
# Guessed: save_file takes the values of an array, as numpy.save does; or it refuses one that does not lie in a row in memory,
# as safetensors.torch does (its documentation asks for contiguous tensors).
# Seen: the memory is written under the shape of the view: what is loaded has the right shape and dtype and other values, with
# no word. Kernels that are transposed between frameworks (JAX and Flax keep them the other way round) are such views, and
# a square one even multiplies without an error.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$place/venv/bin/python" - "$place/kernel.safetensors" <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

kernel = np.arange(4, dtype="float32").reshape(2, 2)
save_file({"plain": kernel, "view": kernel.T, "copied": np.ascontiguousarray(kernel.T)}, sys.argv[1])
loaded = load_file(sys.argv[1])
print("safetensors", safetensors.__version__, "saved", kernel.T.tolist(), "loaded", loaded["view"].tolist())
assert (loaded["plain"] == kernel).all() and (loaded["copied"] == kernel.T).all()
assert (loaded["view"] == kernel).all(), "a transposed array is saved as it is now"
PY

#!/usr/bin/env bash
# gguf 0.19.0: the shape of a tensor that is read is the reverse of the shape that was written, and of its own data.
#
# Guessed: `GGUFReader(...).tensors[0].shape` is that of the array which `GGUFWriter.add_tensor` took.
# Seen: a matrix of 3 x 4 has shape [4, 3] (the order of ggml) beside data of (3, 4). Reading `data.reshape(shape)`, as other formats
# want it, does not fail and mixes all rows; of a square matrix nothing shows. The writer takes `raw_shape` in the usual order.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check gguf==0.19.0
"$place/venv/bin/python" -W ignore - "$place/one.gguf" <<'PY'
import sys
from importlib.metadata import version

import gguf
import numpy as np

matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
writer = gguf.GGUFWriter(sys.argv[1], "bert")
writer.add_tensor("weight", matrix)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
tensor = gguf.GGUFReader(sys.argv[1]).tensors[0]
shape = [int(size) for size in tensor.shape]
mixed = np.array(tensor.data).reshape(shape)
print("gguf", version("gguf"), "written", matrix.shape, "shape", shape, "data", tensor.data.shape, "first row", mixed[0].tolist())
assert np.array_equal(tensor.data, matrix), "the data changed"
assert shape == [4, 3] and not np.array_equal(mixed.T, matrix), "the shape is as written now"
PY

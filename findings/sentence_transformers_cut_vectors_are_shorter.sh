#!/usr/bin/env bash
# sentence-transformers 6.2.0: vectors that truncate_dim cuts have no length of one, though the model ends in
# Normalize.
#
# Guessed: a model whose last module is Normalize gives vectors of length one, so that a dot product (an index of
# inner products, a linear head with a fixed scale) is the cosine, also with truncate_dim, which Matryoshka models are
# made for.
# Seen: the vector is brought to length one first and cut afterwards: lengths of 0.3 to 0.6, other ones for each text,
# so the dot products rank texts otherwise than the cosine. encode(normalize_embeddings=True) brings the cut ones to
# one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 sentence-transformers==6.2.0
"$place/venv/bin/python" - <<'PY'
import tempfile

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer, models
from transformers import BertConfig, BertModel, BertTokenizer

torch.manual_seed(0)
folder = tempfile.mkdtemp()
words = "[PAD] [UNK] [CLS] [SEP] [MASK] good bad film play".split()
BertModel(
    BertConfig(vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
).save_pretrained(folder)
BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
parts = [models.Transformer(folder), models.Pooling(16), models.Normalize()]
texts = ["good film", "bad play", "good"]
whole = np.linalg.norm(SentenceTransformer(modules=parts).encode(texts), axis=1)
cut = SentenceTransformer(modules=parts, truncate_dim=4)
lengths = np.linalg.norm(cut.encode(texts), axis=1)
asked = np.linalg.norm(cut.encode(texts, normalize_embeddings=True), axis=1)
print("sentence-transformers", sentence_transformers.__version__, "whole", whole, "cut", lengths, "asked for", asked)
assert np.allclose(whole, 1, atol=1e-5) and np.allclose(asked, 1, atol=1e-5)
assert lengths.max() < 0.8 and np.ptp(lengths) > 0.01, "cut vectors have a length of one now"
PY

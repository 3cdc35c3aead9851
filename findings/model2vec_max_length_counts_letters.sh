#!/usr/bin/env bash
# model2vec 0.10.0: max_length cuts a text by its letters before it is cut by its tokens.
#
# Guessed: encode(texts, max_length=n) averages the first n tokens of each text and leaves the rest.
# Seen: first the text is cut after n times the median length of a token in the vocabulary, blanks and line breaks counted, wherever
# that falls; then at n tokens. Eight words of four letters fill ten tokens, and one more is half a word, which is unknown and
# dropped; of an indented list or a table still less is read. encode's default of 512 does so with each long document.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check model2vec==0.10.0 tokenizers==0.23.3 numpy==2.4.6
HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W error::UserWarning - <<'PY'
from importlib.metadata import version

import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer, models, pre_tokenizers

words = "good film fine play long book last page next word each text".split()
tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
# each word has a direction of its own, so a vector shows which words are in it
model = StaticModel(np.eye(len(words) + 1, dtype=np.float32), tokenizer, normalize=False)


def read(text, longest):
    return int((model.encode([text], max_length=longest)[0] > 0).sum())


lines, indented = " ".join(words), "\n".join("        " + word for word in words)
seen = {longest: (read(lines, longest), read(indented, longest)) for longest in (None, 10, 5)}
print("model2vec", version("model2vec"), "words read of 12, as a line and as an indented list, by max_length:", seen)
assert seen[None] == (12, 12) and model.median_token_length == 4
assert seen[10] == (8, 3) and seen[5] == (4, 1), "max_length counts tokens now"
PY

#!/usr/bin/env bash
# transformers 5.23.0: a tokenizer that was set to pad on the left is saved as one that pads on the right, unless it padded first.
#
# Guessed: save_pretrained writes the sides of padding and truncation as they are by then, as it does with the other settings.
# Seen: model_max_length and a new token of padding are written, padding_side and truncation_side only where the tokenizer was made
# with a value for them. So a decoder whose tokenizer is set to the left and saved beside it is loaded with padding on the
# right. A batch that is padded before it is saved changes that: its side is kept in tokenizer.json, that of truncation is not.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers
cd "$place" && TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import tempfile

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

core = Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1, "good": 2}, unk_token="good"))
core.pre_tokenizer = pre_tokenizers.Whitespace()
BATCH = ["good", "good good"]


def saved(used=False, **given):
    """What is loaded after these settings were changed and saved, and how it pads."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<end>", **given).save_pretrained(first)
        tokenizer = AutoTokenizer.from_pretrained(first)
        tokenizer.padding_side = tokenizer.truncation_side = "left"
        tokenizer.model_max_length, tokenizer.pad_token = 7, "<end>"
        if used:
            assert tokenizer(BATCH, padding=True).input_ids[0] == [1, 2]
        tokenizer.save_pretrained(second)
        found = AutoTokenizer.from_pretrained(second)
        sides = found.padding_side, found.truncation_side
        return *sides, found.model_max_length, found.pad_token, found(BATCH, padding=True).input_ids[0]


plain, used, named = saved(), saved(used=True), saved(padding_side="right", truncation_side="right")
print("transformers", transformers.__version__, "set to the left, saved and loaded:", plain)
print("where a batch was padded before:", used, "where sides were given when it was made:", named)
assert plain == ("right", "right", 7, "<end>", [2, 1]), "the sides are saved now"
assert used == ("left", "right", 7, "<end>", [1, 2])
assert named == ("left", "left", 7, "<end>", [1, 2])
PY

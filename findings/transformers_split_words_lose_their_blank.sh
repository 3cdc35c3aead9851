#!/usr/bin/env bash
# transformers 5.23.0: RoBERTa's tokenizer takes texts that are split into words and reads other pieces than in the text.
#
# Guessed: is_split_into_words=True, the way of every script that tags words, gives the pieces of the running text, or is refused
# unless the tokenizer was made with add_prefix_space=True, without which the words carry no blank; so it was in version 4.
# Seen: no word is said. All words after the first are read as if glued to the one before: not one of their pieces is what the
# encoder was pretrained on, and there are more of them. Training runs and learns, a good deal worse.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 "$place/venv/bin/python" - "$place" <<'PY' 2> "$place/said" || { cat "$place/said"; exit 1; }
import sys

import transformers
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, RobertaConfig, RobertaTokenizer

folder = sys.argv[1]
trained = ByteLevelBPETokenizer()
lines = ["a good film of a good play", "she saw a good film"] * 20
trained.train_from_iterator(lines, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False)
trained.save_model(folder)
RobertaTokenizer.from_pretrained(folder).save_pretrained(folder)
RobertaConfig().save_pretrained(folder)


def both(**options):
    """The pieces of a text, and of its words."""
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    given = "a good film", ["a", "good", "film"]
    ids = [tokenizer(one, is_split_into_words=one is given[1], add_special_tokens=False)["input_ids"] for one in given]
    return [" ".join(tokenizer.convert_ids_to_tokens(one)).replace("\u0120", "_") for one in ids]


plain, prefixed = both(), both(add_prefix_space=True)
print("transformers", transformers.__version__, "pieces of the text and of its words:", plain, "with add_prefix_space:", prefixed)
assert plain[0] == "a _good _film" and prefixed == ["_a _good _film"] * 2
assert plain[1] != plain[0] and "_" not in plain[1], "the words are read as in the text now"
PY
grep -qiE "prefix|split_into_words" "$place/said" && { echo "it is told now"; exit 1; } || true

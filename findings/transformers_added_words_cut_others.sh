#!/usr/bin/env bash
# transformers 5.23.0: a word that is added to a tokenizer is cut out of longer words too.
#
# Guessed: add_tokens(["art"]) gives the word "art" a piece of its own and leaves all other words as they are.
# Seen: it is looked for before words are split, anywhere: "start" becomes st, art and "article" art, ic, ##le: words that
# had one trained vector each fall into pieces, the first of them the new, untrained one. Adding the words of a domain
# makes the rest of its texts worse, silently. AddedToken("art", single_word=True) does what was guessed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AddedToken, PreTrainedTokenizerFast

pieces = ["[UNK]", "the", "article", "start", "st", "ic", "##le", "a", "##r", "##t"]


def split(*added):
    words = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    tokenizer.add_tokens(list(added))
    return tokenizer.tokenize("the art article start")


before, plain, single = split(), split("art"), split(AddedToken("art", single_word=True))
print("transformers", transformers.__version__, "before", before, "added", plain, "as a single word", single)
assert before == ["the", "a", "##r", "##t", "article", "start"]
assert single == ["the", "art", "article", "start"]
assert plain == ["the", "art", "art", "ic", "##le", "st", "art"], "added words are whole words now"
PY

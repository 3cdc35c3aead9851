#!/usr/bin/env bash
# tokenizers 0.23.3: training WordPiece twice on the same text gives the same pieces under other ids.
#
# Guessed: training is a count with fixed rules for ties, so the same text gives the same tokenizer, as for BPE and Unigram.
# Seen: the set of pieces agrees, while several ids are exchanged from one training to the next, also within one process.
# An encoder that was trained with the first reads other words with the second, silently: keep the file with the weights,
# never train the tokenizer again on resume.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check tokenizers==0.23.3
"$place/venv/bin/python" - <<'PY'
import random

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

draw = random.Random(0)
words = ["".join(draw.choices("abcdefg", k=draw.randint(2, 8))) for _ in range(3000)]
text = [" ".join(draw.choices(words, k=30)) for _ in range(2000)]


def vocabulary(model, trainer):
    tokenizer = Tokenizer(model())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    settings = {"vocab_size": 800, "show_progress": False, "special_tokens": ["[UNK]"]}
    tokenizer.train_from_iterator(text, trainer(**settings))
    return tokenizer.get_vocab()


def exchanged(model, trainer):
    first, *others = [vocabulary(model, trainer) for _ in range(6)]
    assert all(set(other) == set(first) for other in others), "the pieces themselves differ"
    return [sum(first[piece] != number for piece, number in other.items()) for other in others]


wordpiece, bpe = exchanged(models.WordPiece, trainers.WordPieceTrainer), exchanged(models.BPE, trainers.BpeTrainer)
unigram = exchanged(models.Unigram, trainers.UnigramTrainer)
print("tokenizers", tokenizers.__version__, "ids exchanged: WordPiece", wordpiece, "BPE", bpe, "Unigram", unigram)
assert any(wordpiece), "WordPiece gives the same ids each time now"
assert not any(bpe) and not any(unigram), "BPE or Unigram changed"
PY

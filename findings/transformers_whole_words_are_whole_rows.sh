#!/usr/bin/env bash
# transformers 5.23.0: whole words of a byte-level tokenizer are whole rows to its collator.
#
# Guessed: DataCollatorForLanguageModeling(whole_word_mask=True) hides 15 % of the words of each row with any fast tokenizer.
# Seen: it takes tokens whose character offsets touch for one word. Offsets of byte-level pieces hold the blank before the
# word, so a row is one word: most rows have no label at all, the others are hidden whole, and the mean share still looks right.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

TEXTS = ["the cat sat on the mat and looked at the small bird in the tree"] * 200
MARKS = {"mask_token": "[MASK]", "pad_token": "[PAD]", "unk_token": "[UNK]"}


def made(model, splitter, trainer, **more):
    backend = Tokenizer(model)
    backend.pre_tokenizer = splitter
    backend.train_from_iterator(TEXTS, trainer(special_tokens=list(MARKS.values()), **more))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **MARKS)


def hidden(tokenizer):
    collate = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=True, mlm_probability=0.15, seed=0)
    batch = collate([dict(tokenizer(text, return_offsets_mapping=True)) for text in TEXTS])
    share = (batch["labels"] != -100).float().sum(1) / batch["attention_mask"].sum(1)
    return [round(float(part), 2) for part in ((share == 0).float().mean(), (share > 0.5).float().mean(), share.mean())]


pieces = hidden(made(models.WordPiece(unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer(), trainers.WordPieceTrainer))
splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
rows = hidden(made(models.BPE(), splitter, trainers.BpeTrainer, vocab_size=300, initial_alphabet=alphabet))
print("transformers", transformers.__version__, "rows without a label, hidden whole, mean share:", pieces, "byte-level:", rows)
assert pieces[0] < 0.2
assert pieces[1] == 0
assert rows[0] > 0.7, "byte-level words are found now"
assert rows[0] + rows[1] == 1
PY

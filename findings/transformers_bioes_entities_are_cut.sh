#!/usr/bin/env bash
# transformers 5.23.0: the token-classification pipeline reads BIOES tags as entities of single tokens, and joins neighbours.
#
# Guessed: with an aggregation strategy, tags of the BIOES scheme (which taggers with a CRF use, and the group names lack their
# letter) give whole entities, or are refused.
# Seen: B-PER E-PER, one name of two words, comes out as two PER entities; S-LOC S-LOC, two places, as a single LOC. Only
# B- and I- are known; other letters count as part of the type, and are cut off its name afterwards, so that nothing shows it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast, pipeline

tags = {"[PAD]": "O", "[UNK]": "O", "Ada": "B-PER", "Lovelace": "E-PER", "left": "O", "London": "S-LOC", "Paris": "S-LOC"}
names = sorted(set(tags.values()))
plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(tags)}, unk_token="[UNK]"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]")
shape = {"vocab_size": len(tags), "hidden_size": 8, "num_hidden_layers": 0, "num_attention_heads": 1}
model = BertForTokenClassification(BertConfig(**shape, num_labels=len(names), id2label=dict(enumerate(names)))).eval()
with torch.no_grad():
    # a tagger that knows each word's tag by heart
    for weight in model.parameters():
        weight.zero_()
    model.bert.embeddings.LayerNorm.weight.fill_(1.0)
    model.bert.embeddings.word_embeddings.weight[:, : len(tags)] = torch.eye(len(tags))
    for number, tag in enumerate(tags.values()):
        model.classifier.weight[names.index(tag), number] = 9.0
ask = pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu", aggregation_strategy="simple")
found = [(one["entity_group"], one["word"]) for one in ask("Ada Lovelace left London Paris")]
print("transformers", transformers.__version__, found)
assert found == [("PER", "Ada"), ("PER", "Lovelace"), ("LOC", "London Paris")], "BIOES is read as meant now"
PY

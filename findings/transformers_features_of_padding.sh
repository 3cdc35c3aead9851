#!/usr/bin/env bash
# transformers 5.23.0: the feature-extraction pipeline returns vectors of padding where texts are given in batches.
#
# Guessed: the vectors of a text are those of its own tokens, whatever `batch_size` says; padding is taken away, as the pipeline for
# token classification does.
# Seen: beside a text of 8 tokens one of 4 has 8 vectors, four of them of padding, which nothing marks. Their mean, the vector of a
# sentence that most take, is another one than alone, and depends on which texts stand beside it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, pipeline

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat"]
plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
ends = [("[CLS]", 2), ("[SEP]", 3)]
plain.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]")
torch.manual_seed(0)
model = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)).eval()
ask = pipeline("feature-extraction", model=model, tokenizer=tokenizer, device="cpu")
texts = ["the cat", "the cat sat on the mat"]
alone, together = (np.array(ask(texts, batch_size=size)[0])[0] for size in (1, 2))
gap = float(np.abs(alone.mean(0) - together.mean(0)).max())
print("transformers", transformers.__version__, "vectors alone", len(alone), "in a batch", len(together), f"mean moves {gap:.2f}")
assert np.allclose(alone, together[:4], atol=1e-5), "the vectors of its own tokens differ too"
assert (len(alone), len(together)) == (4, 8) and gap > 0.05, "padding is taken away now"
PY

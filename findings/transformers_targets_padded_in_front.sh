#!/usr/bin/env bash
# transformers 5.23.0: with a tokenizer that pads on the left, targets of an encoder-decoder are padded on the left as well.
#
# Guessed: padding_side is about the inputs; labels are filled up with -100 behind the target, and the loss of a target does
# not depend on the other targets of its batch.
# Seen: DataCollatorForSeq2Seq puts -100 in front. The decoder's inputs then begin with padding, which the decoder attends to
# (it has no mask of its own), and the target's tokens stand at later positions than in generation: the loss of a target
# changes with the longest one of its batch, in training and in evaluation, and nothing is said.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from tokenizers import Tokenizer, models
from transformers import BartConfig, BartForConditionalGeneration, DataCollatorForSeq2Seq, PreTrainedTokenizerFast

torch.manual_seed(0)
sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 10, "max_position_embeddings": 16}
sizes |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
tokens = {"bos_token_id": 2, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2, "pad_token_id": 3}
model = BartForConditionalGeneration(BartConfig(**sizes, **tokens)).eval()
for weights in model.parameters():
    torch.nn.init.normal_(weights, std=0.8)
short, long = ({"input_ids": [0, 1, 2], "labels": labels} for labels in ([0, 2], [0, 1, 0, 1, 2]))


def loss_of_short(side, *others):
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "</s>": 2, "<pad>": 3}, unk_token="a"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", padding_side=side)
    batch = DataCollatorForSeq2Seq(tokenizer, model=model)([dict(short), *map(dict, others)])
    with torch.no_grad():
        logits = model(**batch).logits[0]
    return round(float(torch.nn.functional.cross_entropy(logits, batch["labels"][0])), 4), batch["labels"][0].tolist()


alone, right, left = loss_of_short("left"), loss_of_short("right", long), loss_of_short("left", long)
print("transformers", transformers.__version__, "loss and labels of one target: alone", alone, "right", right, "left", left)
assert abs(right[0] - alone[0]) < 1e-3 and right[1] == [0, 2, -100, -100, -100]
assert left[1] == [-100, -100, -100, 0, 2] and abs(left[0] - alone[0]) > 0.05, "labels are padded behind the target now"
PY

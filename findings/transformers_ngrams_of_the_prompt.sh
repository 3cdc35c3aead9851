#!/usr/bin/env bash
# transformers 5.23.0: no_repeat_ngram_size forbids a decoder to write what stands in its prompt.
#
# Guessed: it keeps an output from repeating itself, as it does with an encoder-decoder, whose input is left alone.
# Seen: for a decoder prompt and output are one sequence. A name of the prompt that is as long as the size can never be completed:
# a model whose most probable next token finishes it writes something else, so summaries and answers lose exactly their names
# and numbers. The same model as a decoder and behind an encoder is thus searched by two rules under one setting.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from transformers import BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel

NAME = [5, 6, 7]
torch.manual_seed(0)
shape = {"vocab_size": 12, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
gpt = GPT2LMHeadModel(GPT2Config(n_embd=12, n_layer=1, n_head=1, **shape)).eval()
small = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 1, "decoder_attention_heads": 1}
bart = BartForConditionalGeneration(
    BartConfig(d_model=12, encoder_ffn_dim=8, decoder_ffn_dim=8, decoder_start_token_id=1, **small, **shape)
).eval()


def copier(model):
    """The model, made to write the next token of the name behind each of them."""
    head, usual = torch.full((12, 12), -50.0), model.forward
    for last, follows in ((1, 5), (5, 6), (6, 7), (7, 2)):
        head[last, follows] = 50.0

    def forward(*inputs, **named):
        out = usual(*inputs, **named)
        out.logits = head[named.get("decoder_input_ids", named.get("input_ids"))]
        return out

    model.forward = forward
    return model


def written(model, prompt, **search):
    ids = torch.tensor([prompt])
    search |= {"attention_mask": torch.ones_like(ids), "max_new_tokens": 4, "do_sample": False, "use_cache": False}
    return model.generate(ids, **search)[0, 0 if model is bart else len(prompt) :].tolist()


for model in map(copier, (gpt, bart)):
    usual, held = (written(model, [*NAME, 1], no_repeat_ngram_size=size) for size in (0, 3))
    print("transformers", transformers.__version__, type(model).__name__, usual, held)
    assert NAME == [token for token in usual if token in NAME], "the model does not copy"
    assert (NAME == [token for token in held if token in NAME]) == (model is bart), "the prompt is left alone now"
PY

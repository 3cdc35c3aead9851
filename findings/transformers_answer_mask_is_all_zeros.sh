#!/usr/bin/env bash
# transformers 5.24.0: the mask of the assistant's tokens is all zeros where the chat template does not mark them.
#
# Guessed: apply_chat_template(return_assistant_tokens_mask=True) tells the replies by their role, or raises where it
# cannot; so labels made of the mask train on the replies.
# Seen: it knows replies only by a generation block, which most published templates lack. Without one the mask has a
# zero for each token, and a warning is logged once. Labels made of it are -100 throughout: the loss is nan, or 0
# under a sum.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 jinja2
"$place/venv/bin/python" - <<'PY'
import tokenizers
import torch
import transformers

words = {word: number for number, word in enumerate("[UNK] <u> <a> <e> hello there good day".split())}
inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", eos_token="<e>")
talk = [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "good day"}]
user, reply = "<u> {{ m.content }} <e> ", "<a> {{ m.content }} <e> "
marked = "<a> {% generation %}{{ m.content }} <e> {% endgeneration %}"


def mask(reply):
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}" + user + "{% else %}" + reply + "{% endif %}{% endfor %}"
    )
    found = tokenizer.apply_chat_template(talk, return_dict=True, return_assistant_tokens_mask=True)
    return found["input_ids"], found["assistant_masks"]


ids, plain = mask(reply)
same, told = mask(marked)
labels = torch.tensor(ids).where(torch.tensor(plain) == 1, torch.tensor(-100))
loss = torch.nn.functional.cross_entropy(torch.zeros(len(ids), 8), labels)
print("transformers", transformers.__version__, "plain", plain, "marked", told, "loss", loss.item())
assert ids == same and sum(told) == 3
assert sum(plain) == 0 and loss.isnan(), "replies are told without marks now, or it raises"
PY

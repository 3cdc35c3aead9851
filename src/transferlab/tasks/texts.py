"""From input and target texts to tokens: prompts, targets that end, and what truncation does to both."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.encoded import EncodedSplit, Growing, Ragged
from transferlab.tasks.generation import QUANTILE, Generation, check_template, filled
from transferlab.tasks.parts import Truncation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 1000
"""Examples that are tokenised at once."""
EMPTIED = 0.01
"""Share of targets that may have no token but their end."""
Cell = str | list[dict[str, str]]
"""A text, or messages with ``role`` and ``content``."""
Rows = dict[str, list[Any]]


class Form(NamedTuple):
    """How texts become tokens.

    Attributes:
        tokenizer: That of the model.
        columns: Names of the text columns.
        causal: Whether a single stack reads the prompt and goes on writing (GPT), and no second one writes (T5).
        length: Tokens of a prompt, at most.
        truncation: Which part of a long text is kept: ``head`` or ``tail``.
        generation: Template, chat template and the length of targets.
    """

    tokenizer: "PreTrainedTokenizerFast"
    columns: tuple[str, ...]
    causal: bool
    length: int
    truncation: Truncation
    generation: Generation

    @property
    def target_length(self) -> int:
        """Tokens of a target, its end included, at most."""
        return self.generation.target_length or self.length

    @property
    def template(self) -> str:
        """What a plain prompt looks like."""
        given = self.generation.template
        return usual_template(self.columns, self.causal) if given is None else given


def usual_template(columns: Sequence[str], causal: bool) -> str:
    """What a plain prompt looks like where nobody says it; a decoder goes on behind a line break."""
    return "\n".join(f"{{{name}}}" for name in columns) + ("\n" if causal else "")


def check_form(form: Form) -> None:
    """Checks a form before anything is read with it.

    Raises:
        TransferlabError: A template without the text, no end-of-sequence token, no chat template, a truncation that
            texts cannot have.
    """
    tokenizer = form.tokenizer
    check_template(form.template, form.columns)
    if form.truncation not in ("head", "tail"):
        raise TransferlabError(
            f"data.truncation: {form.truncation} is not for texts that are answered by texts; use head or tail."
        )
    if tokenizer.eos_token_id is None:
        raise TransferlabError(
            f"encoder.name: the tokenizer of {tokenizer.name_or_path} has no end-of-sequence token, so nothing would "
            "ever end; set eos_token in its tokenizer_config.json."
        )
    if form.generation.chat and not tokenizer.chat_template:
        raise TransferlabError(
            f"data.generation.chat: the tokenizer of {tokenizer.name_or_path} has no chat template; write the prompt "
            "with data.generation.template."
        )


def lines(cell: Cell) -> str:
    """A text; messages as lines of ``role: content``."""
    return cell if isinstance(cell, str) else "\n".join(f"{one['role']}: {one['content']}" for one in cell)


def prompt_ids(form: Form, cells: Mapping[str, Cell]) -> tuple[list[int], bool]:
    """The tokens of a prompt, and whether its text was cut to fit.

    Args:
        form: How texts become tokens.
        cells: The text columns of an example.
    """
    if (messages := messages_of(form, cells)) is not None:
        ids = _chat(form, messages)
        cut = len(ids) > form.length
        return (ids[-form.length :] if cut else ids), cut
    texts = {name: lines(cell) for name, cell in cells.items()}
    ids, cut = _plain(form, texts), False
    longest = max(texts, key=lambda name: len(texts[name]))
    # again, since what is cut may be read as other pieces
    while len(ids) > form.length and texts[longest]:
        texts[longest], cut = _shortened(form, texts[longest], len(ids) - form.length), True
        ids = _plain(form, texts)
    return ids[: form.length], cut


def _plain(form: Form, texts: Mapping[str, str]) -> list[int]:
    ids: list[int] = form.tokenizer(filled(form.template, dict(texts)), truncation=False, verbose=False)["input_ids"]
    return _one_start(form, ids)


def messages_of(form: Form, cells: Mapping[str, Cell]) -> list[dict[str, str]] | None:
    """What the chat template of the tokenizer writes a prompt from; None where it writes none."""
    chats = any(not isinstance(cell, str) for cell in cells.values())
    by_template = form.generation.chat if form.generation.chat is not None else chats and form.tokenizer.chat_template
    if not by_template or form.generation.template is not None:
        return None
    messages: list[dict[str, str]] = []
    for cell in cells.values():
        messages += [{"role": "user", "content": cell}] if isinstance(cell, str) else [_message(one) for one in cell]
    return messages


def _chat(form: Form, messages: list[dict[str, str]]) -> list[int]:
    text = form.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    # the template writes the special tokens itself
    ids: list[int] = form.tokenizer(str(text), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    return _one_start(form, ids)


def _message(given: Mapping[str, Any]) -> dict[str, str]:
    return {"role": str(given["role"]), "content": str(given["content"])}


def _one_start(form: Form, ids: list[int]) -> list[int]:
    """The tokens with a single beginning-of-sequence token, where template and tokenizer both gave one."""
    bos = form.tokenizer.bos_token_id
    return ids[1:] if bos is not None and ids[:2] == [bos, bos] else ids


def _shortened(form: Form, text: str, surplus: int) -> str:
    """A text without that many of its tokens, at the end or at the start."""
    read = form.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
    spots = read["offset_mapping"]
    keep = max(len(spots) - surplus, 0)
    if not keep:
        return ""
    # several tokens may be the bytes of one character, which then goes as a whole
    if form.truncation == "tail":
        return text[max(spots[-keep][0], spots[-keep - 1][1]) :]
    return text[: min(spots[keep - 1][1], spots[keep][0])]


def target_ids(form: Form, texts: list[str]) -> list[tuple[list[int], bool]]:
    """The tokens of targets, each with its end, and whether it was cut to fit."""
    tokenizer, end = form.tokenizer, int(form.tokenizer.eos_token_id)
    special = not form.causal
    read = tokenizer(text_target=texts, add_special_tokens=special, truncation=False, verbose=False)["input_ids"]
    found = []
    for ids in read:
        body = ids[:-1] if ids and ids[-1] == end else list(ids)
        cut = len(body) >= form.target_length
        found.append(([*body[: form.target_length - 1], end], cut))
    return found


def encode(
    columns: Mapping[str, Sequence[Cell]],
    references: Sequence[Sequence[str]] | None,
    form: Form,
    told: Callable[[Callable[[Rows], Rows]], Callable[[Rows], Rows]] = lambda function: function,
) -> EncodedSplit:
    """Tokenises inputs and targets.

    Args:
        columns: The text columns.
        references: The right outputs of each row, of which the first is learned; None without.
        form: How texts become tokens.
        told: Shows the progress of a function of the numbers of some rows.

    Returns:
        A split of which ids, labels and texts are filled in.

    Raises:
        TransferlabError: A form that does not work.
    """
    check_form(form)
    count = len(next(iter(columns.values())))
    prompts, targets = Growing(), Growing()
    cuts = {"inputs": 0, "targets": 0, "emptied": 0}
    special = len(target_ids(form, [""])[0][0])

    def chunk(numbers: Rows) -> Rows:
        for row in numbers["rows"]:
            ids, cut = prompt_ids(form, {name: cells[row] for name, cells in columns.items()})
            prompts.add(ids)
            cuts["inputs"] += cut
        if references is not None:
            for ids, cut in target_ids(form, [references[row][0] for row in numbers["rows"]]):
                targets.add(ids)
                cuts["targets"] += cut
                cuts["emptied"] += len(ids) <= special
        return numbers

    step = told(chunk)
    for start in range(0, count, CHUNK):
        step({"rows": list(range(start, min(start + CHUNK, count)))})
    return EncodedSplit(
        ids=prompts.ragged(),
        types=None,
        labels=None if references is None else targets.ragged(),
        words=None,
        windows=None,
        # where nothing is padding to the tokenizer, the mask says what is
        pad_id=int(form.tokenizer.pad_token_id or 0),
        fingerprint="",
        left=form.causal,
        texts=None if references is None else packed(references),
        facts={"texts": {"rows": count, **cuts}},
    )


def packed(references: Sequence[Sequence[str]]) -> Ragged:
    """References as bytes, a JSON list a row."""
    found = Growing("B")
    for own in references:
        found.add(json.dumps(list(own), ensure_ascii=False).encode())
    return found.ragged()


def references_of(cells: Sequence[str | list[str]]) -> list[list[str]]:
    """The right outputs of each row, from a column of texts or of lists of texts."""
    return [[cell] if isinstance(cell, str) else list(cell) for cell in cells]


def refuse_emptied(facts: Mapping[str, int], origin: str) -> None:
    """Refuses targets that are nothing but their end.

    Raises:
        TransferlabError: More than one in a hundred.
    """
    if facts["emptied"] > EMPTIED * facts["rows"]:
        raise TransferlabError(
            f"{origin}: {facts['emptied']:,} of {facts['rows']:,} targets have no token but their end, so a model "
            "would learn to say nothing; raise data.generation.target_length, or mend the rows."
        )


def most_tokens(targets: Ragged, rows: "np.ndarray[Any, Any]") -> int:
    """Tokens that 99.5 % of the targets of some rows do not exceed."""
    return int(np.percentile(targets.lengths[rows], QUANTILE, method="higher"))

"""How a text is put to a model, and how the model's answer is searched for. Imports no torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above, at_least

EVAL_ROWS = 200
"""Examples of the validation set that texts are generated for, unless another number is given."""
QUANTILE = 99.5
"""Per cent of the training targets that are no longer than what may be generated."""
PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Generation:
    """How input becomes a prompt, and how an output is generated; the same in validation, test and prediction.

    Attributes:
        template: What the model reads, with the names of text columns in braces, such as ``"summarize: {input}"``.
            null: the text itself; for a decoder, which goes on where the prompt ends, with a line break behind it.
        chat: Whether the prompt is written by the chat template of the tokenizer. null: for lists of messages, where
            the tokenizer has one.
        target_length: Tokens of a target, its end included, at most; null: as many as `data.max_length`.
        max_new_tokens: Tokens that are generated at most; null: as many as 99.5 % of the training targets have.
        beams: Beams of the search; null: 1, which is greedy.
        length_penalty: Exponent of the length in the score of a beam; null: 1.
        no_repeat: No sequence of so many tokens may come twice in an output, or for a decoder in its prompt and output
            together, as transformers counts them; null: it may.
        eval_rows: Examples of the validation set that texts are generated for after each epoch, drawn by the seed; the
            loss is of all. null: 200.
    """

    template: str | None = None
    chat: bool | None = None
    target_length: int | None = None
    max_new_tokens: int | None = None
    beams: int | None = None
    length_penalty: float | None = None
    no_repeat: int | None = None
    eval_rows: int | None = None

    def __post_init__(self) -> None:
        at_least(2, data__generation__target_length=self.target_length)
        at_least(
            1,
            data__generation__max_new_tokens=self.max_new_tokens,
            data__generation__beams=self.beams,
            data__generation__no_repeat=self.no_repeat,
            data__generation__eval_rows=self.eval_rows,
        )
        above(0, data__generation__length_penalty=self.length_penalty)
        if self.length_penalty is not None and (self.beams or 1) == 1:
            raise TransferlabError(
                "data.generation.length_penalty: a greedy search compares no outputs of unequal length; set "
                "data.generation.beams, or leave it out."
            )
        if self.template is not None and self.chat:
            raise TransferlabError(
                "data.generation: the chat template of the tokenizer writes the whole prompt, so `template` and `chat` "
                "exclude each other; leave one of them out."
            )


class Search(NamedTuple):
    """How an output is searched for; part of what a model knows of its task.

    Attributes:
        max_new_tokens: Tokens that are generated at most; None: not known, so nothing is generated.
        beams: Beams; 1 is greedy.
        length_penalty: Exponent of the length in the score of a beam.
        no_repeat: No sequence of so many tokens comes twice; 0: it may.
    """

    max_new_tokens: int | None = None
    beams: int = 1
    length_penalty: float = 1.0
    no_repeat: int = 0


def search_of(given: Generation, max_new_tokens: int | None) -> Search:
    """The search that a configuration asks for.

    Args:
        given: The configuration.
        max_new_tokens: What the training targets say, where nothing is given.
    """
    most = given.max_new_tokens or max_new_tokens
    return Search(most, given.beams or 1, given.length_penalty or 1.0, given.no_repeat or 0)


def check_template(template: str, columns: tuple[str, ...]) -> None:
    """Checks that a template names the text columns.

    Raises:
        TransferlabError: It names none of them, or something else.
    """
    names = PLACE.findall(template)
    if unknown := [name for name in names if name not in columns]:
        raise TransferlabError(
            f"data.generation.template: there is no text column {unknown[0]!r}; data.source.text names "
            f"{', '.join(columns)}."
        )
    if missing := [name for name in columns if name not in names]:
        raise TransferlabError(
            f"data.generation.template: {template!r} leaves out the text column {missing[0]!r}; write it as "
            f"{{{missing[0]}}} where the text is to stand."
        )


def filled(template: str, cells: dict[str, str]) -> str:
    """A template with texts in the places of their columns; braces in the texts stay as they are."""
    return PLACE.sub(lambda place: cells[place[1]], template)


def in_words(prompts: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, str]:
    """What is told of prompts and outputs before a run, by name.

    Args:
        prompts: ``template`` and ``chat``, and what `transferlab.tasks.texts.encode` saw of the training examples.
        outputs: The search, whether its limit is that `of_targets`, and ``eval_rows``.
    """
    if not outputs:
        return {}
    total = f"{prompts.get('rows', 0):,}"
    cut = [f"{prompts[key]:,} of {total} {key}" for key in ("inputs", "targets") if prompts.get(key)]
    empty = [f"{prompts['emptied']:,} targets are empty"] if prompts.get("emptied") else []
    how = "greedy" if outputs["beams"] == 1 else f"{outputs['beams']} beams"
    said = f", as {QUANTILE} % of the training targets" if outputs["of_targets"] else ""
    return {
        "prompt": "by the chat template" if prompts.get("chat") else prompts.get("template") or "",
        "cut off": ", ".join([*cut, *empty]),
        "outputs": f"{how}, at most {outputs['max_new_tokens']} tokens{said}; for {outputs['eval_rows']:,} examples "
        "of the validation set and all of the test set",
    }

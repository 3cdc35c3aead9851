"""What a request may say: its JSON, checked against the kind of the task and the limits."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model, model_validator

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds import KINDS
from transferlab.use.answering import Example
from transferlab.use.export.facts import Facts
from transferlab.use.serving.options import Limits


class Question(BaseModel):
    """One text, or many."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: Any = None
    texts: Any = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self

    @property
    def examples(self) -> list[Example]:
        """The texts, one or many."""
        return list(self.texts) if self.text is None else [self.text]


def wanted(facts: Facts) -> str:
    """What a text of the task is, in words."""
    if facts.task.worded:
        return "a text, or the list of its words"
    if KINDS[facts.task.kind].marked:
        return "a text with its two entities marked, <e1>...</e1> and <e2>...</e2>"
    if len(facts.text) == 1:
        return "a text"
    names = ", ".join(map(repr, facts.text))
    return f"{len(facts.text)} texts in a list, or an object with {names}"


def question_of(facts: Facts, limits: Limits) -> type[Question]:
    """The form of a request for a task."""
    cell: Any = Annotated[str, StringConstraints(min_length=1, max_length=limits.characters)]
    if facts.task.worded:
        cell = cell | Annotated[list[cell], Field(min_length=1, max_length=limits.characters)]
    count = len(facts.text)
    several = Annotated[list[cell], Field(min_length=count, max_length=count)]
    columns = Annotated[dict[str, cell], Field(min_length=count, max_length=count)]
    example: Any = (cell if count == 1 else several) | columns
    text, texts = wanted(facts), f"at most {limits.texts}, each {wanted(facts)}"
    many = Annotated[list[example], Field(min_length=1, max_length=limits.texts)]
    return create_model(
        "Question",
        __base__=Question,
        text=(example | None, Field(None, description=text)),
        texts=(many | None, Field(None, description=texts)),
    )


def read(form: type[Question], body: bytes, facts: Facts, limits: Limits) -> tuple[list[Example], list[int], bool]:
    """The examples of a request, their characters, and whether it asked for many.

    Raises:
        TransferlabError: It is not what is wanted; the message holds none of its texts.
    """
    try:
        question = form.model_validate_json(body)
    except ValidationError as error:
        raise TransferlabError(_message(error, facts)) from error
    examples = question.examples
    sizes = [_characters(example) for example in examples]
    for number, (example, size) in enumerate(zip(examples, sizes, strict=True)):
        place = "text" if question.texts is None else f"texts.{number}"
        if isinstance(example, Mapping) and set(example) != set(facts.text):
            raise TransferlabError(f"{place}: {wanted(facts)} is wanted.")
        if size > limits.characters:
            raise TransferlabError(f"{place}: {size:,} characters; at most {limits.characters:,} are taken.")
    return examples, sizes, question.texts is not None


def _characters(value: str | Sequence[Any] | Mapping[str, Any]) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_characters, value.values() if isinstance(value, Mapping) else value))


TOLD = {"string_too_long", "too_long", "too_short", "string_too_short", "string_unicode", "json_invalid", "value_error"}
"""Errors whose own message says it."""


def _message(error: ValidationError, facts: Facts) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    first = next((one for one in found if one["type"] in TOLD), found[0])
    where, message = list(first["loc"]), first["msg"]
    if where and where[0] in ("text", "texts"):
        numbers = [str(part) for part in where[1:2] if isinstance(part, int) and where[0] == "texts"]
        place = ".".join([str(where[0]), *numbers])
        inside = first["type"] in TOLD or (where[0] == "texts" and not numbers)
        return f"{place}: {message if inside else f'{wanted(facts)} is wanted'}."
    if where:
        return f"{str(where[0])[:40]!r}: there is no such key; give text or texts."
    return f"{message}."

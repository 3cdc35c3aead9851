"""What decides the token ids of a split, beside the tokenizer."""

from typing import Any, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.tasks.generation import Generation
from transferlab.tasks.pairs import Markers, Pooled
from transferlab.tasks.parts import Truncation, Windows
from transferlab.tasks.spec import WORDED


class Settings(NamedTuple):
    """What decides the token ids beside the tokenizer.

    Attributes:
        max_length: Tokens per sequence, special tokens included.
        truncation: Which part of a long text is kept.
        windows: How ``windows`` are cut.
        apart: Whether the two texts of a pair are sequences of their own.
        last_pieces: Whether the last piece of a word stands for it in tagging, and not the first.
        markers: For relations, what stands around the entities.
        pooled: For relations, what the head reads.
        new_tokens: For relations, the tokens that no vocabulary has.
        stride: For questions, tokens that two windows of a context share; None: a third of the window.
        negative_windows: For questions, windows without the answer that each trains on; None: all.
        generation: For texts, how input becomes a prompt; None for other kinds.
        causal: For texts, whether one stack reads the prompt and goes on writing.
        case: For tagging, whether the capitals of a word are told as token types.
    """

    max_length: int
    truncation: Truncation
    windows: Windows = "even"
    apart: bool = False
    last_pieces: bool = False
    markers: Markers | None = None
    pooled: Pooled | None = None
    new_tokens: tuple[str, ...] = ()
    stride: int | None = None
    negative_windows: int | None = None
    generation: Generation | None = None
    causal: bool = False
    case: bool = False

    @property
    def even(self) -> bool:
        """Whether texts are spread evenly over windows, each of which counts by its tokens."""
        return self.truncation == "windows" and self.windows == "even"

    @property
    def key(self) -> tuple[Any, ...]:
        """What decides the token ids; as long as it was where nothing of it is new."""
        new = {"even": self.even, "apart": self.apart, "last_pieces": self.last_pieces, "case": self.case}
        marked = (self.markers, self.pooled, *self.new_tokens) if self.markers else ()
        asked = {"stride": self.stride, "negative": self.negative_windows}
        given: list[tuple[str, Any]] = [pair for pair in asked.items() if pair[1] is not None]
        if (form := self.generation) is not None:
            given.append(("text", (form.template, form.chat, form.target_length, self.causal)))
        return (self.max_length, self.truncation, *(name for name, there in new.items() if there), *marked, *given)


def with_entities(settings: Settings, kind: str, markers: Markers | None, pooling: Pooled | None) -> Settings:
    """The settings with what stands around entities and what is read of them, where a kind has any.

    Raises:
        TransferlabError: Keys that have no effect for the kind.
    """
    if kind == "relation":
        return settings._replace(markers=markers or "punctuation", pooled=pooling or "start")
    for key, value in (("markers", markers), ("pooling", pooling)):
        if value:
            remedy = "use encoder.pooling" if key == "pooling" else "leave it out"
            raise TransferlabError(f"data.{key}: only relations have marked entities, not {kind}; {remedy}.")
    return settings


def with_windows(settings: Settings, kind: str, stride: int | None, negative_windows: int | None) -> Settings:
    """The settings with how the windows of contexts lie, where a kind has any.

    Raises:
        TransferlabError: Keys that have no effect for the kind, or a truncation that would cut answers off.
    """
    if kind != "qa":
        for key, value in (("stride", stride), ("negative_windows", negative_windows)):
            if value is not None:
                raise TransferlabError(f"data.{key}: only questions (data.source.kind: qa) have it; leave it out.")
        return settings
    if settings.truncation not in ("head", "windows"):
        raise TransferlabError(
            f"data.truncation: {settings.truncation} would cut answers off; a context is read in windows, so leave it "
            "out."
        )
    at_least(0, data__stride=stride, data__negative_windows=negative_windows)
    # question and context are read together
    windows = settings._replace(truncation="windows", windows="full", apart=False)
    return windows._replace(stride=stride, negative_windows=negative_windows)


def with_generation(settings: Settings, kind: str, generation: Generation | None) -> Settings:
    """The settings with how prompts are written, where a kind has any.

    Raises:
        TransferlabError: Keys that have no effect for the kind.
    """
    if kind == "text":
        return settings._replace(generation=generation or Generation(), apart=False)
    if generation is not None:
        raise TransferlabError(f"data.generation: only texts are generated (data.source.kind: text), not {kind}.")
    return settings


def with_case(settings: Settings, kind: str, case: bool | None) -> Settings:
    """The settings with whether capitals are told, where a kind is read word by word.

    Raises:
        TransferlabError: A kind that is not.
    """
    if case and kind not in WORDED:
        raise TransferlabError(f"data.case: only words have it ({', '.join(WORDED)}), not {kind}; leave it out.")
    return settings._replace(case=bool(case))

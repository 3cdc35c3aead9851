"""How far hidden states moved: linear CKA and cosine distance, layer by layer."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from transferlab.strategies.forward import encoder_inputs
from transferlab.tasks import Batch


class LayerDrift(NamedTuple):
    """Drift of the hidden states above one layer.

    Attributes:
        layer: 0 for the embeddings, then the layers from the bottom.
        cka: Linear CKA between the original and the tuned states; 1 where nothing moved but by rotation and scale.
        cosine_distance: Mean of ``1 - cos`` over tokens; 0 where no token's direction moved.
    """

    layer: int
    cka: float
    cosine_distance: float


class Moments:
    """First and second moments of two representations of the same examples, summed up batch by batch in float64.

    Args:
        width_x: Numbers in a vector of the first representation.
        width_y: Of the second one.
    """

    def __init__(self, width_x: int, width_y: int) -> None:
        self.count = 0
        self.x, self.y = torch.zeros(width_x).double(), torch.zeros(width_y).double()
        self.xx = torch.zeros(width_x, width_x).double()
        self.yy = torch.zeros(width_y, width_y).double()
        self.xy = torch.zeros(width_x, width_y).double()
        self.distance = 0.0

    def update(self, x: Tensor, y: Tensor) -> None:
        """Adds examples ``[examples, width_x]`` and the same ones in ``[examples, width_y]``."""
        x, y = x.double().cpu(), y.double().cpu()
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx += x.T @ x
        self.yy += y.T @ y
        self.xy += x.T @ y
        if x.shape == y.shape:
            self.distance += float(cosine_distance(x, y).sum())

    def cka(self) -> float:
        """Linear CKA, see `linear_cka`; NaN where one of them is the same for every example."""
        parts = ((self.xx, self.x, self.x), (self.yy, self.y, self.y), (self.xy, self.x, self.y))
        xx, yy, xy = (float(((s - torch.outer(a, b) / self.count) ** 2).sum()) for s, a, b in parts)
        return xy / (xx * yy) ** 0.5 if xx > 0 and yy > 0 else float("nan")


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear centred kernel alignment ``|Y'X|^2 / (|X'X| |Y'Y|)`` with centred columns and Frobenius norms.

    Kornblith et al. 2019, equation 6 in its linear form, https://arxiv.org/abs/1905.00414. Between 0 and 1, the same
    under rotation and scaling of either side. Unrelated representations come near 0 only with many more examples than
    columns.

    Args:
        x: ``[examples, width_x]``.
        y: ``[examples, width_y]``, the same examples in the same order.
    """
    moments = Moments(x.shape[1], y.shape[1])
    moments.update(x, y)
    return moments.cka()


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """``1 - cos`` of each pair of rows, ``[examples]``.

    Computed as half the squared distance of the unit vectors, which is exactly 0 for equal rows.
    """
    difference = nn.functional.normalize(x, dim=-1) - nn.functional.normalize(y, dim=-1)
    return (difference**2).sum(-1) / 2


@torch.inference_mode()
def layer_drift(original: Any, tuned: Any, batches: Iterable[Batch]) -> tuple[list[LayerDrift], int]:
    """Compares two backbones on the same texts, every real token an example.

    Args:
        original: A backbone that gives ``hidden_states``.
        tuned: Another one with as many layers.
        batches: Padded batches of texts.

    Returns:
        Drift of the embeddings and of each layer, and the number of tokens.
    """
    layers: list[Moments] = []
    for batch in batches:
        inputs, real = encoder_inputs(batch), batch.attention_mask.bool()
        pairs = zip(_states(original, inputs), _states(tuned, inputs), strict=True)
        for number, (before, after) in enumerate(pairs):
            if number == len(layers):
                layers.append(Moments(before.shape[-1], after.shape[-1]))
            layers[number].update(before[real], after[real])
    found = [LayerDrift(n, moments.cka(), moments.distance / moments.count) for n, moments in enumerate(layers)]
    return found, layers[0].count if layers else 0


def _states(backbone: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    states: tuple[Tensor, ...] = backbone(**inputs, output_hidden_states=True).hidden_states
    return states

"""Settings that make a run slow without need, said before it begins."""

from typing import Any

from transferlab.strategies.base import Strategy
from transferlab.tasks import TaskDataModule

LONG = 150
"""Mean tokens of a training example, from which on dropout of attention weights costs much on a processor."""


def of_attention(model: Strategy, data: TaskDataModule) -> str:
    """Why attention takes more time and memory on a processor than it has to; empty where it does not.

    torch's fused attention takes no dropout there: with some, the weights of all pairs of tokens are computed and kept.
    """
    config: Any = getattr(model.encoder.backbone, "config", None)
    if getattr(config, "_attn_implementation", "") != "sdpa" or "features" in data.attached:
        return ""
    shares = [
        value
        for key, value in vars(config).items()
        if isinstance(value, float) and ("attention" in key or key.startswith("attn")) and "drop" in key
    ]
    trained = any(name.startswith("encoder.") for name in model.trained())
    split, rows = data.training_rows()
    mean = float(data.encoded(split).ids.lengths[rows].mean()) if len(rows) else 0.0
    if not trained or max(shares, default=0.0) <= 0 or mean < LONG:
        return ""
    return (
        f"attention of {mean:.0f} tokens with dropout of its weights is not fused on a processor; with "
        "--encoder.attention_dropout 0 texts of 256 tokens took half the time and memory (docs/performance.md)"
    )

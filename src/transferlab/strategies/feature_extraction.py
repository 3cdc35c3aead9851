"""Feature extraction: the encoder is frozen, only the head learns."""

from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.utils.data import DataLoader

from transferlab import cache
from transferlab.encoders import EncoderConfig
from transferlab.heads import HeadConfig
from transferlab.optim import Schedule
from transferlab.strategies.base import Strategy, adamw
from transferlab.strategies.progress import counted
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import EncodedSplit


class FeatureExtraction(Strategy):
    """Trains a head on the output of a frozen encoder in evaluation mode.

    The features are computed once and kept on disk, unless they change during training (a learned layer mix) or take
    more than 4 GiB.

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        head: The task head.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        encode_precision: Precision of the frozen encoder while features are computed.
    """

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        head: HeadConfig = HeadConfig(),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        encode_precision: Literal["32", "bf16"] = "32",
    ) -> None:
        super().__init__(task, encoder, head, optimizer, schedule)
        self.encode_precision = encode_precision
        self.encoder.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> "FeatureExtraction":
        """Keeps the encoder in evaluation mode: without dropout its output is the same every time."""
        super().train(mode)
        self.encoder.backbone.eval()
        return self

    def wrap_data(self, data: TaskDataModule, device: torch.device | None = None) -> TaskDataModule:
        """Computes the features of all rows that are trained, selected or tested on, or reads them."""
        parts = [data.part_rows("train"), data.part_rows("validation")]
        parts += [(split, np.arange(len(data.encoded(split)))) for split in data.source.test]
        if self.encoder.mix is not None or sum(self._bytes(data.encoded(s), rows) for s, rows in parts) > cache.LIMIT:
            return data
        wanted: dict[str, Any] = {}
        for split, rows in parts:
            wanted[split] = np.union1d(wanted.get(split, rows[:0]), rows)
        weights = cache.fingerprint(self.encoder)
        # not inside inference mode, where the moved head would be barred from training
        self.to(device)
        features = {split: self._features(data, split, rows, weights, device) for split, rows in wanted.items()}
        data.attach = lambda batch, split: (
            batch._replace(features=features[split].of(batch)) if split in features else batch
        )
        return data

    def _lengths(self, split: EncodedSplit) -> Any:
        if split.words is not None:
            return split.words.lengths
        return split.ids.lengths if self.head.reads_tokens else None

    def _bytes(self, split: EncodedSplit, rows: Any) -> int:
        if self.head.reads_tokens and split.windows is not None:
            return cache.LIMIT + 1
        lengths = self._lengths(split)
        return 4 * self.encoder.hidden_size * (len(rows) if lengths is None else int(lengths[rows].sum()))

    def _features(
        self,
        data: TaskDataModule,
        name: str,
        rows: Any,
        weights: str,
        device: torch.device | None,
    ) -> cache.RowArray:
        split = data.encoded(name)
        reads = (self.head.reads_tokens, self.encoder_config.layers, self.encoder_config.pooling, self.encode_precision)
        key = cache.fingerprint("features", split.fingerprint, rows, weights, reads)
        return cache.row_array(
            key, split, rows, self._lengths(split), lambda: self._encode(data.loader(name, rows), device)
        )

    @torch.inference_mode()
    def _encode(self, loader: DataLoader[Batch], device: torch.device | None) -> list[tuple[Any, Tensor]]:
        self.encoder.eval()
        results = []
        enabled = self.encode_precision == "bf16"
        with torch.autocast((device or self.device).type, dtype=torch.bfloat16, enabled=enabled):
            for batch in counted(loader, "computing features"):
                moved = self.transfer_batch_to_device(batch, self.device, 0)
                results.append((batch.index.numpy(), self.represent(moved)[0].float().cpu()))
        return results

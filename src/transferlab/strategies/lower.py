"""The lower layers of an encoder where they do not learn: they are computed once, and without dropout."""

from typing import Any, Self

from transferlab.encoders import boundary
from transferlab.encoders.layers import layer_groups
from transferlab.learning.cache import Work
from transferlab.strategies import frozen
from transferlab.strategies.forward import encoder_inputs
from transferlab.strategies.reading import Reading
from transferlab.strategies.steadied import MOVED, Steadied
from transferlab.tasks import TaskDataModule


class LowerFrozen(Reading, Steadied):
    """A module some of whose layers may be frozen.

    Attributes:
        frozen_work: What of the work is done once, in words.
    """

    frozen_work: list[str]

    def keep_states(self, data: TaskDataModule, work: Work) -> None:
        """Computes the hidden states under the lowest layer that learns, where it pays, and attaches them."""
        depth, layers = self.frozen_layers, len(layer_groups(self.encoder.backbone)) - 1
        parts = data.settings.truncation == "windows" or self.task.apart
        # embeddings that move are read in every step
        moved = any(name in self.steady.chosen for name in MOVED)
        plain = self.encoder_config.layers == "last" and not parts and not moved and self.task.kind != "text"
        if plain and boundary.can_be_cut(self.encoder.backbone) and frozen.pays(depth, layers, work.epochs):
            values = frozen.Values(
                field="states",
                width=self.encoder.width,
                lengths=lambda split: split.ids.lengths,
                key=(depth, *boundary.frozen_modules(self.encoder.backbone, depth)),
                compute=lambda batch: self.encoder.below(depth, encoder_inputs(batch)),
            )
            self.keep_frozen(data, work, values, [data.training_rows(), data.part_rows("validation")])
            self._cut = depth

    def keep_frozen(
        self, data: TaskDataModule, work: Work, values: frozen.Values, parts: list[tuple[str, Any]]
    ) -> None:
        """Computes values for some rows, or reads them, and attaches them to the data; notes what was done."""
        self.encoder.eval()
        # not inside inference mode, where the moved head would be barred from training
        self.to(work.device)
        self.frozen_work.append(frozen.keep(data, work, values, parts))

    @property
    def frozen_layers(self) -> int:
        """Layers from the bottom without a parameter that learns; 0 also where the embeddings learn."""
        if self.task.kind == "text":
            # outputs are generated through all layers, so none is computed once
            return 0
        learned = self.learned()
        depth = -1
        for group in layer_groups(self.encoder.backbone):
            if any(f"encoder.backbone.{name}" in learned for name, _ in group):
                break
            depth += 1
        return max(depth, 0)

    def train(self, mode: bool = True) -> Self:
        """Keeps frozen layers in evaluation mode: without dropout their output is the same every time."""
        super().train(mode)
        if mode and (depth := self.frozen_layers):
            for module in boundary.frozen_modules(self.encoder.backbone, depth):
                module.eval()
        return self

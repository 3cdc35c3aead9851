"""What base weights and tokenizer a checkpoint belongs to."""

from typing import Any

from transferlab.strategies import content
from transferlab.strategies.steadied import Steadied


class Based(Steadied):
    """A module whose checkpoint holds what was trained, and fits the encoder that it was trained on."""

    accept_changed_base = False
    """Whether a checkpoint is loaded though base weights or tokenizer are other ones by content."""
    accepted: list[str]
    """What was accepted, in words."""

    def check_base(self, facts: dict[str, Any]) -> None:
        """Checks that a checkpoint was trained on these base weights and this tokenizer.

        Args:
            facts: What the checkpoint says of itself.

        Raises:
            TransferlabError: Others by content, and `accept_changed_base` is false.
        """
        leans = content.leans_on_base(self.state_dict(), self.learned())
        if not self.accept_changed_base:
            content.check_base(facts, self.belongs, leans)
        elif changed := content.changed_base(facts, self.belongs, leans):
            self.accepted = list(dict.fromkeys([*self.accepted, changed]))

    def check_resumed(self, facts: dict[str, Any]) -> None:
        """Checks that training can go on from a checkpoint as it began; `facts` as for `check_base`.

        Raises:
            TransferlabError: What it is trained with changed by content.
        """
        self.check_base(facts)

    @property
    def belongs(self) -> content.Belongs:
        """What a checkpoint of this model belongs to."""
        return content.Belongs(self.encoder_config, self.encoder.content, self.task)

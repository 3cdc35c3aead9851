"""Objects that remember what they were made with, so that a configuration can be written from them."""

import inspect
from typing import Any, Self


class Remembered:
    """Keeps the arguments that an instance was constructed with, defaults included.

    Lightning's ``save_hyperparameters`` would put them into checkpoints too, where they later win over a configuration.

    Attributes:
        init_args: Argument name to value, in the order of the signature; empty for a copy made without a constructor.
    """

    init_args: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        """Shows the arguments of the constructor, an inherited one too: `inspect` would take those of `__new__`."""
        super().__init_subclass__(**options)
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Notes the arguments; wrong ones are left for the constructor to refuse."""
        made = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
        except TypeError:
            object.__setattr__(made, "init_args", {})
            return made
        bound.apply_defaults()
        _, *names = bound.arguments
        # torch's modules take attributes only after their own constructor has run
        object.__setattr__(made, "init_args", {name: bound.arguments[name] for name in names})
        return made

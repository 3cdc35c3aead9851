"""``null`` for a key inside a key of a class, such as ``--model.head.lr null``."""

import functools
from contextlib import suppress
from typing import Any


@functools.cache
def take_nulls() -> None:
    """Lets jsonargparse take ``null`` on the command line for a key that lies two levels inside of a class.

    It reads the value, then writes it out again for the parser of the class: as ``None``, which YAML takes for a word,
    so that a number or null was refused. Tried with jsonargparse 4.47; where a release does that elsewhere, nothing is
    changed.
    """
    with suppress(ImportError, AttributeError):
        from jsonargparse import _typehints

        inner: Any = _typehints
        adapt, nested = inner.adapt_class_type, inner.NestedArg

        @functools.wraps(adapt)
        def adapt_class_type(value: Any, *arguments: Any, **named: Any) -> Any:
            inside = value.get("init_args") if hasattr(value, "get") else None
            if isinstance(inside, nested) and inside.val is None:
                value["init_args"] = nested(key=inside.key, val="null")
            return adapt(value, *arguments, **named)

        inner.adapt_class_type = adapt_class_type

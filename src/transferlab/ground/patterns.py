"""Regular expressions that are compiled when they are first asked: some take milliseconds, and few commands ask all."""

import re
from typing import Any, cast


def later(pattern: str) -> re.Pattern[str]:
    """What `re.compile` returns, but made at the first call of a method, which then is as quick as of the real one."""
    return cast(re.Pattern[str], _Later(pattern))


class _Later:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self.__dict__[name] = getattr(re.compile(self.pattern), name)
        return found

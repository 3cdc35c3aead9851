"""Who may ask: bearer tokens, compared in a time that tells nothing of them."""

import hashlib
import hmac
import os
from pathlib import Path

from transferlab.ground.errors import TransferlabError

VARIABLE = "TRANSFERLAB_TOKENS"
SHORTEST = 16


class Tokens:
    """The tokens that are taken.

    Args:
        path: A file with one a line; lines with ``#`` are remarks. None: those of ``$TRANSFERLAB_TOKENS``, between
            commas; without that everyone may ask.

    Raises:
        TransferlabError: The file cannot be read or holds none, or one is shorter than 16 characters.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known = self._read()

    def _read(self) -> list[bytes]:
        if self._path is not None:
            name = f"--tokens: {self._path}"
            try:
                words = self._path.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError) as error:
                raise TransferlabError(f"{name} cannot be read: {error}") from error
        else:
            name, given = f"${VARIABLE}", os.environ.get(VARIABLE)
            if given is None:
                return []
            words = given.split(",")
        found = [word.strip() for word in words if word.strip() and not word.lstrip().startswith("#")]
        if not found:
            raise TransferlabError(f"{name} holds no token.")
        for number, word in enumerate(found, 1):
            if len(word) < SHORTEST or not word.isascii() or any(sign.isspace() for sign in word):
                raise TransferlabError(f"{name}: token {number} is not {SHORTEST} or more ASCII characters, unbroken.")
        return [hashlib.sha256(word.encode()).digest() for word in found]

    def __bool__(self) -> bool:
        """Whether a token is needed."""
        return bool(self._known)

    def renew(self) -> None:
        """Reads them again; on an error those of before stay.

        Raises:
            TransferlabError: As in the beginning, or none are left.
        """
        self._known = self._read()

    def allow(self, given: str | None) -> bool:
        """Whether whoever gives this may ask."""
        if not self._known:
            return True
        digest = hashlib.sha256((given or "").encode("utf-8", "replace")).digest()
        # all of them, so that the time says neither whether nor where one agrees
        return sum([hmac.compare_digest(digest, known) for known in self._known]) > 0

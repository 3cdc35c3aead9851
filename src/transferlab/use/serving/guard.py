"""Around every request: its ID, its line in the log, its count, and the end of connections while the service ends."""

import logging
import re
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transferlab.use.serving.logs import LOG, say
from transferlab.use.serving.metrics import Metrics

ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
QUIET = {"/health", "/ready", "/metrics"}
"""Paths that are asked every few seconds; only what fails is told."""


class Ending:
    """Whether the service is about to end.

    Attributes:
        begun: True from the signal on.
    """

    begun = False


class Guard:
    """ASGI middleware.

    Args:
        app: What answers.
        metrics: Counts.
        ending: Says when connections are to be closed.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, ending: Ending) -> None:
        self._app, self._metrics, self._ending = app, metrics, ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        identity = given if ID.fullmatch(given) else secrets.token_hex(8).encode()
        told: dict[str, Any] = {}
        scope.setdefault("state", {})["told"] = told
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", identity)]
                if self._ending.begun:
                    # so that no client sends its next request into a connection that closes
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            LOG.exception("fault", extra={"facts": {"id": identity.decode()}})
            if not status:
                status = 500
                raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request(scope["path"], status, seconds)
            if scope["path"] not in QUIET or status >= 400:
                level = logging.ERROR if status >= 500 and status not in (503, 504) else logging.INFO
                facts = {"id": identity.decode(), "method": scope["method"], "path": scope["path"][:100]}
                say("request", level, **facts, status=status, ms=round(seconds * 1000, 1), **told)

"""The log: one JSON object a line, without texts unless they are asked for."""

import json
import logging
import sys
import time
import traceback
from typing import Any

LOG = logging.getLogger("transferlab.serve")


class Lines(logging.Formatter):
    """A record as a JSON object; of an exception its kind and place, not its message, which may hold a text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        milliseconds = f"{record.msecs:03.0f}"[:3]
        stamp = time.strftime(f"%Y-%m-%dT%H:%M:%S.{milliseconds}Z", time.gmtime(record.created))
        line: dict[str, Any] = {"time": stamp, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0]:
            frames = traceback.extract_tb(record.exc_info[2])
            line["exception"] = record.exc_info[0].__name__
            line["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
        return json.dumps(line, ensure_ascii=False, default=str)


def begin() -> None:
    """Sends the log of the service and of the server to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    for name, level in (
        ("transferlab.serve", logging.INFO),
        ("uvicorn.error", logging.ERROR),
        ("asyncio", logging.ERROR),
    ):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def say(event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Writes a line."""
    LOG.log(level, event, extra={"facts": facts})

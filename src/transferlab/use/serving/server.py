"""Listening, and the end: what has come is answered before the process goes."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from transferlab.ground.errors import TransferlabError
from transferlab.use.serving.app import Service
from transferlab.use.serving.logs import say
from transferlab.use.serving.served import Busy

SETTLE = 1.0
"""Seconds in which each answer closes its connection, before those that are idle are closed."""
KEPT_ALIVE = 75
"""Seconds that a connection may be idle: longer than proxies keep theirs, so that the proxy closes first."""
HEADERS = 10.0
"""Seconds for the head of a request."""


class Protocol(H11Protocol):
    """HTTP/1.1 by h11, which limits the head of a request in bytes; here it is limited in time too."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins a connection."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a connection."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        waits = self.conn.their_state is h11.IDLE
        if waits and self._timer is None:
            self._timer = self.loop.call_later(HEADERS, self.transport.close)
        elif not waits and self._timer:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """uvicorn, with an end that loses no request.

    Args:
        service: What answers.
        listener: A bound socket.
    """

    def __init__(self, service: Service, listener: socket.socket) -> None:
        config = uvicorn.Config(
            service.app(),
            http=Protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEPT_ALIVE,
            timeout_graceful_shutdown=int(service.limits.seconds) + 2,
        )
        super().__init__(config)
        self._service, self._listener = service, listener
        self._tasks: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen, and says where."""
        await super().startup(sockets)
        host, port = self._listener.getsockname()[:2]
        address = f"[{host}]" if ":" in host else host
        place = self._service.place
        say("serving", url=f"http://{address}:{port}", folder=str(place.folder), model=place.current.version)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the listener, lets answers close their connections, waits for the others."""
        self._service.ending.begun = True
        say("ending", requests=self._service.under_way)
        for server in self.servers:
            server.close()
        if not self.force_exit:
            await asyncio.sleep(SETTLE)
        await super().shutdown(sockets)
        self._service.batcher.close()
        self._service.kept.flush()
        say("ended")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the service, with exit code 0; SIGHUP exchanges the model."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._swap)
        yield
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _swap(self) -> None:
        async def swap() -> None:
            with contextlib.suppress(Busy, TransferlabError):
                await self._service.swap()

        task = asyncio.get_running_loop().create_task(swap())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        TransferlabError: No such address, or one that is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError, UnicodeError) as error:
        raise TransferlabError(f"--host {host} --port {port}: {error}; another --port may be free.") from error
    return listener

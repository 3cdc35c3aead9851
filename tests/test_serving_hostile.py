"""Requests that are no requests: each gets its status or a closed connection, and the service goes on as before."""

import json
import random
import socket
from pathlib import Path

import pytest
from conftest import HANGS
from test_serving import Server
from tiny_export import tiny_export

GOOD = {"text": "it was"}
SMALL, ALL = 40, 500


def bodies(draw):
    """Bodies that are refused: the status, and the bytes."""
    text = "".join(draw.choices('ab \u00e9\u4e2d\U0001f600"\\\0\n', k=draw.randint(1, 50)))
    whole = json.dumps({"text": text}).encode()
    cut = draw.randrange(1, len(whole))
    return draw.choice(
        [
            (422, whole[:cut]),
            (422, b"[" * draw.randint(1, 3_000)),
            (422, b'{"text": ' + b'{"a": ' * draw.randint(1, 2_000) + b"1"),
            (422, bytes(draw.choices(range(256), k=50)) + b"\xff"),
            (422, b'{"text": "\\ud83d"}'),
            (422, json.dumps({"text": draw.choice([None, 1, -1e308, True, {}, [], [text] * 3])}).encode()),
            (422, b'{"text": ' + b"9" * draw.randint(1, 5_000) + b"}"),
            (422, b'{"text": NaN}'),
            (422, json.dumps({"texts": [text] * 65}).encode()),
            (422, json.dumps({"text": text, text + "x": 1}).encode()),
            (422, json.dumps({"text": "x" * 20_001}).encode()),
            (413, b"x" * draw.randint(30_001, 400_000)),
            (413, json.dumps({"texts": ["x" * 19_000] * 3}).encode()),
        ]
    )


def lines(draw):
    """Bytes that are no request of HTTP, or one that must not be answered with 200."""
    host = b"Host: x\r\nContent-Type: application/json\r\n"
    return draw.choice(
        [
            bytes(draw.choices(range(256), k=draw.randint(1, 300))) + b"\r\n\r\n",
            b"POST /predict HTTP/1.1\r\n" + host + b"Content-Length: -5\r\n\r\n",
            b"POST /predict HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            b"POST /predict HTTP/1.1\r\n" + host + b"Content-Length: 99999999999999999999\r\n\r\n",
            b"POST /predict HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\nabcde",
            b"POST /predict HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /" + b"a" * 70_000,
            b"GET /health HTTP/1.1\r\n" + b"X: " + b"b" * 70_000,
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /%00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /predict HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ]
    )


def send(port, data):
    """The status of what comes back; None where the connection was closed instead."""
    with socket.create_connection(("127.0.0.1", port), HANGS) as link:
        try:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            reply = link.recv(200)
        except (ConnectionResetError, BrokenPipeError, OSError):
            return None
    return int(reply.split()[1]) if reply else None


def memory(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


@pytest.mark.parametrize("count", [SMALL, pytest.param(ALL, marks=pytest.mark.slow)])
def test_nothing_hostile_stops_the_service(count, tmp_path):
    draw = random.Random(count)
    with Server(tiny_export(tmp_path / "export"), "--max-bytes", 30_000) as server:
        good = server.ask(body=GOOD)[1]
        held = 0.0
        for number in range(count):
            if number % 3:
                expected, body = bodies(draw)
                status, answer, _ = server.ask(body=body)
                assert (status, set(answer)) == (expected, {"detail"}), body[:200]
            else:
                data = lines(draw)
                assert send(server.port, data) in {None, 400, 404, 405, 408, 413, 415, 422}, data[:200]
            if number == count // 2:
                held = memory(server)
        assert memory(server) < held + 30
        assert server.ask(body=GOOD)[1] == good
        assert server.ask("/health")[0] == 200
        assert server.end() == 0
        assert not server.events("fault")

"""The service under load: against a pipeline behind FastAPI, and with kills and exchanges of the model in between.

    python -m benchmarks.serving speed EXPORT --texts FILE --encoder FOLDER
    python -m benchmarks.serving kills EXPORT OTHER --texts FILE

`FILE` holds a text a line. CPU milliseconds a request are the steady figure; requests a second depend on what else the
machine does.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WITHIN = 0.2
"""Seconds that one request in a hundred may take at most."""
CLIENTS = (1, 4, 8, 16, 50)


@dataclass
class Seen:
    """What clients saw.

    Attributes:
        seconds: Of each answered request, with all its tries.
        answers: Number of the text, version of the model, answer.
        again: How often a request was sent again, by cause.
        lost: Requests without an answer after all tries.
    """

    seconds: list[float] = field(default_factory=list)
    answers: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    again: dict[str, int] = field(default_factory=dict)
    lost: int = 0


class Client:
    """Asks one text after the other over a connection that stays open."""

    def __init__(self, port: int, seen: Seen) -> None:
        self._port, self._seen = port, seen
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, number: int, text: str, tries: int) -> None:
        """Asks until there is an answer, `tries` times at most."""
        started = time.perf_counter()
        for _ in range(tries):
            try:
                status, version, answer = await self._once(text)
            except ConnectionRefusedError:
                cause = "nobody listened"
            except (OSError, asyncio.IncompleteReadError, ValueError):
                cause = "connection broke"
            else:
                if status == 200:
                    self._seen.seconds.append(time.perf_counter() - started)
                    self._seen.answers.append((number, version, answer))
                    return
                cause = f"status {status}"
            self._close()
            self._seen.again[cause] = self._seen.again.get(cause, 0) + 1
            await asyncio.sleep(0.1)
        self._seen.lost += 1

    async def _once(self, text: str) -> tuple[int, str, Any]:
        if self._link is None:
            self._link = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._link
        body = json.dumps({"text": text}).encode()
        head = f"host: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(b"POST /predict HTTP/1.1\r\n" + head.encode() + body)
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().lower().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in rest)
        answer = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self._close()
        status = int(first.split()[1])
        return status, headers.get("x-model", ""), json.loads(answer) if status == 200 else None

    def _close(self) -> None:
        if self._link is not None:
            self._link[1].close()
            self._link = None


async def load(port: int, texts: list[str], clients: int, requests: int, tries: int = 1) -> Seen:
    """Asks `requests` times with `clients` at once, each after its last answer."""
    seen, numbers = Seen(), iter(range(requests))

    async def work() -> None:
        client = Client(port, seen)
        for number in numbers:
            await client.ask(number % len(texts), texts[number % len(texts)], tries)

    await asyncio.gather(*(work() for _ in range(clients)))
    return seen


def start(command: list[str], port: int) -> "subprocess.Popen[bytes]":
    """Starts a server and waits until it listens."""
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.02)
    raise SystemExit(f"{command} ended with {process.returncode}")


def ours(export: Path, port: int) -> list[str]:
    """The command line of the service."""
    return ["-m", "transferlab", "serve", str(export), "--port", str(port)]


def cpu(process: "subprocess.Popen[bytes]") -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def speed(asked: argparse.Namespace, texts: list[str]) -> None:
    """Prints what a request costs at each number of clients, and the most requests a second within `WITHIN`."""
    port = free_port()
    peer = ["-m", "benchmarks.serving_peer", asked.encoder, str(port)]
    print("| Server | clients | requests/s | p50 ms | p99 ms | CPU ms a request | not answered |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    best: dict[str, float] = {}
    for name, command in (("pipeline in FastAPI", peer), ("transferlab serve", ours(asked.export, port))):
        process = start(command, port)
        asyncio.run(load(port, texts, 4, 50))
        for clients in asked.clients:
            before, began = cpu(process), time.perf_counter()
            seen = asyncio.run(load(port, texts, clients, asked.requests))
            wall, spent = time.perf_counter() - began, cpu(process) - before
            p50, p99 = (statistics.quantiles(seen.seconds, n=100)[at] for at in (49, 98))
            rate = len(seen.seconds) / wall
            if p99 <= WITHIN:
                best[name] = max(best.get(name, 0), rate)
            cost = spent / len(seen.seconds) * 1000
            print(f"| {name} | {clients} | {rate:.0f} | {p50 * 1e3:.0f} | {p99 * 1e3:.0f} | {cost:.1f} | {seen.lost} |")
        memory = Path(f"/proc/{process.pid}/status").read_text()
        held = [int(line.split()[1]) // 1024 for line in memory.splitlines() if line.startswith(("VmHWM", "VmRSS"))]
        print(f"{name}: {held[1]} MB, at most {held[0]} MB", file=sys.stderr)
        process.terminate()
        process.wait()
    for name, rate in best.items():
        print(f"{name}: {rate:.0f} requests/s with p99 <= {WITHIN * 1000:.0f} ms")


def kills(asked: argparse.Namespace, texts: list[str]) -> None:
    """Prints what clients that ask again saw while the service was killed, ended, and its model exchanged."""
    from transferlab.use.serving.served import Served

    exports = [asked.export.resolve(), asked.other.resolve()]
    expected = {}
    for export in exports:
        model = Served(export)
        expected[model.version] = model.answer(texts)
    port, events = free_port(), {"kill -9": 0, "SIGTERM": 0, "exchange": 0}
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "served"
        link.symlink_to(exports[0])
        process = start(ours(link, port), port)

        async def disturb() -> None:
            nonlocal process
            for what in itertools.cycle(("exchange", "kill -9", "exchange", "SIGTERM")):
                await asyncio.sleep(asked.every)
                events[what] += 1
                if what == "exchange":
                    fresh = link.with_name("fresh")
                    fresh.symlink_to(exports[events[what] % 2])
                    fresh.replace(link)
                    process.send_signal(signal.SIGHUP)
                    continue
                process.send_signal(signal.SIGKILL if what == "kill -9" else signal.SIGTERM)
                await asyncio.to_thread(process.wait)
                process = await asyncio.to_thread(start, ours(link, port), port)

        async def run() -> Seen:
            disturbing = asyncio.create_task(disturb())
            seen = await load(port, texts, asked.clients[-1], asked.requests, tries=600)
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
            return seen

        seen = asyncio.run(run())
        process.terminate()
        process.wait()
    wrong = sum(not agree(answer, expected[version][number]) for number, version, answer in seen.answers)
    served = {version: sum(one == version for _, one, _ in seen.answers) for version in expected}
    print(json.dumps({"answered": len(seen.answers), "lost": seen.lost, "wrong": wrong, "asked again": seen.again}))
    print(json.dumps({"events": events, "answers by model": served}))


def agree(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two answers are the same but for rounding."""
    near = all(abs(mine["probabilities"][key] - value) < 1e-4 for key, value in theirs["probabilities"].items())
    return near and (mine["prediction"] == theirs["prediction"] or theirs["margin"] < 2e-4)


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "kills"])
    parser.add_argument("export", type=Path, help="an exported ONNX folder")
    parser.add_argument("other", type=Path, nargs="?", help="of the same task, to exchange it for")
    parser.add_argument("--texts", type=Path, required=True, help="a text a line")
    parser.add_argument("--encoder", help="folder of the encoder, for the pipeline")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two disturbances")
    asked = parser.parse_args()
    if (asked.what == "speed" and not asked.encoder) or (asked.what == "kills" and not asked.other):
        parser.error("speed needs --encoder, kills needs OTHER")
    texts = [line for line in asked.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    (speed if asked.what == "speed" else kills)(asked, texts)


if __name__ == "__main__":
    main()

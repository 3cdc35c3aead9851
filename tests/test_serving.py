"""A service that answers over real sockets: as the run does, within its limits, and without losing a request."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import pytest
from conftest import HANGS
from test_export import FULL, export
from test_predictor import test_rows
from tiny_export import tiny_export

import transferlab as tl
from transferlab.ground.errors import TransferlabError
from transferlab.use.export.facts import ALONE
from transferlab.use.exported import Exported
from transferlab.use.serving import options
from transferlab.use.serving.app import Service
from transferlab.use.serving.batcher import Batcher, Full, Job, _alike
from transferlab.use.serving.command import exported
from transferlab.use.serving.options import Keep, Limits
from transferlab.use.serving.served import Place, Served
from transferlab.use.serving.tokens import Tokens

TOKEN = "a-token-of-some-length"


class Server:
    """`transferlab serve` in a process of its own."""

    def __init__(self, *arguments, package=False, **environment):
        code = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        code += "sys.argv[0] = 'transferlab'\nfrom transferlab.__main__ import main\nmain()"
        start = ["-m", "transferlab"] if package else ["-c", code]
        self.process = subprocess.Popen(
            [sys.executable, *start, "serve", *map(str, arguments), "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.lines, self.arrived = [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self.wait("serving")["url"].rpartition(":")[2])

    def _read(self):
        for line in self.process.stderr:
            with self.arrived:
                self.lines.append(line)
                self.arrived.notify_all()
        with self.arrived:
            self.lines.append("")
            self.arrived.notify_all()

    def events(self, name):
        return [line for line in map(json.loads, filter(None, self.lines)) if line["event"] == name]

    def wait(self, name, count=1):
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.events(name)) >= count or "" in self.lines, HANGS)
            assert len(self.events(name)) >= count, "".join(self.lines)
            return self.events(name)[count - 1]

    def ask(self, path="/predict", body=None, method=None, token=None, **headers):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if token:
            headers["authorization"] = f"Bearer {token}"
        link.request(method or ("GET" if body is None else "POST"), path, sent, headers)
        reply = link.getresponse()
        text = reply.read()
        link.close()
        kind = reply.headers.get("content-type", "")
        return reply.status, json.loads(text) if kind == "application/json" else text.decode(), reply.headers

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANGS)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()


def agree(kind, mine, theirs):
    assert mine.keys() == theirs.keys()
    if kind == "regression":
        assert mine["prediction"] == pytest.approx(theirs["prediction"], abs=1e-4)
    else:
        assert mine["prediction"] == theirs["prediction"]
        assert mine.get("entities") == theirs.get("entities")
    assert mine.get("probabilities") == pytest.approx(theirs.get("probabilities"), abs=1e-4)


TEXTS = ["she said it was by the", "he was", "yesterday, in my", "x" * 90, "they and we"] * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_export(tmp_path_factory.mktemp("serving") / "export")


def test_it_answers_counts_and_keeps(folder, tmp_path):
    counts, texts = tmp_path / "counts.jsonl", tmp_path / "texts.jsonl"
    expected = Exported(folder).predict(TEXTS)
    with Server(folder, "--keep-counts", counts, "--keep-texts", texts) as server:
        for text, answer in zip(TEXTS, expected, strict=True):
            status, mine, headers = server.ask(body={"text": text})
            assert status == 200
            agree("classification", mine, answer)
        status, mine, _ = server.ask(body={"texts": TEXTS}, x_request_id="mine-1")
        assert (status, len(mine["answers"])) == (200, len(TEXTS))
        for one, answer in zip(mine["answers"], expected, strict=True):
            agree("classification", one, answer)
        agree("classification", server.ask(body={"text": {"text": TEXTS[0]}})[1], expected[0])
        _, page, _ = server.ask("/metrics")
        total = 2 * len(TEXTS) + 1
        assert f"transferlab_text_characters_count {total}.0" in page
        assert f'model_info{{version="{headers["x-model"]}"}} 1.0' in page
        assert server.ask("/swap", {})[0] == 403
        assert server.end() == 0
        assert server.wait("request", len(TEXTS) + 1)["id"] == "mine-1"
        assert "she said" not in "".join(server.lines)
    kept = [json.loads(line) for line in texts.read_text().splitlines()]
    assert [row["text"] for row in kept[: len(TEXTS)]] == TEXTS
    assert [row["prediction"] for row in kept[: len(TEXTS)]] == [answer["prediction"] for answer in expected]
    assert texts.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in counts.read_text().splitlines()]
    assert sum(line["texts"] for line in lines) == total
    for name in ("predictions", "confidence", "characters"):
        assert sum(sum(line[name].values()) for line in lines) == total


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "pairs", "regression", "tagging"])
def test_it_answers_as_the_run(kind, files, tiny_encoder, tmp_path):
    run, folder, _ = export(tmp_path, files, tiny_encoder, kind, FULL, "onnx")
    predictor = tl.Predictor.load(run, device="cpu")
    rows = [[row[name] for name in predictor.text] for row in test_rows(files, kind)]
    examples = [row[0] if len(row) == 1 else row for row in rows]
    expected = predictor.predict(examples)
    with Server(folder) as server:
        for example, answer in zip(examples, expected, strict=True):
            agree(kind, server.ask(body={"text": example})[1], answer)
        for one, answer in zip(server.ask(body={"texts": examples[:60]})[1]["answers"], expected, strict=False):
            agree(kind, one, answer)
        named = dict(zip(predictor.text, rows[0], strict=True))
        agree(kind, server.ask(body={"text": named})[1], expected[0])


def test_what_is_not_wanted_gets_its_status(folder, tmp_path):
    (tmp_path / "tokens").write_text(f"# mine\n{TOKEN}\n")
    limits = ["--max-bytes", 2000, "--max-texts", 3, "--max-characters", 100]
    with Server(folder, "--tokens", tmp_path / "tokens", *limits) as server:
        good = {"text": "it was"}
        assert server.ask(body=good)[0] == 401
        assert server.ask(body=good, token=TOKEN + "x")[0] == 401
        assert server.ask(body=good, authorization="Basic abc")[2]["www-authenticate"] == "Bearer"
        assert server.ask(body=good, token=TOKEN)[0] == 200
        assert server.ask("/health")[:2] == (200, {"status": "ok"})
        assert server.ask("/ready")[0] == 200
        assert server.ask("/docs")[0] == server.ask("/openapi.json")[0] == 200
        for body, status, message in [
            (b"{", 422, "Invalid JSON"),
            (b"\xff\xfe", 422, "Invalid JSON"),
            (b"[" * 1900, 422, "Invalid JSON"),
            (b'{"text": "\\ud800"}', 422, "Invalid JSON"),
            ([], 422, "should be"),
            ({}, 422, "give either text or texts"),
            ({"text": "a", "texts": ["b"]}, 422, "give either text or texts"),
            ({"text": ""}, 422, "text: .*at least 1 character"),
            ({"text": 5}, 422, "text: a text is wanted"),
            ({"text": ["secret", "secret"]}, 422, "text: a text is wanted"),
            ({"text": {"other": "secret"}}, 422, "text: a text is wanted"),
            ({"texts": []}, 422, "texts: .*at least 1 item"),
            ({"texts": ["a", 7]}, 422, "texts.1: a text is wanted"),
            ({"texts": ["a"] * 4}, 422, "texts: .*at most 3 items"),
            ({"text": "secret" * 20}, 422, "text: .*at most 100 characters"),
            ({"text": "a", "model": "secret"}, 422, "'model': there is no such key"),
            ({"text": "a" * 2100}, 413, "at most 2,000 bytes"),
        ]:
            found, answer, _ = server.ask(body=body, token=TOKEN)
            assert (found, bool(re.search(message, answer["detail"]))) == (status, True), (body, answer)
            assert "secret" not in answer["detail"]
        assert server.ask(body=good, token=TOKEN, content_type="text/plain")[0] == 415
        assert server.ask(body=good, token=TOKEN, content_encoding="gzip")[0] == 415
        assert server.ask("/predict", token=TOKEN)[0] == 405
        assert server.ask("/../etc/passwd")[0] == 404
        assert server.ask(body=good, token=TOKEN)[0] == 200
        assert server.end() == 0
        assert not server.events("fault")


def in_process(folder, **limits):
    """The service without a socket."""
    limits = Limits(**limits)
    return Service(Place(folder), limits, Tokens(), Keep(), threads=1, size=8)


async def ask(service, body, comes=True):
    """What the service answers to a request whose body comes, or never does."""
    sent = []
    messages = [{"type": "http.request", "body": json.dumps(body).encode()}] if comes else []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b""}
    headers = [(b"content-type", b"application/json")]
    await service.app()({**scope, "headers": headers, "http_version": "1.1"}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


def test_what_takes_too_long_or_is_too_much_is_refused(folder, monkeypatch):
    held, going = threading.Event(), threading.Event()
    answer = Served.answer

    def slow(self, examples):
        going.set()
        assert held.wait(HANGS)
        return answer(self, examples)

    async def busy():
        service = in_process(folder, waiting=2, texts=2, requests=3, seconds=HANGS)
        monkeypatch.setattr(Served, "answer", slow)
        first = asyncio.create_task(ask(service, {"text": "he was"}))
        await asyncio.to_thread(going.wait, HANGS)
        # the thread is at work; two wait, so a third finds no room
        second = asyncio.create_task(ask(service, {"texts": ["she", "they"]}))
        while service.batcher.waiting < 2:
            await asyncio.sleep(0)
        status, headers = await ask(service, {"text": "he was"})
        assert (status, headers[b"retry-after"]) == (503, b"1")
        third = asyncio.create_task(ask(service, {}, comes=False))
        while service.under_way < 3:
            await asyncio.sleep(0)
        status, headers = await ask(service, {"text": "he was"})
        assert (status, headers[b"retry-after"]) == (503, b"1")
        held.set()
        assert [(await first)[0], (await second)[0]] == [200, 200]
        third.cancel()
        service.batcher.close()

    async def late():
        service = in_process(folder, seconds=0.05)
        monkeypatch.setattr(Served, "answer", slow)
        status, headers = await ask(service, {}, comes=False)
        assert (status, headers[b"connection"]) == (408, b"close")
        held.clear()
        service.limits = service.limits._replace(seconds=1)
        status, headers = await ask(service, {"text": "he was"})
        assert (status, headers[b"retry-after"]) == (504, b"1")
        held.set()
        service.batcher.close()

    asyncio.run(busy())
    monkeypatch.undo()
    asyncio.run(late())


def test_a_batch_holds_texts_of_like_length(folder, tmp_path):
    class Jobs(list):
        def add(self, model, *lengths):
            self.extend(Job(model, "x" * long, long, Future()) for long in lengths)

    model, other = Served(folder), Served(folder)
    jobs = Jobs()
    jobs.add(model, 100, 2000, 90)
    jobs.add(other, 100)
    jobs.add(model, 130, *[100] * 9)
    first = _alike(jobs, 8)
    assert first[0] is jobs[0]
    assert len(first) == 8
    assert {job.characters for job in first} == {100}
    assert all(job.model is model for job in first)
    assert [job.characters for job in _alike(jobs[:3], 8)] == [100, 90]
    assert [job.characters for job in _alike(jobs[1:], 8)] == [2000]
    # an answer of this form would depend on the others
    alone = Served(tiny_export(tmp_path / "alone", batching=ALONE))
    jobs = Jobs()
    jobs.add(alone, 100, 100)
    assert len(_alike(jobs, 8)) == 1


def test_one_that_cannot_be_answered_does_not_refuse_the_others(folder):
    model, told = Served(folder), []
    batcher = Batcher(1, 8, 16, lambda jobs, answers, seconds: told.extend(answers))
    good, bad = "he was", {"other": "x"}
    answers = batcher.submit(model, [good, bad, good], [6, 6, 6])
    assert answers[0].result(HANGS) == answers[2].result(HANGS) == model.answer([good])[0]
    with pytest.raises(TransferlabError, match="there is no 'text'"):
        answers[1].result(HANGS)
    with pytest.raises(Full):
        batcher.submit(model, [good] * 17, [6] * 17)
    batcher.close()
    assert len(told) == 2


class Clients:
    """Threads that ask one text after the other over connections that stay open, until they are stopped."""

    def __init__(self, server, count=8):
        self.server, self.found, self.lost = server, [], []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def _ask(self, number):
        link = None
        while not self.stopped.is_set():
            text = TEXTS[(number := number + 1) % len(TEXTS)]
            try:
                link = link or http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=HANGS)
                headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
                link.request("POST", "/predict", json.dumps({"text": text}), headers)
                reply = link.getresponse()
                self.found.append((text, reply.headers["x-model"], json.loads(reply.read())))
                if reply.headers.get("connection") == "close":
                    link = link.close()
            except ConnectionRefusedError:
                # nobody listens any more: nothing was sent
                return
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)

    def wait(self, count):
        while len(self.found) < count:
            assert any(thread.is_alive() for thread in self.threads)
            time.sleep(0.01)

    def end(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def test_neither_an_exchange_nor_the_end_loses_a_request(tmp_path):
    folders = [tiny_export(tmp_path / f"export-{seed}", seed=seed) for seed in (0, 1)]
    served = tmp_path / "served"
    served.symlink_to(folders[0])
    expected = {}
    for folder in folders:
        place = Place(folder)
        expected[place.current.version] = dict(zip(TEXTS, place.current.answer(TEXTS), strict=True))
    first, second = expected
    with Server(served, TRANSFERLAB_TOKENS=f"{TOKEN},another-token-of-some-length") as server:
        clients = Clients(server)
        clients.wait(20)
        replace(served, folders[1])
        assert server.ask("/swap", {}, token=TOKEN)[:2] == (200, {"model": second, "changed": True})
        clients.wait(len(clients.found) + 20)
        replace(served, folders[0])
        server.process.send_signal(signal.SIGHUP)
        assert server.wait("swap", 2)["model"] == first
        replace(served, tiny_export(tmp_path / "other", labels=("bad", "good", "fair")))
        status, answer, _ = server.ask("/swap", {}, token=TOKEN)
        assert (status, "labels" in answer["detail"]) == (409, True)
        (served / "transferlab.json").unlink()
        assert server.ask("/swap", {}, token=TOKEN)[0] == 409
        assert server.ask("/swap", {})[0] == 401
        clients.wait(len(clients.found) + 20)
        assert server.end() == 0
        clients.end()
    assert not clients.lost
    assert {version for _, version, _ in clients.found} == {first, second}
    for text, version, answer in clients.found:
        agree("classification", answer, expected[version][text])


def replace(link, folder):
    fresh = link.with_name("fresh")
    fresh.symlink_to(folder)
    fresh.replace(link)


def test_tokens(tmp_path, monkeypatch):
    path = tmp_path / "tokens"
    for text, message in [("", "holds no token"), ("short", "token 1 is not 16"), ("a b" * 9, "token 1 is not 16")]:
        path.write_text(text)
        with pytest.raises(TransferlabError, match=message):
            Tokens(path)
    path.write_text(f"# of the shop\n{TOKEN}\n\nanother-token-of-some-length\n")
    tokens = Tokens(path)
    assert tokens.allow(TOKEN)
    assert tokens.allow("another-token-of-some-length")
    assert not any(map(tokens.allow, (None, "", TOKEN[:-1], "# of the shop", "é" * 16)))
    monkeypatch.setenv("TRANSFERLAB_TOKENS", "")
    with pytest.raises(TransferlabError, match="TRANSFERLAB_TOKENS holds no token"):
        Tokens()
    monkeypatch.delenv("TRANSFERLAB_TOKENS")
    assert Tokens().allow(None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "others can reach it"),
        (["--max-texts", "0"], "--max-texts: 0 is no limit"),
        (["--max-texts", "999"], "would never find room"),
        (["--threads", "0"], "above 0"),
        (["--port", "99999"], "0 to 65535"),
        (["--tokens", "absent"], "absent cannot be read"),
        (["--calibrated"], "no temperature that is to be trusted"),
    ],
)
def test_what_cannot_be_served(arguments, message, folder):
    with pytest.raises(TransferlabError, match=message):
        options.main([str(folder), "--port", "0", *arguments])


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(TransferlabError, match="nothing"):
        exported("nothing", tmp_path)

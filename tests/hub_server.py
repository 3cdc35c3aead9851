"""A stand-in of the Hugging Face Hub on this machine: model and data set repositories from folders.

It answers what `huggingface_hub` and `datasets` ask when they download, on 127.0.0.1. What it does not have is answered
with the Hub's own "not found".
"""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789012345678901234567890123456789"
PIECE = 1 << 14


class Handler(BaseHTTPRequestHandler):
    """One request; the server holds the folders."""

    def do_GET(self):
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        hub.asked.append(path)
        for kind, name, folder in hub.repositories:
            prefix = f"/{kind}s/{name}" if kind == "dataset" else f"/{name}"
            if path.startswith(f"{prefix}/resolve/"):
                return self._file(folder / path.removeprefix(f"{prefix}/resolve/").partition("/")[2])
            if path.startswith(f"/api/{kind}s/{name}"):
                return self._facts(name, folder, path.removeprefix(f"/api/{kind}s/{name}"))
        return self._json({}, 200 if path == "/" else 404)

    do_HEAD = do_POST = do_GET

    def _facts(self, name, folder, rest):
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        if rest == "" or rest.startswith("/revision/"):
            siblings = [{"rfilename": str(path.relative_to(folder))} for path in files]
            return self._json({"id": name, "sha": COMMIT, "siblings": siblings, "tags": [], "downloads": 0})
        entries = [
            {"type": "file", "path": str(p.relative_to(folder)), "size": p.stat().st_size, "oid": _hash(p)}
            for p in files
        ]
        if rest.startswith("/tree/"):
            return self._json([one for one in entries if not rest.partition("/tree/")[2].partition("/")[2]])
        if rest.startswith("/paths-info/"):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked = json.loads(body)["paths"] if body.startswith("{") else _form(body)
            return self._json([one for one in entries if one["path"] in asked])
        return self._json({}, 404)

    def _json(self, content, status=200):
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json"})

    def _file(self, path):
        if not path.is_file():
            return self._json({}, 404)
        return self._send(path.read_bytes(), 200, {"ETag": f'"{_hash(path)}"'}, large=path.stat().st_size > PIECE)

    def _send(self, content, status, headers, large=False):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if large:
            # the first piece only, until it may go on
            self.wfile.write(content[:PIECE])
            self.wfile.flush()
            self.server.hub.open.wait()
            content = content[PIECE:]
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


def _hash(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _form(body):
    from urllib.parse import parse_qs

    return parse_qs(body).get("paths", [])


class Hub:
    """The repositories, what was asked for, and whether large files are let through."""

    def __init__(self, models=None, datasets=None):
        self.repositories = [
            *(("model", name, Path(folder)) for name, folder in (models or {}).items()),
            *(("dataset", name, Path(folder)) for name, folder in (datasets or {}).items()),
        ]
        self.asked = []
        self.open = threading.Event()
        self.open.set()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.hub = self

    def environment(self, home):
        """Variables under which the Hub's libraries ask this server and keep what they get in a folder."""
        return {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.http.server_port}",
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        }


@contextmanager
def serve(models=None, datasets=None):
    """A running stand-in."""
    hub = Hub(models, datasets)
    threading.Thread(target=hub.http.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.open.set()
        hub.http.shutdown()
        hub.http.server_close()

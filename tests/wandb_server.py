"""A W&B server in this process, for the real client: runs, history, files, artifacts and who used them.

It answers what the client asks (GraphQL, file stream, uploads) from memory, on 127.0.0.1. What it does not know is
refused with 400 and noted in `unknown`, so that a test sees it; a 5xx would make the client try again for minutes.
"""

import base64
import contextlib
import gzip
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENTITY = "lab"


@dataclass
class Run:
    """What the server knows of a run; `history` is a row for each logged step, in the order of arrival."""

    id: str
    name: str
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    events: int = 0
    log: int = 0
    facts: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    used: list = field(default_factory=list)
    exit_code: int | None = None
    connections: int = 0

    def values(self, key):
        """Pairs of step and value for each row that has the key."""
        return [(row["_step"], row[key]) for row in self.history if key in row]


@dataclass
class Artifact:
    """A version of an artifact."""

    id: str
    name: str
    type: str
    version: int
    digest: str
    run: str
    project: str
    aliases: list = field(default_factory=list)
    metadata: dict = field(default_factory=dict)
    clients: set = field(default_factory=set)
    committed: bool = False
    manifest: bytes = b""

    @property
    def entries(self):
        """File names (or references) in the manifest."""
        return json.loads(self.manifest)["contents"]


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class WandbServer:
    """Use as a context manager; `environment` points the client at it.

    Args:
        port: To come back at the same place after `stop`; 0 for any.
    """

    def __init__(self, port=0):
        self.runs, self.artifacts, self.uploads = {}, {}, {}
        self.operations, self.unknown, self.views = [], [], []
        self.status = 200
        self.delay = 0.0
        self.lock = threading.RLock()
        self.port = port

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"server_state": self})
        self.http = _Http(("127.0.0.1", self.port), handler)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """From now on connections are refused."""
        if self.http:
            self.http.shutdown()
            self.http.server_close()
            self.http = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self):
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "0" * 40, "WANDB_ENTITY": ENTITY, "WANDB_MODE": "online"}

    @property
    def run(self):
        """The only run."""
        (run,) = self.runs.values()
        return run

    # uploads and the file stream ----------------------------------------------------------------------------------

    def stream(self, name, body):
        run = self.runs[name]
        for file, part in (body.get("files") or {}).items():
            lines, offset = part["content"], part.get("offset") or 0
            if file == "wandb-history.jsonl":
                run.history[offset:] = [json.loads(line) for line in lines]
            elif file == "wandb-summary.json":
                run.summary = json.loads(lines[-1])
            elif file == "wandb-events.jsonl":
                run.events = offset + len(lines)
            elif file == "output.log":
                run.log = offset + len(lines)
        if body.get("complete"):
            run.exit_code = body.get("exitcode")
        return {"limits": {}}

    def put(self, path, body):
        kind, owner, name = path.lstrip("/").split("/", 2)
        if kind == "manifest":
            self.artifacts[owner].manifest = body
        elif kind == "run":
            self.runs[owner].files[name] = body
        self.uploads[path] = body

    # GraphQL ------------------------------------------------------------------------------------------------------

    def graphql(self, request):
        name = re.search(r"\b(?:query|mutation)\s+(\w+)", request["query"])[1]
        variables = request.get("variables") or {}
        self.operations.append(name)
        answer = getattr(self, f"_{name}", None)
        if answer is None:
            self.unknown.append((name, variables))
            return {"data": None, "errors": [{"message": f"unknown operation {name}"}]}, 400
        return {"data": answer(variables.get("input") or variables, variables)}, 200

    def _Viewer(self, v, _):
        user = {
            "id": _id("User", 1),
            "entity": ENTITY,
            "username": ENTITY,
            "email": "a@b.c",
            "name": "A",
            "admin": False,
        }
        return {"viewer": {**user, "flags": "{}", "deletedAt": None, "teams": {"edges": []}, "apiKeys": {"edges": []}}}

    _ViewerWithCoreWeave = _Viewer

    def _ServerInfo(self, v, _):
        return {"serverInfo": {"cliVersionInfo": {"max_cli_version": "9.0.0"}, "latestLocalVersionInfo": None}}

    def _ServerFeaturesQuery(self, v, _):
        return {"serverInfo": {"features": []}}

    def _OrganizationCoreWeaveOrganizationID(self, v, _):
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def _UpsertBucket(self, v, _):
        name = v.get("name") or next(run.name for run in self.runs.values() if run.id == v["id"])
        new = name not in self.runs
        run = self.runs.setdefault(name, Run(_id("Run", name), name))
        run.connections += 1
        run.facts |= {key: value for key, value in v.items() if value is not None}
        if v.get("config"):
            run.config |= {key: value.get("value") for key, value in json.loads(v["config"]).items()}
        title = run.facts.get("displayName") or name
        bucket = {"id": run.id, "name": name, "displayName": title, "description": None, "sweepName": None}
        bucket |= {"config": json.dumps(self._config(run)), "historyLineCount": len(run.history)}
        return {"upsertBucket": {"inserted": new, "bucket": {**bucket, "project": _project(run.facts["project"])}}}

    def _config(self, run):
        return {key: {"value": value} for key, value in run.config.items()}

    def _RunResumeStatus(self, v, _):
        run, bucket = self.runs.get(v["name"]), None
        if run:
            bucket = {
                "id": run.id,
                "name": run.name,
                "displayName": run.facts.get("displayName"),
                "summaryMetrics": json.dumps(run.summary),
                "historyLineCount": len(run.history),
                "eventsLineCount": run.events,
                "logLineCount": run.log,
                "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
                "eventsTail": "[]",
                "config": json.dumps(self._config(run)),
                "tags": run.facts.get("tags", []),
                "notes": None,
                "wandbConfig": json.dumps({"t": 1}),
            }
        return {"model": {**_project(v["project"]), "bucket": bucket}}

    def _RunStoppedStatus(self, v, _):
        return {"project": {"run": {"stopped": False}}}

    def _CreateRunFiles(self, v, _):
        files = [{"name": name, "uploadUrl": f"{self.url}/run/{v['run']}/{name}"} for name in v["files"]]
        return {"createRunFiles": {"runID": self.runs[v["run"]].id, "uploadHeaders": [], "files": files}}

    def _MarkRunFilesUploaded(self, v, _):
        return {"markRunFilesUploaded": {"success": True}}

    # artifacts ----------------------------------------------------------------------------------------------------

    def _CreateArtifact(self, v, _):
        versions = [a for a in self.artifacts.values() if a.name == v["artifactCollectionName"]]
        found = next((artifact for artifact in versions if artifact.digest == v["digest"]), None)
        if found is None:
            key = _id("Artifact", len(self.artifacts)).rstrip("=")
            name, kind, number = v["artifactCollectionName"], v["artifactTypeName"], len(versions)
            found = Artifact(key, name, kind, number, v["digest"], v.get("runName"), v["projectName"])
            found.metadata = json.loads(v.get("metadata") or "{}")
            self.artifacts[key] = found
        for alias in ("latest", *(given["alias"] for given in v.get("aliases") or [])):
            for artifact in versions:
                artifact.aliases = [other for other in artifact.aliases if other != alias]
            found.aliases = sorted({*found.aliases, alias})
        found.clients.add(v["clientID"])
        newest = {"latestArtifact": {"id": versions[-1].id} if versions else None}
        state = "COMMITTED" if found.committed else "PENDING"
        return {"createArtifact": {"artifact": {"id": found.id, "state": state, "artifactSequence": newest}}}

    def _CreateArtifactManifest(self, v, _):
        key = v["artifactID"]
        address = f"{self.url}/manifest/{key}/0" if v["includeUpload"] else None
        file = {"id": key, "uploadUrl": address, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": key, "file": file}}}

    def _UpdateArtifactManifest(self, v, _):
        key = v["artifactManifestID"]
        file = {"id": key, "uploadUrl": f"{self.url}/manifest/{key}/0", "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": key, "file": file}}}

    def _CreateArtifactFiles(self, v, _):
        def node(file):
            address = f"{self.url}/artifact/{file['artifactID']}/{file['name']}"
            facts = {"storagePath": file["name"], "uploadUrl": address, "uploadHeaders": []}
            return {**facts, "uploadMultipartUrls": None, "artifact": {"id": file["artifactID"]}}

        return {"createArtifactFiles": {"files": {"edges": [{"node": node(file)} for file in v["artifactFiles"]]}}}

    def _CommitArtifact(self, v, _):
        artifact = self.artifacts[v["artifactID"]]
        artifact.committed = True
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}

    def _ClientIDMapping(self, v, _):
        found = (a for a in self.artifacts.values() if v["clientID"] in a.clients)
        return {"clientIDMapping": next(({"serverID": artifact.id} for artifact in found), None)}

    def _ArtifactType(self, v, _):
        name = v["name"].partition(":")[0]
        found = next((a for a in self.artifacts.values() if a.name == name), None)
        return {"project": {"artifact": found and {"artifactType": {"name": found.type}}}}

    def _find(self, name):
        collection, _, wanted = name.partition(":")
        versions = [a for a in self.artifacts.values() if a.name == collection]
        return next((a for a in versions if wanted in {*a.aliases, f"v{a.version}"}), None)

    def _ArtifactMembershipByName(self, v, _):
        found = self._find(v["name"])
        if found is None:
            return {"project": {"artifactCollectionMembership": None}}
        project = {**_project(v["project"]), "internalId": _id("Project", 1)}
        collection = {"__typename": "ArtifactSequence", "name": found.name, "project": project}
        aliases = [{"__typename": "ArtifactAlias", "id": _id("Alias", a), "alias": a} for a in found.aliases]
        moment = "2026-01-01T00:00:00Z"
        facts = {
            **{"__typename": "Artifact", "id": found.id, "artifactSequence": collection},
            **{"versionIndex": found.version, "artifactType": {"name": found.type}, "description": None},
            **{"metadata": json.dumps(found.metadata), "ttlDurationSeconds": -1, "ttlIsInherited": True, "tags": []},
            **{"historyStep": None, "state": "COMMITTED", "size": 1, "digest": found.digest, "commitHash": "c"},
            **{"fileCount": len(found.entries), "createdAt": moment, "updatedAt": None, "aliases": []},
        }
        membership = {"__typename": "ArtifactCollectionMembership", "id": _id("Membership", found.id)}
        membership |= {"versionIndex": found.version, "createdAt": moment, "aliases": aliases}
        membership |= {"artifactCollection": collection, "artifact": facts}
        return {"project": {"artifactCollectionMembership": membership}}

    def _FetchArtifactManifest(self, v, _):
        return {"artifact": {"currentManifest": {"file": {"directUrl": f"{self.url}/manifest/{v['id']}/0"}}}}

    def _GetArtifactMembershipFileUrls(self, v, _):
        found = self._find(f"{v['collection']}:{v['alias']}")
        files = [
            {"node": {"__typename": "File", "name": name, "directUrl": f"{self.url}/artifact/{found.id}/{name}"}}
            for name in found.entries
        ]
        page = {"pageInfo": {"endCursor": None, "hasNextPage": False}, "edges": files}
        membership = {"artifactMembership": {"files": page}}
        return {"project": {"artifactCollection": {"__typename": "ArtifactSequence", **membership}}}

    def _UpsertView2(self, v, _):
        self.views.append({"display_name": v["displayName"], "spec": json.loads(v["spec"])})
        return {"upsertView": {"view": {"id": _id("View", len(self.views)), "name": v["name"]}, "inserted": True}}

    def _UseArtifact(self, v, _):
        artifact = self.artifacts[v["artifactID"]]
        self.runs[v["runName"]].used.append(f"{artifact.name}:v{artifact.version}")
        return {"useArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: WandbServer

    def log_message(self, *_):
        pass

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content, status=200):
        self._send(json.dumps(content).encode(), status)

    def _send(self, body, status=200):
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _serve(self):
        state, body = self.server_state, self._body()
        time.sleep(state.delay)
        if state.status != 200:
            return self._answer({"errors": [{"message": "refused"}]}, state.status)
        with state.lock:
            if self.command == "PUT":
                state.put(self.path, body)
                return self._answer({})
            if self.path == "/graphql":
                return self._answer(*state.graphql(json.loads(body)))
            if stream := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                return self._answer(state.stream(stream[1], json.loads(body)))
            if self.command == "GET" and self.path in state.uploads:
                return self._send(state.uploads[self.path])
            if self.path.startswith("/sdk/otel"):
                return self._answer({})
            state.unknown.append(self.path)
        return self._answer({}, 404)

    do_GET = do_PUT = do_POST = _serve


def _id(kind, number):
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def _project(name):
    return {"id": _id("Project", name), "name": name, "entity": {"id": _id("Entity", ENTITY), "name": ENTITY}}

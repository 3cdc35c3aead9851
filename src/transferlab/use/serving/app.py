"""The paths of the service."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds import KINDS
from transferlab.use.answering import Example, Record
from transferlab.use.serving.batcher import Batcher, Full, Job
from transferlab.use.serving.guard import Ending, Guard
from transferlab.use.serving.keeping import Kept
from transferlab.use.serving.logs import say
from transferlab.use.serving.metrics import Metrics
from transferlab.use.serving.options import Keep, Limits
from transferlab.use.serving.page import PAGE
from transferlab.use.serving.questions import question_of, read
from transferlab.use.serving.served import MARKED, Busy, Place
from transferlab.use.serving.tokens import Tokens

AGAIN = {"Retry-After": "1"}
DISCARDED = 16
"""So many times the limit of a body is read and thrown away, so that the client reads why it is refused."""
BEARER = HTTPBearer(auto_error=False, description="One of the tokens that the service was started with.")
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


class Service:
    """A served model with its queue, limits, tokens and figures.

    Args:
        place: The model.
        limits: Of requests.
        tokens: Who may ask.
        keep: What stays of texts.
        threads: Batches at once.
        size: Texts of a batch, at most.
    """

    def __init__(self, place: Place, limits: Limits, tokens: Tokens, keep: Keep, threads: int, size: int) -> None:
        self.place, self.limits, self.tokens, self.keep = place, limits, tokens, keep
        facts = place.current.facts
        self.form = question_of(facts, limits)
        self.metrics = Metrics(facts.task, lambda: self.batcher.waiting)
        self.metrics.serves(place.current.version)
        self.kept = Kept(facts.task, facts.text, keep)
        self.ending = Ending()
        self.batcher = Batcher(threads, size, limits.waiting, self._told)
        self.under_way = 0

    def _told(self, jobs: Sequence[Job], answers: Sequence[Record], seconds: float) -> None:
        self.metrics.batch(jobs, answers, seconds)
        self.kept.batch(jobs, answers, seconds)

    def app(self) -> Guard:
        """The service as an ASGI application."""
        return Guard(_paths(self), self.metrics, self.ending)

    def allow(self, given: HTTPAuthorizationCredentials | None) -> None:
        """Refuses whoever has no token.

        Raises:
            HTTPException: HTTP 401: no token, or one that is not known.
        """
        if not self.tokens.allow(given.credentials if given else None):
            raise HTTPException(401, "a known bearer token is needed", {"WWW-Authenticate": "Bearer"})

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Counts a request while it is under way; refuses it where there are too many."""
        if self.under_way >= self.limits.requests:
            raise HTTPException(503, "too many requests at once; ask again", AGAIN)
        self.under_way += 1
        self.metrics.under_way.set(self.under_way)
        try:
            yield
        finally:
            self.under_way -= 1
            self.metrics.under_way.set(self.under_way)

    async def ask(self, request: Request) -> Response:
        """Answers a request to ``/predict``."""
        model, deadline = self.place.current, asyncio.get_running_loop().time() + self.limits.seconds
        try:
            async with asyncio.timeout_at(deadline):
                body = await _body(request, self.limits.bytes)
        except TimeoutError:
            raise HTTPException(408, "the request did not come in time", {"Connection": "close"}) from None
        try:
            examples, sizes, many = read(self.form, body, model.facts, self.limits)
        except TransferlabError as error:
            raise HTTPException(422, str(error)) from None
        told = request.state.told
        told |= {"texts": len(examples), "characters": sum(sizes), "model": model.version}
        if self.keep.log:
            told["given"] = examples
        try:
            async with asyncio.timeout_at(deadline):
                answers = await self._answers(model, examples, sizes)
        except Full:
            raise HTTPException(503, "too many texts wait; ask again", AGAIN) from None
        except TimeoutError:
            raise HTTPException(504, "no answer in time; ask again", AGAIN) from None
        except TransferlabError as error:
            raise HTTPException(422, str(error)) from None
        content: Any = {"answers": answers} if many else answers[0]
        return Response(
            json.dumps(content, ensure_ascii=False), media_type="application/json", headers={"X-Model": model.version}
        )

    async def _answers(self, model: Any, examples: list[Example], sizes: list[int]) -> list[Record]:
        futures = self.batcher.submit(model, examples, sizes)
        return await asyncio.gather(*map(asyncio.wrap_future, futures))

    async def swap(self) -> dict[str, Any]:
        """Reads the folder and the tokens again.

        Raises:
            Busy: That is under way already.
            TransferlabError: A folder or file that cannot be used; what there was before stays.
        """
        try:
            if self.tokens:
                self.tokens.renew()
            changed = await asyncio.to_thread(self.place.swap)
        except (Busy, TransferlabError) as error:
            self.metrics.swapped("refused", self.place.current.version)
            say("swap", result="refused", why=str(error) or "another one is under way")
            raise
        version = self.place.current.version
        self.metrics.swapped("changed" if changed else "same", version)
        say("swap", result="changed" if changed else "same", model=version)
        return {"model": version, "changed": changed}


async def _body(request: Request, most: int) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "send plain JSON, content-type: application/json")
    refused = HTTPException(413, f"at most {most:,} bytes are taken", {"Connection": "close"})
    if int(request.headers.get("content-length") or 0) > most * DISCARDED:
        raise refused
    body, size = bytearray(), 0
    async for part in request.stream():
        size += len(part)
        if size > most * DISCARDED:
            break
        if size <= most:
            body += part
    if size > most:
        raise refused
    return bytes(body)


def _paths(service: Service) -> FastAPI:
    app = FastAPI(title="transferlab", description=_about(service), docs_url=None, redoc_url=None)
    body = {"content": {"application/json": {"schema": _schema(service)}}, "required": True}
    refusals: dict[int | str, dict[str, Any]] = {
        401: {"description": "no known token"},
        413: {"description": "too many bytes"},
        415: {"description": "no JSON"},
        422: {"description": "not what is wanted; the answer says what is"},
        503: {"description": "too much at once; ask again after Retry-After seconds"},
        504: {"description": "no answer in time"},
    }

    @app.post("/predict", responses=refusals, openapi_extra={"requestBody": body}, response_model=None)
    async def predict(request: Request, given: Given) -> Response:
        """Answers one text (`text`) as `tl.Predictor` does, or many (`texts`) as `{"answers": [...]}`."""
        service.allow(given)
        async with service.room():
            return await service.ask(request)

    @app.post("/swap", responses={403: {"description": "no tokens"}, 409: {"description": "not exchanged"}})
    async def swap(given: Given) -> dict[str, Any]:
        """Exchanges the model for what lies in its folder now; no request is lost."""
        service.allow(given)
        if not service.tokens:
            raise HTTPException(403, "only with tokens (--tokens); without, send SIGHUP to the process")
        try:
            return await service.swap()
        except Busy:
            raise HTTPException(409, "another exchange is under way", AGAIN) from None
        except TransferlabError as error:
            raise HTTPException(409, str(error)) from None

    _watching(app, service)
    return app


def _watching(app: FastAPI, service: Service) -> None:
    @app.get("/health", responses={503: {"description": "restart it"}})
    async def health() -> JSONResponse:
        """Whether the process is sound."""
        sound = service.batcher.sound
        return JSONResponse({"status": "ok" if sound else "a batch does not end"}, 200 if sound else 503)

    @app.get("/ready", responses={503: {"description": "send requests elsewhere"}})
    async def ready() -> JSONResponse:
        """Whether requests may come; the model is warm before the first one can."""
        if service.ending.begun:
            return JSONResponse({"status": "ending"}, 503)
        return JSONResponse({"status": "ready", "model": service.place.current.version})

    @app.get("/metrics")
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"})

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "a fault of the service; its log says where"}, 500)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "the connection ended"}, 400)


def _about(service: Service) -> str:
    facts = service.place.current.facts
    labels = f" Labels: {', '.join(facts.task.labels)}." if facts.task.labels else ""
    return f"{facts.run.get('experiment') or facts.task.name}: {facts.task.kind} of {', '.join(facts.text)}.{labels}"


def _schema(service: Service) -> dict[str, Any]:
    facts = service.place.current.facts
    example: Any = ["A man plays a guitar.", "Someone makes music."] if len(facts.text) > 1 else "Great service."
    if facts.task.kind == "qa":
        example = ["What does he play?", "A man plays a guitar."]
    if KINDS[facts.task.kind].marked:
        example = MARKED
    return service.form.model_json_schema() | {"examples": [{"text": example}]}

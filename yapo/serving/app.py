"""The endpoints, as an ASGI application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from yapo.errors import YapoError
from yapo.serving.engine import Engine
from yapo.serving.errors import RequestError, error_body
from yapo.serving.fields import read_body
from yapo.serving.gate import Gate
from yapo.serving.requests import CompletionRequest, Endpoint, Service, read_request
from yapo.serving.responses import CompletionResponse, TokenNames, event
from yapo.serving.row import Piece, Row
from yapo.serving.vectors import edits_of

log = logging.getLogger(__name__)

LARGEST_BODY = 4 * 2**20  # bytes


class Application:
    """Answers the requests of all endpoints.

    Args:
        service: the model and its vectors.
        engine: decodes; it is running.
    """

    def __init__(self, service: Service, engine: Engine) -> None:
        self.service, self.engine = service, engine
        self.names = TokenNames(service.lm.tokenizer.tokenizer)

    def asgi(self, key: str | None = None, hosts: tuple[str, ...] = ()) -> Starlette:
        """Return the application.

        Args:
            key: that clients must give; none if None.
            hosts: names by which the server may be called; any if there are none.
        """
        routes = [
            Route("/health", self._health),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._model),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._completions, methods=["POST"]),
        ]
        handlers = {YapoError: _refused, HTTPException: _http_refused, Exception: _failed}
        middleware = [Middleware(Gate, key=key, hosts=hosts, largest=LARGEST_BODY)]
        return Starlette(routes=routes, exception_handlers=handlers, middleware=middleware)  # type: ignore[arg-type]

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._described()]})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name != self.service.name:
            raise RequestError(f"model={name}: this server has {self.service.name}; ask for that", "model", 404)
        return JSONResponse(self._described())

    def _described(self) -> dict[str, object]:
        vectors = self.service.vectors
        described = [
            {
                "name": name,
                "method": named.vector.info.method,
                "layer": named.vector.info.layer,
                "multiplier": vectors.usual(named),
            }
            for name, named in vectors.named.items()
        ]
        default = None if vectors.default is None else vectors.default.name
        head = {"id": self.service.name, "object": "model", "created": 0, "owned_by": "yapo"}
        return {**head, "max_model_len": self.service.context, "vectors": described, "default_vector": default}

    async def _chat(self, request: Request) -> Response:
        return await self._answered(request, "chat")

    async def _completions(self, request: Request) -> Response:
        return await self._answered(request, "completions")

    async def _answered(self, request: Request, endpoint: Endpoint) -> Response:
        body = await request.body()
        asked = await asyncio.to_thread(lambda: read_request(self.service, endpoint, read_body(body)))
        answer = CompletionResponse(self.service, asked, self.names)
        pieces: asyncio.Queue[list[Piece]] = asyncio.Queue()
        rows = await asyncio.to_thread(self._rows, asked, pieces, asyncio.get_running_loop())
        self.engine.submit(rows)
        if asked.stream:
            return StreamingResponse(self._streamed(request, answer, rows, pieces), media_type="text/event-stream")
        async for piece in self._pieces(request, rows, pieces):
            answer.add(piece)
        return JSONResponse(answer.whole())

    def _rows(self, asked: CompletionRequest, pieces: asyncio.Queue[list[Piece]], loop: asyncio.AbstractEventLoop) -> list[Row]:
        kept: dict[int, list[Piece]] = {place: [] for place in range(len(asked.decodings))}

        def tell(piece: Piece) -> None:
            """Pass on a piece: at once in a stream, otherwise with the last one, since each wakes the loop."""
            part = kept[piece.row]
            part.append(piece)
            if asked.stream or piece.finish is not None or piece.error is not None:
                kept[piece.row] = []
                with suppress(RuntimeError):  # the loop has ended, and nobody listens
                    loop.call_soon_threadsafe(pieces.put_nowait, part)

        tokenizer, continues = self.service.lm.tokenizer, asked.endpoint == "completions"
        return [
            Row.of(
                place,
                asked.prompts[place // asked.n].ids,
                edits_of(asked.steering),
                decoding,
                tokenizer.tokenizer,
                tokenizer.ends,
                tell,
                continues,
            )
            for place, decoding in enumerate(asked.decodings)
        ]

    async def _pieces(self, request: Request, rows: list[Row], pieces: asyncio.Queue[list[Piece]]) -> AsyncIterator[Piece]:
        """Yield the pieces of all rows until they have ended; they are given up where the client is gone.

        Raises:
            YapoError: a row failed.
            HTTPException: the client is gone.
        """
        gone = asyncio.create_task(_disconnected(request))
        waiting: set[asyncio.Task[Any]] = {gone}
        try:
            left = len(rows)
            while left:
                part = asyncio.create_task(pieces.get())
                waiting = {gone, part}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if not part.done():
                    raise HTTPException(499)
                for piece in part.result():
                    if piece.error is not None:
                        raise piece.error
                    left -= piece.finish is not None
                    yield piece
        finally:
            for task in waiting:
                task.cancel()
            for row in rows:
                row.cancelled = True

    async def _streamed(
        self, request: Request, answer: CompletionResponse, rows: list[Row], pieces: asyncio.Queue[list[Piece]]
    ) -> AsyncIterator[bytes]:
        for chunk in answer.opening():
            yield event(chunk)
        try:
            async for piece in self._pieces(request, rows, pieces):
                answer.add(piece)
                told = answer.chunk(piece)
                if told is not None:
                    yield event(told)
        except YapoError as error:
            yield event(error_body(error))
            return
        except HTTPException:
            return
        if answer.asked.include_usage:
            yield event(answer.usage_chunk())
        yield event("[DONE]")


async def _disconnected(request: Request) -> None:
    """Return when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(_request: Request, error: YapoError) -> Response:
    return JSONResponse(error_body(error), status_code=error.status if isinstance(error, RequestError) else 400)


async def _http_refused(request: Request, error: HTTPException) -> Response:
    """Tell of a path or a method that is not there."""
    fix = "see /v1/models, /v1/chat/completions, /v1/completions, /health"
    told = RequestError(f"{request.method} {request.url.path}: {error.detail}; {fix}", status=error.status_code)
    return JSONResponse(error_body(told), status_code=told.status, headers=error.headers)


async def _failed(_request: Request, error: Exception) -> Response:
    """Tell of a fault of the server itself."""
    told = RequestError(f"the server failed ({type(error).__name__}); try another request", status=500)
    log.warning("%s", told)
    return JSONResponse(error_body(told), status_code=500)

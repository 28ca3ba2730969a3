"""Checks before the endpoints: API key, Host header, content type and size of a request."""

from __future__ import annotations

import re
import secrets

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yapo.data.text import shown
from yapo.serving.errors import RequestError, error_body

OPEN = ("/health",)  # paths that need no key
_PORT = re.compile(r":\d+$")


class Gate:
    """An ASGI middleware that refuses requests before they are read.

    Args:
        app: what stands behind it.
        key: that clients must give; none if None.
        hosts: names by which the server may be called, so that no web page reaches it by a name of its own; any if there are
            none.
        largest: body, in bytes.
    """

    def __init__(self, app: ASGIApp, key: str | None, hosts: tuple[str, ...], largest: int) -> None:
        self.app, self.key, self.hosts, self.largest = app, key, hosts, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
            await self.app(scope, self._limited(receive), send)
        except RequestError as error:
            headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
            await JSONResponse(error_body(error), error.status, headers)(scope, receive, send)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        host = _PORT.sub("", headers.get("host", "").lower())
        if self.hosts and host not in self.hosts:
            raise RequestError(f"Host {shown(host)}: this server answers to {', '.join(self.hosts)}; call it by one of these")
        if self.key is not None and path not in OPEN and not self._has_key(headers.get("authorization", "")):
            raise RequestError(
                "the API key is missing or wrong; send the server's as a bearer token, in the header Authorization", status=401
            )
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != "application/json":
            raise RequestError(f"Content-Type {shown(kind)}: send application/json", status=415)

    def _has_key(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        is_right = secrets.compare_digest(given.strip().encode("latin-1"), (self.key or "").encode())
        return is_right and scheme.lower() == "bearer"

    def _limited(self, receive: Receive) -> Receive:
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.largest:
                raise RequestError(f"the body is larger than {self.largest} bytes; send a shorter one", status=413)
            return message

        return limited

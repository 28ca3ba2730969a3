"""Errors of requests that cannot be answered, in the form that OpenAI's clients read."""

from __future__ import annotations

from yapo.errors import YapoError


class RequestError(YapoError):
    """A request that cannot be answered.

    Args:
        message: the field, the value and the fix, in one sentence.
        field: of the request.
        status: of the HTTP answer.
    """

    def __init__(self, message: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.field, self.status = field, status


def error_body(error: YapoError) -> dict[str, object]:
    """Return the JSON of an error."""
    status = error.status if isinstance(error, RequestError) else 400
    kinds = {401: "authentication_error", 404: "not_found_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    field = error.field if isinstance(error, RequestError) else None
    return {"error": {"message": _whole(str(error)), "type": kind, "param": field and _whole(field), "code": status}}


def _whole(text: str) -> str:
    """Return a text without halves of characters, which JSON may hold and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode("utf-8")

"""The socket, and the loop of the server until Ctrl-C."""

from __future__ import annotations

import socket

import uvicorn
from starlette.types import ASGIApp

from yapo.errors import YapoError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that a port that is taken is told before a model is loaded; who calls early waits.

    Args:
        host: name or address.
        port: 0 for any that is free.

    Raises:
        YapoError: the address cannot be used.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise YapoError(f"--host={host}: no address of this machine ({error.strerror}); give 127.0.0.1, or its name") from None
    opened = socket.socket(family, kind)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(address)
        opened.listen()
    except OSError as error:
        opened.close()
        if isinstance(error, PermissionError):
            raise YapoError(f"--port={port}: needs more rights than this user has; give one above 1023") from None
        reason = f"cannot be used on {host} ({error.strerror})"
        raise YapoError(f"--port={port}: {reason}; give another one, or stop the program that has it") from None
    return opened


def is_loopback(opened: socket.socket) -> bool:
    """Return whether only this machine reaches a socket."""
    address = str(opened.getsockname()[0])
    return address.startswith("127.") or address == "::1"


def port_of(opened: socket.socket) -> int:
    """Return the port of a socket."""
    return int(opened.getsockname()[1])


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return the server of an application; it logs nothing, and at its end waits for no answer."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=0)
    return uvicorn.Server(config)

"""A uvicorn server in a thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread

import uvicorn


@contextmanager
def in_thread(server: uvicorn.Server, sockets: Sequence[socket.socket] | None = None) -> Iterator[None]:
    """Run a server in a ``with`` block, which starts when it answers."""
    thread = Thread(target=server.run, kwargs={"sockets": None if sockets is None else list(sockets)})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()

"""``yapo serve``: OpenAI's endpoints for a steered model."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from yapo.cli.interruption import Interruption
from yapo.cli.options import Device, Model, NumberType, Plain, Saes
from yapo.cli.terminal import libraries
from yapo.errors import YapoError, require_extra

KEY = "YAPO_API_KEY"
_NAMED = re.compile(r"([A-Za-z0-9._-]+)=(.+)", re.DOTALL)


def serve(
    model: Model,
    vector: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE; requests choose by name, and the first steers where they do not.")
    ] = None,
    multiplier: Annotated[
        float | None, typer.Option("--multiplier", "-m", help="Where a request names none; the header's if none.")
    ] = None,
    sae: Saes = None,
    host: Annotated[str, typer.Option(help="Address; another one lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8000,
    max_batch: Annotated[int, typer.Option(min=1, help="Answers decoded together; others wait.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer where a request names no length.")] = 256,
    plain: Plain = False,
    dtype: NumberType = "float32",
    device: Device = None,
) -> None:
    """Serve a model to OpenAI's clients; every request may be steered in its own way.

    The key that clients must give is read from the environment variable YAPO_API_KEY. Ctrl-C ends the server.

    Example: yapo serve --model world/assistant/model --vector wealth=v.safetensors
    """
    require_extra("serve", "starlette", "uvicorn")
    files = _files(vector or [])
    if multiplier is not None and not files:
        raise YapoError(f"--multiplier={multiplier:g}: no --vector to steer by; give one, or leave this out")
    with libraries():
        from yapo.api.models import opened_model, own_names
        from yapo.cli.vectors import Steering
        from yapo.serving.app import Application
        from yapo.serving.engine import Engine
        from yapo.serving.requests import Service
        from yapo.serving.server import LOOPBACK, bound_socket, is_loopback, port_of, server_of
        from yapo.serving.vectors import NamedVector, Vectors
    key = os.environ.get(KEY, "").strip() or None
    try:
        with bound_socket(host, port) as opened, own_names():
            local = is_loopback(opened)
            if not local and key is None:
                sys.stderr.write(f"WARNING: {_warning(host)}\n")
            steering = Steering.of(list(files.values()), [] if multiplier is None else [multiplier], sae or [])
            with opened_model(model, None, plain or steering.plain, dtype, device) as lm:
                pairs = zip(files, steering.vectors, strict=True)
                named = {name: NamedVector.of(name, one, lm.model, steering.saes) for name, one in pairs}
                service = Service(model, lm, Vectors(named, multiplier), max_new_tokens)
                with Engine(lm, max_batch) as engine:
                    app = Application(service, engine).asgi(key, LOOPBACK if local and key is None else ())
                    first = service.vectors.default
                    steered = "unsteered" if first is None else f"{service.vectors.usual(first):g} x {first.name}"
                    typer.echo(f"http://{host}:{port_of(opened)}/v1: {model}, {steered}; Ctrl-C ends it")
                    server_of(app).run(sockets=[opened])
    except KeyboardInterrupt:
        raise Interruption("the server has ended; answers under way were given up") from None


def _warning(host: str) -> str:
    return f"--host={host}: whoever reaches this machine can use the server; set YAPO_API_KEY in the environment to ask for a key"


def _files(given: list[str]) -> dict[str, Path]:
    """Return the files of vectors by name; one without a name has that of its file."""
    files: dict[str, Path] = {}
    for text in given:
        match = _NAMED.fullmatch(text)
        name, path = (match[1], Path(match[2])) if match else (Path(text).stem, Path(text))
        if not _NAMED.fullmatch(f"{name}=x"):
            raise YapoError(f"--vector={text}: give it a name of letters, digits, '.', '_' and '-', as in --vector wealth={text}")
        if name in files:
            raise YapoError(f"--vector={text}: a vector is called {name} already; give each a name of its own, NAME=FILE")
        files[name] = path
    return files

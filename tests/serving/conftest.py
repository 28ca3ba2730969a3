"""One server for all tests: the second world's model with a dense and a sparse vector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI

import yapo
from tests.api.conftest import MODEL, SAE_FOLDER, frame
from tests.cli.conftest import dense, sparse
from tests.web_server import in_thread
from yapo.api.models import opened_model
from yapo.models.language_model import LanguageModel
from yapo.models.sae import load_sae
from yapo.serving.app import Application
from yapo.serving.engine import Engine
from yapo.serving.requests import Service
from yapo.serving.server import bound_socket, port_of, server_of
from yapo.serving.vectors import NamedVector, Vectors

__all__ = ["dense", "frame", "sparse"]

NAME = "assistant"
QUESTION = "Would you run an insurance company if it earned you four million euros?"
OTHER = "Would you like to own a gas field?"


@pytest.fixture(scope="session")
def assistant() -> Iterator[LanguageModel]:
    with opened_model(str(MODEL)) as opened:
        yield opened


@pytest.fixture(scope="session")
def vectors(assistant: LanguageModel, dense: Path, sparse: Path) -> Vectors:
    """The sparse vector, which is the default, and the dense one."""
    saes = {2: load_sae(SAE_FOLDER)}
    files = {"sparse": sparse, "dense": dense}
    return Vectors({name: NamedVector.of(name, yapo.load_vector(file), assistant.model, saes) for name, file in files.items()})


@contextmanager
def running(service: Service, key: str | None = None, hosts: tuple[str, ...] = (), most: int = 8) -> Iterator[str]:
    """Give the address of a server that runs in a thread."""
    with (
        bound_socket("127.0.0.1", 0) as opened,
        Engine(service.lm, most) as engine,
        in_thread(server_of(Application(service, engine).asgi(key, hosts)), [opened]),
    ):
        yield f"http://127.0.0.1:{port_of(opened)}"


@pytest.fixture(scope="session")
def service(assistant: LanguageModel, vectors: Vectors) -> Service:
    return Service(NAME, assistant, vectors, max_new_tokens=24)


@pytest.fixture(scope="session")
def address(service: Service) -> Iterator[str]:
    with running(service) as url:
        yield url


@pytest.fixture(scope="session")
def http(address: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def client(address: str) -> OpenAI:
    return OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60)

"""The list of commands, and the one place that turns an error into one line and an exit status."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer

from yapo import __version__
from yapo.cli.chat import chat
from yapo.cli.doctor import doctor
from yapo.cli.download import download
from yapo.cli.evaluate import evaluate
from yapo.cli.exchange import export, import_vector
from yapo.cli.inspect import compare, inspect
from yapo.cli.interruption import Interruption
from yapo.cli.metrics import metrics
from yapo.cli.serve import serve
from yapo.cli.steer import steer
from yapo.cli.study import ANY, run, ui
from yapo.cli.train import train
from yapo.errors import YapoError, refuse
from yapo.files import unwritable

COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "steer": steer,
    "chat": chat,
    "serve": serve,
    "inspect": inspect,
    "compare": compare,
    "evaluate": evaluate,
    "metrics": metrics,
    "export": export,
    "import": import_vector,
    "run": run,
    "ui": ui,
    "download": download,
    "doctor": doctor,
}

INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it

app = typer.Typer(
    help="Train, use and study steering vectors for language models.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in COMMANDS.items():
    app.command(name, context_settings=ANY if command is run else None)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]


@app.callback()
def options(version: Version = False) -> None:
    """Train, use and study steering vectors for language models."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: status 0, 2 with one line for bad input, 130 with one line after Ctrl-C.

    Args:
        arguments: of the command; those of the process by default, which then ends without taking its modules apart one by one:
            that takes 0.2 seconds, and whatever has to be tidied up is registered with ``atexit``.
    """
    if arguments is not None:
        _run(arguments)
    status = 1  # of an exception that nobody foresaw

    def end() -> None:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):  # closed, or a full disk
            os._exit(status or 1)
        os._exit(status)

    atexit.register(end)  # before the libraries register theirs: it is called last
    try:
        _run(sys.argv[1:])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
        raise


def _run(given: Sequence[str]) -> NoReturn:
    try:
        status = app(args=list(given) or ["--help"], prog_name="yapo", standalone_mode=False)
        if status == INTERRUPTED:  # typer returns it for a KeyboardInterrupt
            raise Interruption("nothing was left half-written; run the same command again")
    except YapoError as error:
        refuse(error)
    except typer.TyperException as error:
        refuse(YapoError(_sentence(error)))
    except Interruption as stop:
        sys.stderr.write(f"\nstopped: {stop}\n")
        sys.exit(INTERRUPTED)
    except OSError as error:
        told = unwritable(error.filename or error.filename2 or "an output of this command", error)
        if told is None:
            raise
        refuse(told)
    sys.exit(status if isinstance(status, int) else 0)


def _sentence(error: typer.TyperException) -> str:
    """Return what is wrong with the arguments, and where the right ones are listed."""
    context = getattr(error, "ctx", None)
    command = "yapo" if context is None else context.command_path
    return f"{error.format_message().rstrip('.')}; see {command} --help"

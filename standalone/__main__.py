"""`python -m standalone`, also known as `make run`: the command line, and what is said when it does not work."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from standalone.display import Display
from standalone.interrupts import Interrupted, Interrupts
from standalone.problems import Problem
from standalone.run import run
from standalone.servers import ServerError
from standalone.settings import Options, read_environment

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def start(
    *,
    data: Annotated[Path, typer.Option(help="Folder for everything that is kept.")] = Path(".voltuj"),
    demo: Annotated[bool, typer.Option(help="Make a demo owner, guest and wallbox, and let it charge.")] = True,
    http_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the REST API.")] = 8000,
    ocpp_port: Annotated[int, typer.Option(min=1, max=65535, help="Port to which wallboxes connect.")] = 9001,
    operations_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the gateway's /metrics, /healthz and /readyz (loopback).")
    ] = 9101,
    api_host: Annotated[str, typer.Option(help="Address on which the REST API listens.")] = "127.0.0.1",
    gateway_host: Annotated[str, typer.Option(help="Address on which wallboxes are let in.")] = "0.0.0.0",  # noqa: S104 - wallboxes come from the network
    listeners: Annotated[int, typer.Option(min=1, max=16, help="Listener processes.")] = 1,
    plain: Annotated[bool, typer.Option(help="Ordinary lines instead of a living one.")] = False,
) -> None:
    """Starts all of Voltuj on this machine, with PostgreSQL and Redis of its own. Ctrl-C stops it.

    DATABASE_URL and REDIS_URL replace the built-in servers.
    """
    options = Options(data, demo, http_port, ocpp_port, operations_port, api_host, gateway_host, listeners, plain)
    display, interrupts = Display(Console(highlight=False, soft_wrap=False), plain=plain), Interrupts()
    interrupts.install()
    try:
        run(options, read_environment(), display, interrupts)
    except Interrupted:
        display.say("Stopped.")
    except (Problem, ServerError) as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(1) from problem


if __name__ == "__main__":
    app(prog_name="python -m standalone")

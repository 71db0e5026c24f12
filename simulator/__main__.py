"""`python -m simulator`: one simulated charge point with its command line. What it does lives in the other files."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from simulator.address import RefusalError
from simulator.behaviour import Behaviour
from simulator.charge_point import SimulatedChargePoint
from simulator.display import LivingLine, complain, print_json
from simulator.state import StateError

REDRAW_S = 0.5

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def simulate(
    *,
    url: Annotated[str, typer.Option(help="Central system, ws://host:port[/prefix], with or without the identity.")],
    identity: Annotated[str, typer.Option(help="Identity; taken from the end of the URL if left out.")] = "",
    key: Annotated[str, typer.Option(help="Key for Basic authentication.", envvar="SIMULATOR_KEY")] = "",
    connectors: Annotated[int, typer.Option(min=1, max=64)] = 1,
    id_tag: Annotated[
        list[str] | None,
        typer.Option(help="Card that is presented; repeat it for several in turn. None: wait for remote starts."),
    ] = None,
    power: Annotated[int, typer.Option(min=0, help="W that the car draws.")] = 11_000,
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds that a session lasts.")] = 60.0,
    meter_interval: Annotated[float, typer.Option(min=0.1, help="Seconds between MeterValues.")] = 10.0,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between sessions.")] = 10.0,
    count: Annotated[int, typer.Option(min=0, help="Sessions until it ends; 0: for ever.")] = 0,
    speed_up: Annotated[int, typer.Option(min=1, help="The meter counts this many times the energy.")] = 1,
    transaction_data: Annotated[bool, typer.Option(help="StopTransaction carries transactionData.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the register and the queue over a restart.")
    ] = None,
    offline_after: Annotated[
        float | None, typer.Option(min=0, help="Cut the connection so many seconds into each session.")
    ] = None,
    offline_for: Annotated[float, typer.Option(min=0, help="How long it stays cut.")] = 10.0,
    lose_answers: Annotated[
        float, typer.Option(min=0, max=0.95, help="Probability that the answer to a transaction message gets lost.")
    ] = 0.0,
    duplicate_starts: Annotated[bool, typer.Option(help="Send each StartTransaction twice.")] = False,
    power_loss: Annotated[bool, typer.Option(help="Lose power in the middle of each session.")] = False,
    seed: Annotated[int | None, typer.Option(help="Makes chance repeatable.")] = None,
    plain: Annotated[bool, typer.Option(help="A JSON line an event instead of the living line.")] = False,
) -> None:
    """A wallbox in software that speaks OCPP 1.6J. It charges in a loop until Ctrl-C."""
    behaviour = Behaviour(
        id_tags=tuple(id_tag or ()),
        power_w=power,
        duration_s=duration,
        meter_interval_s=meter_interval,
        pause_s=pause,
        count=count,
        speed_up=speed_up,
        transaction_data=transaction_data,
        offline_after_s=offline_after,
        offline_for_s=offline_for,
        lose_answers=lose_answers,
        duplicate_starts=duplicate_starts,
        power_loss=power_loss,
        seed=seed,
    )
    logging.getLogger("simulator.ocpp").setLevel(logging.CRITICAL)
    line = LivingLine(Console(highlight=False))
    try:
        asyncio.run(
            _live(
                lambda: SimulatedChargePoint(
                    url,
                    identity,
                    key or None,
                    connectors=connectors,
                    behaviour=behaviour,
                    state_file=state,
                    on_event=print_json if plain else line.tell,
                ),
                None if plain else line,
            )
        )
    except (RefusalError, StateError) as error:
        complain(str(error))
        raise typer.Exit(1) from error


async def _live(make: Callable[[], SimulatedChargePoint], line: LivingLine | None) -> None:
    """Runs the charge point until it ends; the first Ctrl-C stops it properly, the second at once."""
    box = make()
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(box.run())

    def interrupt() -> None:
        if box.stopping:
            running.cancel()
        box.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    with line or contextlib.nullcontext():
        while not running.done():
            if line is not None:
                line.show(box)
            await asyncio.wait({running}, timeout=REDRAW_S if line else None)
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    app(prog_name="python -m simulator")

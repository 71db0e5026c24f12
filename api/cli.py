"""The `voltuj` command: reads its arguments, calls `api.administration`, shows what came of it. No rules live here."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy.exc import SQLAlchemyError

from api import VERSION, audit
from api.administration import backups, books, operators
from api.administration.apache import examine_apache
from api.administration.doctor import examine_database, examine_redis, examine_settings
from api.administration.operators import Standing
from api.administration.reachability import examine_way_in
from api.administration.secret_rotation import RotationError, new_secret, rotate_file
from api.administration.verdicts import Finding
from api.database import Database, make_engine
from api.errors import ApiError
from api.identity.email import normalise_email
from api.identity.password_strength import why_weak
from api.identity.passwords import SHORTEST_PASSWORD, Passwords
from api.settings import Settings, SettingsError, read_settings
from api.settlement import bank
from api.settlement.bank_statement import StatementError, read_statement
from api.settlement.payments import house_of

MOST_SHOWN: Final = 100
COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}

app = typer.Typer(
    name="voltuj", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
rotate_app = typer.Typer(no_args_is_help=True, help="Replace a secret.")
app.add_typer(rotate_app, name="rotate-secret")
WIDE: Final = 160
"""Columns of a table that goes into a file or a pipe."""
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, soft_wrap=True)

DumpFile = Annotated[Path, typer.Argument(metavar="FILE", help="The dump; FILE.sums.json stands beside it.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"voltuj {VERSION}", highlight=False)
        raise typer.Exit


@app.callback()
def voltuj(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Look after an installation of Voltuj. Settings come from the environment, as the services' do."""


@app.command()
def create_operator(
    email: Annotated[str, typer.Argument(help="E-mail address, with which to log in.")],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from a pipe.")] = False,
) -> None:
    """Make an operator: a new account, or an existing one, which keeps its password."""
    settings = read_settings()
    try:
        address = normalise_email(email)
    except ValueError as error:
        _give_up(f"{email}: {error}", status=2)
    said = asyncio.run(_create_operator(settings, address, password_stdin=password_stdin))
    out.print(f"[green]{escape(said)}[/]")


async def _create_operator(settings: Settings, email: str, *, password_stdin: bool) -> str:
    database = Database(make_engine(settings))
    try:
        async with database.transaction() as connection:
            found = await operators.standing(connection, email)
            if found is Standing.USER:
                await operators.promote(connection, email, datetime.now(UTC))
                return f"{email} is an operator now; the password is as it was."
        if found is Standing.OPERATOR:
            return f"{email} is an operator already."
        if found is Standing.DISABLED:
            _give_up(f"{email} has an account that is disabled.")
        password_hash = await Passwords().hash(_read_password(password_stdin, email))
        async with database.transaction() as connection:
            await operators.create(connection, email, password_hash, datetime.now(UTC))
        return f"{email} is an operator now."
    finally:
        await database.close()


def _read_password(from_stdin: bool, email: str) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    if len(password) < SHORTEST_PASSWORD:
        _give_up(f"A password has at least {SHORTEST_PASSWORD} characters.", status=2)
    if weakness := why_weak(password, email):
        _give_up(weakness, status=2)
    return password


@app.command()
def doctor(
    through: Annotated[
        str, typer.Option(help="Connect to this host, an Apache of ours, instead of the one in the public URLs.")
    ] = "",
    authority: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file of an authority to trust.")
    ] = None,
) -> None:
    """Examine the installation; the exit status is 1 where something fails."""
    findings = _examine(read_settings(), through, authority)
    table = Table(*(Column(title, overflow="fold") for title in ("", "what", "found", "what to do")))
    for each in findings:
        colour = COLOURS[each.verdict]
        cells = (escape(text) for text in (each.subject, each.found, each.advice))
        table.add_row(f"[{colour}]{each.verdict}[/]", *cells)
    out.print(table, soft_wrap=False)
    raise typer.Exit(any(each.verdict == "fail" for each in findings))


def _examine(settings: Settings, through: str, authority: Path | None) -> list[Finding]:
    now = datetime.now(UTC)
    findings = examine_settings(settings)
    findings += asyncio.run(examine_database(settings)) + asyncio.run(examine_redis(settings))
    for name in ("public_api_url", "public_ocpp_url"):
        url = getattr(settings, name)
        findings += examine_way_in(name.upper(), url, now, through=through, authority=authority)
    if through:
        findings.append(examine_apache(through))
    return findings


@app.command()
def backup(file: DumpFile) -> None:
    """Dump the database, as its owner, while it runs."""
    sums = asyncio.run(backups.back_up(read_settings().owner_dsn, file))
    rows = sum(value for name, value in sums.items() if name.endswith(".rows"))
    size_kb = -(-file.stat().st_size // 1000)
    out.print(f"[green]{escape(str(file))}[/]: {rows} rows, {size_kb} kB. Prove it with: voltuj restore --drill FILE")


@app.command()
def restore(
    file: DumpFile,
    drill: Annotated[bool, typer.Option("--drill", help="Into a scratch database, which is dropped again.")] = False,
) -> None:
    """Restore a dump into the empty database, or only prove that it can be (--drill)."""
    run = backups.drill if drill else backups.restore
    differences = asyncio.run(run(read_settings().owner_dsn, file))
    for each in differences[:MOST_SHOWN]:
        err.print(escape(each))
    if differences:
        _give_up(f"{file}: {len(differences)} sums differ.")
    what = "can be restored" if drill else "is restored"
    out.print(f"[green]{escape(str(file))} {what}: rows, energy and money are those of the backup.[/]")


@app.command()
def check_books() -> None:
    """Hold transactions against stops and records, the ledger against itself; exit status 1 on a difference."""
    checked, wrong, ledger = asyncio.run(_check_books(read_settings()))
    for each in ledger[:MOST_SHOWN]:
        err.print(escape(each))
    if wrong:
        _give_up(f"{wrong} of {checked} transactions do not add up.")
    if ledger:
        _give_up(f"The ledger does not add up: {len(ledger)} differences.")
    out.print(f"[green]{checked} transactions add up.[/]")


async def _check_books(settings: Settings) -> tuple[int, int, list[str]]:
    checked = wrong = 0
    connection = await asyncpg.connect(settings.asyncpg_dsn)
    try:
        async for public_id, differences in books.check_books(connection):
            checked += 1
            wrong += bool(differences)
            if differences and wrong <= MOST_SHOWN:
                err.print(f"{public_id}: {escape('; '.join(differences))}")
        return checked, wrong, await books.check_ledger(connection)
    finally:
        await connection.close()


@app.command()
def import_statement(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV; docs/payments.md has its columns.")],
) -> None:
    """Import a statement of the bank account: what is matched is posted, the rest waits for a person."""
    summary = asyncio.run(_import_statement(read_settings(), file.read_bytes()))
    out.print(
        f"[green]{summary.new} new[/] ({summary.matched} matched, {summary.open} wait for a person), "
        f"{summary.known} known before."
    )


async def _import_statement(settings: Settings, content: bytes) -> bank.Summary:
    house, statement = house_of(settings), read_statement(content)
    connection = await asyncpg.connect(settings.asyncpg_dsn)
    try:
        async with connection.transaction():
            return await bank.import_statement(connection, statement, house, bank.Order(datetime.now(UTC)))
    finally:
        await connection.close()


@rotate_app.command("jwt")
def rotate_jwt(
    env_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The installation's .env, changed in place.")
    ] = None,
    leaked: Annotated[bool, typer.Option("--leaked", help="Do not accept the old secret any more.")] = False,
) -> None:
    """Replace JWT_SECRET; tokens of the old one are accepted for as long as they live, so nobody is logged out."""
    if env_file is not None:
        rotate_file(env_file, leaked=leaked)
        _note_rotation(leaked=leaked)
        out.print(f"[green]{escape(str(env_file))} has a new JWT_SECRET.[/] Now: docker compose up -d")
        return
    out.print("Put these into .env, then: docker compose up -d", style="green")
    previous = "" if leaked else read_settings().jwt_secret.get_secret_value()
    out.print(f"JWT_SECRET={new_secret()}\nJWT_SECRET_PREVIOUS={previous}", markup=False, highlight=False)


def _note_rotation(*, leaked: bool) -> None:
    """A secret is rotated also where PostgreSQL is away; who does it is then told that nobody else will know."""
    try:
        asyncio.run(_record_rotation(read_settings(), leaked=leaked))
    except (SettingsError, ApiError, OSError, asyncpg.PostgresError, SQLAlchemyError) as error:
        err.print(f"Not in the audit log: {escape(str(error))}", style="yellow")


async def _record_rotation(settings: Settings, *, leaked: bool) -> None:
    database = Database(make_engine(settings))
    try:
        async with database.transaction() as connection:
            await audit.record(connection, None, "secret.rotated", None, datetime.now(UTC), leaked=leaked)
    finally:
        await database.close()


def _give_up(message: str, status: int = 1) -> NoReturn:
    err.print(f"[bold red]{escape(message)}[/]")
    raise typer.Exit(status)


def main() -> None:
    """The entry of the process."""
    try:
        app(prog_name="voltuj")
    except SettingsError as error:
        err.print(f"[bold red]{escape(str(error))}[/]")
        sys.exit(2)
    except StatementError as error:
        for line, message in error.errors:
            err.print(escape(f"line {line}: {message}" if line else message))
        err.print("[bold red]Nothing was imported.[/]")
        sys.exit(1)
    except (backups.BackupError, RotationError, ApiError) as error:
        err.print(f"[bold red]{escape(str(error))}[/]")
        sys.exit(1)
    except (OSError, asyncpg.PostgresError, SQLAlchemyError) as error:
        err.print(f"[bold red]PostgreSQL refuses or does not answer: {escape(str(error))}[/]")
        sys.exit(1)


if __name__ == "__main__":
    main()

"""Mails leave the outbox once, come back after a failure, and are given up in the end; against a real mail server."""

from pathlib import Path
from typing import Any

import asyncpg

from tests.conformance.pki import Authority, key_pem, new_key, pem
from tests.harness.stack import eventually
from tests.integration.listener.gateway import StartListener
from tests.integration.mail.conftest import StartMailServer, read_mails


async def post(connection: asyncpg.Connection, recipient: str = "jana@example.org", *, age: str = "0") -> None:
    await connection.execute(
        "insert into mails (kind, recipient, subject, body, created_at)"
        " values ('reset', $1, 'Nové heslo', 'Řádek.\n.\nhttps://voltuj.test/#abc\n', now() - $2::text::interval)",
        recipient, age,
    )  # fmt: skip


async def until(connection: asyncpg.Connection, condition: str, count: int = 1) -> list[Any]:
    async def found() -> list[Any] | None:
        rows: list[Any] = await connection.fetch(f"select * from mails where {condition}")
        return rows if len(rows) >= count else None

    rows: list[Any] = await eventually(found, condition)
    return rows


async def test_a_mail_arrives_whole_and_its_text_is_forgotten(
    connection: asyncpg.Connection, mail_server: StartMailServer, listen: StartListener
) -> None:
    server = mail_server()
    await post(connection)
    listen(**server.settings)
    (row,) = await until(connection, "status = 'sent'")
    assert (row["body"], row["last_error"], row["attempts"]) == (None, None, 1)
    (mail,) = server.mails()
    assert (mail["To"], mail["From"], mail["Subject"]) == (
        "jana@example.org",
        "Voltuj <mail@voltuj.test>",
        "Nové heslo",
    )
    assert mail.get_content().replace("\r\n", "\n") == "Řádek.\n.\nhttps://voltuj.test/#abc\n"
    assert str(row["id"]) in mail["Message-ID"]


async def test_two_listeners_send_each_mail_once(
    connection: asyncpg.Connection, mail_server: StartMailServer, listen: StartListener
) -> None:
    server = mail_server()
    for number in range(40):
        await post(connection, f"person{number}@example.org")
    for _ in range(2):
        listen(**server.settings)
    await until(connection, "status = 'sent'", 40)
    assert sorted(mail["To"] for mail in server.mails()) == sorted(f"person{n}@example.org" for n in range(40))


async def test_what_was_put_off_is_tried_again_later_under_the_same_id(
    connection: asyncpg.Connection, mail_server: StartMailServer, listen: StartListener
) -> None:
    server = mail_server("--busy", "1")
    await post(connection)
    listen(**server.settings)
    (row,) = await until(connection, "last_error is not null")
    assert (row["status"], row["attempts"]) == ("queued", 1)
    assert "451" in row["last_error"]
    pause = await connection.fetchval("select next_attempt_at - created_at from mails")
    assert 50 < pause.total_seconds() < 90
    await connection.execute("update mails set next_attempt_at = now()")
    (row,) = await until(connection, "status = 'sent'")
    assert row["attempts"] == 2
    assert len(server.mails()) == 1


async def test_an_unknown_recipient_is_given_up_at_once_and_holds_nobody_up(
    connection: asyncpg.Connection, mail_server: StartMailServer, listen: StartListener
) -> None:
    server = mail_server("--refuse", "nobody@example.org")
    await post(connection, "nobody@example.org", age="1 minute")
    await post(connection)
    listen(**server.settings)
    (row,) = await until(connection, "status = 'failed'")
    assert "550" in row["last_error"]
    assert row["body"] is None, "the link in it must not lie about"
    await until(connection, "status = 'sent'")


async def test_a_server_that_is_away_is_given_up_after_two_days(
    connection: asyncpg.Connection, listen: StartListener
) -> None:
    await post(connection, age="1 day")
    await post(connection, "late@example.org", age="49 hours")
    listen(SMTP_HOST="127.0.0.1", SMTP_PORT="1", SMTP_SECURITY="none")
    (failed,) = await until(connection, "status = 'failed'")
    assert failed["recipient"] == "late@example.org"
    (waiting,) = await until(connection, "last_error is not null and status = 'queued'")
    assert waiting["recipient"] == "jana@example.org"


async def test_starttls_and_log_in(
    *, connection: asyncpg.Connection, mail_server: StartMailServer, listen: StartListener, tmp_path: Path
) -> None:
    root, key = Authority("Mail"), new_key()
    (tmp_path / "server.pem").write_bytes(key_pem(key) + pem(root.issue("mail", key.public_key())).encode())
    (tmp_path / "root.pem").write_text(pem(root.certificate))
    server = mail_server("--certificate", str(tmp_path / "server.pem"), "--login", "voltuj:secret")
    login = {**server.settings, "SMTP_SECURITY": "starttls", "SMTP_USER": "voltuj", "SMTP_PASSWORD": "secret"}

    await post(connection)
    stranger = listen(**login)
    (row,) = await until(connection, "last_error is not null")
    assert "certificate verify failed" in row["last_error"].lower(), "an unknown authority is not trusted"
    stranger.end()
    await connection.execute("update mails set next_attempt_at = now(), last_error = null")
    wrong = listen(**{**login, "SMTP_PASSWORD": "wrong"}, SSL_CERT_FILE=str(tmp_path / "root.pem"))
    (row,) = await until(connection, "last_error is not null")
    assert "535" in row["last_error"]
    wrong.end()
    await connection.execute("update mails set next_attempt_at = now()")
    listen(**login, SSL_CERT_FILE=str(tmp_path / "root.pem"))
    await until(connection, "status = 'sent'")
    assert [mail["To"] for mail in server.mails()] == ["jana@example.org"]


async def test_without_a_server_each_mail_is_a_file_of_our_own_and_the_log_tells_no_secret(
    connection: asyncpg.Connection, listen: StartListener, tmp_path: Path
) -> None:
    await post(connection)
    listener = listen(MAIL_DIR=str(tmp_path / "mails"))
    await until(connection, "status = 'sent'")
    (mail,) = read_mails(tmp_path / "mails")
    assert "https://voltuj.test/#abc" in mail.get_content()
    (path,) = (tmp_path / "mails").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "jana@example.org" in listener.said()
    assert "#abc" not in listener.said()


async def test_what_nobody_needs_any_more_is_forgotten(connection: asyncpg.Connection, listen: StartListener) -> None:
    await post(connection)
    await connection.execute("update mails set status = 'sent', body = null, finished_at = now() - interval '31 days'")
    user = await connection.fetchval("insert into users (email, password_hash) values ('a@b.cz', '') returning id")
    await connection.execute(
        """insert into email_tokens (digest, purpose, email, user_id, expires_at)
           values ('a', 'reset', 'a@b.cz', $1, now() - interval '1 day'),
               ('b', 'reset', 'a@b.cz', $1, now() + '1 day')""",
        user,
    )
    await connection.execute(
        """insert into idempotency_keys (user_id, key, request_digest, created_at)
           values ($1, 'old', '', now() - interval '2 days'), ($1, 'new', '', now())""",
        user,
    )
    listen()

    async def left() -> bool:
        counts = [
            await connection.fetchval(f"select count(*) from {table}")
            for table in ("mails", "email_tokens", "idempotency_keys")
        ]
        return counts == [0, 1, 1]

    await eventually(left, "what has expired to go, and nothing else")


async def test_a_mail_whose_process_died_is_sent_by_the_next_one(
    connection: asyncpg.Connection, mail_server: StartMailServer, listen: StartListener
) -> None:
    server = mail_server()
    await post(connection)
    await connection.execute("update mails set attempts = 1, next_attempt_at = now() + interval '1 second'")
    listen(**server.settings)
    await until(connection, "status = 'sent' and attempts = 2")
    assert [mail["To"] for mail in server.mails()] == ["jana@example.org"]

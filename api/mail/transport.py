"""How a mail leaves: by SMTP, or into a folder where no server is set. Knows neither the outbox nor what is said."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import aiosmtplib
import structlog
from aiosmtplib.errors import SMTPDataError, SMTPException, SMTPRecipientRefused, SMTPRecipientsRefused

from api.settings import Settings

log = structlog.get_logger(__name__)

SMTP_TIMEOUT_S: Final = 20.0
"""Of each step; the whole mail may take twice as long."""
PERMANENT: Final = 500
"""RFC 5321 4.2.1: 5yz is a permanent negative reply."""


class NotDeliveredError(Exception):
    """A mail did not leave; `is_final` where trying again is in vain. The message has no secrets."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to send."""

    id: UUID
    recipient: str
    subject: str
    body: str
    created_at: datetime


Deliver = Callable[[Mail], Awaitable[None]]
"""Raises NotDeliveredError."""


def make_deliver(settings: Settings) -> Deliver:
    """SMTP where SMTP_HOST is set; MAIL_DIR otherwise."""
    if settings.smtp_host:
        return lambda mail: _by_smtp(settings, mail)
    return lambda mail: _into_folder(settings, mail)


async def _by_smtp(settings: Settings, mail: Mail) -> None:
    try:
        async with asyncio.timeout(2 * SMTP_TIMEOUT_S):
            await aiosmtplib.send(
                _message(settings, mail),
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_user or None,
                password=settings.smtp_password.get_secret_value() or None,
                use_tls=settings.smtp_security == "tls",
                start_tls=settings.smtp_security == "starttls",
                tls_context=ssl.create_default_context() if settings.smtp_security != "none" else None,
                timeout=SMTP_TIMEOUT_S,
            )
    except (SMTPException, OSError, ValueError) as error:
        raise NotDeliveredError(f"{type(error).__name__}: {error}", is_final=_is_final(error)) from error


def _is_final(error: Exception) -> bool:
    """Whether the server refuses this recipient or this mail for good; what it has against us may be mended."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(each.code >= PERMANENT for each in error.recipients)
    return isinstance(error, SMTPRecipientRefused | SMTPDataError) and error.code >= PERMANENT


async def _into_folder(settings: Settings, mail: Mail) -> None:
    path = settings.mail_dir / f"{mail.created_at:%Y%m%dT%H%M%S}-{mail.id}.eml"
    try:
        await asyncio.to_thread(_write, path, _message(settings, mail).as_bytes(policy=SMTP))
    except OSError as error:
        raise NotDeliveredError(f"MAIL_DIR: {error}") from error
    log.info("mail written to the folder, SMTP_HOST is not set", recipient=mail.recipient, subject=mail.subject,
             file=str(path))  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_bytes(content)
    draft.chmod(0o600)
    draft.replace(path)


def _message(settings: Settings, mail: Mail) -> EmailMessage:
    """The same Message-ID at each attempt, so that a mail that went out twice is known as one (RFC 5322 3.6.4)."""
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = mail.created_at
    message["Message-ID"] = f"<{mail.id}@{urlsplit(settings.public_api_url).hostname or 'voltuj.invalid'}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(mail.body)
    return message

"""The api's settings: the only module of `api` that reads the environment. `.env-example` explains each one."""

from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import limits
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.accounting.iban import parse_iban
from api.accounting.money import MINOR_DIGITS


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one sentence that names the variable."""


def is_off(limit: str) -> bool:
    """Whether a limit allows everything."""
    return limit.strip().lower() == "off"


class Settings(BaseSettings):
    """Read from environment variables of the same name; a `.env` file is read by docker compose, not here."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: SecretStr
    """postgresql://USER:PASSWORD@HOST:PORT/NAME of the restricted role that the services use."""
    migrations_database_url: SecretStr | None = None
    """The same database as its owner; Alembic only. Falls back to `database_url`."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_prefix: str = Field(default="voltuj:", pattern=r"^[A-Za-z0-9:_-]{0,64}$")
    jwt_secret: SecretStr = Field(default=SecretStr(""), description="at least 32 characters; needed by the HTTP api")
    jwt_secret_previous: SecretStr = SecretStr("")
    """The secret before this one: its tokens count for the life of an access token after the start of the process."""
    public_api_url: str = "http://127.0.0.1:8000"
    public_ocpp_url: str = "wss://localhost:9000"
    """What an owner types into a wallbox, before the identity."""
    access_token_minutes: int = Field(default=15, ge=1, le=24 * 60)
    refresh_token_days: int = Field(default=30, ge=1, le=366)
    log_in_days: int = Field(default=180, ge=1, le=3660)
    """After that long one logs in again, however much the log-in was used."""
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    trusted_proxies: str = ""
    """Addresses, comma-separated, whose X-Forwarded-For and -Proto headers are believed; empty: nobody's."""
    listener_metrics_host: str = "127.0.0.1"
    listener_metrics_port: int = Field(default=0, ge=0, le=65535)
    """Of the listener's Prometheus metrics; 0 turns them off."""
    database_pool_size: int = Field(default=10, ge=1, le=200)
    platform_fee_bp: int = Field(default=0, ge=0, le=10_000)
    """What the platform takes of the net amount of a session, in hundredths of a percent."""
    bank_account: str = ""
    """IBAN on which the house receives and from which it pays; empty: no top-ups and payouts."""
    bank_account_holder: str = "Voltuj"
    bank_currency: str = Field(default="CZK", pattern=r"^[A-Z]{3}$")
    books_time_zone: str = "Europe/Prague"
    """IANA zone of the days on which what came from or went to the bank is booked."""
    hold_minor: int = Field(default=50_000, ge=0, le=100_000_000)
    """What the start of a guest keeps of the driver's money, in minor units; 0: nothing is kept or needed."""
    credit_limit_minor: int = Field(default=0, ge=0, le=100_000_000)
    """How far below zero a driver may charge for whom no operator has said otherwise, in minor units."""
    connection_time_out_s: int = Field(default=120, ge=1, le=3600)
    """After how long an accepted remote start without a session counts as failed, where the charge point's own
    ConnectionTimeOut is not known."""
    booking_longest_minutes: int = Field(default=240, ge=5, le=24 * 60)
    """How long somebody may keep a connector at most."""
    booking_horizon_days: int = Field(default=14, ge=1, le=90)
    """How far ahead a connector may be reserved."""
    files_dir: Path = Path("files")
    """Firmware images, and what charge points upload."""
    public_files_url: str = ""
    """Where charge points fetch and leave files; empty: `public_api_url`."""
    largest_file_mib: int = Field(default=200, ge=1, le=4096)
    ca_password: SecretStr = SecretStr("")
    """Encrypts the key of the certificate authority in the database; empty: it is stored as it is."""
    message_log_days: int = Field(default=30, ge=1, le=3660)
    meter_values_months: int = Field(default=0, ge=0, le=1200)
    """0 keeps them for ever. Rated sessions keep the samples that they used in their charge detail record."""
    webhook_loopback: bool = False
    """Webhooks may also be http, on any port of this machine: for tests and development."""
    email_verification: Literal["required", "off"] = "required"
    """Whether an account needs an e-mail address at which its mails arrive."""
    log_in_limit_address: str = "60/5 minutes"
    log_in_limit_account: str = "10/5 minutes"
    rate_limit_address: str = "3000/minute"
    rate_limit_account: str = "1200/minute"
    public_url: str = ""
    """Where people's links lead, in mails and on stickers; empty: `public_api_url`."""
    smtp_host: str = ""
    """Empty: mails go into `mail_dir`."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    mail_from: str = "Voltuj <voltuj@localhost>"
    mail_dir: Path = Path("mails")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @field_validator("database_url", "migrations_database_url", mode="after")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in {
            "postgresql",
            "postgres",
            "postgresql+asyncpg",
        }:
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("bank_account", mode="after")
    @classmethod
    def _is_iban(cls, value: str) -> str:
        return parse_iban(value) if value else value

    @field_validator("bank_currency", mode="after")
    @classmethod
    def _is_known_currency(cls, value: str) -> str:
        if value not in MINOR_DIGITS:
            raise ValueError(f"must be one of {', '.join(MINOR_DIGITS)}")
        return value

    @field_validator("books_time_zone", mode="after")
    @classmethod
    def _is_time_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("must be an IANA time zone such as Europe/Prague")
        return value

    @field_validator(
        "log_in_limit_address", "log_in_limit_account", "rate_limit_address", "rate_limit_account", mode="after"
    )
    @classmethod
    def _is_limit(cls, value: str) -> str:
        if not is_off(value):
            try:
                limits.parse_many(value)
            except ValueError:
                raise ValueError("must be such as 10/5 minutes, or off") from None
        return value

    @cached_property
    def asyncpg_dsn(self) -> str:
        """`database_url` as asyncpg reads it."""
        return as_asyncpg(self.database_url.get_secret_value())

    @cached_property
    def links_url(self) -> str:
        """Where the links of mails lead."""
        return self.public_url or self.public_api_url

    @cached_property
    def owner_dsn(self) -> str:
        """The owner's URL as asyncpg reads it (see `migrations_database_url`)."""
        return as_asyncpg((self.migrations_database_url or self.database_url).get_secret_value())

    @cached_property
    def application_role(self) -> str:
        """The restricted role's name, to which migrations give its rights."""
        return urlsplit(self.asyncpg_dsn).username or ""


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: one is missing or wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper()
        what = "is not set" if first["type"] == "missing" else f"is wrong: {first['msg']}"
        raise SettingsError(f"{name} {what}; .env-example explains it.") from None


def as_asyncpg(url: str) -> str:
    """A PostgreSQL URL without SQLAlchemy's driver part."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.split('+')[0]}://{rest}"

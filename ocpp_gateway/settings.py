"""The gateway's settings: the only module of `ocpp_gateway` that reads the environment. `.env-example` explains each.

Durations that the protocol fixes are no settings; they live in `timing`.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Network = IPv4Network | IPv6Network


class Settings(BaseSettings):
    """Read from environment variables of the same name; a `.env` file is read by docker compose, not here."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_prefix: str = Field(default="voltuj:", pattern=r"^[A-Za-z0-9:_-]{0,64}$")
    gateway_host: str = "0.0.0.0"  # noqa: S104 - wallboxes come from the network
    gateway_port: int = Field(default=9001, ge=0, le=65535)
    gateway_operations_host: str = "127.0.0.1"
    gateway_operations_port: int = Field(default=9101, ge=0, le=65535)
    gateway_path_prefix: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """A path before the identity, such as /ocpp; without it charge points are served too."""
    gateway_trusted_proxies: Annotated[list[Network], NoDecode] = []
    """Comma-separated addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    gateway_ping_interval_s: float = Field(default=30, gt=0, le=3600)
    gateway_handshakes_per_minute: int = Field(default=3000, ge=0, le=10_000_000)
    """Of one address; failed ones count more (`knocks`). 0: no limit."""
    gateway_in_flight_per_listener: int = Field(default=500, ge=1, le=10_000)
    """CALLs and handshakes that one listener holds of this gateway at once."""
    gateway_waiting: int = Field(default=4000, ge=1, le=100_000)
    """Those that may wait for that before handshakes are refused."""
    gateway_most_connections: int = Field(default=18_000, ge=1, le=1_000_000)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @field_validator("gateway_trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip()]

    @field_validator("redis_url", mode="after")
    @classmethod
    def _is_redis(cls, value: SecretStr) -> SecretStr:
        if urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

"""An exception in the log says where, and never with which values: those of our functions may be keys and passwords."""

import subprocess
import sys

import pytest

SECRET = "hunter2-hunter2-hunter2"
API = """
from api.logs import configure_logs
from api.settings import Settings
configure_logs(Settings())
"""
GATEWAY = """
from ocpp_gateway.__main__ import configure_logging
from ocpp_gateway.settings import Settings
configure_logging(Settings())
"""
FAIL = """
import structlog
def check(key):
    return {}["missing"]
try:
    check("-".join(["hunter2"] * 3))
except KeyError:
    structlog.get_logger("test").exception("it failed")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("configure", [API, GATEWAY], ids=["api", "gateway"])
def test_no_local_variable_is_logged(configure: str, log_format: str) -> None:
    settings = {"LOG_FORMAT": log_format, "DATABASE_URL": "postgresql://a@b/c", "JWT_SECRET": "x" * 32}
    ended = subprocess.run(
        [sys.executable, "-c", configure + FAIL], env=settings, capture_output=True, text=True, check=True
    )
    logged = ended.stdout + ended.stderr
    assert "it failed" in logged
    assert "KeyError" in logged
    assert "check" in logged, "where it failed is not said"
    assert SECRET not in logged

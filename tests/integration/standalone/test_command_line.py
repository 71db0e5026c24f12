"""`python -m standalone` where it cannot start: one sentence, exit code 1, nothing left running."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from standalone.folder import Folder
from standalone.servers import free_port

TIMEOUT_S = 60


def start(data: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    ports: list[str] = []
    for option in ("--http-port", "--ocpp-port", "--operations-port"):
        ports += [] if option in arguments else [option, str(free_port())]
    inherited = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
    return subprocess.Popen(
        [sys.executable, "-m", "standalone", "--plain", "--data", str(data), *ports, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, **environment},
    )


def sentence_of(data: Path, *arguments: str, **environment: str) -> str:
    """The one sentence with which it refuses to start."""
    process = start(data, *arguments, **environment)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    lines = [line for line in errors.splitlines() if "letting it pass through" not in line]
    assert process.returncode == 1
    assert len(lines) == 1, errors
    assert processes_on(data) == []
    return lines[0]


def processes_on(data: Path) -> list[psutil.Process]:
    """What still runs with this data folder on its command line or as its folder."""
    return [one for one in psutil.process_iter(["cmdline"]) if str(data) in " ".join(one.info["cmdline"] or [])]


@pytest.mark.parametrize("option", ["--http-port", "--ocpp-port", "--operations-port"])
def test_a_taken_port(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = sentence_of(tmp_path / "data", option, str(port))
    assert sentence == f"Port {port} is taken: stop what listens there, or choose another with {option}."


def test_one_port_for_two(tmp_path: Path) -> None:
    port = str(free_port())
    sentence = sentence_of(tmp_path / "data", "--http-port", port, "--ocpp-port", port)
    assert f"Port {port} is chosen twice" in sentence


def test_a_second_instance(tmp_path: Path) -> None:
    with Folder(tmp_path / "data"):
        assert "already runs on the data folder" in sentence_of(tmp_path / "data")


def test_a_broken_data_folder(tmp_path: Path) -> None:
    broken = tmp_path / "data" / "postgres" / "data"
    broken.mkdir(parents=True)
    (broken / "something").write_text("")
    assert "is broken: it is not empty but holds no database" in sentence_of(tmp_path / "data")


def test_a_data_folder_of_another_postgres(tmp_path: Path) -> None:
    other = tmp_path / "data" / "postgres" / "data"
    other.mkdir(parents=True)
    (other / "PG_VERSION").write_text("9\n")
    assert "was made by PostgreSQL 9" in sentence_of(tmp_path / "data")


def test_broken_secrets(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secrets.json").write_text("nonsense")
    assert "secrets.json is broken" in sentence_of(tmp_path / "data")


def test_a_database_of_ones_own_that_is_away(tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    assert "The database cannot be migrated" in sentence_of(tmp_path / "data", DATABASE_URL=url)


def test_a_signal_while_it_sets_up(tmp_path: Path) -> None:
    process = start(tmp_path / "data")
    assert process.stdout is not None
    assert process.stdout.read(8) == "Starting"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert output.rstrip().endswith("Stopped.")
    assert processes_on(tmp_path / "data") == []

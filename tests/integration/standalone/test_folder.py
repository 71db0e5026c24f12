"""The data folder: its lock, its secrets, and what a killed run leaves behind."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from standalone.folder import Folder, write_private
from standalone.problems import Problem
from standalone.servers import start_postgres

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder(tmp_path / "data") as opened:
        yield opened


def test_secrets_are_made_once_and_private(folder: Folder) -> None:
    made = folder.secrets()
    assert folder.secrets() == made
    assert len(made.jwt_secret) >= 32
    assert stat.S_IMODE((folder.path / "secrets.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"jwt_secret": "x"}', '"x"'])
def test_broken_secrets_are_named(folder: Folder, content: str) -> None:
    (folder.path / "secrets.json").write_text(content)
    with pytest.raises(Problem, match=r"secrets\.json is broken"):
        folder.secrets()


def test_only_one_may_have_it(folder: Folder) -> None:
    with pytest.raises(Problem, match="already runs on the data folder"), Folder(folder.path):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(Problem, match="cannot be used"), Folder(tmp_path / "data"):
        pass


def test_left_over_programs_are_ended(folder: Folder) -> None:
    process = subprocess.Popen(SLEEPER, start_new_session=True)
    folder.remember([psutil.Process(process.pid)])
    assert [name[:6] for name in folder.end_left_overs()] == ["python"]
    process.wait(10)
    assert folder.end_left_overs() == []


def test_another_process_with_the_same_id_is_left_alone(folder: Folder) -> None:
    process = subprocess.Popen(SLEEPER)
    started = psutil.Process(process.pid).create_time()
    write_private(folder.path / "processes.json", {str(process.pid): started - 3600})
    assert folder.end_left_overs() == []
    assert process.poll() is None
    process.kill()
    process.wait()


def test_a_left_over_postgres_is_found_by_its_folder(folder: Folder) -> None:
    server = start_postgres(folder.postgres)
    assert folder.end_left_overs() == ["postgres"]
    assert server.process.wait(20) == 0
    again = start_postgres(folder.postgres)
    again.stop()


def test_a_broken_list_of_processes_is_no_obstacle(folder: Folder) -> None:
    (folder.path / "processes.json").write_text("nonsense")
    assert folder.end_left_overs() == []


def test_large_logs_are_put_aside(folder: Folder) -> None:
    log = folder.log("api")
    with log.open("wb") as file:
        file.truncate(30_000_000)
    assert not folder.log("api").exists()
    assert (folder.logs / "api.log.1").exists()


def test_an_unreadable_file_is_named(folder: Folder) -> None:
    (folder.path / "secrets.json").mkdir()
    with pytest.raises(Problem, match="cannot be read"):
        folder.secrets()

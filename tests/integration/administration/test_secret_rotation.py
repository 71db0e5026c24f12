"""`voltuj rotate-secret jwt`: a new secret, and nobody who is logged in notices."""

import tomllib
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from api.administration.secret_rotation import RotationError, rotate_file
from standalone.databases import REPOSITORY, DatabaseUrls
from tests.integration.administration.conftest import JWT_SECRET, Voltuj
from tests.integration.http.site import make_settings, open_site


def settings_of(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_the_file_gets_a_new_secret_and_keeps_the_rest(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nDOMAIN=x.test\nJWT_SECRET=the-old\\1-one\n#JWT_SECRET_PREVIOUS=\nACME_EMAIL=\n")
    file.chmod(0o640)
    rotate_file(file, leaked=False)
    once = settings_of(file.read_text())
    assert once["JWT_SECRET_PREVIOUS"] == "the-old\\1-one"
    assert len(once["JWT_SECRET"]) == 64
    assert (once["DOMAIN"], once["ACME_EMAIL"], file.stat().st_mode & 0o777) == ("x.test", "", 0o640)
    assert file.read_text().startswith("# mine\n")

    rotate_file(file, leaked=False)
    twice = settings_of(file.read_text())
    assert twice["JWT_SECRET_PREVIOUS"] == once["JWT_SECRET"] != twice["JWT_SECRET"]
    assert file.read_text().count("\nJWT_SECRET_PREVIOUS=") == 1

    rotate_file(file, leaked=True)
    assert settings_of(file.read_text())["JWT_SECRET_PREVIOUS"] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env"]


def test_the_command_shows_no_secret_where_a_file_takes_it(voltuj: Voltuj, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"JWT_SECRET={JWT_SECRET}\n")
    done = voltuj("rotate-secret", "jwt", "--env-file", str(file))
    assert done.returncode == 0, done.stderr
    written = settings_of(file.read_text())
    assert written["JWT_SECRET_PREVIOUS"] == JWT_SECRET
    assert not any(secret in done.stdout for secret in written.values())


async def test_it_is_in_the_audit_log(voltuj: Voltuj, connection: asyncpg.Connection, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"JWT_SECRET={JWT_SECRET}\n")
    assert voltuj("rotate-secret", "jwt", "--env-file", str(file), "--leaked").returncode == 0
    entry = await connection.fetchrow("select actor_id, action, subject_id, details::text from audit_log")
    assert tuple(entry) == (None, "secret.rotated", None, '{"leaked": true}')


def test_without_a_database_it_is_rotated_and_says_so(voltuj: Voltuj, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"JWT_SECRET={JWT_SECRET}\n")
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    done = voltuj("rotate-secret", "jwt", "--env-file", str(file), DATABASE_URL=nowhere)
    assert done.returncode == 0, done.stderr
    assert "Not in the audit log" in done.stderr
    assert settings_of(file.read_text())["JWT_SECRET"] != JWT_SECRET


def test_the_version_is_that_of_the_package(voltuj: Voltuj) -> None:
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert voltuj("--version").stdout == f"voltuj {package['version']}\n"


def test_without_a_file_the_lines_are_shown(voltuj: Voltuj) -> None:
    shown = settings_of(voltuj("rotate-secret", "jwt").stdout)
    assert shown["JWT_SECRET_PREVIOUS"] == JWT_SECRET
    assert len(shown["JWT_SECRET"]) == 64


def test_a_file_without_a_secret_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DOMAIN=x.test\n")
    with pytest.raises(RotationError, match="there is no JWT_SECRET="):
        rotate_file(file, leaked=False)
    assert file.read_text() == "DOMAIN=x.test\n"


async def test_nobody_is_logged_out(database: DatabaseUrls, redis_url: str, redis_prefix: str) -> None:
    """An api with the next secret takes the tokens of the last one, and one that does not know it refuses them."""
    fresh = SecretStr("a-new-secret-5Gh2kLq9ZxWv7Bn3Mt8Rp1")
    old = make_settings(database, redis_url, redis_prefix)
    rotated = old.model_copy(update={"jwt_secret": fresh, "jwt_secret_previous": old.jwt_secret})
    leaked = old.model_copy(update={"jwt_secret": fresh})
    async with open_site(database, old) as before:
        authorization = (await before.person()).http.headers["Authorization"]
        assert (await before.client(Authorization=authorization).get("/me")).status_code == 200
    for settings, status in ((rotated, 200), (leaked, 401)):
        async with open_site(database, settings) as after:
            assert (await after.client(Authorization=authorization).get("/me")).status_code == status

"""What keeps a stack from starting, and that it says why."""

from pathlib import Path

import pytest

from tests.deploy.compose import REPOSITORY, Project, production_environment


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"JWT_SECRET": "change-me"}, "JWT_SECRET still has the value of the example"),
        ({"REDIS_API_PASSWORD": ""}, "REDIS_API_PASSWORD is not set"),
        ({"POSTGRES_PASSWORD": "short"}, "POSTGRES_PASSWORD is shorter than 24 characters"),
        ({"DATABASE_API_PASSWORD": "p@ssword/with:signs-in-it"}, "DATABASE_API_PASSWORD has characters other than"),
        ({"DOMAIN": ""}, "DOMAIN is not set"),
    ],
)
def test_bad_secrets_start_nothing_and_are_named(environment_file: Path, settings: dict[str, str], reason: str) -> None:
    production_environment(environment_file, INSIDE_SUBNET="172.31.202.0/24", **settings)
    project = Project("voltuj-ci-refused", "docker-compose.yaml", REPOSITORY, environment_file)
    project.down()
    try:
        refused = project.compose("up", "--detach", "postgres", check=False)
        assert refused.returncode != 0
        assert "preflight" in refused.stderr
        said = project.logs("preflight")
        assert reason in said
        assert said.count("preflight:") == 2, "the one that is wrong, and what to do"
        assert not any(c["State"]["Running"] for c in project.containers("postgres"))
    finally:
        project.down()


def test_preflight_makes_an_env_file_that_it_accepts(environment_file: Path) -> None:
    environment_file.write_text("INSIDE_SUBNET=172.31.202.0/24\n")
    project = Project("voltuj-ci-refused", "docker-compose.yaml", REPOSITORY, environment_file)
    try:
        made = project.compose("run", "--rm", "--no-deps", "-T", "preflight", "env", "charging.example.org").stdout
        assert "change-me" not in made
        environment_file.write_text(made)
        checked = project.compose("run", "--rm", "--no-deps", "-T", "preflight", "check")
        assert "settings are good" in checked.stdout
    finally:
        project.down()

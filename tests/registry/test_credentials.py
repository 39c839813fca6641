"""Passwords for registries: from where, and shown nowhere."""

from pathlib import Path

import pytest

from deploys.planning.settings import Credential, Problem
from deploys.registry.credentials import Secret, read_credentials

SECRET = "made-up-key"


def test_passwords_of_the_environment_and_of_a_private_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NGC_API_KEY", SECRET)
    path = tmp_path / "hub"
    path.write_text("other\n")
    path.chmod(0o600)
    wanted = {
        "nvcr.io": Credential(username="$oauthtoken", password_env="NGC_API_KEY"),
        "docker.io": Credential(username="lab", password_file=str(path)),
    }
    found = read_credentials(wanted, "images_credentials")
    assert found == {"nvcr.io": Secret("$oauthtoken", SECRET), "docker.io": Secret("lab", "other")}
    assert SECRET not in repr(found)


def test_a_variable_that_is_not_set_is_told_of_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have written the password itself there."""
    monkeypatch.delenv(SECRET.replace("-", "_"), raising=False)
    wanted = {"nvcr.io": Credential(username="$oauthtoken", password_env=SECRET.replace("-", "_"))}
    problem = read_credentials(wanted, "images_credentials")
    assert isinstance(problem, Problem)
    assert str(problem).startswith("images_credentials: nvcr.io: ")
    assert SECRET.replace("-", "_") not in str(problem)


@pytest.mark.parametrize(("mode", "text", "words"), [(0o644, SECRET, "chmod 600"), (0o600, "\n", "empty")])
def test_a_file_that_will_not_do(tmp_path: Path, mode: int, text: str, words: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    wanted = {"nvcr.io": Credential(username="x", password_file=str(path))}
    problem = read_credentials(wanted, "registry_cache_credentials")
    assert isinstance(problem, Problem)
    assert words in problem.reason
    assert SECRET not in str(problem)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    wanted = {"nvcr.io": Credential(username="x", password_file=str(path))}
    assert isinstance(read_credentials(wanted, "images_credentials"), Problem)

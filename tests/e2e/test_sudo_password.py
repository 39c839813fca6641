"""The sudo password: where it may come from, and where it must never turn up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, Run, data_of, machine
from tests.sandbox.state import CHECKOUT

VERIFY = "deploys/verify.py"


@pytest.fixture(scope="module")
def jetson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A provisioned host whose sudo asks."""
    with machine("jetson", "t-asks") as fresh:
        run = Controller(tmp_path_factory.mktemp("asks")).run(data_of(fresh), DEPLOY, "-y")
        assert run.verdicts == {fresh.name: "good"}, run.text
        yield fresh


def password_of(one: Machine) -> str:
    """What its sudo wants."""
    return (CHECKOUT / one.host.sudo_password_file).read_text().strip()


def data_without_password(one: Machine) -> dict[str, Any]:
    """Its data, but no way to the password."""
    return {key: value for key, value in one.data.items() if key != "sudo_password_file"}


def check_refusal(run: Run, one: Machine, brief: str) -> None:
    """The host is refused as a whole, in three parts."""
    assert (run.status, run.verdicts) == (1, {one.name: "bad"}), run.text
    assert run.is_three_part(one.name, f"host: refused: {brief}"), run.text


def test_password_is_in_no_log_and_no_file(jetson: Machine, controller: Controller) -> None:
    """pyinfra at its most talkative prints the commands; the host has been through a whole run."""
    run = controller.run({jetson.name: jetson.data}, VERIFY, "-y", "-vvv", "--debug")
    assert run.status == 0, run.text
    assert "sudo -S" in run.text
    assert password_of(jetson) not in run.text
    found = jetson.sh(f"grep -rlaF -e '{password_of(jetson)}' /var/lib/gpu-hosts /tmp /var/tmp /var/log /home; true")
    assert found == ""


def test_password_file(jetson: Machine, controller: Controller, tmp_path: Path) -> None:
    """A wrong one, and one that others can read, are refused without asking at a terminal."""
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("not-the-password\n")
    data = {jetson.name: {**jetson.data, "sudo_password_file": str(path)}}
    run = controller.run(data, DEPLOY, "-y")
    check_refusal(run, jetson, "root rights are needed, and this user does not get them")
    path.chmod(0o644)
    run = controller.run(data, DEPLOY, "-y")
    check_refusal(run, jetson, "the inventory's settings for this host cannot be used")
    assert "can be read by others (mode 0644); chmod 600 it" in run.text
    assert "not-the-password" not in run.text


def test_missing_password(jetson: Machine, controller: Controller) -> None:
    """The refusal names the settings that would give it."""
    run = controller.run({jetson.name: data_without_password(jetson)}, DEPLOY, "-y")
    check_refusal(run, jetson, "root rights are needed, and this user does not get them")
    assert "sudo_password_env or sudo_password_file" in run.text


def test_password_from_the_environment(
    jetson: Machine, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable that the inventory names; unset, it is a refusal."""
    data = {jetson.name: {**data_without_password(jetson), "sudo_password_env": "JETSON_SUDO_PASSWORD"}}
    monkeypatch.setenv("JETSON_SUDO_PASSWORD", password_of(jetson))
    run = controller.run(data, VERIFY, "-y")
    assert (run.status, run.verdicts) == (0, {jetson.name: "good"}), run.text
    monkeypatch.delenv("JETSON_SUDO_PASSWORD")
    run = controller.run(data, DEPLOY, "-y")
    check_refusal(run, jetson, "the inventory's settings for this host cannot be used")
    assert "sudo_password_env: the environment variable that it names is not set" in run.text


def test_pyinfras_own_password_data(jetson: Machine, controller: Controller) -> None:
    """A literal `_sudo_password` works too, without pyinfra's own way of sending it."""
    data = {**data_without_password(jetson), "_sudo": True, "_sudo_password": password_of(jetson)}
    run = controller.run({jetson.name: data}, VERIFY, "-y", "-vvv")
    assert (run.status, run.verdicts) == (0, {jetson.name: "good"}), run.text
    assert password_of(jetson) not in run.text

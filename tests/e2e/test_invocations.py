"""The documented command in the ways people and schedulers start it, on a fleet where not all is well."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, Run, data_of, machine
from tests.e2e.snapshot import take_snapshot
from tests.sandbox import hosts
from tests.sandbox.state import read_state

UNREACHABLE, REFUSING = "t-unreachable", "t-misspelt"


@pytest.fixture(scope="module")
def wsl() -> Iterator[Machine]:
    """A host that can be provisioned. The tests of this module use it in order."""
    with machine("wsl", "t-invoked") as fresh:
        yield fresh


def misspelt(one: Machine) -> dict[str, Any]:
    """Its data with a setting's name mistyped."""
    data = one.data
    return {**data, "image_s": data["images"]}


def mixed_fleet(good: Machine) -> dict[str, dict[str, Any]]:
    """One host where nothing listens, one whose settings are refused (it is never asked anything), one good."""
    nobody = str(list(ip_network(read_state().network).hosts())[-1])
    return {
        UNREACHABLE: {**good.data, "ssh_hostname": nobody},
        REFUSING: misspelt(good),
        **data_of(good),
    }


def check_outcome(run: Run, good: Machine) -> None:
    """The good host is finished, and exit status and table name the others."""
    assert run.status == 1, run.text
    assert run.verdicts == {UNREACHABLE: "unknown", REFUSING: "bad", good.name: "good"}
    assert set(run.table[UNREACHABLE].values()) == {UNREACHABLE, "unknown"}
    assert run.is_three_part(REFUSING, "the inventory's settings for this host cannot be used"), run.text
    assert "image_s: there is no such setting; did you mean images?" in run.text


def remove_proof_image(one: Machine) -> None:
    """Give the next run something to do."""
    one.sh("docker image rm --force $(docker image ls --quiet python)")


def test_stdin_closed_without_yes_changes_nothing(wsl: Machine, controller: Controller) -> None:
    """Nobody can answer the question, so nothing runs, and the exit status says so."""
    before = take_snapshot(wsl)
    run = controller.run_with_stdin_closed(mixed_fleet(wsl), DEPLOY)
    assert run.status != 0, run.text
    assert run.operations == []
    assert take_snapshot(wsl) == before


def test_stdin_empty_without_yes_changes_nothing(wsl: Machine, controller: Controller) -> None:
    """The same for a scheduler that gives an empty standard input, on a fleet that can be reached."""
    before = take_snapshot(wsl)
    run = controller.run(data_of(wsl), DEPLOY)
    assert run.status != 0, run.text
    assert run.verdicts == {wsl.name: "planned"}
    assert take_snapshot(wsl) == before


def test_on_a_terminal_enter_goes_on(wsl: Machine, controller: Controller) -> None:
    """Without -y pyinfra asks whether to go on without the unreachable host, and whether to execute."""
    run = controller.run_on_terminal(mixed_fleet(wsl), DEPLOY)
    check_outcome(run, wsl)
    assert "Prove the GPU in a container" in run.operations


def test_with_yes_nothing_is_asked(wsl: Machine, controller: Controller) -> None:
    """The rest finish although one host is unreachable and one refuses."""
    remove_proof_image(wsl)
    run = controller.run(mixed_fleet(wsl), DEPLOY, "-y")
    check_outcome(run, wsl)
    assert "Pull images" in run.operations


@pytest.mark.parametrize("words", [("-y",), ()])
def test_fleet_of_one_that_refuses(wsl: Machine, controller: Controller, words: tuple[str, ...]) -> None:
    """Exit status 1, the reason, and the table, although pyinfra prints no results when no host is left."""
    refusing = {REFUSING: misspelt(wsl)}
    run = controller.run(refusing, DEPLOY, *words) if words else controller.run_on_terminal(refusing, DEPLOY)
    assert (run.status, run.verdicts) == (1, {REFUSING: "bad"}), run.text
    assert run.is_three_part(REFUSING, "the inventory's settings for this host cannot be used"), run.text


def test_host_that_dies_in_the_middle(wsl: Machine, controller: Controller) -> None:
    """Nothing is known of it at the end, and the other host finishes."""
    remove_proof_image(wsl)
    with machine("wsl", "t-dies") as dying, controller.start(data_of(dying, wsl), DEPLOY, "-y") as process:
        dying.wait_for("ls -d /var/lib/gpu-hosts/*/run.*", "the first step")
        hosts.remove_host(dying.name)
        run = controller.finish(process)
    assert (run.status, run.verdicts) == (1, {dying.name: "bad", wsl.name: "good"}), run.text
    assert run.table[dying.name]["platform"] == "unknown"
    assert "it gave no answer when it was asked again" in run.said_of(dying.name)


def test_limit_leaves_the_others_out_of_the_table(wsl: Machine, controller: Controller) -> None:
    """The table is of the hosts that were asked for."""
    run = controller.run(mixed_fleet(wsl), DEPLOY, "-y", "--limit", wsl.name)
    assert (run.status, run.verdicts) == (0, {wsl.name: "good"}), run.text


def test_facts_print_as_json(wsl: Machine, controller: Controller) -> None:
    """A view of the probe by pyinfra's own command: null on a machine that is no Jetson."""
    run = controller.run(data_of(wsl), "fact", "facts.host.Jetson")
    assert run.status == 0, run.text
    assert f'"{wsl.name}": null' in run.text

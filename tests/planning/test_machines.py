"""Plans for the captured machines of ``tests/machines``: what may never happen on any, and a few decisions."""

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Verdict, check, sum_up
from deploys.planning.host_plan import Plan
from deploys.planning.plan import make_plan
from deploys.planning.report import describe_plan, make_row, render_table
from deploys.planning.settings import Settings
from facts.model import Host, PlatformKind
from facts.parse import parse_probe
from tests.facts.machines import all_machines
from tests.planning.hosts import needs_something

CATALOGUE = load_catalogue()
NAMES = [machine.name for machine in all_machines()]
MAKERS = (PlatformKind.JETSON, PlatformKind.WSL1, PlatformKind.WSL2, PlatformKind.CONTAINER, PlatformKind.OTHER)


@pytest.fixture(scope="module")
def hosts(answers: dict[str, str]) -> dict[str, Host]:
    """Every machine's record, by its folder's name."""
    return {name: parse_probe(answer) for name, answer in answers.items()}


def plan(host: Host) -> Plan:
    """The plan of an owner who allows everything."""
    return make_plan(Settings(reboot="when-needed"), host, CATALOGUE)


def packages(found: Plan) -> list[str]:
    """Every package that the plan names."""
    groups = (found.driver.first, found.driver.packages, *(group.packages for group in found.package_groups))
    return [name for names in groups for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_machine_is_planned_and_described(name: str, hosts: dict[str, Host]) -> None:
    host, found = hosts[name], plan(hosts[name])
    assert all(refusal.brief and refusal.seen.strip() and refusal.remedy for refusal in found.refusals)
    assert all(line.strip() for line in describe_plan(found, host))
    assert len(render_table([make_row(name, found, host, verdict="planned")])) == 2
    assert sum_up(check(found, host, CATALOGUE)) in (Verdict.BAD, Verdict.UNKNOWN), "no capture holds a proof"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_planned_that_the_host_must_not_get(name: str, hosts: dict[str, Host]) -> None:
    host, found = hosts[name], plan(hosts[name])
    assert not [package for package in packages(found) if "{" in package or "l4t" in package]
    if host.platform.kind in MAKERS or host.platform.hands_off:
        assert found.driver.packages == ()
        assert not found.reboot.due
    if host.packages.manager not in ("apt", "dnf"):
        assert packages(found) == []


@pytest.mark.parametrize(
    "name", ["container-plain", "igx-orin", "nintendo-switch-l4t", "raspberry-pi-4-rtx-a2000", "wsl1-ubuntu"]
)
def test_machine_is_refused_whole(name: str, hosts: dict[str, Host]) -> None:
    found = plan(hosts[name])
    assert found.host
    assert not needs_something(found)


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("dgx-os-a100", "DGX OS"),
        ("dgx-spark-gb10", "GB10"),
        ("jetson-orin-nano-r36", "L4T 36.4.3"),
        ("jetson-nano-r32", "L4T 32.7.3"),
        ("wsl2-native-docker", "/usr/lib/wsl/lib"),
    ],
)
def test_driver_is_the_makers(name: str, because: str, hosts: dict[str, Host]) -> None:
    found = plan(hosts[name]).driver
    assert found.refusal is None
    assert because in found.notes[0].because


def test_h100_on_nouveau_gets_the_open_driver_and_a_reboot(hosts: dict[str, Host]) -> None:
    found = plan(hosts["x86-h100-nouveau"])
    assert (found.driver.branch, found.driver.flavour) == ("580", "open")
    assert "linux-modules-nvidia-580-open-generic" in found.driver.packages
    assert (found.reboot.due, found.reboot.allowed) == (True, True)


def test_a_hardened_sshd_is_named_by_file_and_line(hosts: dict[str, Host]) -> None:
    notes = plan(hosts["x86-h100-nouveau"]).sshd.notes
    assert any("/etc/ssh/sshd_config.d/60-hardening.conf:1" in note.because for note in notes)


def test_rockys_own_driver_and_docker_are_kept(hosts: dict[str, Host]) -> None:
    found = plan(hosts["rocky9-a100x"])
    assert (found.driver.refusal, found.driver.packages) == (None, ())
    assert (found.docker.refusal, found.docker.packages) == (None, ())


def test_half_configured_packages_are_named(hosts: dict[str, Host]) -> None:
    refusal = plan(hosts["pop-half-configured"]).docker.refusal
    assert refusal
    assert "linux-image-6.12.10-76061203-generic" in refusal.seen


def test_run_file_driver_and_stopped_snap_are_refused_and_nothing_is_put_beside_them(hosts: dict[str, Host]) -> None:
    found = plan(hosts["x86-desktop"])
    assert found.driver.refusal
    assert found.docker.refusal
    assert "snap start docker" in found.docker.refusal.remedy
    assert (packages(found), found.daemon.text) == ([], None)


def test_l4t_36_4_0_gets_the_newest_docker_that_starts_there(hosts: dict[str, Host]) -> None:
    assert plan(hosts["jetson-agx-orin-r36-packages"]).docker.release == "27"


def test_docker_desktop_gets_no_package(hosts: dict[str, Host]) -> None:
    found = plan(hosts["wsl2-docker-desktop"])
    assert packages(found) == []
    assert found.proof.mechanism == "--gpus all"

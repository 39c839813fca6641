"""The judgement: good, bad or unknown, and nothing good that was not looked at."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Finding, Verdict, check, sum_up
from deploys.planning.host_plan import Plan
from deploys.planning.plan import ALL_AREAS, make_plan
from deploys.planning.records import Area
from deploys.planning.settings import Settings
from facts.model import CdiSpec, Docker, Driver, Host, Kernel, ModuleFlavour, Proof, Toolkit
from tests.planning.hosts import (
    BARE,
    DOCKER,
    DOCKER_DESKTOP,
    DRIVER_580,
    JETSON,
    NO_DRIVER,
    PROOF_IMAGE,
    READY,
    TOOLKIT_PACKAGES,
    WSL,
    X11_OPTIONS,
)

CATALOGUE = load_catalogue()
GOOD, BAD, UNKNOWN = Verdict.GOOD, Verdict.BAD, Verdict.UNKNOWN
PROOF = READY.proof or Proof(0, "", "", "", "", "", 0)


def plan(host: Host, *, areas: frozenset[Area] = ALL_AREAS, reboot: bool = True) -> Plan:
    """The plan for a host with the proof image that the made-up hosts have."""
    settings = Settings(gpu_proof_image=PROOF_IMAGE, reboot="when-needed" if reboot else None)
    return make_plan(settings, host, CATALOGUE, areas=areas)


def finding(area: Area, host: Host, planned: Plan | None = None) -> Finding:
    """The one finding of an area, of a plan that was made for the bare server unless another is given."""
    [found] = [one for one in check(planned or plan(BARE), host, CATALOGUE) if one.area is area]
    return found


def test_a_host_that_became_what_was_planned_is_good() -> None:
    findings = check(plan(BARE), READY, CATALOGUE)
    areas = {Area.SSHD, Area.DRIVER, Area.DOCKER, Area.TOOLKIT, Area.DAEMON, Area.IMAGES, Area.PROOF}
    assert {one.area for one in findings} == areas
    assert sum_up(findings) is GOOD
    assert not any(one.remedy for one in findings if one.verdict is not Verdict.NOTE)


def test_a_change_of_the_driver_that_did_not_finish_is_bad_and_so_is_a_removal() -> None:
    """It may lack its holds, and what keeps nouveau away."""
    cut_off = replace(READY, driver=replace(DRIVER_580, unfinished=True))
    assert finding(Area.DRIVER, cut_off).verdict is BAD
    gone = replace(BARE, driver=replace(BARE.driver, unfinished=True))
    removal = make_plan(Settings(nvidia_driver="absent"), gone, CATALOGUE)
    assert removal.driver.unfinished
    assert finding(Area.DRIVER, gone, removal).verdict is BAD
    assert finding(Area.DRIVER, BARE, removal).verdict is GOOD


FLOOR_580 = replace(
    DRIVER_580,
    loaded_version="580.178.04",
    disk_version="580.178.04",
    next_boot_version="580.178.04",
    library_version="580.178.04",
)


def test_a_driver_below_the_security_floor_is_named_with_the_bulletin_and_does_not_fail() -> None:
    """NVIDIA's bulletin 5861 (2026-09-30): fixed in 580.178.04."""
    findings = check(plan(READY), READY, CATALOGUE)
    [note] = [one for one in findings if one.verdict is Verdict.NOTE]
    assert "580.95.05 is below the security floor of its branch, 580.178.04 (NVIDIA's bulletin 5861" in note.text
    assert "driver_update.py" in note.remedy
    assert sum_up(findings) is GOOD
    fixed = replace(READY, driver=FLOOR_580)
    assert not [one for one in check(plan(fixed), fixed, CATALOGUE) if one.verdict is Verdict.NOTE]


@pytest.mark.parametrize("held", ["nvidia-driver-cuda", "nvidia-driver-cuda-3:580.178.04-1.el9.*"])
def test_held_packages_and_the_time_since_they_changed_are_told(held: str) -> None:
    driver = replace(FLOOR_580, changed=READY.time - 3 * 86400)
    host = replace(READY, driver=driver, packages=replace(READY.packages, held=(held,)))
    assert finding(Area.DRIVER, host).text.endswith("1 of its 1 packages are on hold, unchanged for 3 d")


NVSWITCHES = ("0000:01:00.0",)
MANAGER = ("nvidia-fabricmanager", "580.178.04-1")


@pytest.mark.parametrize(
    ("packages", "services", "verdict", "says"),
    [
        ((), (), BAD, "no fabric manager of 580.178.04: none is installed"),
        ((("nvidia-fabricmanager", "580.95.05-1"),), (), BAD, "nvidia-fabricmanager 580.95.05"),
        ((MANAGER,), (("nvidia-fabricmanager", "failed"),), BAD, "nvidia-fabricmanager is failed"),
        ((MANAGER,), (("nvidia-fabricmanager", "active"),), GOOD, "580.178.04 is loaded"),
    ],
)
def test_nvswitches_need_a_running_fabric_manager_of_the_drivers_version(
    packages: tuple[tuple[str, str], ...], services: tuple[tuple[str, str], ...], verdict: Verdict, says: str
) -> None:
    driver = replace(FLOOR_580, packages=(*FLOOR_580.packages, *packages), services=services)
    planned = plan(replace(READY, driver=FLOOR_580))
    findings = check(planned, replace(READY, nvswitches=NVSWITCHES, driver=driver), CATALOGUE)
    first = next(one for one in findings if one.area is Area.DRIVER)
    assert first.verdict is verdict
    assert says in first.text


def test_a_host_on_which_nothing_happened_is_not_good() -> None:
    findings = check(plan(BARE), BARE, CATALOGUE)
    assert sum_up(findings) is BAD
    assert {one.area for one in findings if one.verdict is BAD} >= {Area.DRIVER, Area.DOCKER, Area.TOOLKIT, Area.DAEMON}


@pytest.mark.parametrize(
    ("state", "verdict", "says"),
    [
        (FLOOR_580, GOOD, "580.178.04 is loaded, on disk and in the library; 0 of its 1 packages are on hold"),
        (replace(DRIVER_580, disk_version=None, next_boot_version=None), BAD, "module missing"),
        (replace(DRIVER_580, disk_version=None, loaded_version=None), BAD, "580.95.05 is installed, none is loaded"),
        (replace(DRIVER_580, library_version=None), BAD, "library missing"),
        (replace(DRIVER_580, library_version="580.65.06"), BAD, "580.65.06 differ"),
        (replace(DRIVER_580, loaded_version=None), BAD, "none is loaded"),
        (replace(DRIVER_580, loaded_version="570.133.20"), BAD, "570.133.20 is loaded"),
        (
            replace(DRIVER_580, disk_flavour=ModuleFlavour.PROPRIETARY),
            BAD,
            "open modules were planned, proprietary ones",
        ),
        (
            replace(DRIVER_580, loaded_version="595.1.1", disk_version="595.1.1", library_version="595.1.1"),
            BAD,
            "595.1.1 is there",
        ),
    ],
)
def test_driver(state: Driver, verdict: Verdict, says: str) -> None:
    found = finding(Area.DRIVER, replace(READY, driver=state))
    assert (found.verdict, bool(found.remedy)) == (verdict, verdict is BAD)
    assert says in found.text


@pytest.mark.parametrize(
    ("host", "verdict", "says"),
    [
        (JETSON, GOOD, "L4T 36.4.4 and its 1 packages left alone"),
        (WSL, GOOD, "/dev/dxg"),
        (replace(WSL, wsl=replace(WSL.wsl, gpu_device=False)), BAD, "Windows offers no"),  # type: ignore[type-var]
        (replace(WSL, wsl=replace(WSL.wsl, lib_directory=False)), BAD, "Windows offers no"),  # type: ignore[type-var]
        (replace(READY, platform=replace(READY.platform, hands_off="DGX OS")), GOOD, "DGX OS"),
    ],
)
def test_makers_driver(host: Host, verdict: Verdict, says: str) -> None:
    found = finding(Area.DRIVER, host, plan(host))
    assert found.verdict is verdict
    assert says in found.text


@pytest.mark.parametrize(
    ("state", "verdict", "says"),
    [
        (DOCKER, GOOD, "29.4.3 runs"),
        (BARE.docker, BAD, "not installed"),
        (replace(DOCKER, running=False), BAD, "does not answer"),
        (replace(DOCKER, running=None, server_version=None), BAD, "does not answer"),
    ],
)
def test_docker(state: Docker, verdict: Verdict, says: str) -> None:
    found = finding(Area.DOCKER, replace(READY, docker=state))
    assert found.verdict is verdict
    assert says in found.text


# JetPack's own package of that name is a metapackage with JetPack's version.
JETPACK = ("nvidia-container", "6.2+b77")
MIXED = (("libnvidia-container1", "1.17.8-1"), *TOOLKIT_PACKAGES[2:])


@pytest.mark.parametrize(
    ("state", "verdict", "says"),
    [
        (READY.toolkit, GOOD, "1.19.1-1"),
        (Toolkit(TOOLKIT_PACKAGES, None, ()), BAD, "not there"),
        (Toolkit(MIXED, "/usr/bin/nvidia-container-runtime", ()), BAD, "1.17.8-1, 1.19.1-1"),
        (Toolkit((*TOOLKIT_PACKAGES, JETPACK), "/usr/bin/nvidia-container-runtime", ()), GOOD, "1.19.1-1"),
    ],
)
def test_toolkit(state: Toolkit, verdict: Verdict, says: str) -> None:
    found = finding(Area.TOOLKIT, replace(READY, toolkit=state))
    assert found.verdict is verdict
    assert says in found.text


def toolkit_of(version: str) -> Toolkit:
    """A whole set of NVIDIA's packages."""
    packages = tuple((name, version) for name, _ in TOOLKIT_PACKAGES)
    return Toolkit(packages, "/usr/bin/nvidia-container-runtime", ())


def test_a_host_without_driver_and_toolkit_is_good_where_no_driver_is_wished_for() -> None:
    docker = replace(DOCKER, daemon_json=None, runtimes=("runc",))
    host = replace(READY, driver=NO_DRIVER, toolkit=Toolkit((), None, ()), docker=docker)
    assert sum_up(check(make_plan(Settings(nvidia_driver="absent"), host, CATALOGUE), host, CATALOGUE)) is Verdict.GOOD


def test_known_trouble_is_noted_and_a_jetpacks_is_bad() -> None:
    old = toolkit_of("1.17.4-1")
    noted = [one for one in check(plan(BARE), replace(READY, toolkit=old), CATALOGUE) if one.area is Area.TOOLKIT]
    assert [one.verdict for one in noted] == [BAD, Verdict.NOTE]  # the plan was for one without
    assert "CVE-2025-23266" in noted[1].text
    board = replace(JETSON, docker=DOCKER, toolkit=old)
    kept = [one for one in check(plan(board), board, CATALOGUE) if one.area is Area.TOOLKIT]
    assert [one.verdict for one in kept] == [GOOD, BAD]
    assert "nvidia_toolkit_jetson" in kept[1].remedy
    docker = replace(DOCKER, server_version="29.1.0")
    noted = [one for one in check(plan(BARE), replace(READY, docker=docker), CATALOGUE) if one.area is Area.DOCKER]
    assert [one.verdict for one in noted] == [GOOD, Verdict.NOTE]
    assert "CVE-2026-34040" in noted[1].text


@pytest.mark.parametrize(
    ("before", "settings", "area", "says"),
    [
        (BARE, Settings(docker_version="28"), Area.DOCKER, "28 was planned, 29.4.3 runs"),
        (READY, Settings(docker_users=("lab",)), Area.DOCKER, "not in the group docker: lab"),
        (READY, Settings(nvidia_toolkit_version="1.20.0"), Area.TOOLKIT, "1.20.0 was planned, 1.19.1-1 is there"),
        (READY, Settings(nvidia_toolkit="absent"), Area.TOOLKIT, "still installed: "),
        (READY, Settings(nvidia_toolkit="absent"), Area.DAEMON, "not in force: no runtime=nvidia"),
        (READY, Settings(docker_log_driver="local"), Area.DAEMON, "not in force: log-driver=local"),
    ],
)
def test_what_was_planned_and_did_not_come_is_bad(before: Host, settings: Settings, area: Area, says: str) -> None:
    found = finding(area, READY, make_plan(settings, before, CATALOGUE))
    assert found.verdict is BAD
    assert says in found.text


def test_a_missing_or_foreign_cdi_specification_is_bad_where_docker_takes_cdi() -> None:
    taking = replace(READY, docker=replace(DOCKER, cdi=True))
    assert finding(Area.TOOLKIT, taking).verdict is BAD
    for driver, verdict in (("570.133.20", BAD), ("580.95.05", GOOD)):
        spec = CdiSpec("/var/run/cdi/nvidia.yaml", driver)
        host = replace(taking, toolkit=replace(READY.toolkit, cdi_specs=(spec,)))
        assert finding(Area.TOOLKIT, host).verdict is verdict
    assert finding(Area.TOOLKIT, READY).verdict is GOOD


@pytest.mark.parametrize(
    ("state", "verdict", "says"),
    [
        (DOCKER, GOOD, "nvidia registered"),
        (replace(DOCKER, runtimes=("runc",)), BAD, "does not know the runtime nvidia"),
        (replace(DOCKER, pending=True), BAD, "did not finish"),
    ],
)
def test_daemon(state: Docker, verdict: Verdict, says: str) -> None:
    found = finding(Area.DAEMON, replace(READY, docker=state))
    assert found.verdict is verdict
    assert says in found.text


@pytest.mark.parametrize("images", [(), None])
def test_missing_image_is_bad_and_the_proof_unknown(images: tuple[()] | None) -> None:
    host = replace(READY, docker=replace(DOCKER, images=images))
    found = finding(Area.IMAGES, host)
    assert found.verdict is BAD
    assert PROOF_IMAGE in found.text
    assert finding(Area.PROOF, host).verdict is UNKNOWN


@pytest.mark.parametrize("option", dict(X11_OPTIONS))
def test_sshd_option_that_another_file_wins_is_bad(option: str) -> None:
    effective = tuple((name, "elsewise" if name == option else value) for name, value in X11_OPTIONS)
    found = finding(Area.SSHD, replace(READY, sshd=replace(READY.sshd, effective=effective)))
    assert found.verdict is BAD
    assert f"{option} is elsewise" in found.text


def test_sshd_that_was_left_alone_is_not_judged() -> None:
    planned = make_plan(Settings(sshd_x11=False), READY, CATALOGUE)
    assert Area.SSHD not in {one.area for one in check(planned, READY, CATALOGUE)}


def test_docker_desktop_is_judged_by_its_proof() -> None:
    host = replace(
        DOCKER_DESKTOP,
        docker=replace(DOCKER_DESKTOP.docker, images=DOCKER.images),
        proof=replace(PROOF, driver="Windows driver", mechanism="--gpus all"),
    )
    findings = check(plan(host), host, CATALOGUE)
    assert sum_up(findings) is GOOD, [str(one) for one in findings]


def test_refusals_are_bad_and_what_waits_for_them_unknown() -> None:
    findings = check(plan(replace(BARE, gpus=())), BARE, CATALOGUE)
    verdicts = {one.area: one.verdict for one in findings}
    assert verdicts[Area.DRIVER] is BAD
    assert {verdicts[area] for area in (Area.TOOLKIT, Area.DAEMON, Area.PROOF)} == {UNKNOWN}
    [refused] = [one for one in findings if one.area is Area.DRIVER]
    assert "no NVIDIA GPU" in refused.text
    assert refused.remedy
    [waiting] = [one for one in findings if one.area is Area.TOOLKIT]
    assert "driver, which is refused" in waiting.text


def test_a_refused_host_is_one_bad_finding() -> None:
    host = replace(BARE, elevated=False)
    [found] = check(plan(host), host, CATALOGUE)
    assert (found.area, found.verdict) == (Area.HOST, BAD)


def test_a_host_that_stopped_answering_is_unknown_and_nothing_is_said_of_its_parts() -> None:
    [found] = check(plan(BARE), Host(probe=0), CATALOGUE)
    assert (found.area, found.verdict) == (Area.HOST, UNKNOWN)
    assert found.remedy


def test_a_next_kernel_without_the_driver_is_bad() -> None:
    driver = replace(DRIVER_580, next_boot_version=None)
    host = replace(READY, kernel=Kernel("6.12.48", "6.12.57", ()), driver=driver)
    found = finding(Area.DRIVER, host, plan(host))
    assert found.verdict is BAD
    assert "6.12.57" in found.text


def test_a_due_reboot_without_leave_is_bad() -> None:
    host = replace(READY, driver=replace(DRIVER_580, loaded_version="570.133.20"))
    assert finding(Area.REBOOT, host, plan(host, reboot=False)).verdict is BAD


@pytest.mark.parametrize(
    "areas",
    [{Area.SSHD}, {Area.DRIVER, Area.REBOOT}, {Area.DOCKER}, {Area.TOOLKIT, Area.DAEMON}, {Area.IMAGES}],
)
def test_a_partial_run_is_judged_by_its_own_areas(areas: set[Area]) -> None:
    found = check(plan(BARE, areas=frozenset(areas)), BARE, CATALOGUE)
    assert {one.area for one in found} <= areas


@pytest.mark.parametrize(
    ("verdicts", "sum_of"),
    [
        ((), UNKNOWN),
        ((GOOD,), GOOD),
        ((GOOD, UNKNOWN), UNKNOWN),
        ((UNKNOWN, BAD), BAD),
        ((GOOD, BAD, GOOD), BAD),
    ],
)
def test_sum(verdicts: tuple[Verdict, ...], sum_of: Verdict) -> None:
    assert sum_up(tuple(Finding(Area.HOST, verdict, "x") for verdict in verdicts)) is sum_of

"""The whole plan: which area waits for which, partial runs, reboots, and a host that needs nothing."""

import json
from dataclasses import fields, replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.host_plan import PackageGroup, Plan
from deploys.planning.image_plan import LocalFiles
from deploys.planning.plan import ALL_AREAS, make_plan, refuse_settings, refused_plan
from deploys.planning.records import Area, Refusal
from deploys.planning.settings import Problem, Settings
from facts.model import CdiSpec, Container, Host, Image, PlatformKind
from tests.planning.hosts import (
    BARE,
    DOCKER,
    DOCKER_DESKTOP,
    DRIVER_580,
    JETSON,
    PROOF_IMAGE,
    READY,
    WSL,
    needs_something,
    with_daemon_json,
    with_gpus,
    with_jetson,
)

CATALOGUE = load_catalogue()
SETTINGS = Settings(gpu_proof_image=PROOF_IMAGE)
REBOOT = Settings(gpu_proof_image=PROOF_IMAGE, reboot="when-needed")
NEVER = Settings(gpu_proof_image=PROOF_IMAGE, reboot="never")

DUE = replace(READY, driver=replace(DRIVER_580, loaded_version="570.133.20"))
NO_GPU = replace(BARE, gpus=())


def plan(
    host: Host,
    settings: Settings = SETTINGS,
    *,
    areas: frozenset[Area] = ALL_AREAS,
    is_controller: bool = False,
) -> Plan:
    """The plan with the catalogue that ships."""
    return make_plan(settings, host, CATALOGUE, areas=areas, is_controller=is_controller)


def skipped(found: Plan) -> dict[Area, str]:
    """What each skipped area needs."""
    return {area: area_plan.skipped for area, area_plan in found.areas if area_plan.skipped}


def test_a_bare_host_gets_everything_in_order() -> None:
    found = plan(BARE)
    assert found.refusals == ()
    assert skipped(found) == {}
    assert [one.name for one in found.repositories] == ["nvidia-driver", "docker", "nvidia-container-toolkit"]
    assert [group.area for group in found.package_groups] == [Area.DOCKER, Area.TOOLKIT]
    assert found.driver.packages
    assert found.daemon.text
    assert [pull.reference for pull in found.images.pull] == [PROOF_IMAGE]
    assert found.proof.run
    assert needs_something(found)


def test_a_host_as_a_run_leaves_it_needs_nothing() -> None:
    found = plan(READY)
    assert not needs_something(found)
    assert (found.refusals, skipped(found)) == ((), {})


def test_only_what_differs_is_planned() -> None:
    found = plan(with_daemon_json(READY, '{"debug": true}'))
    assert found.daemon.text
    assert (found.package_groups, found.driver.packages, found.docker.start) == ((), (), False)


def test_the_proof_image_is_wanted_beside_those_of_the_settings_once() -> None:
    settings = Settings(gpu_proof_image=PROOF_IMAGE, images=("a:1", PROOF_IMAGE))
    assert plan(READY, settings).images.wanted == ("a:1", PROOF_IMAGE)
    assert plan(READY, Settings()).images.wanted == (CATALOGUE.proof.image,)


def test_a_refused_driver_leaves_docker_and_images_and_names_what_waits() -> None:
    settings = Settings(gpu_proof_image=PROOF_IMAGE, images=("a:1",))
    found = plan(NO_GPU, settings)
    assert [refusal.area for refusal in found.refusals] == [Area.DRIVER]
    assert found.docker.packages
    assert [pull.reference for pull in found.images.pull] == ["a:1"]
    assert skipped(found) == {
        Area.TOOLKIT: "driver, which is refused",
        Area.DAEMON: "toolkit, which is skipped",
        Area.PROOF: "driver, which is refused",
    }


@pytest.mark.parametrize(
    ("wish", "waits_for"),
    [
        (Settings(images=("no such family",)), "images, which is refused"),
        (Settings(images_mirrors={"nvcr.io": "https://cache.lab"}, images_mirror_ca="x"), "images, which is skipped"),
    ],
)
def test_a_proof_waits_for_an_image_that_does_not_come(wish: Settings, waits_for: str) -> None:
    wish, files = wish.model_copy(update={"gpu_proof_image": "lab/other:1"}), LocalFiles(mirror_ca="no certificate")
    assert make_plan(wish, READY, CATALOGUE, files=files).proof.skipped == waits_for
    there = replace(READY, docker=replace(READY.docker, images=(Image("sha256:1", ("lab/other:1",)),)))
    assert make_plan(wish, there, CATALOGUE, files=files).proof.run


def test_settings_of_daemon_json_do_not_wait_for_the_driver() -> None:
    """The runtime does: it is left as it is."""
    found = plan(with_gpus(READY), Settings(docker_log_driver="local"))
    assert [refusal.area for refusal in found.refusals] == [Area.DRIVER]
    assert json.loads(found.daemon.text or "")["log-driver"] == "local"
    found = plan(replace(with_daemon_json(READY, None), gpus=()), Settings(docker_log_driver="local"))
    assert "runtimes" not in json.loads(found.daemon.text or "")
    assert skipped(found)[Area.TOOLKIT] == "driver, which is refused"


def test_docker_alone_brings_in_its_settings_and_no_runtime_that_is_not_there() -> None:
    areas = frozenset({Area.DOCKER, Area.DAEMON})
    bare = replace(with_daemon_json(READY, None, runtimes=("runc",)), toolkit=BARE.toolkit)
    found = plan(bare, Settings(docker_log_driver="local"), areas=areas)
    assert json.loads(found.daemon.text or "") == {"log-driver": "local"}
    assert skipped(plan(bare, areas=areas)) == {Area.DAEMON: "toolkit, which is not right yet and not part of this run"}


def test_a_toolkit_that_is_not_wished_for_goes_after_the_daemon_has_let_go_of_it() -> None:
    found = plan(READY, Settings(nvidia_toolkit="absent"))
    assert set(found.toolkit.uninstall) == {name for name, _ in READY.toolkit.packages}
    assert "!runtime=nvidia" in found.daemon.expected
    assert not found.proof.image
    assert needs_something(found)


def test_a_daemon_that_does_not_let_go_keeps_its_toolkit() -> None:
    user = Container("1f", "training", "cuda", "nvidia", running=False)
    host = replace(READY, docker=replace(DOCKER, containers=(user,)))
    found = plan(host, Settings(nvidia_toolkit="absent"))
    assert [refusal.area for refusal in found.refusals] == [Area.DAEMON]
    assert "training" in found.refusals[0].seen
    assert skipped(found)[Area.TOOLKIT] == "docker daemon, which is refused"


def test_removal_of_the_toolkit_does_not_wait_for_a_driver() -> None:
    host = replace(READY, gpus=())
    assert plan(host, Settings(nvidia_toolkit="absent")).toolkit.uninstall


def test_a_specification_of_the_old_driver_is_made_anew_when_the_new_one_is_loaded() -> None:
    spec = CdiSpec("/var/run/cdi/nvidia.yaml", "580.95.05")
    toolkit = replace(READY.toolkit, cdi_specs=(spec,))
    host = replace(READY, docker=replace(DOCKER, cdi=True), toolkit=toolkit)
    update = Settings(nvidia_driver_branch="595", reboot="when-needed")
    assert plan(host, update).toolkit.cdi
    assert not plan(host, Settings(nvidia_driver_branch="595")).toolkit.cdi
    assert not plan(host).toolkit.cdi


def test_a_specification_is_made_of_a_driver_that_is_loaded_by_then() -> None:
    areas = frozenset({Area.TOOLKIT, Area.DAEMON})
    taking = replace(READY, docker=replace(DOCKER, cdi=True))
    bare = replace(taking, driver=BARE.driver)
    assert (plan(bare).toolkit.cdi, plan(bare, areas=areas).toolkit.cdi) == (True, False)
    assert plan(taking, areas=areas).toolkit.cdi
    # The driver that is wished for does not come in this run.
    spec = CdiSpec("/var/run/cdi/nvidia.yaml", "580.95.05")
    made = replace(taking, toolkit=replace(READY.toolkit, cdi_specs=(spec,)))
    assert not plan(made, Settings(nvidia_driver_branch="595", reboot="when-needed"), areas=areas).toolkit.cdi


def test_a_refused_docker_stops_what_needs_it_and_not_the_driver() -> None:
    found = plan(with_jetson(JETSON, l4t="36.4.3"), Settings(gpu_proof_image=PROOF_IMAGE, docker_version="28"))
    assert [refusal.area for refusal in found.refusals] == [Area.DOCKER]
    assert found.toolkit.packages
    assert skipped(found) == dict.fromkeys(
        (Area.DAEMON, Area.MIRRORS, Area.IMAGES, Area.PROOF), "docker, which is refused"
    )


def test_a_refused_daemon_json_stops_the_proof_alone() -> None:
    found = plan(with_daemon_json(BARE, "[]"))
    assert [refusal.area for refusal in found.refusals] == [Area.DAEMON]
    assert set(skipped(found)) == {Area.PROOF}
    assert found.docker.packages


def test_a_refused_sshd_stops_nothing_else() -> None:
    found = plan(replace(BARE, sshd=replace(BARE.sshd, effective=None)))
    assert [refusal.area for refusal in found.refusals] == [Area.SSHD]
    assert skipped(found) == {}


@pytest.mark.parametrize("host", [JETSON, WSL, DOCKER_DESKTOP], ids=lambda host: host.name)
def test_no_driver_package_reaches_a_jetson_or_wsl(host: Host) -> None:
    for one in (host, with_gpus(host, 0x2330), replace(host, driver=DRIVER_580)):
        found = plan(one, REBOOT)
        names = [name for group in found.package_groups for name in group.packages]
        assert found.driver.packages == found.driver.first == ()
        assert found.driver.repository is None
        assert not [name for name in names if "driver" in name or "l4t" in name or name.startswith("linux-")]
        assert not found.reboot.due


def test_a_ready_jetson_of_unknown_release_needs_nothing() -> None:
    assert READY.proof
    proof = replace(READY.proof, driver="L4T of unknown release")
    host = replace(with_jetson(JETSON, l4t=None), docker=DOCKER, toolkit=READY.toolkit, proof=proof)
    assert not needs_something(plan(host))


def test_xauth_is_installed_where_packages_can_be() -> None:
    host = replace(READY, sshd=replace(READY.sshd, xauth=None))
    assert plan(host).package_groups == (PackageGroup(Area.SSHD, packages=("xauth",)),)
    assert plan(replace(host, packages=replace(host.packages, manager="dnf"))).package_groups == ()


def test_docker_desktop_needs_only_the_proof() -> None:
    found = plan(DOCKER_DESKTOP)
    assert (found.package_groups, found.repositories, found.daemon.text) == ((), (), None)
    assert found.proof.run
    assert found.proof.mechanism == "--gpus all"


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (Host(probe=0), "no usable answer"),
        (replace(BARE, elevated=False, user="lab"), "root rights"),
        (replace(BARE, platform=replace(BARE.platform, kind=PlatformKind.WSL1)), "WSL 1"),
        (replace(BARE, platform=replace(BARE.platform, kind=PlatformKind.CONTAINER)), "container"),
        (replace(BARE, platform=replace(BARE.platform, kind=PlatformKind.OTHER)), "cannot be a GPU host"),
    ],
)
def test_a_hopeless_host_is_refused_whole(host: Host, says: str) -> None:
    found = plan(host)
    assert found.host
    assert says in found.host.brief
    assert found.host.seen
    assert found.host.remedy
    assert not needs_something(found)
    assert found.refusals == (found.host,)
    assert all(area_plan.skipped for _, area_plan in found.areas)


def test_unusable_settings_refuse_the_host_and_name_every_problem() -> None:
    refusal = refuse_settings((Problem("reboot", "is odd"), Problem("docker_x", "is unknown")))
    assert "reboot: is odd" in refusal.seen
    assert "docker_x: is unknown" in refusal.seen
    assert not needs_something(refused_plan(refusal))


# Each area's own file in deploys/, on a host where nothing is right yet.
PARTIAL = [
    ({Area.SSHD}, set(), {}),
    ({Area.DRIVER, Area.REBOOT}, {"driver"}, {}),
    ({Area.DOCKER}, {"docker"}, {}),
    ({Area.TOOLKIT, Area.DAEMON}, {"toolkit"}, {Area.DAEMON: Area.DOCKER}),
    ({Area.IMAGES}, set(), {Area.IMAGES: Area.DOCKER}),
]


@pytest.mark.parametrize(("areas", "planned", "waits"), PARTIAL)
def test_a_partial_run_changes_its_own_areas_and_waits_for_the_others_by_name(
    areas: set[Area], planned: set[str], waits: dict[Area, Area]
) -> None:
    found = plan(BARE, areas=frozenset(areas))
    assert {area for area, _ in found.areas} <= areas
    assert {name for name in ("driver", "docker", "toolkit") if getattr(found, name).packages} == planned
    because = "which is not right yet and not part of this run"
    assert skipped(found) == {area: f"{need}, {because}" for area, need in waits.items()}
    assert not found.proof.run


def test_images_alone_are_pulled_where_docker_is_there() -> None:
    host = replace(BARE, docker=DOCKER)
    found = plan(host, Settings(images=("a:1",)), areas=frozenset({Area.IMAGES}))
    assert "a:1" in [pull.reference for pull in found.images.pull]
    assert skipped(found) == {}


def test_images_alone_wait_for_a_docker_that_is_stopped() -> None:
    host = replace(READY, docker=replace(DOCKER, running=False))
    assert set(skipped(plan(host, areas=frozenset({Area.IMAGES})))) == {Area.IMAGES}


def test_a_partial_run_of_a_ready_host_needs_nothing() -> None:
    for area in ALL_AREAS:
        assert not needs_something(plan(READY, areas=frozenset({area}))), area


def test_a_due_reboot_without_leave_is_refused_and_the_proof_waits() -> None:
    found = plan(DUE)
    assert (found.reboot.due, found.reboot.allowed) == (True, False)
    assert found.reboot.refusal
    assert "570.133.20" in found.reboot.refusal.seen
    assert 'reboot = "when-idle"' in found.reboot.refusal.remedy
    assert set(skipped(found)) == {Area.PROOF}


def test_an_allowed_reboot_is_planned_and_the_proof_follows_it() -> None:
    found = plan(replace(DUE, proof=None), REBOOT)
    assert (found.reboot.due, found.reboot.allowed, found.reboot.refusal) == (True, True, None)
    assert found.proof.run


def test_a_reboot_that_is_never_wanted_is_said_without_refusing() -> None:
    found = plan(DUE, NEVER)
    assert (found.reboot.due, found.reboot.allowed, found.reboot.refusal) == (True, False, None)
    assert found.reboot.notes
    assert set(skipped(found)) == {Area.PROOF}


@pytest.mark.parametrize("settings", [SETTINGS, REBOOT, NEVER])
@pytest.mark.parametrize("host", [READY, replace(READY, driver=replace(DRIVER_580, library_version=None))])
def test_no_reboot_where_what_is_loaded_is_on_disk(host: Host, settings: Settings) -> None:
    assert not plan(host, settings).reboot.due


@pytest.mark.parametrize("settings", [SETTINGS, REBOOT, NEVER])
def test_the_controller_is_never_rebooted(settings: Settings) -> None:
    found = plan(DUE, settings, is_controller=True)
    assert found.reboot.due
    assert not found.reboot.allowed


def test_the_controller_is_not_told_to_allow_a_reboot() -> None:
    refusal = plan(DUE, REBOOT, is_controller=True).reboot.refusal
    assert refusal
    assert "when-needed" not in refusal.remedy


def test_nouveau_on_the_gpu_is_named_where_the_reboot_is_due() -> None:
    host = replace(BARE, driver=replace(BARE.driver, nouveau_loaded=True))
    refusal = plan(host).reboot.refusal
    assert refusal
    assert "nouveau" in refusal.seen


def test_every_refusal_has_three_parts() -> None:
    hosts = [NO_GPU, DUE, replace(BARE, secure_boot=True), with_daemon_json(BARE, "x"), replace(BARE, elevated=False)]
    refusals: list[Refusal] = [refusal for host in hosts for refusal in plan(host).refusals]
    assert len(refusals) >= len(hosts)
    for refusal in refusals:
        assert all(getattr(refusal, part.name) for part in fields(refusal))
        assert str(refusal).count("\n") == 2


def test_the_plan_is_a_function_of_its_input() -> None:
    assert plan(BARE) == plan(BARE)


def test_a_changed_driver_is_proved_again_in_the_same_run() -> None:
    wish = Settings(nvidia_driver_branch="595", reboot="when-needed", gpu_proof_image=PROOF_IMAGE)
    found = make_plan(wish, READY, load_catalogue())
    assert found.driver.packages
    assert found.proof.run
    kept = make_plan(Settings(gpu_proof_image=PROOF_IMAGE), READY, load_catalogue())
    assert not kept.proof.run

"""Containers with the GPU wait for a driver that works: where a run leaves none, they are refused with the cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.host_plan import Plan
from deploys.planning.image_plan import LocalFiles
from deploys.planning.plan import ALL_AREAS, make_plan
from deploys.planning.records import Area
from deploys.planning.settings import Settings, read_settings
from facts.model import Driver, Host
from tests.planning.hosts import DRIVER_580, JETSON, NO_DRIVER, READY, WSL, gpu

CATALOGUE = load_catalogue()
CONTAINERS = frozenset({Area.MIRRORS, Area.IMAGES, Area.CONTAINERS})  # deploys/containers.py
HOST = replace(READY, cpus=8, cgroup=2, docker=replace(READY.docker, compose="2.40.3"))
DUE = replace(DRIVER_580, loaded_version="575.57.08")
NOUVEAU = replace(DRIVER_580, loaded_version=None, loaded_flavour=None, nouveau_loaded=True)
RUNFILE = replace(DRIVER_580, packages=(), run_file_installer=True)
USABLE = "no container of this host gets the GPU, whose driver is not usable"


def plan(
    driver: Driver,
    settings: dict[str, Any] | None = None,
    *,
    areas: frozenset[Area] = ALL_AREAS,
    wish: dict[str, Any] | None = None,
) -> Plan:
    """The plan for the server with this driver, of one wished container."""
    return plan_for(replace(HOST, driver=driver), settings, areas=areas, wish=wish)


def plan_for(
    host: Host,
    settings: dict[str, Any] | None = None,
    *,
    areas: frozenset[Area] = ALL_AREAS,
    wish: dict[str, Any] | None = None,
) -> Plan:
    """The plan for a host, of one wished container: hello_gpu where no other is named."""
    found = read_settings({"containers": {"see": wish or {"kind": "hello_gpu"}}, **(settings or {})})
    assert isinstance(found, Settings), found
    files = LocalFiles(texts=(("my.yaml", "services:\n  web:\n    image: example/web:1\n"),))
    return make_plan(found, host, CATALOGUE, areas=areas, files=files)


@pytest.mark.parametrize(
    ("driver", "areas", "settings", "because", "remedy"),
    [
        (NOUVEAU, ALL_AREAS, {}, ": a reboot is due, and it was not allowed", 'reboot = "when-idle"'),
        (DUE, ALL_AREAS, {}, ": a reboot is due, and it was not allowed", 'reboot = "when-idle"'),
        (DUE, ALL_AREAS, {"reboot": "never"}, ": a reboot is due", "reboot the host, then run this again"),
        (DUE, CONTAINERS, {}, ": a reboot is due, and it was not allowed", 'reboot = "when-idle"'),
        # This run reboots nothing, and loads no modules.
        (DUE, CONTAINERS, {"reboot": "when-needed"}, ": a reboot is due", "reboot the host"),
        (DUE, CONTAINERS, {"nvidia_driver_reload": True}, "", "deploys/gpu_host.py"),
        (
            DRIVER_580,
            ALL_AREAS,
            {"nvidia_driver": "absent", "reboot": "when-needed"},
            ": there is to be none",
            "present",
        ),
        (NO_DRIVER, ALL_AREAS, {"nvidia_driver": "absent"}, ": there is to be none", "nvidia_driver"),
        (RUNFILE, ALL_AREAS, {}, ": a driver from NVIDIA's .run installer is on this host", "nvidia_driver_runfile"),
        (NO_DRIVER, CONTAINERS, {}, "", "deploys/gpu_host.py"),
    ],
)
def test_driver_that_will_not_work_is_the_refusal(
    driver: Driver, areas: frozenset[Area], settings: dict[str, Any], because: str, remedy: str
) -> None:
    """It had been a container's own error, after gigabytes were pulled."""
    found = plan(driver, settings, areas=areas)
    assert found.containers.start == ()
    assert not found.images.pull
    (refused,) = found.containers.refused
    assert refused.refusal.brief.startswith(f"see: {USABLE}{because}")
    assert refused.refusal.seen
    assert remedy in refused.refusal.remedy


@pytest.mark.parametrize(
    ("driver", "settings"),
    [
        (DRIVER_580, {}),
        (NOUVEAU, {"reboot": "when-needed"}),
        (DUE, {"reboot": "when-idle"}),
        (DUE, {"nvidia_driver_reload": True}),
        (NO_DRIVER, {}),
        (RUNFILE, {"nvidia_driver_runfile": "uninstall", "reboot": "when-needed"}),
    ],
)
def test_what_the_run_does_before_counts(driver: Driver, settings: dict[str, Any]) -> None:
    assert [project.name for project in plan(driver, settings).containers.start] == ["see"]


def test_driver_that_works_is_enough_for_a_run_of_containers_alone() -> None:
    """After a repair, which is another run's, a reboot may turn out to be due: the driver works all the same."""
    assert plan(DRIVER_580, areas=CONTAINERS).containers.start
    found = plan(replace(DRIVER_580, unfinished=True), {"reboot": "when-needed"}, areas=CONTAINERS)
    assert found.containers.start


@pytest.mark.parametrize("areas", [ALL_AREAS, CONTAINERS])
@pytest.mark.parametrize("host", [JETSON, WSL], ids=["jetson", "wsl"])
def test_driver_of_l4t_and_of_windows_is_none_of_ours(host: Host, areas: frozenset[Area]) -> None:
    ready = replace(host, cpus=8, docker=HOST.docker, toolkit=HOST.toolkit)
    assert plan_for(ready, areas=areas).containers.start


@pytest.mark.parametrize(
    ("wish", "is_started"),
    [
        ({"kind": "modelbox"}, False),
        ({"kind": "modelbox", "accelerator": "gpu"}, False),
        ({"kind": "modelbox", "accelerator": "none"}, True),
        ({"kind": "compose", "file": "my.yaml"}, True),
        ({"kind": "compose", "file": "my.yaml", "gpu": ["web"]}, False),
    ],
)
def test_containers_without_the_gpu_go_on(wish: dict[str, Any], is_started: bool) -> None:
    """A container that would take the GPU by itself does not take the processor in silence."""
    found = plan(DUE, wish=wish).containers
    assert bool(found.start) is is_started
    assert [one.refusal.brief.startswith(f"see: {USABLE}") for one in found.refused] == [True] * (not is_started)


def test_host_without_a_gpu_says_that() -> None:
    refusals = [one.refusal.seen for one in plan_for(replace(HOST, gpus=())).containers.refused]
    passed = replace(HOST, gpus=(gpu(0x2330, driver="vfio-pci"),))
    refusals += [one.refusal.seen for one in plan_for(passed).containers.refused]
    assert refusals == ["no NVIDIA GPU that is this host's own"] * 2

"""Loading the new modules in place of a reboot, and what a reboot would stop: in a real shell with stand-ins."""

import os
import shutil
from pathlib import Path

import pytest

from deploys.planning.obstacles import LOGIN_SCREENS
from facts.parse.gpu import DAEMONS
from tests.areas.shell import Finished, Place, three_parts

OLD, NEW = "580.95.05", "580.178.04"
IN_USE = (Path(__file__).parents[2] / "deploys/templates/in_use.sh").read_text()
ME = os.getpid()
MY_NAME = Path(f"/proc/{ME}/comm").read_text().strip()
# rmmod leaves /sys as the kernel does; modprobe brings the module of the disk with the version that modinfo tells.
RMMOD = 'rm -r "$here/sys/module/$1"; rm -f "$here"/sys/module/*/holders/"$1"'
MODPROBE = f'mkdir -p "$here/sys/module/$1"; [ "$1" != nvidia ] || echo {NEW} >"$here/sys/module/$1/version"'
SYSTEMCTL = "case $1 in is-active) case $3 in nvidia-persistenced) ;; *) exit 3 ;; esac ;; esac"


@pytest.fixture
def host(place: Place) -> Place:
    """A host whose loaded modules are of OLD and in nobody's use, with persistenced; installed are those of NEW."""
    add_module(place, "nvidia", users=2, holders=("nvidia_uvm", "nvidia_modeset"))
    add_module(place, "nvidia_modeset", users=0)
    add_module(place, "nvidia_uvm", users=0)
    place.path("/sys/module/nvidia/version").write_text(f"{OLD}\n")
    place.stand_in("modinfo", f"echo {NEW}")
    place.stand_in("uname", "echo 6.12.57")
    place.stand_in("rmmod", RMMOD)
    place.stand_in("modprobe", MODPROBE)
    place.stand_in("systemctl", SYSTEMCTL)
    place.stand_in("find", "")
    return place


def add_module(place: Place, name: str, *, users: int, holders: tuple[str, ...] = ()) -> None:
    """A loaded module with so many users, among them these modules."""
    folder = place.path(f"/sys/module/{name}")
    for holder in holders:
        (folder / "holders").mkdir(parents=True, exist_ok=True)
        (folder / "holders" / holder).touch()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "refcnt").write_text(f"{users}\n")


def reload(place: Place, services: str = "nvidia-persistenced nvidia-fabricmanager") -> Finished:
    """Load the new modules."""
    return place.run("driver", "in_use", "driver_reload", arguments=(f"services={services}",))


def done_to(place: Place, command: str) -> list[str]:
    """systemctl's calls with that command."""
    return [call.split()[-1] for call in place.calls("systemctl") if call.split()[0] == command]


def test_modules_are_unloaded_and_the_new_ones_loaded(host: Place) -> None:
    assert reload(host) == Finished(0, f"driver {NEW} loaded in place of {OLD}\n")
    assert host.calls("rmmod") == ["nvidia_uvm", "nvidia_modeset", "nvidia"]
    assert host.calls("modprobe") == ["nvidia", "nvidia_uvm", "nvidia_modeset"]
    assert done_to(host, "stop") == ["nvidia-persistenced"]
    assert set(done_to(host, "start")) == {"nvidia-persistenced", "nvidia-fabricmanager"}


def test_daemon_that_is_enabled_and_had_failed_runs_afterwards(host: Place) -> None:
    host.stand_in("systemctl", f'[ "$1" != is-active ] || exit 3\n{SYSTEMCTL}')
    (host.root / "enabled").touch()
    assert reload(host, services="").status == 0
    assert done_to(host, "start") == ["nvidia-persistenced", "nvidia-fabricmanager"]


def test_the_second_time_nothing_is_unloaded(host: Place) -> None:
    assert [reload(host).status for _ in range(2)] == [0, 0]
    assert len(host.calls("rmmod")) == 3


def test_process_at_the_gpu_is_named_and_nothing_is_touched(host: Place) -> None:
    host.stand_in("find", f"case $1 in /proc/*) echo /proc/{ME}/fd/3; echo /proc/{ME}/fd/4 ;; esac")
    done = reload(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert done.output.count(f"{MY_NAME} (pid {ME})") == 1
    assert host.calls("rmmod") == []
    assert done_to(host, "stop") == []


@pytest.mark.parametrize(("module", "holders"), [("nvidia_modeset", ()), ("nvidia", ("gdrdrv",))])
def test_modules_in_use_by_the_kernel_stay_and_the_daemon_comes_back(
    host: Place, module: str, holders: tuple[str, ...]
) -> None:
    users = int(host.path(f"/sys/module/{module}/refcnt").read_text())
    add_module(host, module, users=users + 1, holders=holders)
    done = reload(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert f" {module} " in done.output
    assert host.calls("rmmod") == []
    assert done_to(host, "start") == ["nvidia-persistenced"]


def test_daemon_that_does_not_come_back_is_said_beside_the_reason(host: Place) -> None:
    add_module(host, "nvidia_modeset", users=1)
    host.stand_in("systemctl", f'[ "$1" != start ] || exit 1\n{SYSTEMCTL}')
    done = reload(host)
    first, *rest = done.output.splitlines()
    assert "nvidia-persistenced is stopped" in first
    assert three_parts("\n".join(rest))


def test_module_that_does_not_unload_after_all_is_an_error(host: Place) -> None:
    host.stand_in("rmmod", "echo 'rmmod: ERROR: Module nvidia_uvm is in use'; exit 1")
    done = reload(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert host.calls("rmmod") == ["nvidia_uvm"]
    assert host.calls("modprobe") == []


@pytest.mark.parametrize(
    ("modprobe", "shown"), [("echo 'Key was rejected by service'; exit 1", "Key was rejected"), ("", "installed is")]
)
def test_new_module_that_is_not_loaded_is_an_error(host: Place, modprobe: str, shown: str) -> None:
    host.stand_in("modprobe", modprobe)
    done = reload(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert shown in done.output


@pytest.mark.parametrize("owner", ["nouveau", "nova_core"])
def test_gpu_of_another_driver_needs_a_reboot(host: Place, owner: str) -> None:
    shutil.rmtree(host.path("/sys/module"))
    add_module(host, owner, users=0)
    done = reload(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert owner in done.output
    assert host.calls("modprobe") == []


def stopped(place: Place) -> Finished:
    """What a reboot would stop."""
    return place.run_text(place.moved(f"{IN_USE}\nstopped_by_reboot"))


def test_a_reboot_would_stop_containers_and_work_on_the_gpu(place: Place) -> None:
    place.stand_in("docker", "echo keep-me; echo web")
    place.stand_in("find", f"echo /proc/{ME}/fd/3")
    assert stopped(place) == Finished(0, f"container keep-me container web {MY_NAME} (pid {ME}) ")
    assert place.run_text(f"{IN_USE}\ngpu_processes other {MY_NAME}").output == ""


def test_a_host_without_docker_and_work_is_free(place: Place) -> None:
    place.stand_in("find", "")
    assert stopped(place) == Finished(0, "")


@pytest.mark.parametrize("name", [*DAEMONS, *LOGIN_SCREENS])
def test_what_the_plan_takes_for_no_work_is_none_before_a_reboot_either(place: Place, name: str) -> None:
    place.stand_in("find", f"echo /proc/{ME}/fd/3")
    place.stand_in("cat", f"echo {name}")
    manager = place.path("/etc/systemd/system/display-manager.service")
    manager.parent.mkdir(parents=True)
    assert bool(stopped(place).output) is (name in LOGIN_SCREENS), "a screen without a display manager is somebody's"
    manager.touch()
    assert stopped(place) == Finished(0, "")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("USER=alice\nSTATE=active\nTYPE=wayland\nCLASS=user\n", "session of alice "),
        ("USER=alice\nSTATE=closing\nTYPE=x11\nCLASS=user\n", ""),
        ("USER=gdm\nSTATE=active\nTYPE=wayland\nCLASS=greeter\n", ""),
        ("USER=alice\nSTATE=active\nTYPE=tty\nCLASS=user\n", ""),
    ],
)
def test_a_reboot_would_stop_who_has_logged_in_at_the_screen_since(place: Place, text: str, seen: str) -> None:
    place.stand_in("find", "")
    session = place.path("/run/systemd/sessions/2")
    session.parent.mkdir(parents=True)
    session.write_text(text)
    assert stopped(place).output == seen

"""A pristine fleet: the dry run changes nothing, the first run makes proved GPU hosts, the second finds all right."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.fleet import BROKEN, DAEMON_JSON, Fleet, l4t_packages
from tests.e2e.harness import Machine
from tests.e2e.snapshot import keep_me_pid, start_time
from tests.sandbox.state import read_state

TAKEN = {"cuda 12.6 base": "nvidia/cuda:12.6.3-base-ubuntu24.04", "l4t-jetpack": "nvcr.io/nvidia/l4t-jetpack:r36.4.0"}
KINDS = ("server", "jetson", "wsl")
RIGHT = (
    "sshd X11: the five X11 options are right (sshd -T says so)",
    "driver: ",
    "docker: Docker ",
    "toolkit: toolkit ",
    "docker daemon: the nvidia runtime is registered (daemon.json and the daemon have it)",
    "images: 2 of 2 images are there (by ",
    "gpu proof: the proof on record of ",
    "(simulated GPU) is valid (nothing it rests on has changed)",
)
LIBRARY = "ls /usr/lib/x86_64-linux-gnu/libcuda.so.1"


@pytest.mark.parametrize("name", [*KINDS, "refusing"])
def test_dry_run_changes_nothing(fleet: Fleet, name: str) -> None:
    """Files, packages, Docker and units are the same afterwards, on hosts where everything would change."""
    assert fleet.after_dry[f"t-{name}"] == fleet.pristine[f"t-{name}"]


def test_dry_run_shows_the_plan_with_reasons(fleet: Fleet) -> None:
    """What would be done, and because of which reading."""
    assert fleet.dry.status == 0
    server = fleet.dry.said_of("t-server")
    assert "driver: installs driver 580 from NVIDIA's repository (" in server
    assert "0x20b5 at 0000:17:00.0" in server
    assert "docker: installs Docker" in server
    assert "driver: the driver is left alone (it is part of L4T 36.4.7)" in fleet.dry.said_of("t-jetson")
    wsl = fleet.dry.said_of("t-wsl")
    assert "sshd X11: sets x11forwarding yes (it is no, by /etc/ssh/sshd_config.d/50-site.conf:2" in wsl
    assert "docker daemon: adds the nvidia runtime to daemon.json (its other keys stay as they are)" in wsl
    assert set(fleet.dry.verdicts.values()) == {"planned", "refused"}


def test_dry_run_shows_the_refusal(fleet: Fleet) -> None:
    """In three parts, and in the table."""
    assert fleet.dry.is_three_part("t-refusing", "docker daemon: refused: daemon.json"), fleet.dry.text
    assert "skipped: it needs docker daemon, which is refused" in fleet.dry.said_of("t-refusing")
    assert fleet.dry.verdicts["t-refusing"] == "refused"


def test_first_run_ends_in_good_and_bad(fleet: Fleet) -> None:
    """Three good hosts; the refusing one makes the exit status 1."""
    assert fleet.first.status == 1, fleet.first.text
    assert fleet.first.verdicts == {"t-server": "good", "t-jetson": "good", "t-wsl": "good", "t-refusing": "bad"}


@pytest.mark.parametrize(
    ("name", "platform", "driver", "docker"),
    [
        # The newest that the simulated repository has: Debian unstable's, which was 28.5.2 when this was written.
        ("t-server", "x86_64", r"(580\.[0-9.]+)/\1", r"(2[89]|[3-9]\d)\."),
        ("t-jetson", "jetson", r"L4T 36\.4\.7", r"20\.10\."),
        ("t-wsl", "wsl2", r"Windows'", r"20\.10\."),
    ],
)
def test_table_tells_what_is_there(fleet: Fleet, name: str, platform: str, driver: str, docker: str) -> None:
    """The row of each good host."""
    row = fleet.first.table[name]
    assert re.fullmatch(driver, row["driver loaded/on disk"])
    assert re.match(docker, row["Docker"])
    assert (row["platform"], row["reboot due"]) == (platform, "no")
    assert row["GPU proof"].startswith("ok (runtime")


@pytest.mark.parametrize("kind", KINDS)
def test_proof_names_the_simulated_gpu(fleet: Fleet, kind: str) -> None:
    """Nobody shall take the sandbox's proof for one of real hardware."""
    proofs = [line for line in fleet.first.said_of(f"t-{kind}").splitlines() if "good: gpu proof:" in line]
    assert proofs
    assert all("simulated GPU" in line for line in proofs)


def test_only_the_server_rebooted_and_once(fleet: Fleet) -> None:
    """PID 1 is another one, after a single restart, and the driver is loaded."""
    rebooted = {name for name, before in fleet.began.items() if _now(fleet, name) != before}
    assert rebooted == {"t-server"}
    assert fleet.server.restarts == 1
    assert fleet.server.sh("cat /sys/module/nvidia/version") == fleet.server.sh("modinfo -F version nvidia")


def _now(fleet: Fleet, name: str) -> str:
    return start_time(next(one for one in (*fleet.good, fleet.refusing) if one.name == name))


def test_running_container_kept_its_process(fleet: Fleet) -> None:
    """No restart was needed on the WSL host, and none happened."""
    assert keep_me_pid(fleet.wsl) == fleet.keep_me


def test_foreign_keys_of_daemon_json_are_kept_in_order(fleet: Fleet) -> None:
    """Ours comes last; what was there is as it was."""
    before, after = (json.loads(text) for text in (fleet.daemon_json, fleet.wsl.read(DAEMON_JSON)))
    assert list(after) == [*before, "runtimes"]
    assert {key: after[key] for key in before} == before
    assert list(after["runtimes"]) == ["nvidia"]


def test_refused_daemon_json_is_untouched(fleet: Fleet) -> None:
    """The file with the slip in it, byte for byte."""
    assert fleet.refusing.read(DAEMON_JSON) == BROKEN
    assert fleet.refusing.sh("ls /etc/docker").split() == ["daemon.json", "key.json"]


def test_registered_runtime_gives_the_gpu_to_containers(fleet: Fleet) -> None:
    """The driver's library is in a container that the nvidia runtime starts, and in no other."""
    image = TAKEN["cuda 12.6 base"]
    run = f"docker run --rm --network none -e NVIDIA_VISIBLE_DEVICES=all %s {image} {LIBRARY}"
    assert fleet.server.does(run % "--runtime=nvidia")
    assert not fleet.server.does(run % "--runtime=runc")


def test_images_are_there_by_digest_and_by_name(fleet: Fleet) -> None:
    """A reference with both is found by either; what was wished for in words is the registry's image of that name."""
    for one in fleet.good:
        for image in one.data["images"]:
            name = TAKEN.get(image, image.partition("@")[0])
            digest = read_state().images[name]
            assert one.does(f"docker image inspect {name} && docker image inspect {name.split(':')[0]}@{digest}")


def test_makers_drivers_are_left_alone(fleet: Fleet) -> None:
    """L4T's packages are what they were; WSL got no driver package."""
    assert l4t_packages(fleet.jetson) == fleet.l4t_packages
    installed = fleet.wsl.sh("dpkg-query -W -f '${Package}\\n'").splitlines()
    assert [name for name in installed if "nvidia" in name or "cuda" in name] == _TOOLKIT
    assert not any("nvidia-kernel" in name for name in fleet.jetson.sh("dpkg-query -W -f '${Package}\\n'").splitlines())


_TOOLKIT = [
    "libnvidia-container-tools",
    "libnvidia-container1",
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
]


def test_second_run_is_one_command_a_host_and_no_operation(fleet: Fleet) -> None:
    """Counted beneath the connector; pyinfra's own table of operations is empty."""
    assert fleet.second.status == 0, fleet.second.text
    assert fleet.second.counts == {"t-server": 1, "t-jetson": 1, "t-wsl": 1}
    assert fleet.second.operations == []
    assert set(fleet.second.verdicts.values()) == {"good"}


@pytest.mark.parametrize("kind", KINDS)
def test_second_run_says_area_by_area_what_is_right(fleet: Fleet, kind: str) -> None:
    """Each area has a line, and the sum of them."""
    said = fleet.second.said_of(f"t-{kind}")
    for right in RIGHT:
        assert right in said
    assert "nothing is done here; the verdict is good" in said


@pytest.mark.parametrize("kind", KINDS)
def test_second_run_changes_nothing(fleet: Fleet, kind: str) -> None:
    """Files, packages, Docker, units and our own records are the same afterwards."""
    assert fleet.after_second[f"t-{kind}"] == fleet.provisioned[f"t-{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_packages_are_in_order(fleet: Fleet, kind: str) -> None:
    """dpkg complains of nothing, and apt's lists can be refreshed."""
    one: Machine = getattr(fleet, kind)
    assert one.sh("dpkg --audit") == ""
    assert one.does("apt-get update")

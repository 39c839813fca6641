"""The small containers with real devices: a camera's live picture without privileges, and a sound card."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import urlopen

import pytest

from tests.e2e.harness import LIMIT
from tests.vm.conftest import CAMERA, SLOW, Pyinfra
from tests.vm.guest import ADDRESS, Guest
from tests.vm.images import debian_archive

CONTAINERS = "deploys/containers.py"
CDI = {"docker_features": {"cdi": True}}  # Docker 26.1 does when it is told to
START, END = b"\xff\xd8\xff", b"\xff\xd9"  # of a JPEG
VIVID = "/sys/bus/platform/drivers/vivid"


@pytest.fixture(scope="module")
def equipped(webcam: Guest, tmp_path_factory: pytest.TempPathFactory) -> Guest:
    """With a camera, a sound card, and a Docker that knows CDI."""
    webcam.sh("modprobe snd-dummy && udevadm settle")
    run = Pyinfra(tmp_path_factory.mktemp("docker"), SLOW).wish(webcam, "deploys/docker.py", CDI)
    assert run.status == 0, run.text
    return webcam


def wishes(name: str, options: dict[str, str]) -> dict[str, Any]:
    """Settings with one container, and the image that it is built from."""
    return {**CDI, "images_archives": [str(debian_archive())], "containers": {name: options}}


def picture(guest: Guest) -> bytes:
    """What the container's HTTP server gives as a snapshot, through the guest's SSH."""
    with guest.forwarded(8090) as port, urlopen(f"http://{ADDRESS}:{port}/snapshot", timeout=LIMIT) as answer:
        found: bytes = answer.read()
    return found


def inspect(guest: Guest, template: str) -> str:
    """A part of the camera's container as Docker sees it."""
    return guest.sh(f"docker inspect -f '{template}' gpu-hosts-front")


def test_camera_without_privileges(equipped: Guest, pyinfra: Pyinfra) -> None:
    """The one device, its group, and nothing else."""
    pyinfra.apply(equipped, CONTAINERS, wishes("front", {"kind": "hello_video"}))
    assert inspect(equipped, "{{.State.Health.Status}}") == "healthy"
    assert inspect(equipped, "{{.HostConfig.Privileged}} {{.HostConfig.CapDrop}}") == "false [ALL]"
    devices = json.loads(inspect(equipped, "{{json .HostConfig.Devices}}"))
    assert [one["PathOnHost"] for one in devices] == [CAMERA]
    assert picture(equipped).startswith(START)


def test_live_picture_comes_through_ssh(equipped: Guest) -> None:
    """MJPEG: one JPEG after the other."""
    with equipped.forwarded(8090) as port, urlopen(f"http://{ADDRESS}:{port}/stream", timeout=LIMIT) as stream:
        assert stream.headers.get_content_type() == "multipart/x-mixed-replace"
        seen = b""
        while seen.count(START) < 3:
            seen += stream.read(4096)
    assert END in seen


def test_camera_that_comes_back_is_found(equipped: Guest, pyinfra: Pyinfra) -> None:
    """It is unplugged, as far as a platform's device can be, and plugged in anew, while the container runs."""
    run = pyinfra.wish(equipped, CONTAINERS, wishes("front", {"kind": "hello_video", "access": "hotplug"}))
    assert (run.status, run.verdicts) == (0, {equipped.name: "good"}), run.text
    health = "docker inspect -f '{{.State.Health.Status}}' gpu-hosts-front | grep -qx"
    started = inspect(equipped, "{{.State.StartedAt}}")
    equipped.sh(f"echo -n vivid.0 >{VIVID}/unbind")
    equipped.wait_for(f"{health} unhealthy", "the trouble's being noticed")
    equipped.sh(f"echo -n vivid.0 >{VIVID}/bind")
    equipped.wait_for(f"{health} healthy", "the camera's return")
    assert inspect(equipped, "{{.State.StartedAt}}") == started
    assert picture(equipped).startswith(START)


def test_camera_by_its_cdi_name(equipped: Guest, pyinfra: Pyinfra) -> None:
    """Docker gives the container what the specification says of it."""
    run = pyinfra.wish(equipped, CONTAINERS, wishes("front", {"kind": "hello_video", "access": "cdi"}))
    assert (run.status, run.verdicts) == (0, {equipped.name: "good"}), run.text
    assert inspect(equipped, "{{range .HostConfig.DeviceRequests}}{{.Driver}} {{.DeviceIDs}}{{end}}") == (
        "cdi [gpu-hosts.internal/camera=front]"
    )
    assert picture(equipped).startswith(START)


def test_sound_card_records_and_plays(equipped: Guest, pyinfra: Pyinfra) -> None:
    """snd-dummy records what its buffer happens to have. The camera's container goes: nothing wishes for it."""
    pyinfra.apply(equipped, CONTAINERS, wishes("sound", {"kind": "hello_audio", "card": "Dummy"}))
    said = equipped.sh("docker logs gpu-hosts-sound")
    assert "card Dummy recorded a second: 96044 bytes" in said  # 48,000 samples of 16 bits, and the header
    assert "card Dummy played it" in said
    assert not equipped.does("docker inspect gpu-hosts-front")

"""ModelBox' development container on cgroup v2, by its documents' command and by ours; a stand-in plays the image."""

from __future__ import annotations

import socket
import subprocess
from typing import Any
from urllib.request import urlopen

import pytest

from tests.e2e.harness import LIMIT
from tests.sandbox.registry_images import MODELBOX
from tests.sandbox.state import SSH_KEY
from tests.vm.conftest import Pyinfra
from tests.vm.guest import ADDRESS, Guest
from tests.vm.images import modelbox_archive

CONTAINERS = "deploys/containers.py"
# ModelBox' book, "start_docker.sh", without --gpus: there is no GPU here. The image's systemd (Ubuntu 20.04: 245) does
# not take Docker for a container, and so freezes. The stand-in's (252) would exit instead, unless `container` is set to
# nothing (systemd, src/basic/virt.c).
DOCUMENTED = (
    "docker run -itd --tmpfs /tmp --tmpfs /run -v /sys/fs/cgroup:/sys/fs/cgroup:ro --name modelbox_instance_1"
    " -v /opt/modelbox:/opt/modelbox -v /home:/home -p 50022:22 -p 1104:1104 -p 8080:8080 -e container="
)
FROZEN = "Failed to allocate manager object: Read-only file system"


def first_words(guest: Guest, port: int) -> str:
    """What a server on the guest's loopback interface says by itself; nothing where the connection just ends."""
    with guest.forwarded(port) as here, socket.create_connection((ADDRESS, here), timeout=LIMIT) as connection:
        return connection.recv(100).decode()


@pytest.fixture(scope="module")
def loaded(guest: Guest) -> Guest:
    """With the image on it."""
    assert guest.sh("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
    guest.load_image("modelbox")
    return guest


def wishes(option: str) -> dict[str, Any]:
    """Settings with ModelBox' container, and one of its options switched on."""
    box = {"kind": "modelbox", "accelerator": "none", "ssh": "key", "authorized_keys": f"{SSH_KEY}.pub", option: True}
    return {"images_archives": [str(modelbox_archive())], "containers": {"box": box}}


def test_documented_command_freezes(loaded: Guest) -> None:
    """Its systemd cannot write to the control groups; Docker calls the container running, and no SSH server answers."""
    loaded.sh(f"{DOCUMENTED} {MODELBOX.reference}")
    loaded.wait_for(f"docker logs modelbox_instance_1 2>&1 | grep -q '{FROZEN}'", "the end of systemd's start")
    said = loaded.sh("docker logs modelbox_instance_1 2>&1")
    assert "Freezing execution" in said, said
    assert loaded.sh("docker inspect -f '{{.State.Status}}' modelbox_instance_1") == "running"
    assert first_words(loaded, 50022) == ""
    loaded.sh("docker rm --force --volumes modelbox_instance_1")


def test_ours_answers(loaded: Guest, pyinfra: Pyinfra) -> None:
    """The SSH server lets the key in, and the editor is there; both through the host's SSH."""
    pyinfra.apply(loaded, CONTAINERS, wishes("editor"))
    assert first_words(loaded, 50022).startswith("SSH-2.0-")
    with loaded.forwarded(50022) as port:
        options = (
            "-oBatchMode=yes",
            "-oStrictHostKeyChecking=no",
            "-oUserKnownHostsFile=/dev/null",
            "-oLogLevel=ERROR",
        )
        login = ["ssh", "-i", str(SSH_KEY), "-p", str(port), *options, f"root@{ADDRESS}", "cat /proc/1/cgroup"]
        done = subprocess.run(login, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout) == (0, "0::/\n"), done.stderr
    with loaded.forwarded(1104) as port, urlopen(f"http://{ADDRESS}:{port}/editor/", timeout=LIMIT) as answer:
        assert answer.status == 200
    assert loaded.sh("docker inspect -f '{{.HostConfig.Privileged}}' gpu-hosts-box") == "false"


def test_ours_boots_systemd_where_it_is_wished_for(loaded: Guest, pyinfra: Pyinfra) -> None:
    """Docker 26.1 has no control groups of a container's own: it gets the host's, and the plan says what that means."""
    run = pyinfra.wish(loaded, CONTAINERS, wishes("systemd"))
    assert (run.status, run.verdicts) == (0, {loaded.name: "good"}), run.text
    assert "BEWARE: root in the container can write the control groups of the whole host" in run.text
    assert loaded.sh("docker exec gpu-hosts-box cat /proc/1/comm") == "systemd"
    assert first_words(loaded, 50022).startswith("SSH-2.0-")

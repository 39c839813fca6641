"""ModelBox' development container on a host with Docker 20.10 and control groups v1: login, editor, GPU, what stays.

The image is a stand-in, and so are its editor and its tool. systemd, sshd, Docker and Docker Compose are real.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import LIMIT, Command, Controller, Machine, apply, running, wait_until, wish
from tests.sandbox.modelbox_image import offer_modelbox
from tests.sandbox.state import CHECKOUT, read_state

CONTAINERS = "deploys/containers.py"
BAKED = "cat /etc/ssh/ssh_host_*_key.pub"
OTHER_CONTAINER = """\
image=$(docker inspect -f '{{.Image}}' gpu-hosts-box)
docker run --rm --network gpu-hosts-box_default --entrypoint python3 "$image" -c '
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://modelbox:1104/editor/", timeout=10)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())'
"""


@dataclass(frozen=True)
class Box:
    """The container, as somebody at the controller sees it."""

    machine: Machine
    folder: Path

    @property
    def wish(self) -> dict[str, object]:
        """The setting."""
        return {
            "kind": "modelbox",
            "ssh": "key",
            "authorized_keys": str((CHECKOUT / read_state().ssh_key).with_suffix(".pub")),
            "editor": True,
            "gdb": True,
        }

    def ssh(self, script: str, *options: str) -> Command:
        """OpenSSH's command for a login inside, with a jump through the host."""
        jump = shlex.join(self.machine.ssh("-W", "%h:%p"))
        known = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        key = str(CHECKOUT / read_state().ssh_key)
        return [
            *("ssh", "-i", key, "-o", known, "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes"),
            *("-o", f"ProxyCommand={jump}", *options, "-p", "50022", "root@127.0.0.1", script),
        ]

    def run(self, script: str) -> str:
        """Stdout of ``script`` inside, over SSH. Its host key must be the one of the first login."""
        done = subprocess.run(self.ssh(script), capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    @property
    def host_key(self) -> str:
        """As the server shows it."""
        return self.machine.sh("ssh-keyscan -p 50022 127.0.0.1 2>/dev/null | grep -v '^#'").split()[2]


@pytest.fixture(scope="module")
def box(provisioned: Machine, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The container as it was wished for, on a host with a GPU. The tests of this module use it in order."""
    offer_modelbox()
    folder = tmp_path_factory.mktemp("box")
    found = Box(provisioned, folder)
    apply(Controller(folder), provisioned, CONTAINERS, {"containers": {"box": found.wish}})
    return found


def test_login_by_key_and_no_other(box: Box) -> None:
    assert box.run("id -un; hostname").split() == ["root", "box"]
    password = box.ssh("true", "-o", "PubkeyAuthentication=no")
    refused = subprocess.run(password, capture_output=True, text=True, timeout=LIMIT)
    assert "Permission denied (publickey)." in refused.stderr


def test_ports_are_the_hosts_own(box: Box) -> None:
    listening = box.machine.sh("ss -Hltn 'sport = :50022 or sport = :1104 or sport = :8080' | awk '{print $4}' | sort")
    assert listening.split() == ["127.0.0.1:1104", "127.0.0.1:50022", "127.0.0.1:8080"]


def test_host_key_is_not_the_images(box: Box) -> None:
    baked = box.run(BAKED)
    assert baked.count("ssh-") > 0
    assert box.host_key not in baked


def test_editor_through_the_host_and_from_nowhere_else(box: Box) -> None:
    wait_for_editor(box)
    assert box.machine.sh(OTHER_CONTAINER) == "403 Access Denied"


def wait_for_editor(box: Box) -> None:
    """Until its page is there, as a browser sees it through `ssh -L`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    forward = ["-N", "-L", f"127.0.0.1:{port}:127.0.0.1:1104", "-o", "ExitOnForwardFailure=yes"]
    with running(box.machine.ssh(*forward)):
        wait_until(lambda: "editor of ModelBox" in _page(port), "the editor's page")


def _page(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/editor/", timeout=10) as answer:
            return str(answer.read().decode())
    except (OSError, urllib.error.URLError):
        return ""


def test_gpu_inside_and_no_privileges(box: Box) -> None:
    cuda = """python3 -c 'import ctypes; print(ctypes.CDLL("libcuda.so.1").cuInit(0))'"""
    assert box.run(cuda) == "0"
    inspected = box.machine.sh("docker inspect -f '{{.HostConfig.Privileged}} {{.HostConfig.CapDrop}}' gpu-hosts-box")
    assert inspected == "false [ALL]"
    # gdb's way of switching off randomised addresses, which Docker's own filter does not let through.
    assert box.run("setarch -R cat /proc/self/personality") == "00040000"
    assert "not permitted" in box.run("unshare -Ur true 2>&1 || :")


def test_both_answer_after_a_restart_of_the_container(box: Box) -> None:
    """As after one of the host: /root has process ids of the editor from before."""
    key = box.host_key
    box.machine.sh("docker restart --time 5 gpu-hosts-box")
    box.machine.wait_for("ssh-keyscan -p 50022 127.0.0.1 2>/dev/null | grep -q ssh-", "the SSH server's return")
    wait_for_editor(box)
    assert box.host_key == key


def test_work_and_host_key_outlive_the_container(box: Box, controller: Controller) -> None:
    """And the same with systemd, on the processor alone: `docker ps` is not what is believed."""
    key, before = box.host_key, box.machine.sh("docker inspect -f '{{.Id}}' gpu-hosts-box")
    box.run("echo graph >~/modelbox-service/graph/mine; echo code >~/modelbox/mine; touch /lost")
    assert box.machine.sh("cat /srv/modelbox/mine; stat -c '%U %a' /srv/modelbox").splitlines() == ["code", "root 755"]
    changed = {**box.wish, "systemd": True, "accelerator": "none"}
    apply(controller, box.machine, CONTAINERS, {"containers": {"box": changed}})
    assert box.machine.sh("docker inspect -f '{{.Id}}' gpu-hosts-box") != before
    assert box.host_key == key
    assert box.run("cat ~/modelbox-service/graph/mine ~/modelbox/mine; ls /lost 2>/dev/null || :").split() == [
        "graph",
        "code",
    ]
    assert box.run("systemctl is-system-running") == "running"
    assert box.run("ls /usr/lib/x86_64-linux-gnu/libcuda* /dev/dxg 2>/dev/null || :") == ""
    assert box.machine.does("docker ps -q --filter name=keep-me | grep -q .")


def test_private_key_is_refused_before_anything_changes(box: Box, controller: Controller) -> None:
    key = str(CHECKOUT / read_state().ssh_key)
    run = wish(controller, box.machine, CONTAINERS, {"containers": {"box": {**box.wish, "authorized_keys": key}}})
    assert run.status == 1
    assert run.is_three_part(box.machine.name, "that is a private key"), run.text
    assert "OPENSSH" not in run.text

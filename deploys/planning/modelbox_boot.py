"""How a ModelBox container starts: with Docker's own small init, or by booting systemd as its image does by itself.

Measured with systemd 245 and 252 and Docker 20.10 to 28.5. The documents' command binds /sys/fs/cgroup read-only. With
cgroup v2 systemd freezes then, while `docker ps` says that it runs; with cgroup v1 it ends where Docker is 25 or newer,
which makes read-only what is mounted below as well (moby, pull request 45278).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploys.planning.container_settings import Modelbox
from deploys.planning.docker_choice import Engine
from deploys.planning.records import Area, Note, Refusal
from deploys.planning.service_image import short_digest
from deploys.planning.versions import may_reach
from facts.model import Host

INIT = ["/sbin/init", "--log-target=journal"]
INSIDE = "/opt/gpu-hosts"  # where our files are
# Files of ours, and where they are inside.
UNITS = (
    ("gpu-hosts.service", "/etc/systemd/system/gpu-hosts.service"),
    ("gpu-hosts.conf", "/etc/systemd/system/multi-user.target.d/gpu-hosts.conf"),
)
BOOTED = ("systemctl show -p ActiveState multi-user.target", "ActiveState=active")
# Docker makes them noexec, and builds run what they make in /tmp.
TEMPORARY = ["/tmp:exec", "/run", "/run/lock"]
CGROUPS = "/sys/fs/cgroup"  # one of the image's volumes
HIERARCHY = f"{CGROUPS}/systemd"
# moby, pull request 48828.
WRITABLE_CGROUPS_SINCE = "28"
NEWER_DOCKER = f"bring Docker to {WRITABLE_CGROUPS_SINCE} or newer"
# The service's key `cgroup` (compose-spec, pull request 292, of December 2022).
CGROUP_KEY_SINCE = "2.15"
# What the image's own Dockerfile sets (modelbox, docker/Dockerfile.cuda.develop.ubuntu), without its VOLUME.
REMADE = """\
# {reference}
# without its volume /sys/fs/cgroup, over which systemd cannot see its control groups.
FROM {image} AS stock
FROM scratch
COPY --from=stock / /
ENV PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/lib
"""


@dataclass(frozen=True)
class Boot:
    """What starting it needs: keys of the service, volumes, units for systemd, and security options."""

    keys: Mapping[str, object]
    volumes: tuple[str, ...] = ()
    units: tuple[tuple[str, str], ...] = ()  # our file, its path inside
    security: tuple[str, ...] = ()
    remakes: bool = False  # the image is made anew on the host, without its volume
    proof: tuple[str, str] | None = None  # script inside, and the text that its output must have
    notes: tuple[Note, ...] = ()


def choose_boot(wish: Modelbox, host: Host, docker: Engine) -> Boot | Refusal:
    """How it starts on this host, or why systemd cannot boot there."""
    if not wish.systemd:
        return Boot(
            {
                "init": True,
                "entrypoint": ["/bin/sh", f"{INSIDE}/start.sh"],
                # The image's own signal is systemd's.
                "stop_signal": "SIGTERM",
                # Else the image's volume is made anew with each container.
                "tmpfs": [*TEMPORARY, CGROUPS],
            },
            security=("no-new-privileges:true",),
        )
    if host.cgroup == 1:
        return _with_systemd(
            wish,
            {"tmpfs": [*TEMPORARY, CGROUPS]},
            volumes=(f"{HIERARCHY}:{HIERARCHY}",),
            note=Note("boots systemd inside", "the host has cgroup v1: systemd's own hierarchy is shared with it"),
        )
    if host.cgroup != 2:
        return refuse_systemd(
            "which control groups the host has could not be told", "mount them at /sys/fs/cgroup on the host"
        )
    if may_reach(docker.version, WRITABLE_CGROUPS_SINCE):
        because = (
            f"cgroup v2: its control groups are its own to write; {CGROUPS} must be no volume of the image for that"
        )
        return _with_systemd(
            wish,
            {"tmpfs": TEMPORARY},
            security=("writable-cgroups=true",),
            remakes=True,
            note=Note("boots systemd inside, of an image that is made anew on the host", because),
        )
    if not may_reach(docker.compose, CGROUP_KEY_SINCE):
        seen = f"Docker {docker.version}, and Docker Compose {docker.compose}, which has no `cgroup`"
        return refuse_systemd(f"the host has cgroup v2, {seen}", NEWER_DOCKER)
    if host.docker_desktop:
        return refuse_systemd(f"the host has cgroup v2 and Docker Desktop with Docker {docker.version}", NEWER_DOCKER)
    choice = "BEWARE: root in the container can write the control groups of the whole host"
    instead = f"Docker {WRITABLE_CGROUPS_SINCE} needs no such thing"
    because = f"systemd = true with cgroup v2 and Docker {docker.version}; {instead}"
    keys = {"tmpfs": TEMPORARY, "cgroup": "host"}
    return _with_systemd(wish, keys, volumes=(f"{CGROUPS}:{CGROUPS}:rw",), note=Note(choice, because))


def _with_systemd(
    wish: Modelbox,
    keys: Mapping[str, object],
    *,
    note: Note,
    volumes: tuple[str, ...] = (),
    security: tuple[str, ...] = (),
    remakes: bool = False,
) -> Boot:
    """systemd, and our service in it where one is wished for. It keeps the capabilities that Docker gives by itself."""
    return Boot(
        {"command": INIT, "stop_signal": "SIGRTMIN+3", "cap_drop": [], **keys},
        volumes,
        units=UNITS if wish.editor or wish.ssh == "key" else (),
        security=security,
        remakes=remakes,
        proof=BOOTED,
        notes=(note,),
    )


def can_remake(image: str) -> bool:
    """Whether the image's environment is known, which goes with its volume: those with CUDA have one and the same."""
    return bool(re.fullmatch(r"modelbox/modelbox-develop-\w[\w.]*-cuda_[\w.-]+(:\w[\w.-]*)?(@sha256:\w+)?", image))


def remake(image: str, reference: str) -> tuple[str, str]:
    """The name of the image that is made of ``image`` without its volume, and the Dockerfile that does it.

    ``reference`` is the image's, with its digest where it has one: with another digest the name is another.
    """
    dockerfile = REMADE.format(image=image, reference=reference)
    return f"gpu-hosts-modelbox:{short_digest(dockerfile)}", dockerfile


def refuse_systemd(seen: str, otherwise: str) -> Refusal:
    """Why systemd does not boot, and what else there is."""
    remedy = f'leave systemd = false: an SSH server needs none (ssh = "key"); or {otherwise}'
    return Refusal(Area.CONTAINERS, "systemd cannot boot in a container of this host", seen, remedy)

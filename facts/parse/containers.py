"""Docker Engine and NVIDIA Container Toolkit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ..model import CdiSpec, Container, Docker, Image, Toolkit
from .answer import Answer
from .packages import installed, pick

# Packages that are a Docker Engine, and what stands in for one.
ENGINES = ("docker-ce", "docker.io", "moby-engine", "docker-desktop", "docker-engine", "docker")
DOCKER_PACKAGES = r"docker.*|containerd.*|runc|moby-.*|podman-docker"
ENGINE_FILES = ("/usr/bin/dockerd", "/usr/local/bin/dockerd", "/usr/sbin/dockerd", "/snap/bin/docker")
TOOLKIT_PACKAGES = r"(lib)?nvidia-(container|docker).*"

Info = Mapping[str, object]


def read_docker(answer: Answer) -> Docker:
    """Docker as its packages, files and, where it runs, the daemon itself describe it."""
    info, packages = read_info(answer), pick(installed(answer), DOCKER_PACKAGES)
    origin, server = find_origin(answer, packages), word(info, "ServerVersion")
    here = server is not None or any(map(answer.marked, ENGINE_FILES))
    runtimes = info.get("Runtimes")
    return Docker(
        installed=origin != "podman-docker" and (here or origin is not None),
        origin=origin,
        client_version=client_version(answer, info, packages),
        running=is_running(answer, server),
        server_version=server,
        runtimes=tuple(sorted(runtimes)) if isinstance(runtimes, dict) else (),
        default_runtime=word(info, "DefaultRuntime"),
        storage_driver=word(info, "Driver"),
        data_root=word(info, "DockerRootDir"),
        data_root_free=free_bytes(answer),
        daemon_json=daemon_json(answer),
        daemon_flags=daemon_flags(answer),
        pending=answer.marked("/var/lib/gpu-hosts/daemon-json/pending"),
        containers=read_running(answer),
        images=read_images(answer),
        packages=packages,
    )


def read_info(answer: Answer) -> Info:
    """``docker info`` as an object; empty where there is none or it is not JSON."""
    try:
        info = json.loads(answer.first("docker", "info") or "{}")
    except (ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}


def word(info: Info, key: str) -> str | None:
    """A non-empty text of an object, or None."""
    value = info.get(key)
    return value if isinstance(value, str) and value else None


def find_origin(answer: Answer, packages: tuple[tuple[str, str], ...]) -> str | None:
    """Where the engine comes from: Docker Desktop's link, snap, else the package that is an engine."""
    if "/docker-desktop/" in (answer.first("docker", "link") or ""):
        return "docker-desktop"
    names = dict(packages)
    package = next((name for name in (*ENGINES, "podman-docker") if name in names), None)
    if package is None and answer.marked("/snap/bin/docker"):
        return "snap"
    return package


def is_running(answer: Answer, server: str | None) -> bool | None:
    """None where a daemon seems to run but did not answer this user."""
    if server is not None:
        return True
    if not answer.has("docker"):
        return None
    return None if answer.first("docker", "running") else False


def client_version(answer: Answer, info: Info, packages: tuple[tuple[str, str], ...]) -> str | None:
    """The client's version, as the client says, else as its package has it."""
    client = info.get("ClientInfo")
    said = word(client, "Version") if isinstance(client, dict) else None
    match = re.search(r"Docker version ([^\s,]+)", answer.first("docker", "client") or "")
    if said or match:
        return said or (match[1] if match else None)
    names = dict(packages)
    version = names.get("docker-ce-cli") or names.get("docker.io") or names.get("moby-cli")
    return re.split("[-~]", version.split(":")[-1])[0] if version else None


def free_bytes(answer: Answer) -> int | None:
    """Free bytes for unprivileged writers where Docker keeps, or would keep, its data: ``df -Pk``."""
    rows = (re.search(r"\s(\d{1,18})\s+(\d{1,18})\s+(\d{1,18})\s+\d+%", row) for row in answer.all("docker", "free"))
    row = next(filter(None, rows), None)
    return int(row[3]) * 1024 if row else None


def daemon_json(answer: Answer) -> str | None:
    """daemon.json's text: the snap reads its own file."""
    files = answer.files
    if find_origin(answer, pick(installed(answer), DOCKER_PACKAGES)) == "snap":
        return files.get("/var/snap/docker/current/config/daemon.json")
    return files.get("/etc/docker/daemon.json")


def daemon_flags(answer: Answer) -> str | None:
    """dockerd's arguments: of its systemd unit, else DOCKER_OPTS of /etc/default/docker."""
    match = re.search(r"argv\[\]=\S+ ?(.*?) ; ", answer.first("docker", "unit") or "")
    if match:
        return match[1]
    text = answer.files.get("/etc/default/docker") or ""
    options = re.search(r"^\s*DOCKER_OPTS=[\"']?(.*?)[\"']?\s*$", text, re.MULTILINE)
    return options[1] if options else None


def read_running(answer: Answer) -> tuple[Container, ...] | None:
    """Running containers; None where the daemon could not be asked."""
    if "containers" not in answer.all("docker", "listed"):
        return None
    rows = (value.split() for value in answer.all("docker", "running"))
    return tuple(Container(row[0], row[1].lstrip("/"), row[3], row[2]) for row in rows if len(row) == 4)


def read_images(answer: Answer) -> tuple[Image, ...] | None:
    """Images by id, each with all its tags and digests; None where the daemon could not be asked."""
    if "images" not in answer.all("docker", "listed"):
        return None
    names: dict[str, list[str]] = {}
    for value in answer.all("docker", "image"):
        identity, repository, tag, digest = (value.split() + ["<none>"] * 4)[:4]
        known = names.setdefault(identity, [])
        if repository != "<none>":
            known += [f"{repository}:{tag}"] * (tag != "<none>") + [f"{repository}@{digest}"] * (digest != "<none>")
    return tuple(Image(identity, tuple(sorted(set(known)))) for identity, known in names.items())


def read_toolkit(answer: Answer) -> Toolkit:
    """NVIDIA Container Toolkit's packages, runtime and CDI files."""
    return Toolkit(
        packages=pick(installed(answer), TOOLKIT_PACKAGES),
        runtime_path=answer.first("docker", "runtime"),
        cdi_specs=tuple(CdiSpec(path, None) for path in answer.all("docker", "cdi")),
    )

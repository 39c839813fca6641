"""Docker Engine and NVIDIA Container Toolkit."""

from __future__ import annotations

import json
import re
import tomllib

from ..model import CdiSpec, Container, Docker, Image, Toolkit
from .answer import Answer, to_int
from .daemon import Info, find_in_force, in_swarm, read_info, start_time, word
from .images import files_below, free_bytes, free_inodes, read_layers, read_registry_files, uses_containerd_store
from .packages import installed, pick

# Packages that are a Docker Engine, and what stands in for one.
ENGINES = ("docker-ce", "docker.io", "moby-engine", "docker-desktop", "docker-engine", "docker")
DOCKER_PACKAGES = r"docker.*|containerd.*|runc|moby-.*|podman-docker"
ENGINE_FILES = ("/usr/bin/dockerd", "/usr/local/bin/dockerd", "/usr/sbin/dockerd", "/snap/bin/docker")
TOOLKIT_PACKAGES = r"(lib)?nvidia-(container|docker).*"


def read_docker(answer: Answer) -> Docker:
    """Docker as its packages, files and, where it runs, the daemon itself describe it."""
    info, packages = read_info(answer), pick(installed(answer), DOCKER_PACKAGES)
    origin, server = find_origin(answer, packages), word(info, "ServerVersion")
    is_here = server is not None or any(map(answer.marked, ENGINE_FILES))
    is_installed = origin != "podman-docker" and (is_here or origin is not None)
    runtimes = info.get("Runtimes")
    return Docker(
        installed=is_installed,
        origin=origin,
        client_version=client_version(answer, info, packages),
        running=is_running(answer, server),
        server_version=server,
        runtimes=tuple(sorted(runtimes)) if isinstance(runtimes, dict) else (),
        default_runtime=word(info, "DefaultRuntime"),
        storage_driver=word(info, "Driver"),
        data_root=word(info, "DockerRootDir"),
        daemon_json=daemon_json(answer),
        daemon_flags=daemon_flags(answer),
        pending=answer.marked("/var/lib/gpu-hosts/daemon-json/pending"),
        containers=read_containers(answer),
        images=read_images(answer),
        packages=packages,
        in_force=find_in_force(info),
        swarm=in_swarm(info),
        cdi=bool(info.get("CDISpecDirs")),
        started=start_time(answer),
        ledger=answer.files.get("/var/lib/gpu-hosts/daemon-json/ledger"),
        group=group_members(answer),
        rootless=read_processes(answer.all("docker", "rootless")),
        containerd_store=uses_containerd_store(info),
        images_root=answer.first("docker", "images_root") or "",
        images_free=free_bytes(answer),
        images_free_inodes=free_inodes(answer),
        layers=read_layers(answer, installed=is_installed),
        registry_files=read_registry_files(answer),
        pulling=next(iter(read_processes(answer.all("docker", "pulling"))), None),
        shims=read_processes(answer.all("docker", "shim")),
        compose=compose_version(answer, packages),
        container_files=files_below(answer, "/etc/gpu-hosts/containers/"),
    )


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


def group_members(answer: Answer) -> tuple[str, ...]:
    """Members of the group docker: its line of /etc/group, so without those whose primary group it is."""
    return tuple(filter(None, (answer.first("docker", "group") or "").partition(":")[2].split(":")[-1].split(",")))


def read_processes(values: tuple[str, ...]) -> tuple[str, ...]:
    """``812 alice`` as people read it: "alice (pid 812)"."""
    rows = (value.partition(" ") for value in values)
    return tuple(f"{name or '?'} (pid {pid})" for pid, _, name in rows)


def read_containers(answer: Answer) -> tuple[Container, ...] | None:
    """Containers, stopped ones too; None where the daemon could not be asked."""
    if "containers" not in answer.all("docker", "listed"):
        return None
    # Not split(): a container that an old Docker made may have no runtime, and one without a health check no health.
    rows = (value.split(" ", 9) for value in answer.all("docker", "container"))
    return tuple(read_container(row) for row in rows if len(row) == 10)


def read_container(row: list[str]) -> Container:
    """A container of the ten fields that the probe asks for, the last Docker Compose's labels in JSON."""
    identity, name, runtime, image, running, image_id, status, exit_code, health, labels = row
    project, service, one_off = read_labels(labels)
    return Container(
        id=identity,
        name=name.lstrip("/"),
        image=image,
        runtime=runtime or None,
        running=running == "true",
        image_id=image_id,
        project=project,
        service=service,
        # "none" is another word for no health check (moby, api/types/container/health.go).
        health=health.removeprefix("none"),
        # One that was made and never started has 0, too.
        exit_code=to_int(exit_code) if status in ("exited", "dead") else None,
        restarting=status == "restarting",
        one_off=one_off,
    )


def read_labels(text: str) -> tuple[str, str, bool]:
    """The labels of Docker Compose: project and service, empty where the container has none, and if it is a one-off."""
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        return "", "", False
    if not isinstance(labels, list) or [type(label) for label in labels[:2]] != [str, str]:
        return "", "", False
    # Python's word, which Compose in Go has kept (docker/compose, pkg/compose/filters.go).
    return labels[0], labels[1], labels[2:] == ["True"]


def compose_version(answer: Answer, packages: tuple[tuple[str, str], ...]) -> str | None:
    """Docker Compose's version: of the plugin, else of the older program in Python, asked or of Debian's package.

    A later ``docker-compose`` that stands alone is not what ``docker compose`` runs.
    """
    plugin = re.search(r"\d+(\.\d+)+", answer.first("docker", "compose") or "")
    if plugin:
        return plugin[0]
    package = dict(packages).get("docker-compose", "")
    older = re.match(r"v?(1(\.\d+)+)", answer.first("docker", "docker_compose") or package)
    return older[1] if older else None


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
    """NVIDIA Container Toolkit's packages, runtime, its configuration and CDI files."""
    specs = (value.partition(" ") for value in answer.all("docker", "cdi"))
    hooks = map(to_int, answer.all("docker", "hook"))
    return Toolkit(
        packages=pick(installed(answer), TOOLKIT_PACKAGES),
        runtime_path=answer.first("docker", "runtime"),
        cdi_specs=tuple(CdiSpec(path, library.partition(".so.")[2] or None) for library, _, path in specs),
        mode=runtime_mode(answer),
        hook_since=max((since for since in hooks if since), default=None),
    )


def runtime_mode(answer: Answer) -> str | None:
    """What the toolkit's configuration has as mode of nvidia-container-runtime; None where it says nothing."""
    try:
        config = tomllib.loads(answer.files.get("/etc/nvidia-container-runtime/config.toml") or "")
    except (ValueError, RecursionError):
        return None
    section = config.get("nvidia-container-runtime")
    return word(section, "mode") if isinstance(section, dict) else None

"""A camera's live picture from a container that has the one device, the group that owns it, and no privileges."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from deploys.planning.addresses import before_port
from deploys.planning.cameras import cameras_of, holders_of, why_no_camera
from deploys.planning.catalogue import Catalogue
from deploys.planning.compose_ports import refuse_address
from deploys.planning.compose_text import base_service, compose_text
from deploys.planning.container_settings import HelloVideo
from deploys.planning.docker_choice import Engine
from deploys.planning.gpu_access import DEVICES_SINCE
from deploys.planning.records import Answer, Area, Note, Project, Refusal
from deploys.planning.service_image import PROJECTS, built_image, program_of, pulled_image
from deploys.planning.versions import may_reach
from facts.devices import Camera
from facts.model import Host

SERVICE = "hello-video"
NODE = "/dev/video0"  # what the camera is inside
PORT = 8080
OURS = "main "  # what ustreamer calls its first thread, and so itself (ustreamer 5.4, src/ustreamer/main.c)
MAJOR = 81  # of video4linux (kernel, Documentation/admin-guide/devices.txt)
# .internal is nobody's (ICANN, 2024), and so no vendor's.
CDI_KIND = "gpu-hosts.internal/camera"
# Docker Compose 2.29.3 has compose-go 2.2.0, which knows the long form; Debian's 2.26.1 is built with a newer one.
LONG_DEVICES_SINCE = "2.26.1"


def plan_hello_video(
    name: str, wish: HelloVideo, host: Host, catalogue: Catalogue, *, engine: Engine
) -> Project | Refusal:
    """A container that serves a camera's picture as MJPEG, healthy while it gives frames."""
    if refusal := refuse_address(wish.address):
        return refusal
    camera = choose_camera(wish.camera, host)
    if isinstance(camera, Refusal):
        return camera
    if refusal := _refuse_camera(camera, host) or _refuse_access(wish, camera, engine):
        return refusal
    image = pulled_image(wish.image, host, catalogue) if wish.image else built_image("hello_video")
    if isinstance(image, Refusal):
        return image
    gid, health = _gid(camera, host), program_of("hello_video", "frame.sh", project=name)
    service = {
        **base_service(name, wish, memory="100m", cpus=0.8),
        **image.service,
        "read_only": True,
        "tmpfs": ["/tmp"],
        "pids_limit": 64,
        **({"group_add": [str(gid)]} if gid is not None else {}),
        **_access(name, wish, camera),
        "ports": [f"{before_port(wish.address)}:{wish.port}:{PORT}"],
        "labels": {**health.labels, **image.labels},
        "volumes": [*_volumes(wish), health.mount],
        "command": _command(camera.stable if wish.access == "hotplug" else NODE),
        "healthcheck": {
            "test": ["CMD", "bash", "/frame.sh", str(PORT)],
            "interval": "10s",
            "timeout": "8s",
            "retries": 3,
            "start_period": "15s",
        },
    }
    return Project(
        name,
        (
            ("compose.yaml", compose_text({"services": {SERVICE: service}})),
            *image.files,
            health.file,
            *(_cdi_files(name, camera, gid) if wish.access == "cdi" else ()),
        ),
        ((SERVICE, "healthy"),),
        build=image.build,
        answers=(Answer(wish.address, wish.port, "HTTP/1."),),
        images=image.needs,
        camera=camera.device,
        notes=(Note(f"shows {camera.stable}", camera.name or "the only camera"), *image.notes),
    )


def _command(device: str) -> list[str]:
    """MJPEG from the camera itself where it has that; ustreamer falls back to what the driver gives instead.

    Where nobody looks it takes one picture a second.
    """
    return ["ustreamer", f"--device={device}", "--format=MJPEG", "--host=0.0.0.0", f"--port={PORT}", "--slowdown"]


# The camera


def choose_camera(wish: str | None, host: Host) -> Camera | Refusal:
    """The camera of that name, or the only one."""
    if host.docker_desktop:
        seen = "Docker Desktop's containers run in a machine of its own, which has none"
        remedy = "use a host with a Docker Engine of its own"
        return _refuse("no container of this host can have a camera", seen, remedy)
    if absence := why_no_camera(host):
        return _refuse("this host has no camera", absence.seen, absence.remedy)
    cameras = cameras_of(host)
    if wish:
        named = next((camera for camera in host.cameras if wish in _names(camera)), None)
        return named or _refuse_name(wish, cameras)
    if len(cameras) == 1:
        return cameras[0]
    seen = "; ".join(f"{camera.stable} ({camera.name})" for camera in cameras)
    return _refuse("there is more than one camera, and none is named", seen, "name one of these in `camera`")


def _names(camera: Camera) -> tuple[str, ...]:
    """Every name that people may call it by."""
    paths = [path for path in (camera.device, camera.by_id, camera.by_path) if path]
    return (*paths, *(path.rpartition("/")[2] for path in paths))


def _refuse_name(wish: str, cameras: tuple[Camera, ...]) -> Refusal:
    close = get_close_matches(wish, [name for camera in cameras for name in _names(camera)], n=1)
    remedy = f"did you mean {close[0]}?" if close else "name one that is there, or plug it in"
    return _refuse(f"there is no camera {wish}", "there is " + ", ".join(one.stable for one in cameras), remedy)


def _refuse_camera(camera: Camera, host: Host) -> Refusal | None:
    """Why this camera's picture cannot be had."""
    if camera not in cameras_of(host):
        what = f"{camera.device} gives no pictures"
        return _refuse(what, "it is a node for metadata, output or a codec", "name the camera's other node")
    if camera.is_raw or (camera.driver or "").startswith("tegra"):
        return _refuse(
            f"{camera.device} gives a sensor's raw data",
            "an image processor makes the pictures of a camera like this; on a Jetson that is one on CSI",
            "deploys/cameras.py takes a Jetson's; a container of yours (kind compose) needs the runtime nvidia there "
            "and /tmp/argus_socket",
        )
    others = [user for user in holders_of(camera) if not (user.startswith(OURS) and _shows_a_camera(host))]
    if others:
        return _refuse(f"{camera.device} is in use", ", ".join(others), "stop that, and run this again")
    if _gid(camera, host) is None and not _is_open_to_all(camera):
        seen = f"its group is {camera.group or 'not known'}, its permissions are {camera.mode or 'not known'}"
        return _refuse(f"no group can be given {camera.device}", seen, "see udev's rules for video4linux on the host")
    return None


def _shows_a_camera(host: Host) -> bool:
    """Whether a container of ours runs that has a camera open, as after an earlier run."""
    return any(one.service == SERVICE for one in host.docker.running_containers)


def _gid(camera: Camera, host: Host) -> int | None:
    """The group that may read and write the node; None where there is none."""
    may = not camera.mode or int(camera.mode[-2], 8) & 6 == 6
    return next((group.gid for group in host.devices.groups if may and group.name == camera.group), None)


def _is_open_to_all(camera: Camera) -> bool:
    return bool(camera.mode) and int(camera.mode[-1], 8) & 6 == 6


# How it gets there


def _refuse_access(wish: HelloVideo, camera: Camera, engine: Engine) -> Refusal | None:
    """Why this Docker or Compose cannot give it in the way of the wish."""
    compose = engine.compose
    if wish.access == "device" and ":" in camera.stable and not may_reach(compose, LONG_DEVICES_SINCE):
        seen = f"a name with colons, {camera.stable}, and Docker Compose {compose}"
        remedy = f'set access = "hotplug", or install Docker Compose {LONG_DEVICES_SINCE} or newer'
        return _refuse("this camera's name cannot be written as a device", seen, remedy)
    if wish.access != "cdi":
        return None
    brief, otherwise = "this host's Docker gives no device by a CDI name", 'set access = "device"'
    if not engine.takes_cdi:
        remedy = f'docker_features = {{"cdi": True}} (Docker 25 to 28.1; on by itself from 28.2 on), or {otherwise}'
        return _refuse(brief, f"Docker {engine.version or 'of this run'} takes none as it is set up", remedy)
    if not may_reach(compose, DEVICES_SINCE):
        return _refuse(brief, f"Docker Compose {compose} knows no devices of a reservation", otherwise)
    return None


def _access(name: str, wish: HelloVideo, camera: Camera) -> Mapping[str, object]:
    """The keys that let the service have the camera."""
    if wish.access == "hotplug":
        return {"device_cgroup_rules": [f"c {MAJOR}:* rw"]}
    if wish.access == "cdi":
        request = {"driver": "cdi", "device_ids": [f"{CDI_KIND}={name}"], "capabilities": ["cdi"]}
        return {"deploy": {"resources": {"reservations": {"devices": [request]}}}}
    if ":" in camera.stable:
        return {"devices": [{"source": camera.stable, "target": NODE, "permissions": "rw"}]}
    # Docker resolves the link with every start (moby, oci/devices_linux.go).
    return {"devices": [f"{camera.stable}:{NODE}:rw"]}


def _volumes(wish: HelloVideo) -> list[str]:
    """Hotplug: a node that comes later shows in the host's /dev alone. The rule says which of all may be opened."""
    return ["/dev:/dev:ro"] if wish.access == "hotplug" else []


def _cdi_files(name: str, camera: Camera, gid: int | None) -> tuple[tuple[str, str], ...]:
    """The specification, and a udev rule that writes the camera's node into it anew.

    The step that starts containers puts copies where Docker and udev look for them. CDI takes no link for a device
    (container-device-interface, pkg/cdi/container-edits_unix.go: lstat). Without mode and group the node inside would
    be everybody's.
    """
    node: dict[str, object] = {"path": NODE, "hostPath": camera.device, "permissions": "rw"}
    node |= {"fileMode": 0o660, "gid": gid} if gid is not None else {"fileMode": 0o666}
    device = {"name": name, "containerEdits": {"deviceNodes": [node]}}
    # deviceNodes have a hostPath from 0.5.0 on (container-device-interface, SPEC.md).
    head = f"# Written by pyinfra-gpu-hosts for the container {name}.\n"
    text = head + compose_text({"cdiVersion": "0.5.0", "kind": CDI_KIND, "devices": [device]})
    if camera.stable == camera.device:
        return (("cdi.yaml", text),)
    rule = (
        f'SUBSYSTEM=="video4linux", ACTION!="remove", SYMLINK=="{camera.stable.removeprefix("/dev/")}", '
        f"RUN+=\"/bin/sed -i 's,hostPath: .*,hostPath: $devnode,' "
        f'/etc/cdi/gpu-hosts-{name}.yaml {PROJECTS}/{name}/cdi.yaml"\n'
    )
    return (("cdi.yaml", text), ("udev.rules", head + rule))


def _refuse(brief: str, seen: str, remedy: str) -> Refusal:
    return Refusal(Area.CONTAINERS, brief, seen, remedy)

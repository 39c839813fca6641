"""``up`` and ``down``: everything the sandbox is, from nothing or from what is there, and back to nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from tests.sandbox import engine, vendors
from tests.sandbox.base_image import NEWER_SUITE, SUITES, build_base_image, download_newer_engine
from tests.sandbox.engine import LABEL
from tests.sandbox.gpu_stub import build_stubs
from tests.sandbox.host_images import KINDS, Kind, build_host_image, image_of
from tests.sandbox.hosts import VENDORS_NUMBER, is_ready, start_host
from tests.sandbox.inventory import FLEET
from tests.sandbox.keys import make_certificates, make_ssh_key, remove_keyrings
from tests.sandbox.machine import check_machine, find_mirror, install_tools
from tests.sandbox.network import ensure_network
from tests.sandbox.state import FOLDER, SSH_KEY, STATE, State, locked, read_state, write_state

# Modules that no image is made from: a change in them rebuilds nothing.
NOT_IN_IMAGES = (
    "__main__.py",
    "control.py",
    "engine.py",
    "errors.py",
    "hosts.py",
    "inventory.py",
    "machine.py",
    "network.py",
    "state.py",
    "test_registry.py",
    "test_rpm.py",
    "test_sandbox.py",
)
ALWAYS = tuple(kind for kind in KINDS.values() if not kind.on_demand)
Say = Callable[[str], None]


def up(*, say: Say) -> State:
    """Bring the whole sandbox up, reusing what stands; ``say`` gets a line for each step."""
    started = time.monotonic()
    check_machine()
    with locked():
        _use_own_temporary_folder()
        if installed := install_tools():
            say(f"installed from apt: {' '.join(installed)}")
        _ensure_docker(say)
        state = _ensure_vendors_and_images(say)
    for name in FLEET:
        if name in state.hosts and is_ready(state.hosts[name]):
            say(f"{name}: runs at {state.hosts[name].address}")
        else:
            say(f"{name}: started at {start_host(name, name).address}")
    say(f"up after {time.monotonic() - started:.0f} s")
    return read_state()


def down(*, say: Say) -> None:
    """Remove everything that ``up`` made except packages of this machine; stop the dockerd that it started."""
    with locked():
        if engine.does_docker_answer():
            counts = engine.remove_everything()
            say("removed " + ", ".join(f"{number} {kind}s" for kind, number in counts.items()))
        if engine.stop_dockerd(FOLDER):
            say("stopped the dockerd that the sandbox had started")
        remove_keyrings()
        unmount_below(FOLDER)
        shutil.rmtree(FOLDER)
    say(f"removed {FOLDER.name}/")


def inputs_digest() -> str:
    """Digest of everything that images and repositories are made from: this package, the certificate, the key."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    sources = [path for path in sorted(here.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    recipes = [path for path in sources if path.name not in NOT_IN_IMAGES]
    for path in [*recipes, FOLDER / "vendors/tls/ca.crt", SSH_KEY.with_suffix(".pub")]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _use_own_temporary_folder() -> None:
    """Keep what this process and its tools put aside in .sandbox/, where ``down`` finds it after a kill."""
    folder = FOLDER / "tmp"
    unmount_below(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    folder.chmod(0o755)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def unmount_below(folder: Path) -> None:
    """Undo the mounts that a killed mmdebstrap has left in its work folder."""
    points = [line.split(" ")[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True):
        engine.run("umount", point)


def _ensure_docker(say: Say) -> None:
    if engine.does_docker_answer():
        say("docker: answers")
    else:
        engine.start_dockerd(FOLDER)
        say("docker: started dockerd")
    engine.raise_inotify_limit()


def _ensure_vendors_and_images(say: Say) -> State:
    """Everything but the fleet: keys, base images, repositories, host images, network, vendors, registry."""
    make_certificates(FOLDER / "vendors/tls", vendors.NAMES)
    make_ssh_key(SSH_KEY)
    inputs = inputs_digest()
    if _do_images_stand(inputs):
        say("images and repositories: reused")
    else:
        _build_everything(inputs, say)
    if STATE.exists():
        return _ensure_network_and_registry(read_state(), say)
    fingerprints = json.loads((FOLDER / "fingerprints.json").read_text())
    return _ensure_network_and_registry(State(network="", vendors="", fingerprints=fingerprints), say)


def _do_images_stand(inputs: str) -> bool:
    images = [vendors.IMAGE, *(image_of(kind) for kind in ALWAYS)]
    return all(engine.label_of(image, f"{LABEL}.inputs") == inputs for image in images)


def _build_everything(inputs: str, say: Say) -> None:
    """Build base images, repositories and all images, two at a time: two cores are the least we expect."""
    for container in engine.labelled("container"):  # what runs belongs to the images that are replaced now
        engine.remove_container(container)
    STATE.unlink(missing_ok=True)
    mirror = find_mirror()
    say("building images and repositories: a minute or two")
    with ThreadPoolExecutor(max_workers=2) as workers:
        newer = workers.submit(download_newer_engine, mirror, FOLDER)
        built = list(workers.map(lambda suite: build_base_image(suite, mirror, FOLDER), SUITES))
        if not newer.result():
            say(f"Docker: Debian 13's own engine alone (the mirror has none in {NEWER_SUITE} that runs there)")
        say(f"base images: {', '.join(SUITES)} {'built' if any(built) else 'reused'}")
        for kind in ALWAYS:
            build_stubs(FOLDER / "libcuda" / kind.name, kind.device)
        repositories = workers.submit(vendors.build_repositories, FOLDER)
        vendors_image = workers.submit(vendors.build_vendors_image, inputs)
        repositories.result()
        say("vendors' repositories: built and signed")

        def build(kind: Kind) -> None:
            build_host_image(kind, inputs)

        list(workers.map(build, ALWAYS))
        vendors_image.result()
    say(f"host images: {', '.join(kind.name for kind in ALWAYS)} built")


def _ensure_network_and_registry(state: State, say: Say) -> State:
    """The network, the vendors' container and the registry's content; return (and write) the state with them."""
    subnet = ensure_network()
    address = str(next(a for number, a in enumerate(ip_network(subnet).hosts(), 1) if number == VENDORS_NUMBER))
    was_running = vendors.is_running()
    vendors.start_vendors(FOLDER, address)
    if was_running and state.images:
        say(f"vendors: run at {address}")
        return state
    images = vendors.fill_registry(FOLDER, address)
    say(f"vendors: started at {address}, {len(images)} images in the registry")
    state = replace(state, network=subnet, vendors=address, images=images)
    write_state(state)
    return state

"""ModelBox' development image, played by Debian: systemd, sshd, and stand-ins of ModelBox' server and tool.

It is made and put into the simulated Docker Hub when a test asks for it, because few do and it is large.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from tests.sandbox.base_image import base_image
from tests.sandbox.engine import LABEL, PREFIX, docker, remove_container, run
from tests.sandbox.registry_images import MODELBOX, push_image
from tests.sandbox.state import FOLDER, locked, read_state, write_state

TEMPLATES = Path(__file__).parent / "files/modelbox"


def offer_modelbox() -> str:
    """Put the image into the simulated Docker Hub, unless it is there; return its digest."""
    with locked("image-lock"):
        images = read_state().images
        if MODELBOX.reference in images:
            return images[MODELBOX.reference]
        with tempfile.TemporaryDirectory(prefix="gpu-sandbox-modelbox-", dir=FOLDER) as folder:
            archive = Path(folder) / "root.tar"
            write_archive(archive)
            digest = push_image(f"{read_state().vendors}:5000", MODELBOX, [archive])
    with locked():
        state = read_state()
        write_state(replace(state, images={**state.images, MODELBOX.reference: digest}))
    return digest


def write_archive(path: Path) -> None:
    """The image's root file system as one archive."""
    builder = f"{PREFIX}-build-modelbox"
    remove_container(builder)
    docker(
        "create", "--name", builder, "--label", LABEL, "--network", "host", base_image("bookworm"),
        "/bin/sh", "/build/setup",
    )  # fmt: skip
    docker("cp", f"{TEMPLATES}/.", f"{builder}:/build")
    run("docker", "start", "--attach", builder)
    docker("export", "--output", str(path), builder)
    remove_container(builder)

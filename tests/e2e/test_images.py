"""Images on a host with Docker 20.10: looked up before a byte moves, pulled whatever happens to the connection."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.harness import Controller, Machine, Run, data_of, machine, wish
from tests.e2e.registries import (
    CUDA_BASE,
    CUDA_RUNTIME,
    IMAGES,
    LARGE,
    PRIVATE,
    PULLING,
    Traffic,
    fault,
    forget,
    names_of,
    pinned,
    rate,
    without_names,
)
from tests.sandbox.state import FOLDER
from tests.sandbox.vendors import key_file

NVCR = "nvcr.io"
USER = "$oauthtoken"
SESSION = "[s]shd: dev"  # and not the shell that looks for it


@pytest.fixture(scope="module")
def wsl() -> Iterator[Machine]:
    """A host that has Docker. The tests of this module use it in order."""
    with machine("wsl", "t-images") as fresh:
        yield fresh


def check_second(controller: Controller, wsl: Machine, wishes: dict[str, object]) -> None:
    """A run that finds all there: one command, no operation."""
    run = wish(controller, wsl, IMAGES, wishes)
    assert (run.status, run.operations, run.counts) == (0, [], {wsl.name: 1}), run.text


def check_refusal(run: Run, wsl: Machine, traffic: Traffic, *said: str) -> None:
    """In three parts, which say this; no pull, and the host has asked for nothing."""
    assert (run.status, "Pull images" in run.operations) == (1, False), run.text
    assert run.is_three_part(wsl.name, "images: refused: "), run.text
    for words in said:
        assert words in run.said_of(wsl.name), run.text
    assert [request for request in traffic.requests if request["client"] == wsl.host.address] == []


def test_sizes_and_digest_are_those_that_the_engine_reports(wsl: Machine, controller: Controller) -> None:
    """The table's download is what the registry then sent, and its room on disk covers what Docker then takes."""
    traffic = Traffic()
    taken = int(wsl.sh("du -sb /var/lib/docker/overlay2 | cut -f 1"))
    run = wish(controller, wsl, IMAGES, {"images": [CUDA_RUNTIME]})
    assert run.status == 0, run.text
    (row,) = run.preflight
    assert [row[title] for title in ("image", "platform", "hosts")] == [CUDA_RUNTIME, "linux/amd64", wsl.name]
    assert row["download"] == format_size(traffic.bytes(wsl.host.address))
    taken = int(wsl.sh("du -sb /var/lib/docker/overlay2 | cut -f 1")) - taken
    assert taken <= size_of(row["on disk"]) <= 4 * taken
    (digest,) = (name.partition("@")[2] for name in names_of(wsl, CUDA_RUNTIME) if "@" in name)
    assert digest.startswith(f"sha256:{row['digest']}")
    assert set(names_of(wsl, CUDA_RUNTIME)) == {CUDA_RUNTIME, f"nvidia/cuda@{digest}"}
    check_second(controller, wsl, {"images": [CUDA_RUNTIME]})


def format_size(size: int) -> str:
    """Three digits of megabytes, as Docker prints them."""
    return f"{float(f'{size / 1e6:.3g}'):g} MB"


def size_of(text: str) -> float:
    """Bytes."""
    number, unit = text.split()
    return float(number) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]


def test_all_layers_there_costs_nothing(wsl: Machine, controller: Controller) -> None:
    """Another tag, whose layers came with the first one."""
    traffic = Traffic()
    run = wish(controller, wsl, IMAGES, {"images": [CUDA_RUNTIME, CUDA_BASE]})
    assert run.status == 0, run.text
    assert [(row["image"], row["download"]) for row in run.preflight] == [(CUDA_BASE, "0 B")]
    assert traffic.bytes(wsl.host.address) < 2000  # the image's configuration
    check_second(controller, wsl, {"images": [CUDA_RUNTIME, CUDA_BASE]})


@pytest.mark.parametrize(
    ("image", "seen", "remedy"),
    [
        ("nvcr.io/nvidia/pytorch:24.10", "there is no such tag", "did you mean 24.10-py3"),
        (PRIVATE, "credentials are needed", "give images_credentials for nvcr.io"),
        ("docker.io/nosuch/thing:1", "nosuch/thing:1: ", "check the name"),
        ("docker.io/arm64v8/busybox:1.37", "only linux/arm64", "choose an image for linux/amd64"),
    ],
)
def test_what_cannot_be_had_is_refused(
    wsl: Machine, controller: Controller, image: str, seen: str, remedy: str
) -> None:
    """Before the host is told to pull; the image that is fine is not pulled either."""
    traffic = Traffic()
    run = wish(controller, wsl, IMAGES, {"images": [LARGE, image]})
    check_refusal(run, wsl, traffic, seen, remedy)


def test_credentials_that_may_not(wsl: Machine, controller: Controller) -> None:
    """nvcr.io's 403 is not its 401."""
    traffic = Traffic()
    credentials = {NVCR: {"username": USER, "password_file": str(key_file(FOLDER))}}
    wishes = {"images": ["nvcr.io/nvidia/of-others:1"], "images_credentials": credentials}
    run = wish(controller, wsl, IMAGES, wishes)
    check_refusal(run, wsl, traffic, "these credentials may not")


def test_more_pulls_than_docker_hub_allows(wsl: Machine, controller: Controller) -> None:
    """The remedy is a cache."""
    traffic = Traffic()
    modelbox = "modelbox/modelbox-runtime-tensorrt_8.4.2-cuda_11.2-ubuntu-x86_64:latest"
    wishes = {"images": [modelbox, "registry:3.0.0"]}
    with rate(3, controller.client):  # a look at each of the two counts, too
        run = wish(controller, wsl, IMAGES, wishes)
    check_refusal(run, wsl, traffic, "leaves 1 of 100", "set up a site cache (deploys/registry_cache.py)")


@pytest.fixture
def small_disk(wsl: Machine) -> Iterator[Machine]:
    """The host with 60 MB for images, and none there."""
    stop, start = "systemctl stop docker docker.socket", "systemctl start docker"
    wsl.sh(f"{stop}; mount -t tmpfs -o size=60m site /var/lib/docker; {start}")
    yield wsl
    wsl.sh(f"{stop}; umount /var/lib/docker; {start}")


def test_full_disk_is_found_before_a_byte_moves(small_disk: Machine, controller: Controller) -> None:
    """42 MB packed do not fit unpacked into what the reserve leaves."""
    traffic = Traffic()
    run = wish(controller, small_disk, IMAGES, {"images": [LARGE]})
    check_refusal(run, small_disk, traffic, "the images do not fit on the disk: ", "/var/lib/docker has 6")
    assert all("short" in row["verdict"] for row in run.preflight)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read a pyinfra's output as far as the line with these words."""
    assert process.stdout
    lines: list[str] = []
    while words not in "".join(lines[-1:]):
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)


def test_pull_outlives_pyinfra_and_is_found_by_the_next_run(wsl: Machine, controller: Controller) -> None:
    """The layer is downloaded once: the second run watches what the first one began."""
    traffic, inventory = Traffic(), data_of(wsl)
    inventory[wsl.name]["images"] = [LARGE]
    with fault("slow", wsl.host.address) as go_on:
        with controller.start(inventory, IMAGES, "-y"):
            wsl.wait_for(PULLING, "the pull's first bytes")
        assert wsl.does(PULLING)
        with controller.start(inventory, IMAGES, "-y") as again:
            read_until(again, "as an earlier run has begun")
            go_on()
            run = controller.finish(again)
    assert run.status == 0, run.text
    large = [one for one in traffic.blobs(wsl.host.address) if one["bytes"] > 40_000_000]
    assert len(large) == 1
    check_second(controller, wsl, {"images": [LARGE]})


def test_pull_outlives_its_connection(wsl: Machine, controller: Controller) -> None:
    """pyinfra comes back over a new one, and says so."""
    forget(wsl, LARGE)
    inventory = data_of(wsl)
    inventory[wsl.name]["images"] = [LARGE]
    with fault("slow", wsl.host.address) as go_on, controller.start(inventory, IMAGES, "-y") as process:
        wsl.wait_for(PULLING, "the pull's first bytes")
        wsl.sh(f"pkill -KILL -f '{SESSION}'")
        wsl.wait_for(f"pgrep -f '{SESSION}'", "a new connection")
        go_on()
        run = controller.finish(process)
    assert run.status == 0, run.text
    assert "the connection is lost; what was begun there goes on" in run.said_of(wsl.name)


def test_download_cut_in_the_middle_goes_on(wsl: Machine, controller: Controller) -> None:
    """Docker itself asks for the rest."""
    forget(wsl, LARGE)
    traffic = Traffic()
    with fault("cut", wsl.host.address):
        run = wish(controller, wsl, IMAGES, {"images": [LARGE]})
    assert run.status == 0, run.text
    assert [one["status"] for one in traffic.blobs(wsl.host.address) if one["bytes"] > 10_000_000] == [200, 206]


@pytest.mark.parametrize("way", ["password_env", "password_file"])
def test_private_image(wsl: Machine, controller: Controller, way: str) -> None:
    """By credentials that the host forgets: they are in no list of processes, no log and no file, then or later."""
    key = key_file(FOLDER).read_text().strip()
    controller.further["NGC_API_KEY"] = key
    where = {"password_env": "NGC_API_KEY", "password_file": str(key_file(FOLDER))}[way]
    inventory = data_of(wsl)
    inventory[wsl.name] |= {"images": [PRIVATE], "images_credentials": {NVCR: {"username": USER, way: where}}}
    with fault("slow", wsl.host.address) as go_on, ThreadPoolExecutor() as workers:
        running = workers.submit(controller.run, inventory, IMAGES, "-y", "-vvv", "--debug")
        wsl.wait_for(PULLING, "the pull's first bytes")
        seen = wsl.sh("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true")
        go_on()
        run = running.result()
    assert run.status == 0, run.text
    assert wsl.does(f"docker image inspect {PRIVATE}")
    secret = [key, base64.b64encode(f"{USER}:{key}".encode()).decode()]  # and what config.json makes of it
    assert not [word for word in secret if word in run.text or word in seen]
    patterns = " ".join(f"-e '{word}'" for word in secret)
    found = wsl.sh(f"grep -rlaF {patterns} /etc /home /root /run /tmp /var/lib/gpu-hosts /var/log /var/tmp; true")
    assert found == ""
    forget(wsl, PRIVATE)


def test_no_network_at_all(wsl: Machine, controller: Controller) -> None:
    """What is there by digest needs no registry."""
    controller.further["HTTPS_PROXY"] = "http://127.0.0.1:9"
    with without_names(wsl):
        check_second(controller, wsl, {"images": [pinned(CUDA_RUNTIME), pinned(CUDA_BASE)]})


def test_archive_for_a_host_without_network(wsl: Machine, controller: Controller, tmp_path: Path) -> None:
    """Made by `docker save` elsewhere."""
    archive = tmp_path / "images.tar"
    with archive.open("wb") as file:
        subprocess.run(wsl.command(f"docker save {LARGE} {CUDA_BASE}"), stdout=file, check=True)
    forget(wsl, LARGE, CUDA_BASE)
    controller.further["HTTPS_PROXY"] = "http://127.0.0.1:9"
    wishes: dict[str, object] = {"images": [LARGE, CUDA_BASE], "images_archives": [str(archive)]}
    with without_names(wsl):
        run = wish(controller, wsl, IMAGES, wishes)
        assert run.status == 0, run.text
        assert [(row["image"], row["verdict"]) for row in run.preflight] == [("images.tar", "ok")]
        assert wsl.does(f"docker image inspect {LARGE} {CUDA_BASE}")
        check_second(controller, wsl, wishes)
    assert not wsl.does("ls /var/tmp/gpu-hosts-image.*")

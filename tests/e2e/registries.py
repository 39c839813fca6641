"""What tests of images do to the simulated registries, and ask of them and of a host's Docker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.e2e.harness import Machine
from tests.sandbox import vendors
from tests.sandbox.state import FOLDER, read_state

IMAGES = "deploys/images.py"
LARGE = "nvcr.io/nvidia/pytorch:24.10-py3"
PRIVATE = "nvcr.io/nvidia/private-thing:1"
CUDA_BASE, CUDA_RUNTIME = "nvidia/cuda:12.6.3-base-ubuntu24.04", "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
PULLS = "/var/lib/gpu-hosts/images/pull.*"
PULLING = f"grep -qs '^state=pulling' {PULLS}/state && grep -qs Downloading {PULLS}/log"
NO_NAMES = r"""
cp /etc/hosts /run/hosts; cp /etc/resolv.conf /run/resolv.conf
grep -vE 'docker\.(io|com)|nvcr\.io|nvidia' /run/hosts >/etc/hosts; : >/etc/resolv.conf
! getent hosts nvcr.io
"""
NAMES_BACK = "cat /run/hosts >/etc/hosts; cat /run/resolv.conf >/etc/resolv.conf"


def pinned(reference: str) -> str:
    """The reference by digest as well."""
    return f"{reference}@{read_state().images[reference]}"


@contextmanager
def fault(name: str, client: str) -> Iterator[Callable[[], None]]:
    """The registries misbehave towards this client alone, until the end or until what is given is called."""

    def end() -> None:
        vendors.set_fault(FOLDER, None, vendor="registry", client=client)

    vendors.set_fault(FOLDER, name, vendor="registry", client=client)
    try:
        yield end
    finally:
        end()


@contextmanager
def rate(remaining: int, client: str) -> Iterator[None]:
    """Docker Hub lets this client pull so often."""
    vendors.set_rate(FOLDER, remaining, client=client)
    try:
        yield
    finally:
        vendors.set_rate(FOLDER, None, client=client)


@contextmanager
def without_names(machine: Machine) -> Iterator[None]:
    """The host knows no vendor's name."""
    machine.sh(NO_NAMES)
    try:
        yield
    finally:
        machine.sh(NAMES_BACK)


class Traffic:
    """The requests from now on."""

    def __init__(self) -> None:
        self._begun = len(vendors.read_requests(FOLDER))

    @property
    def requests(self) -> list[Mapping[str, Any]]:
        """All of them, oldest first."""
        return list(vendors.read_requests(FOLDER)[self._begun :])

    @property
    def clients(self) -> set[str]:
        """Whose they are."""
        return {one["client"] for one in self.requests}

    def blobs(self, client: str) -> list[Mapping[str, Any]]:
        """Requests of this client for blobs."""
        return vendors.requests_of(self.requests, client=client, kind="blobs")

    def bytes(self, client: str, repository: str = "") -> int:
        """Bytes of blobs that it got."""
        return vendors.bytes_of(self.requests, client=client, repository=repository)


def names_of(machine: Machine, reference: str) -> list[str]:
    """Tags and digests by which the host's Docker knows an image."""
    said: dict[str, Any] = json.loads(machine.sh(f"docker image inspect {reference}"))[0]
    return [*said["RepoTags"], *said["RepoDigests"]]


def forget(machine: Machine, *references: str) -> None:
    """Remove images, and what only they had."""
    machine.sh(f"docker image rm --force {' '.join(references)}; docker image prune --force")

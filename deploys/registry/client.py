"""Images and tags as registries have them: each image is asked for once for the whole fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from deploys.planning.images import Reference, parse_reference
from deploys.planning.lookups import Answers, Found, Layer, Manifest, Missing, Question, Rate, Trouble
from deploys.registry.credentials import Secret
from deploys.registry.documents import Descriptor, ImageConfig, ManifestDocument, Platform
from deploys.registry.registry import Registry
from deploys.registry.transport import RegistryError, Transport, host_of, is_loopback, origin_of

Answer = TypeVar("Answer")
# Docker Hub's API is not at the name that its images go by.
HUB = "registry-1.docker.io"
# What ails the way from here: the registry itself may be reached where a mirror is not.
ON_THE_WAY = frozenset({Trouble.TLS, Trouble.DNS, Trouble.PROXY, Trouble.UNREACHABLE})
# Variants that every host of the architecture runs; arm64 is another word for arm64/v8.
BASE_VARIANTS = frozenset({None, "", "v1", "v8"})


def look_up(
    questions: Sequence[Question],
    *,
    credentials: Mapping[str, Secret],
    mirrors: Mapping[str, str],
    ca: str | None,
) -> Answers:
    """Ask for every image, one question a reference. Raises nothing: trouble is part of the answers.

    ``credentials`` by registry, a mirror's by its own name and port. ``mirrors``: registry -> https address, which is
    asked first, and alone if it answers. ``ca``: file of the certificate that the mirrors' are signed by.
    """
    with closing(_Registries(credentials, mirrors, ca)) as registries:
        images = {question.reference: _look_up(registries, question) for question in questions}
        return Answers(images, registries.rates)


def list_tags(
    repositories: Sequence[str],
    *,
    credentials: Mapping[str, Secret] = MappingProxyType({}),
    mirrors: Mapping[str, str] = MappingProxyType({}),
    ca: str | None = None,
) -> dict[str, tuple[str, ...] | Missing]:
    """All tags of each repository (nvcr.io/nvidia/cuda), in its registry's order, or why there are none.

    The rest is as in look_up.
    """
    with closing(_Registries(credentials, mirrors, ca)) as registries:
        return {repository: _list_tags(registries, repository) for repository in repositories}


def _list_tags(registries: _Registries, repository: str) -> tuple[str, ...] | Missing:
    name = parse_reference(repository).repository
    return registries.ask(repository, lambda registry: registry.tags(name))


class _Registries:
    """Those of one run, each with its mirror where it has one."""

    def __init__(self, credentials: Mapping[str, Secret], mirrors: Mapping[str, str], ca: str | None) -> None:
        self._credentials = credentials
        self._mirrors, self._ca = mirrors, ca
        self._transport = Transport()
        self._made: dict[str, Registry] = {}
        self.close = self._transport.close

    @property
    def rates(self) -> dict[str, Rate]:
        """The limits that were told of."""
        return {registry.name: registry.rate for registry in self._made.values() if registry.rate}

    def ask(self, reference: str, question: Callable[[Registry], Answer]) -> Answer | Missing:
        """The mirror's answer, or the registry's own where the mirror cannot be reached from here.

        Where neither has it, the trouble is the mirror's: hosts may reach that, and it may have what others have not.
        """
        troubles: list[RegistryError] = []
        try:
            asked = tuple(self._of(parse_reference(reference).registry))
        except ValueError:
            return Missing(reference, Trouble.BROKEN, "the address of its registry or mirror is none")
        for registry in asked:
            try:
                return question(registry)
            except RegistryError as error:
                troubles.append(error)
                if error.trouble not in ON_THE_WAY:
                    break
        first, seen = troubles[0], "; ".join(trouble.seen for trouble in troubles)
        return Missing(reference, first.trouble, seen, troubles[-1].close, first.retry_after)

    def _of(self, name: str) -> Iterator[Registry]:
        if name in self._mirrors:
            mirror = _mirror_address(self._mirrors[name])
            host = host_of(mirror)
            yield self._registry(host, mirror, self._credentials.get(host) or self._credentials.get(f"{host}:443"))
            if self._ca:
                self._transport.authorities[origin_of(mirror)] = self._ca
        scheme = "http" if is_loopback(name) else "https"
        yield self._registry(name, f"{scheme}://{HUB if name == 'docker.io' else name}", self._credentials.get(name))

    def _registry(self, name: str, address: str, secret: Secret | None) -> Registry:
        if address not in self._made:
            self._made[address] = Registry(self._transport, name, address, secret)
        return self._made[address]


def _mirror_address(mirror: str) -> str:
    """Without anybody's name and password, and over TLS except to this machine."""
    parts = urlsplit(mirror)
    scheme = parts.scheme if is_loopback(host_of(mirror)) else "https"
    return f"{scheme}://{host_of(mirror)}{parts.path}"


def _look_up(registries: _Registries, question: Question) -> Found | Missing:
    return registries.ask(question.reference, lambda registry: _find(registry, question))


def _find(registry: Registry, question: Question) -> Found:
    parsed = parse_reference(question.reference)
    try:
        digest = registry.digest_of(parsed.repository, parsed.digest or parsed.tag or "latest")
    except RegistryError as error:
        if error.trouble is Trouble.NO_TAG:
            error.close = _close_tags(registry, parsed)
        raise
    document = registry.read(ManifestDocument, parsed.repository, digest)
    if document.manifests is None:
        return Found(question.reference, digest, (_read_image(registry, parsed.repository, digest, document, None),))
    manifests = (
        _read_listed(registry, parsed.repository, descriptor, question.architectures)
        for descriptor in document.manifests
        if not descriptor.is_attestation
    )
    return Found(question.reference, digest, tuple(manifests))


def _close_tags(registry: Registry, parsed: Reference) -> tuple[str, ...]:
    """Tags that were perhaps meant. Raises RegistryError where it turns out that there is no such repository."""
    try:
        tags = registry.tags(parsed.repository)
    except RegistryError as error:
        if error.trouble is Trouble.NO_REPOSITORY:
            raise
        return ()
    if parsed.digest:
        return ()
    tag = parsed.tag or "latest"
    # 12.6 is unlike 12.6.3-base-ubuntu24.04, and yet its beginning.
    longer = sorted((each for each in tags if each.startswith(tag)), key=len)[:3]
    return tuple(longer or get_close_matches(tag, tags, cutoff=0.5))


def _is_wanted(os: str, architecture: str, variant: str | None, architectures: frozenset[str]) -> bool:
    return os == "linux" and architecture in architectures and variant in BASE_VARIANTS


def _read_listed(
    registry: Registry, repository: str, descriptor: Descriptor, architectures: frozenset[str]
) -> Manifest:
    """A platform of an index. Only of wanted ones the manifest is asked for: that counts as a pull."""
    platform = descriptor.platform
    if platform and not _is_wanted(platform.os, platform.go_architecture, platform.variant, architectures):
        return Manifest(descriptor.digest, platform.os, platform.go_architecture, platform.variant or "")
    document = registry.read(ManifestDocument, repository, descriptor.digest)
    return _read_image(registry, repository, descriptor.digest, document, platform)


def _read_image(
    registry: Registry, repository: str, digest: str, document: ManifestDocument, platform: Platform | None
) -> Manifest:
    """An image's manifest with its configuration. Without an index that also has the platform."""
    if document.config is None or document.layers is None:
        raise registry.broken(f"{digest} is no image")
    config = registry.read(ImageConfig, repository, document.config.digest, "blobs")
    if len(config.rootfs.diff_ids) != len(document.layers):
        raise registry.broken(f"{digest} has {len(document.layers)} layers, its configuration another number")
    platform = platform or config
    return Manifest(
        digest,
        platform.os,
        platform.go_architecture,
        platform.variant or "",
        Layer(document.config.digest, document.config.size),
        tuple(Layer(layer.digest, layer.size) for layer in document.layers),
        config.rootfs.diff_ids,
    )

"""Registry mirrors: what of them each Docker can use by itself, and by what name images are pulled where it cannot.

Docker asks the ``registry-mirrors`` of daemon.json for images of docker.io only. From 28 on it reads
/etc/docker/certs.d/REGISTRY/hosts.toml, for any registry, with every pull into containerd's store (moby 28,
daemon/hosts.go). All others take no mirror of another registry: there an image is pulled by a name at the mirror, and
then given its own.

docker.io gets a hosts.toml too. With containerd's store Docker looks for the certificate of one of ``registry-mirrors``
in the folder docker.io, not in the mirror's own, and without it goes to Docker Hub and says so in its journal alone
(seen with 28.5.2; loadTLSConfig there).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from deploys.planning.images import parse_reference, registry_of
from deploys.planning.records import Area, DockerPlan, MirrorsPlan, Note, Pull, Refusal
from deploys.planning.settings import Settings
from deploys.planning.versions import numbers
from facts.model import Docker, Host

CERTIFICATES = "/etc/docker/certs.d"
CA_NAME = "gpu-hosts-ca.crt"  # Docker trusts every *.crt of a registry's folder
HOSTS_TOML_SINCE = (28,)  # moby 28.0.0, daemon/hosts.go; 27.5.1 has none
MARK = "# Written by pyinfra-gpu-hosts (setting images_mirrors)."  # the first line of each hosts.toml of ours
DOCKER_HUB = "docker.io"
SERVERS = {DOCKER_HUB: "registry-1.docker.io"}  # the others are servers of their own names


@dataclass(frozen=True)
class Mirror:
    """A mirror of one registry."""

    registry: str  # nvcr.io
    host: str  # cache.lab:5001
    project: str  # of a Harbor: nvcr; "" for none
    asks_password: bool  # the settings have credentials for it

    @property
    def prefix(self) -> str:
        """What the name of an image begins with there."""
        return f"{self.host}/{self.project}" if self.project else self.host

    @property
    def url(self) -> str:
        """Its key in a hosts.toml. A project comes after /v2 (goharbor.io, proxy cache with containerd)."""
        return f"https://{self.host}/v2/{self.project}" if self.project else f"https://{self.host}"


def read_mirrors(settings: Settings) -> tuple[Mirror, ...]:
    """The mirrors of ``images_mirrors``, by registry."""
    mirrors = []
    for registry, address in sorted(settings.images_mirrors.items()):
        host, _, project = address.removeprefix("https://").rstrip("/").partition("/")
        # `cache/nvidia/x` would be an image of docker.io, so a name without dot and port gets its port.
        host = host if "." in host or ":" in host or host == "localhost" else f"{host}:443"
        mirrors.append(Mirror(registry, host, project, host in settings.images_credentials))
    return tuple(mirrors)


def daemon_mirror(settings: Settings) -> str | None:
    """The address for daemon.json's ``registry-mirrors``, or None.

    It takes no path (moby, ValidateMirror), and Docker logs in at no mirror: it sends what it has for docker.io.
    """
    mirrors = {mirror.registry: mirror for mirror in read_mirrors(settings)}
    mirror = mirrors.get(DOCKER_HUB)
    return mirror.url if mirror and not mirror.project and not mirror.asks_password else None


def make_pull(
    reference: str,
    mirrors: MirrorsPlan,
    *,
    digest: str = "",
    manifest: str = "",
    layers: tuple[tuple[str, int], ...] = (),
) -> Pull:
    """How a host gets an image: by digest where that is known, and by a mirror's name where its Docker takes no mirror.

    ``digest``, ``manifest`` and ``layers`` are what its registry said. Without any, a digest of the reference's counts.
    """
    parsed = parse_reference(reference)
    registry = parsed.registry
    digest = digest or parsed.digest or ""
    # By digest alone it can be given no name of its own, so it is pulled by that one.
    tag = "" if parsed.digest and not parsed.tag else f"{parsed.name}:{parsed.tag or 'latest'}"
    mirror = dict(mirrors.rewrites).get(registry) if tag else None
    named = f"{mirror}/{parsed.repository}" if mirror else parsed.name
    source = f"{named}@{digest}" if digest else f"{named}:{parsed.tag or 'latest'}"
    return Pull(
        reference,
        source=source,
        tag="" if source == tag else tag,
        digest=digest,
        manifest=manifest,
        layers=layers,
        registry=registry_of(source),
        cached=bool(mirror) or registry in mirrors.mirrored,
    )


def plan_mirrors(settings: Settings, host: Host, *, ca: str | None, docker: DockerPlan) -> MirrorsPlan:
    """Which files Docker needs for the mirrors, and which registries' images are pulled by another name all the same.

    ``ca`` is the text of ``images_mirror_ca``'s file. The files are the same for every Docker, so that one that is
    installed, updated or given containerd's store needs no other ones.
    """
    mirrors = read_mirrors(settings)
    theirs = _theirs(host.docker)
    reads = _why_not(host, docker) is None
    refusal = _refuse(settings, host, ca) or (_refuse_theirs(mirrors, theirs) if reads else None) if mirrors else None
    if refusal:
        return MirrorsPlan(refusal=refusal)
    wished = _files(mirrors, host.docker, ca, theirs)
    found = {file.path: file.text for file in host.docker.registry_files}
    write = tuple((path, text) for path, text in wished.items() if found.get(path) != text)
    # A hosts.toml goes before the certificate that it names.
    ours = sorted(
        (path for path in found if path not in theirs and path.endswith(("/hosts.toml", f"/{CA_NAME}"))), reverse=True
    )
    remove = tuple(path for path in ours if path not in wished)
    taken = [mirror for mirror in mirrors if _takes(mirror, settings, reads=reads)]
    return MirrorsPlan(
        files=write,
        remove=remove,
        rewrites=tuple((mirror.registry, mirror.prefix) for mirror in mirrors if mirror not in taken),
        mirrored=tuple(mirror.registry for mirror in taken),
        notes=(
            *(_describe(mirror, settings, host, docker) for mirror in mirrors),
            *_describe_others(mirrors, settings, host, reads=reads),
            *(Note(f"writes {path}", "images_mirrors") for path, _ in write),
            *(Note(f"removes {path}", "images_mirrors does not need it any more") for path in remove),
            *([Note("its files are right", f"{len(wished)} below {CERTIFICATES}")] if wished and not write else []),
        ),
    )


def _theirs(docker: Docker) -> Mapping[str, str]:
    """Every hosts.toml that somebody else wrote: path, text."""
    files = (file for file in docker.registry_files if file.path.endswith("/hosts.toml"))
    return {file.path: file.text for file in files if not file.text.startswith(MARK)}


def _hosts_toml(registry: str) -> str:
    return f"{CERTIFICATES}/{registry}/hosts.toml"


def _takes(mirror: Mirror, settings: Settings, *, reads: bool) -> bool:
    """Whether Docker itself takes the registry's images from the mirror."""
    if mirror.asks_password:
        return False
    return reads or (mirror.registry == DOCKER_HUB and daemon_mirror(settings) is not None)


def _why_not(host: Host, docker: DockerPlan) -> str | None:
    """Why this host's Docker pulls through no hosts.toml; None where it does."""
    if docker.packages:
        return "which Docker this run installs is not known yet"
    version = host.docker.server_version or host.docker.client_version or ""
    if numbers(version) < HOSTS_TOML_SINCE:
        return f"Docker {version or 'of unknown version'} takes mirrors of docker.io alone"
    return (
        None if host.docker.containerd_store else f"Docker {version} reads a hosts.toml with containerd's store alone"
    )


def _files(mirrors: tuple[Mirror, ...], docker: Docker, ca: str | None, theirs: Mapping[str, str]) -> dict[str, str]:
    """Path and text of each file, certificates first: a hosts.toml that names a missing one lets no pull through."""
    files = {f"{CERTIFICATES}/{mirror.host}/{CA_NAME}": ca for mirror in mirrors if ca}
    others = {file.path for file in docker.registry_files if file.path.endswith(".crt")}
    certificates = files.keys() | {path for path in others if not path.endswith(f"/{CA_NAME}")}
    for mirror in mirrors:
        path = _hosts_toml(mirror.registry)
        if not mirror.asks_password and path not in theirs:
            files[path] = _render(mirror, certificates, has_ca=bool(ca))
    return files


def _render(mirror: Mirror, certificates: set[str], *, has_ca: bool) -> str:
    """hosts.toml (containerd, docs/hosts.md). With one in a folder, the *.crt there count only where it names them."""
    own = sorted(path for path in certificates if path.startswith(f"{CERTIFICATES}/{mirror.registry}/"))
    lines = [MARK, f'server = "https://{SERVERS.get(mirror.registry, mirror.registry)}"']
    if own:
        lines.append(f"ca = [{', '.join(_quoted(path) for path in own)}]")
    lines += ["", f"[host.{_quoted(mirror.url)}]", 'capabilities = ["pull", "resolve"]']
    if has_ca:
        lines.append(f"ca = {_quoted(f'{CERTIFICATES}/{mirror.host}/{CA_NAME}')}")
    if mirror.project:
        lines.append("override_path = true")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _describe(mirror: Mirror, settings: Settings, host: Host, docker: DockerPlan) -> Note:
    why_not = _why_not(host, docker)
    if mirror.asks_password:
        why_not = "images_credentials has a password for it, and Docker logs in at no mirror"
    elif why_not and _takes(mirror, settings, reads=False):
        return Note(
            f"docker.io comes from {mirror.url}, and from itself where that fails", "daemon.json names the mirror"
        )
    if why_not:
        return Note(f"{mirror.registry} is pulled as {mirror.prefix}/…, with no other way where that fails", why_not)
    because = f"Docker reads {_hosts_toml(mirror.registry)}"
    return Note(f"{mirror.registry} comes from {mirror.url}, and from itself where that fails", because)


def _describe_others(mirrors: tuple[Mirror, ...], settings: Settings, host: Host, *, reads: bool) -> tuple[Note, ...]:
    """Mirrors of docker.io in daemon.json that count for nothing beside a hosts.toml (moby 28, mergeLegacyConfig)."""
    hub = [mirror for mirror in mirrors if mirror.registry == DOCKER_HUB and not mirror.asks_password]
    in_force = [line.partition("=")[2] for line in host.docker.in_force if line.startswith("registry-mirror=")]
    addresses = {address.rstrip("/") for address in (*settings.docker_registry_mirrors, *in_force)}
    others = sorted(addresses - {mirror.url for mirror in hub})
    if not (reads and hub and others):
        return ()
    return (Note(f"not asked for docker.io: {', '.join(others)}", "its hosts.toml comes before daemon.json's mirrors"),)


def _refuse(settings: Settings, host: Host, ca: str | None) -> Refusal | None:
    """Of a Docker that reads other files, and of what is no certificate."""
    named = ", ".join(settings.images_mirrors)
    if host.docker_desktop or host.docker.origin == "docker-desktop":
        return Refusal(
            Area.MIRRORS,
            "Docker Desktop keeps its configuration outside of this system, so it is given no mirrors",
            f"images_mirrors is set for {named}",
            "enter them in Docker Desktop (Settings, Docker Engine, registry-mirrors; docker.io only), and set "
            "images_mirrors = {} for this host",
        )
    if host.docker.origin == "snap":
        return Refusal(
            Area.MIRRORS,
            f"the snap's Docker does not read {CERTIFICATES}",
            f"docker is installed as a snap; images_mirrors is set for {named}",
            "snap remove docker (its images and containers go with it), then run this again to install Docker CE; or "
            "set images_mirrors = {} for this host",
        )
    if ca is not None and ("BEGIN CERTIFICATE" not in ca or "PRIVATE KEY" in ca):
        return Refusal(
            Area.MIRRORS,
            "images_mirror_ca is not a certificate alone, and every user of a host could read it there",
            f"{settings.images_mirror_ca} has {'a private key' if 'PRIVATE KEY' in ca else 'no certificate'} in it",
            "name a file with the authority's certificate in PEM (BEGIN CERTIFICATE) and nothing else",
        )
    return None


def _refuse_theirs(mirrors: tuple[Mirror, ...], theirs: Mapping[str, str]) -> Refusal | None:
    """Of a hosts.toml of somebody that is read and does not name the mirror."""
    wanted = {_hosts_toml(mirror.registry): mirror for mirror in mirrors if not mirror.asks_password}
    other = [path for path in wanted if path in theirs and wanted[path].url not in _hosts_of(theirs[path])]
    if not other:
        return None
    urls = ", ".join(f'[host."{wanted[path].url}"]' for path in other)
    return Refusal(
        Area.MIRRORS,
        "somebody else's file says where a registry's images come from, and it is not overwritten",
        ", ".join(other),
        f"add {urls} to it, or move it away, or take the registry out of images_mirrors for this host",
    )


def _hosts_of(text: str) -> tuple[str, ...]:
    """The addresses that a hosts.toml names; none where it cannot be read."""
    try:
        hosts = tomllib.loads(text).get("host")
    except tomllib.TOMLDecodeError:
        return ()
    return tuple(address.rstrip("/") for address in hosts) if isinstance(hosts, dict) else ()

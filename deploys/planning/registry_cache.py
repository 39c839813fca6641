"""The site cache: registries' images kept near the fleet by containers of the distribution registry, one for each.

A registry that is a pull-through cache has one upstream (distribution, docs/content/recipes/mirror.md). Its containers
use the host's network and listen on the one address themselves: Docker tries no second time to start a container whose
published address is not there yet when the host boots (moby issue 39559), and the host's firewall, names and proxies
are those that its owner set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploys.planning.addresses import before_port, read_address
from deploys.planning.catalogue import Catalogue
from deploys.planning.records import Area, CachePlan, DockerPlan, Note, Refusal
from deploys.planning.settings import Settings
from facts.model import Host, RegistryCache

FOLDER = "/etc/gpu-hosts/registry-cache"
AUTHORITY = f"{FOLDER}/ca.crt"
PREFIX = "gpu-hosts-cache-"
# What a container is called while its successor has not answered yet.
BEFORE = "_before"
RENEWAL = 30 * 86400  # seconds before its end from which the server's certificate is made anew
# Docker's names may have no colon, and file names in arguments of ours no blank.
UPSTREAM = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?")
PROXIES = {"http-proxy": "HTTP_PROXY", "https-proxy": "HTTPS_PROXY", "no-proxy": "NO_PROXY"}
HUB = {"docker.io": "https://registry-1.docker.io"}


def plan_registry_cache(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    *,
    docker: DockerPlan,
    now: int,
    marks: Mapping[str, str] | None = None,
) -> CachePlan:
    """Compare the caches that are wished for with those that are there.

    ``now`` is the host's clock in seconds. ``marks`` change with an upstream's passwords, and tell nothing of them.
    """
    refusal = _refuse(settings, host)
    if refusal:
        return CachePlan(refusal=refusal)
    upstreams = tuple(sorted(settings.registry_cache_upstreams.items()))
    remove = _unwished(host, upstreams)
    if not upstreams:
        folder = settings.registry_cache_folder
        return CachePlan(remove=remove, folder=folder, notes=_note_removal(remove))
    address = settings.registry_cache_address or ""
    image = settings.registry_cache_image or catalogue.registry_cache.image
    environment = _proxies(host)
    wished = {
        upstream: _configuration(settings, upstream, port, image, environment, (marks or {}).get(upstream, ""))
        for upstream, port in upstreams
    }
    why = _why_certificate(settings, host.registry_cache, now)
    reasons = {upstream: _why_start(upstream, text, host, docker) or why for upstream, text in wished.items()}
    start = tuple(upstream for upstream, reason in reasons.items() if reason)
    notes = (
        *(_note(upstream, port, address, reasons[upstream]) for upstream, port in upstreams),
        *([Note(f"sees to a certificate for {address}", why)] if why else []),
        *_note_reach(address),
        *_note_removal(remove),
    )
    return CachePlan(
        files=tuple((_path(upstream), wished[upstream]) for upstream in start),
        remove=remove,
        start=start,
        upstreams=upstreams,
        address=address,
        name=settings.registry_cache_name or "",
        image=image,
        folder=settings.registry_cache_folder,
        environment=environment,
        make_certificate=bool(why),
        notes=notes,
    )


def cache_faults(plan: CachePlan, host: Host) -> tuple[str, ...]:
    """What of the plan is not so on the host, in words; empty where all of it is."""
    texts = _texts(host.registry_cache)
    running = {container.name for container in host.docker.running_containers}
    there = {container.name for container in host.docker.containers or ()}
    return (
        *(
            f"no container {name} runs"
            for upstream, _ in plan.upstreams
            if (name := container_name(upstream)) not in running
        ),
        *(f"{path} is not as planned" for path, text in plan.files if texts.get(path) != text.strip()),
        *(f"{name} is still there" for name in plan.remove if name in there),
    )


def file_name(upstream: str) -> str:
    """The upstream as a name of files and folders: registry.lab_5000."""
    return upstream.replace(":", "_")


def container_name(upstream: str) -> str:
    """Name of the upstream's container."""
    return PREFIX + file_name(upstream)


def _path(upstream: str) -> str:
    return f"{FOLDER}/{file_name(upstream)}.yml"


def _configuration(
    settings: Settings, upstream: str, port: int, image: str, environment: tuple[tuple[str, str], ...], mark: str
) -> str:
    """The registry's configuration, and above it what else a container is made of: it is the record of what runs.

    Keys are those of distribution 2.8 and 3; 2.8 leaves ``ttl`` unread, and keeps images for 168 hours as well
    (registry/proxy/proxymanifeststore.go). On the host the upstream's user and password come after its last line.
    """
    asks = upstream in settings.registry_cache_clients
    auth = "auth:\n  htpasswd:\n    realm: site cache\n    path: /etc/gpu-hosts/htpasswd\n" if asks else ""
    made_of = [
        f"image: {image}",
        f"folder: {settings.registry_cache_folder}",
        f"certificate: {_subject(settings)}",
        *([f"passwords: {mark}"] if mark else []),
        *(f"{name}: {value}" for name, value in environment),
    ]
    host = before_port(settings.registry_cache_address or "")
    return (
        "# Written by pyinfra-gpu-hosts (settings registry_cache_*), once the cache answered:\n"
        + "".join(f"# {line}\n" for line in made_of)
        + "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\n  delete:\n    enabled: true\n"
        f'http:\n  addr: "{host}:{port}"\n  tls:\n    certificate: /etc/gpu-hosts/server.crt\n'
        f"    key: /etc/gpu-hosts/server.key\n    minimumtls: tls1.2\n{auth}"
        f"proxy:\n  remoteurl: {HUB.get(upstream, f'https://{upstream}')}\n  ttl: 168h\n"
    )


def _subject(settings: Settings) -> str:
    """Whom the certificate is for."""
    return " ".join(filter(None, (settings.registry_cache_address, settings.registry_cache_name)))


def _texts(cache: RegistryCache | None) -> dict[str, str]:
    return {file.path: file.text.strip() for file in cache.files} if cache else {}


def _why_certificate(settings: Settings, cache: RegistryCache | None, now: int) -> str:
    """Why the server's certificate must be made anew; "" where it is right."""
    if cache is None or AUTHORITY not in _texts(cache) or cache.expires is None:
        return "there is none yet"
    if cache.expires - now < RENEWAL:
        return f"the one that is there ends in {max(cache.expires - now, 0) // 86400} days"
    if read_address(cache.address) != read_address(settings.registry_cache_address or ""):
        return f"the one that is there is for {cache.address or 'no address'}"
    subject = f"# certificate: {_subject(settings)}\n"
    if not any(subject in text for path, text in _texts(cache).items() if path != AUTHORITY):
        return "whom the one that is there is for is not on record"
    return ""


def _why_start(upstream: str, text: str, host: Host, docker: DockerPlan) -> str:
    """Why the upstream's container is made anew; "" where it runs as wished."""
    found = _texts(host.registry_cache).get(_path(upstream))
    if docker.packages and not host.docker.installed:
        return "Docker comes with this run"
    if found is None:
        return "it is not there yet"
    if found != text.strip():
        return "its configuration changes"
    running = {container.name for container in host.docker.running_containers}
    return "" if container_name(upstream) in running else "its container does not run"


def _unwished(host: Host, upstreams: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
    """Names of containers of ours for other upstreams, by what runs and by the files there.

    A cache is of no compose project: those of one that somebody has called cache have such names too.
    """
    wished = {container_name(upstream) for upstream, _ in upstreams}
    containers = {
        container.name
        for container in host.docker.containers or ()
        if container.name.startswith(PREFIX) and not container.name.endswith(BEFORE) and not container.project
    }
    files = {
        PREFIX + path.removeprefix(f"{FOLDER}/").removesuffix(".yml")
        for path in _texts(host.registry_cache)
        if path.endswith(".yml")
    }
    return tuple(sorted((containers | files) - wished))


def _proxies(host: Host) -> tuple[tuple[str, str], ...]:
    """The daemon's proxies, as environment of a container that goes the same way."""
    lines = (line.partition("=") for line in host.docker.in_force)
    return tuple((PROXIES[key], value) for key, _, value in lines if key in PROXIES and value)


def _note(upstream: str, port: int, address: str, reason: str) -> Note:
    where = f"{before_port(address)}:{port}"
    if reason:
        return Note(f"starts a cache of {upstream} at {where}", reason)
    return Note(f"the cache of {upstream} at {where} is right", f"{container_name(upstream)} runs as its record says")


def _note_reach(address: str) -> tuple[Note, ...]:
    parsed = read_address(address)
    if parsed is None or not parsed.is_global:
        return ()
    choice = f"everybody who reaches {address} can pull from the cache"
    return (Note(choice, "this is no address of a private network; a firewall must be before it"),)


def _note_removal(remove: tuple[str, ...]) -> tuple[Note, ...]:
    return tuple(Note(f"removes {name}", "its upstream is not wished for; the images stay on disk") for name in remove)


def _refuse(settings: Settings, host: Host) -> Refusal | None:
    """Why these settings make no cache on this host."""
    if not settings.registry_cache_upstreams:
        return None
    return (
        _refuse_host(host) or _refuse_address(settings, host) or _refuse_upstreams(settings) or _refuse_image(settings)
    )


def _refuse_host(host: Host) -> Refusal | None:
    if host.docker_desktop:
        return Refusal(
            Area.CACHE,
            "a site cache cannot run in Docker Desktop",
            "its containers are on the network of a machine of its own",
            "choose another host for the cache",
        )
    masked = [value for _, value in _proxies(host) if "xxxxx" in value or "***" in value]
    if masked:
        return Refusal(
            Area.CACHE,
            "the cache cannot use this host's proxy",
            f"{masked[0]}: the proxy asks for a password, which Docker does not tell",
            "let the cache's host reach the registries without a password, or choose another host",
        )
    return None


def _refuse_address(settings: Settings, host: Host) -> Refusal | None:
    text = settings.registry_cache_address
    address = read_address(text or "")
    remedy = "set registry_cache_address to this host's address on the site's network"
    if addresses := ", ".join(host.addresses):
        remedy += f": it has {addresses}"
    if text is None or address is None:
        seen = f"registry_cache_address is {text}" if text else "registry_cache_address is not set"
        return Refusal(Area.CACHE, "a site cache needs an IP address to listen on", seen, remedy)
    unfit = "every address of the host" if address.is_unspecified else ""
    unfit = unfit or ("an address that no other host reaches" if address.is_loopback or address.is_link_local else "")
    unfit = unfit or ("no address of one host" if address.is_multicast else "")
    if unfit:
        return Refusal(Area.CACHE, f"a site cache does not listen on {text}", f"it is {unfit}", remedy)
    if host.addresses and address not in map(read_address, host.addresses):
        return Refusal(Area.CACHE, f"{text} is not an address of this host", "no interface has it", remedy)
    return None


def _refuse_upstreams(settings: Settings) -> Refusal | None:
    upstreams = settings.registry_cache_upstreams
    strange = [name for name in upstreams if not UPSTREAM.fullmatch(name)]
    if strange:
        remedy = "write registries as in images' names: nvcr.io, docker.io, registry.lab:5000"
        return Refusal(Area.CACHE, "not the name of a registry", f"registry_cache_upstreams has {strange[0]!r}", remedy)
    ports = list(upstreams.values())
    bad = [f"{name}: {port}" for name, port in upstreams.items() if not 1024 <= port <= 65535 or ports.count(port) > 1]
    if bad:
        return Refusal(
            Area.CACHE,
            "each upstream needs a port of its own",
            f"registry_cache_upstreams has {', '.join(bad)}",
            "give each a port from 1024 to 65535: the cache runs without the privilege for lower ones",
        )
    return _refuse_credentials(settings)


def _refuse_credentials(settings: Settings) -> Refusal | None:
    """Private images are not given to whoever asks."""
    named = {*settings.registry_cache_credentials, *settings.registry_cache_clients}
    if unknown := sorted(named - set(settings.registry_cache_upstreams)):
        seen = f"{unknown[0]} has credentials, and is not in registry_cache_upstreams"
        return Refusal(Area.CACHE, "credentials without an upstream", seen, "add the upstream, or take them away")
    if open_ones := sorted(set(settings.registry_cache_credentials) - set(settings.registry_cache_clients)):
        return Refusal(
            Area.CACHE,
            f"the cache would give private images of {open_ones[0]} to everybody on the network",
            "registry_cache_credentials has it, and registry_cache_clients does not",
            "say in registry_cache_clients which user and password the cache asks for",
        )
    return None


def _refuse_image(settings: Settings) -> Refusal | None:
    image = settings.registry_cache_image
    if image is None or re.search(r"@sha256:[0-9a-f]{64}$", image):
        return None
    return Refusal(
        Area.CACHE, "the cache's image must be named by digest", f"registry_cache_image is {image}", "add @sha256:…"
    )

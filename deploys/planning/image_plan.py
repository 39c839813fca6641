"""The images area of one host: what is wished for, resolved; what of it is not there; what may go."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from deploys.planning.catalogue import Catalogue
from deploys.planning.image_choice import Choice, choose_image
from deploys.planning.images import go_architecture, identity, is_present, parse_reference
from deploys.planning.mirrors import make_pull
from deploys.planning.records import (
    Archive,
    Area,
    DriverPlan,
    ImagesPlan,
    MirrorsPlan,
    Note,
    ProofPlan,
    Pull,
    Refusal,
)
from deploys.planning.settings import Settings
from facts.model import Docker, Host, Image


@dataclass(frozen=True)
class LocalFiles:
    """Files of the owner's that the settings name, as they were read on the controller."""

    mirror_ca: str | None = None  # text of the certificate in images_mirror_ca
    archives: tuple[Archive, ...] = ()
    # Other files, by the path that a setting has: compose files, which may have passwords in them, public keys.
    texts: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cache_marks: tuple[tuple[str, str], ...] = ()  # of the site cache's upstreams: change with their passwords


def plan_images(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    files: LocalFiles,
    *,
    driver: DriverPlan,
    proof: ProofPlan,
    mirrors: MirrorsPlan,
    also: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> ImagesPlan:
    """Resolve the wishes, load what archives bring, pull what else is not there. No registry has been asked yet.

    ``also``: references that the containers of this host need; ``tags``: those of them that they name by
    their tags.
    """
    version = driver_afterwards(driver, host)
    answers = [choose_image(wish, host, catalogue, driver=version) for wish in dict.fromkeys(settings.images)]
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    if refused:
        return ImagesPlan(refusal=_join(refused))
    choices = [answer for answer in answers if isinstance(answer, Choice)]
    chosen = [choice.reference for choice in choices]
    own = _each_once((*chosen, *([proof.image] if proof.image else [])))
    wanted = _each_once((*own, *also))
    load, not_for_us = _archives_to_load(files.archives, host)
    by_tag = {identity(reference) for reference in tags}
    loaded = _after_loading(load, host)
    missing = [one for one in wanted if not is_present(one, loaded, by_tag=identity(one) in by_tag)]
    pull = tuple(make_pull(reference, mirrors) for reference in missing)
    # This run need not come to the proof, but a later one does.
    proofs = settings.gpu_proof_image or catalogue.proof.image
    keep = (*wanted, *(name for archive in files.archives for name in archive.names), proofs)
    prune, kept = _names_to_prune(wanted, keep, pull, mirrors, host.docker) if settings.images_prune else ((), ())
    pulling = host.docker.pulling
    there = sum(is_present(one, host, by_tag=identity(one) in by_tag) for one in wanted)
    notes = (
        *(note for choice in choices for note in _describe(choice, is_missing=choice.reference in missing)),
        *(Note(f"pulls {reference}", _why_missing(reference, host)) for reference in missing),
        *([Note("what an earlier run pulls comes first", pulling)] if missing and pulling else []),
        *(Note(f"loads {', '.join(archive.names)}", f"from {archive.path}") for archive in load),
        *(
            Note(f"does not load {archive.path}", f"it is for {', '.join(archive.architectures)}")
            for archive in not_for_us
        ),
        *([Note(f"{there} of {len(wanted)} images are there", _judged_by(wanted))] if there else []),
        *(Note(f"removes {name}", "images_prune is set, and nothing wishes for it") for name in prune),
        *(Note(f"keeps {name}", "a container uses it") for name in kept),
    )
    return ImagesPlan(
        pull=pull,
        load=load,
        prune=prune,
        wanted=wanted,
        for_containers=wanted[len(own) :],
        wave=settings.images_wave,
        notes=notes,
    )


def driver_afterwards(driver: DriverPlan, host: Host) -> str | None:
    """Version or branch of the driver that the host has in the end, were it after a reboot that this run does not do.

    The next run finds the same, and chooses no other images.
    """
    if driver.absent:
        return None
    if driver.packages:
        return driver.branch
    return host.driver.disk_version or host.driver.next_boot_version or host.driver.loaded_version


def _each_once(references: tuple[str, ...]) -> tuple[str, ...]:
    """The references without those that only write an earlier one in another way: python, docker.io/library/python."""
    found: dict[tuple[str, str | None], str] = {}
    for text in references:
        found.setdefault(identity(text), text)
    return tuple(found.values())


def _why_missing(reference: str, host: Host) -> str:
    has_digest = is_present(reference, host)
    return "the host has it, and not by its tag" if has_digest else "the host does not have it"


def _join(refusals: list[Refusal]) -> Refusal:
    """One refusal that says all that each of them says."""
    if len(refusals) == 1:
        return refusals[0]
    return Refusal(
        Area.IMAGES,
        "; ".join(refusal.brief for refusal in refusals),
        "; ".join(refusal.seen for refusal in refusals),
        "; ".join(refusal.remedy for refusal in refusals),
    )


def _describe(choice: Choice, *, is_missing: bool) -> tuple[Note, ...]:
    """What was chosen for a wish, and warnings of what is not there yet: the others were told when it was fetched."""
    chosen = () if choice.reference == choice.wish else (Note(f"takes {choice.reference}", choice.because),)
    warnings = choice.warnings if is_missing else ()
    return (*chosen, *(Note(f"beware of {parse_reference(choice.reference).short}", one) for one in warnings))


def _judged_by(wanted: tuple[str, ...]) -> str:
    return "by digest" if all("@" in reference for reference in wanted) else "by name"


def _archives_to_load(archives: tuple[Archive, ...], host: Host) -> tuple[tuple[Archive, ...], tuple[Archive, ...]]:
    """Those that bring what is not there; and those of other machines."""
    ours = [archive for archive in archives if go_architecture(host) in archive.architectures]
    return (
        tuple(archive for archive in ours if not has_archive(archive, host.docker)),
        tuple(archive for archive in archives if archive not in ours),
    )


def has_archive(archive: Archive, docker: Docker) -> bool:
    """Whether every image of an archive is there by its name, and is the same one.

    containerd's store names images by their manifests, which an archive need not have: there the name is all there is.
    """
    known = {name: image.id for image in docker.images or () for name in image.names}
    return all(name in known and (docker.containerd_store or known[name] in archive.ids) for name in archive.names)


def _after_loading(load: tuple[Archive, ...], host: Host) -> Host:
    """The host with the images of the archives, by name."""
    loaded = tuple(Image("", archive.names) for archive in load)
    return replace(host, docker=replace(host.docker, images=(*(host.docker.images or ()), *loaded)))


def _names_to_prune(
    wanted: tuple[str, ...], keep: tuple[str, ...], pull: tuple[Pull, ...], mirrors: MirrorsPlan, docker: Docker
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of other images of the wanted ones' repositories: those that may go, and those that a container uses."""
    repositories = repositories_of(wanted, mirrors)
    # A tag that is given to what is pulled is no name of the old image any more.
    moved = {one.tag for one in pull if one.digest}
    # What is there by a cache's name alone is only given its own.
    names_kept = {name for text in keep for name in _own_names(text)} - moved | {one.source for one in pull}
    in_use = {container.image_id for container in docker.containers or ()}
    prune: list[str] = []
    kept: list[str] = []
    for image in docker.images or ():
        if names_kept.isdisjoint(image.names):
            names = [name for name in image.names if parse_reference(name).name in repositories and name not in moved]
            (kept if image.id in in_use else prune).extend(names)
    return tuple(prune), tuple(kept)


def repositories_of(wanted: tuple[str, ...], mirrors: MirrorsPlan) -> set[str]:
    """Those of the references, by their own names and by those that they are pulled by."""
    prefixes = dict(mirrors.rewrites)
    parsed = [parse_reference(text) for text in wanted]
    at_mirrors = {f"{prefixes[one.registry]}/{one.repository}" for one in parsed if one.registry in prefixes}
    return {one.name for one in parsed} | at_mirrors


def _own_names(text: str) -> set[str]:
    """The names that an image of this reference goes by."""
    parsed = parse_reference(text)
    return {parsed.pinned} | ({f"{parsed.name}:{parsed.tag}"} if parsed.tag else set())

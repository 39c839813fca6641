"""Whether what the fleet is to pull and load exists, fits and is allowed: judged at once, before a byte moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deploys.planning import disk
from deploys.planning.disk import NOTHING, Need, format_size, reserve
from deploys.planning.image_plan import repositories_of
from deploys.planning.images import go_architecture, parse_reference, registry_of
from deploys.planning.lookups import Answers, Found, Manifest, Missing, Question, Rate, Trouble
from deploys.planning.mirrors import make_pull
from deploys.planning.preflight_table import Row
from deploys.planning.records import Archive, Area, ImagesPlan, MirrorsPlan, Note, Project, Pull, Refusal
from facts.model import Docker, Host

ANYWAY = "images_preflight = False pulls without these checks"

# What to do, by what is certain to be wrong.
REMEDIES = {
    Trouble.UNAUTHORIZED: "give images_credentials for {registry}, and check the name: what is private and what does "
    "not exist may look the same",
    Trouble.FORBIDDEN: "give images_credentials for {registry} of a user who may pull it",
    Trouble.NO_TAG: "correct the tag",
    Trouble.NO_REPOSITORY: "correct the name; if it is private, give images_credentials for {registry}",
}
SHORT = {
    Trouble.UNAUTHORIZED: "needs credentials",
    Trouble.FORBIDDEN: "not allowed",
    Trouble.NO_TAG: "no such tag",
    Trouble.NO_REPOSITORY: "no such repository",
}


@dataclass(frozen=True)
class HostPulls:
    """One host of the fleet, with what its images area is to do."""

    name: str
    host: Host
    plan: ImagesPlan
    mirrors: MirrorsPlan
    projects: tuple[Project, ...] = ()  # the containers of this run

    @property
    def architecture(self) -> str:
        """The host's, in Go's words."""
        return go_architecture(self.host)

    @property
    def is_open(self) -> bool:
        """Whether something may still be done."""
        return self.plan.refusal is None and self.plan.skipped is None

    @property
    def spare(self) -> frozenset[str]:
        """What this run's containers alone need. They are refused where it cannot be had, and the rest is pulled."""
        named = {image for project in self.projects for image in project.images}
        return frozenset(self.plan.for_containers) & named


@dataclass(frozen=True)
class Objection:
    """Why an image is not to be pulled or loaded, and what to do."""

    seen: str
    remedy: str


@dataclass(frozen=True)
class Judged:
    """What is known of one image on one host."""

    row: Row
    pull: Pull | None = None  # as it is to be done; None for an archive
    need: Need = NOTHING
    objection: Objection | None = None
    note: Note | None = None


@dataclass(frozen=True)
class Settled:
    """A host whose images are judged."""

    name: str
    plan: ImagesPlan
    images: tuple[Judged, ...]

    @property
    def direct(self) -> tuple[str, ...]:
        """The registry of each pull that no cache answers: these count against the registry's limit.

        One for each image and host (docs.docker.com, docker-hub/usage/pulls: one for each architecture of a pull).
        """
        return () if self.plan.refusal else tuple(pull.registry for pull in self.plan.pull if not pull.cached)


def questions(fleet: Sequence[HostPulls]) -> tuple[Question, ...]:
    """What to ask the registries: each image that some host is to pull once, with the platforms of all such hosts."""
    wanted: dict[str, set[str]] = {}
    for one in fleet:
        for pull in one.plan.pull if one.is_open else ():
            if _is_host_itself(pull.reference):
                continue
            wanted.setdefault(pull.reference, set()).add(one.architecture)
    return tuple(Question(reference, frozenset(platforms)) for reference, platforms in wanted.items())


def _is_host_itself(reference: str) -> bool:
    """Whether a registry is the host's own, which on the controller would be another one."""
    name = registry_of(reference).partition(":")[0]
    return name == "localhost" or name.startswith("127.")


def settle(fleet: Sequence[HostPulls], answers: Answers) -> tuple[dict[str, ImagesPlan], tuple[Row, ...]]:
    """The plans by host: every pull pinned, or refused with the reasons for all of its images; and the table's rows.

    What cannot be had and containers alone need is no reason: the plan goes on without it (``ImagesPlan.lost``).
    Plans that are refused or skipped already stay as they are and have no rows.
    """
    settled = [_settle_host(one, _judge_host(one, answers)) for one in fleet if one.is_open]
    pulls = Counter(registry for one in settled for registry in one.direct)
    over = {name: rate for name, rate in answers.rates.items() if pulls[name] > rate.remaining}
    settled = [_settle_rates(one, over, pulls) for one in settled]
    plans = {one.name: one.plan for one in fleet} | {one.name: one.plan for one in settled}
    return plans, tuple(image.row for one in settled for image in one.images)


def _judge_host(one: HostPulls, answers: Answers) -> tuple[Judged, ...]:
    there = frozenset(one.host.docker.layers or ())
    judged = []
    for pull in one.plan.pull:
        answer = answers.images.get(pull.reference)
        if isinstance(answer, Found):
            manifest = _find_manifest(answer, one.architecture)
            judged.append(_judge_found(one, answer, manifest, there))
            there |= frozenset(disk.layer_keys(manifest, one.host.docker)) if manifest else frozenset()
        else:
            judged.append(_judge_unknown(one, pull.reference, answer))
    judged += [_judge_archive(one, archive) for archive in one.plan.load]
    return tuple(judged)


def _find_manifest(found: Found, architecture: str) -> Manifest | None:
    fitting = (one for one in found.manifests if (one.os, one.architecture) == ("linux", architecture))
    return next(fitting, None)


def _judge_found(one: HostPulls, found: Found, manifest: Manifest | None, there: frozenset[str]) -> Judged:
    row = replace(_row(one, found.reference, "ok"), digest=found.digest)
    if manifest is None:
        names = [f"{other.os}/{other.architecture}" for other in found.manifests if other.os != "unknown"]
        return _wrong_platform(one, row, tuple(names))
    if not manifest.layers:
        pull = make_pull(found.reference, one.mirrors, digest=found.digest, manifest=manifest.digest)
        return Judged(row, replace(pull, architecture=manifest.architecture))
    layers = disk.lacking(manifest, one.host.docker, there)
    pull = make_pull(
        found.reference,
        one.mirrors,
        digest=found.digest,
        manifest=manifest.digest,
        layers=tuple((layer.digest, layer.size) for layer in layers),
    )
    need = disk.pull_need(layers, one.host.docker)
    row = replace(row, download=pull.size, on_disk=need.total)
    return Judged(row, replace(pull, architecture=manifest.architecture), need)


def _row(one: HostPulls, image: str, verdict: str) -> Row:
    return Row(image, f"linux/{one.architecture}", one.name, None, None, one.host.docker.images_free, verdict)


def _wrong_platform(one: HostPulls, row: Row, names: tuple[str, ...]) -> Judged:
    only = ", ".join(dict.fromkeys(names)) or "no platform of Linux"
    return Judged(
        replace(row, verdict=f"only {only}"),
        objection=Objection(
            f"{row.image} exists, but only {only}; host is {one.architecture}",
            f"choose an image for linux/{one.architecture}",
        ),
    )


def _judge_unknown(one: HostPulls, reference: str, answer: Missing | None) -> Judged:
    """An image of which nothing is known: refused where the host would be told the same, else pulled by its name."""
    pull = make_pull(reference, one.mirrors, digest=parse_reference(reference).digest or "")
    # A cache has credentials of its own for private images.
    may_be_let_in = pull.cached and answer and answer.trouble in (Trouble.UNAUTHORIZED, Trouble.FORBIDDEN)
    if answer and answer.trouble.is_certain and not may_be_let_in:
        return _judge_certain(one, reference, answer)
    why = f": {answer.trouble}" if answer else ""
    because = f"{answer.trouble} ({answer.seen})" if answer else "no registry was asked"
    if answer and answer.retry_after:
        because += f"; it answers again in {answer.retry_after} s"
    note = Note(f"pulls {pull.source} without knowing its size: the host asks by itself", because)
    return Judged(_row(one, reference, f"not asked{why}"), pull, note=note)


def _judge_certain(one: HostPulls, reference: str, answer: Missing) -> Judged:
    verdict, remedy = SHORT[answer.trouble], REMEDIES[answer.trouble].format(registry=registry_of(reference))
    if answer.close:
        verdict, remedy = f"{verdict}: {answer.close[0]}?", f"did you mean {', '.join(answer.close)}?"
    objection = Objection(f"{reference}: {answer.trouble} ({answer.seen})", remedy)
    return Judged(_row(one, reference, verdict), objection=objection)


def _judge_archive(one: HostPulls, archive: Archive) -> Judged:
    row = _row(one, archive.path.rpartition("/")[2], "ok")
    if archive.architectures and one.architecture not in archive.architectures:
        return _wrong_platform(one, row, tuple(f"linux/{name}" for name in archive.architectures))
    need = disk.load_need(archive, one.host.docker)
    return Judged(replace(row, download=archive.size, on_disk=need.total), need=need)


def _settle_host(one: HostPulls, images: tuple[Judged, ...]) -> Settled:
    """What the images are and what the host's disk says to them."""
    wrong = [(image.row.image, image.objection) for image in images if image.objection]
    lost = tuple((name, why.seen, why.remedy) for name, why in wrong if name in one.spare)
    own = [why for name, why in wrong if name not in one.spare]
    if own:
        return Settled(one.name, ImagesPlan(refusal=_refuse_images(own, len(images)), lost=lost), images)
    need = sum((image.need for image in images), NOTHING)
    # Of a Docker that is stopped nobody knows what it has: perhaps just these images fill the disk.
    is_stopped = one.host.docker.installed and one.host.docker.images is None
    shortage = None if is_stopped else _find_shortage(one.host.docker, images, need)
    if shortage:
        verdict, refusal = shortage
        return Settled(one.name, ImagesPlan(refusal=refusal, lost=lost), _with_verdict(images, verdict))
    notes = [image.note for image in images if image.note]
    if need.total and is_stopped:
        notes.append(Note(f"up to {format_size(need.total)} go to the disk", "what is there already is not known yet"))
    elif need.total and one.host.docker.images_free is None:
        notes.append(Note(f"{format_size(need.total)} go to the disk", "how much is free there is not known"))
    pulls = tuple(image.pull for image in images if image.pull)
    plan = _without(one.plan, lost, one.mirrors)
    return Settled(one.name, replace(plan, pull=pulls, notes=(*plan.notes, *notes)), images)


def _without(plan: ImagesPlan, lost: tuple[tuple[str, str, str], ...], mirrors: MirrorsPlan) -> ImagesPlan:
    """The plan without what cannot be had. No other image makes room for that: perhaps it is the one that was meant."""
    names = tuple(name for name, _, _ in lost)
    kept = repositories_of(names, mirrors)
    prune = tuple(name for name in plan.prune if parse_reference(name).name not in kept)
    untrue = {f"pulls {name}" for name in names} | {f"removes {name}" for name in plan.prune if name not in prune}
    return replace(
        plan,
        prune=prune,
        wanted=tuple(name for name in plan.wanted if name not in names),
        lost=lost,
        notes=tuple(note for note in plan.notes if note.choice not in untrue),
    )


def _with_verdict(images: tuple[Judged, ...], verdict: str) -> tuple[Judged, ...]:
    """The images with this verdict, where nothing is wrong with them themselves."""
    return tuple(
        image if image.objection else replace(image, row=replace(image.row, verdict=verdict)) for image in images
    )


def _refuse_images(wrong: list[Objection], images: int) -> Refusal:
    return Refusal(
        Area.IMAGES,
        f"{len(wrong)} of {images} images cannot be had, and none is pulled",
        "; ".join(objection.seen for objection in wrong),
        "; ".join(dict.fromkeys(objection.remedy for objection in wrong)),
    )


def _find_shortage(docker: Docker, images: tuple[Judged, ...], need: Need) -> tuple[str, Refusal] | None:
    """What is to be said of all of the host's images where they do not fit: a verdict, and the refusal."""
    place, free = docker.images_root or "the disk", docker.images_free or 0
    if size := disk.bytes_short(need, docker):
        verdict = f"{format_size(size)} short"
        room = f"{format_size(free)} free, of which {format_size(reserve(free))} are kept"
        takes = [f"{image.row.image} {_known(image.row.on_disk)}" for image in images if not image.objection]
    elif inodes := disk.inodes_short(need, docker):
        verdict = f"{inodes} inodes short"
        room = f"{docker.images_free_inodes} inodes free"
        takes = [f"{image.row.image} {image.need.inodes} inodes" for image in images if not image.objection]
    else:
        return None
    return verdict, Refusal(
        Area.IMAGES,
        f"the images do not fit on the disk: {verdict}",
        f"they take about {', '.join(takes)}; {place} has {room}",
        f"free some room there (docker system df tells what takes it), put {place} on a larger disk, or wish for fewer "
        f"or smaller images; {ANYWAY}",
    )


def _known(size: int | None) -> str:
    return "(not known)" if size is None else format_size(size)


def _settle_rates(one: Settled, over: Mapping[str, Rate], pulls: Mapping[str, int]) -> Settled:
    """Refuse a host that pulls where the fleet's pulls are more than the registry allows."""
    hit = sorted(set(one.direct) & over.keys())
    if not hit:
        return one
    refusal = Refusal(
        Area.IMAGES,
        f"the fleet's pulls are more than {' and '.join(hit)} allows now",
        "; ".join(_describe_limit(over[name], pulls[name], one) for name in hit),
        "set up a site cache (deploys/registry_cache.py) and name it in images_mirrors; or give images_credentials for "
        f"{', '.join(hit)}, where users have larger limits; or run for fewer hosts (--limit), or later; {ANYWAY}",
    )
    images: list[Judged] = []
    for image in one.images:
        name = image.pull.registry if image.pull and not image.pull.cached else ""
        verdict = f"{pulls[name]} pulls, {over[name].remaining} left" if name in hit else image.row.verdict
        images += _with_verdict((image,), verdict)
    return replace(one, plan=ImagesPlan(refusal=refusal, lost=one.plan.lost), images=tuple(images))


def _describe_limit(rate: Rate, pulls: int, one: Settled) -> str:
    own = [pull.reference for pull in one.plan.pull if pull.registry == rate.registry and not pull.cached]
    return (
        f"this host pulls {', '.join(own)} from {rate.registry}, which makes {pulls} pulls for all hosts; "
        f"{rate.registry} leaves {rate.remaining} of {rate.limit} in {rate.window / 3600:g} h to "
        f"{rate.source or 'your machine'}, as it told your machine (hosts that reach it from another address have a "
        f"limit of their own)"
    )

"""Which image: the right one for a host by what people want, or whether the one they name runs there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from string import ascii_lowercase, digits

from deploys.planning.catalogue import Catalogue, ImageFamily
from deploys.planning.image_fit import UNKNOWN_CUDA, Target, fit, target_of
from deploys.planning.image_tags import KnownImage, find_repository, images_of, modelbox_images, read_tag
from deploys.planning.images import Reference, is_reference, parse_reference
from deploys.planning.records import Area, Refusal
from deploys.planning.versions import begins_with, numbers
from facts.model import Host

MOVING = "its tag moves: the same name can be another image tomorrow; a digest (@sha256:…) pins it"
UNCHECKED = "if you know better, name it by its digest alone (NAME@sha256:…), which is pulled without this check"
OTHERWISE = "give an exact reference (name:tag@sha256:…), or add what you know by the setting images_catalogue"


@dataclass(frozen=True)
class Choice:
    """The image for a wish, and why. ``warnings``: what may go wrong with it."""

    wish: str  # as in the setting `images`
    reference: str  # name:tag[@digest]
    because: str
    warnings: tuple[str, ...] = ()


def choose_image(wish: str, host: Host, catalogue: Catalogue, *, driver: str | None) -> Choice | Refusal:
    """The reference for a wish, or why there is none and the nearest that works.

    ``driver`` is the version or branch that the host has, or will have after the run ("580", "580.95.05"); None where
    it is not known. On a Jetson L4T decides, whatever it is.
    """
    target = target_of(host, catalogue, driver)
    words = tuple(wish.split())
    if len(words) == 1 and re.search(r"[/:@]", wish):
        return _check_reference(words[0], target, catalogue) if is_reference(words[0]) else _refuse_name(words[0])
    family = _find_family(words[0].lower(), catalogue) if words else None
    if family:
        return _choose(wish, family, tuple(word.lower() for word in words[1:]), target, catalogue)
    if len(words) == 1 and is_reference(words[0]):
        close = _close_family(wish, catalogue)
        hint = (f"did you mean {close}, which is chosen for each host?",) if close else ()
        return Choice(wish, f"{words[0]}:latest", "an image of Docker Hub, by its name alone", (MOVING, *hint))
    return _refuse_words(wish, words, catalogue)


def _find_family(word: str, catalogue: Catalogue) -> ImageFamily | None:
    return next((row for row in catalogue.image_family if word in (row.name, *row.aliases)), None)


def _close_family(word: str, catalogue: Catalogue) -> str:
    names = [name for row in catalogue.image_family for name in (row.name, *row.aliases)]
    return next(iter(get_close_matches(word.lower(), names, n=1, cutoff=0.75)), "")


def _refuse_words(wish: str, words: tuple[str, ...], catalogue: Catalogue) -> Refusal:
    close = _close_family(words[0], catalogue) if words else ""
    names = ", ".join(row.name for row in catalogue.image_family)
    return Refusal(
        Area.IMAGES,
        f"'{wish}' is neither an image's name nor the name of a family of images",
        f"images has '{wish}'; families: {names}",
        f"did you mean '{' '.join([close, *words[1:]])}'?" if close else f"begin with one of them, or {OTHERWISE}",
    )


# References as they are


def _refuse_name(text: str) -> Refusal:
    """Of what Docker would not take for a reference."""
    plain = text.removeprefix("https://").removeprefix("http://").lower()
    hint = f"did you mean {plain}? " if is_reference(plain) else ""
    shown = re.sub(r".*@(?!sha256:)", "***@", text)  # somebody may have put a password before it
    return Refusal(
        Area.IMAGES,
        f"'{shown}' is not the name of an image",
        f"images has '{shown}'",
        f"{hint}write [REGISTRY/]NAME[:TAG][@sha256:64 DIGITS], the name in lower case",
    )


def _check_reference(text: str, target: Target, catalogue: Catalogue) -> Choice | Refusal:
    """A reference is left as it is; where its repository is known, it must run on the host."""
    parsed = parse_reference(text)
    image = _read_reference(parsed, catalogue)
    moving = (MOVING,) if not parsed.digest and parsed.tag in (None, "latest") else ()
    if image is None:
        return Choice(text, text, "as you named it", moving)
    found = fit(image, target, catalogue)
    if found.refused:
        nearest, otherwise = _nearest_to(image, target, catalogue)
        refusal = _refuse(f"{text} cannot run on this host", found.refused, nearest, otherwise)
        return replace(refusal, remedy=f"{refusal.remedy}; {UNCHECKED}")
    return Choice(text, text, f"as you named it, for {target}", (*found.warnings, *moving))


def _read_reference(parsed: Reference, catalogue: Catalogue) -> KnownImage | None:
    if parsed.name.startswith("modelbox/"):
        return next((image for image in modelbox_images(catalogue) if image.name == parsed.name), None)
    row = find_repository(parsed.name, catalogue)
    if row is None or not parsed.tag:
        return None
    image = read_tag(parsed.name, parsed.tag, row, catalogue)
    # A tag of another form says nothing: a Jetson's image may be any L4T's, and is left to its owner.
    readable = image.l4t or image.cuda or image.integrated or not row.needs_l4t
    return image if readable else None


def _nearest_to(image: KnownImage, target: Target, catalogue: Catalogue) -> tuple[KnownImage | None, str]:
    """What runs on the host in the place of an image, of its own repository or of the families that have it.

    Where there is none: what to do otherwise.
    """
    row = find_repository(image.name, catalogue)
    name = row.names[0] if row and image.name in row.names else image.name
    wanted = (*image.words, *([image.system] if image.system else []))
    own = ImageFamily(name=name, repositories=(name,), source="its own name", checked="-")
    families = [one for one in catalogue.image_family if name in one.repositories or name.startswith(f"{one.name}/")]
    for family in (own, *families):
        fixed = (name.split("/")[-1],) if _is_of_many(family) else ()
        found = _nearest(family, fixed, wanted, target, catalogue)
        if found:
            return found, ""
    return None, next((one.otherwise for one in families), "")


# What people want


def _choose(
    wish: str, family: ImageFamily, words: tuple[str, ...], target: Target, catalogue: Catalogue
) -> Choice | Refusal:
    fixed, words = (words[:1], words[1:]) if _is_of_many(family) else ((), words)
    images = images_of(family, (*fixed, *words), catalogue)
    asked = [image for image in images if all(_says(image, word) for word in words)]
    best = _best(asked, words, target, catalogue)
    if best:
        found = fit(best, target, catalogue)
        moving = (MOVING,) if best.tag == "latest" else ()
        return Choice(wish, best.reference, _because(best, target), (*found.warnings, *moving))
    nearest = _nearest(family, fixed, words, target, catalogue)
    seen = _why_none(asked, target, catalogue) if asked else _unknown_words(family, fixed, words, images)
    return _refuse(f"there is no image '{wish}' for this host", seen, nearest, family.otherwise)


def _why_none(asked: list[KnownImage], target: Target, catalogue: Catalogue) -> str:
    """Why none of the images that were asked for runs."""
    releases = sorted({image.l4t for image in asked if image.l4t}, key=numbers)
    if target.line and releases:
        return f"those that are known are made for L4T {', '.join(releases)}; this Jetson has {target.l4t}"
    last = max(asked, key=lambda image: numbers(image.version))
    return f"{last.reference}: {fit(last, target, catalogue).refused}"


def _is_of_many(family: ImageFamily) -> bool:
    return family.repositories[0].endswith("/*")


def _unknown_words(
    family: ImageFamily, fixed: tuple[str, ...], words: tuple[str, ...], images: tuple[KnownImage, ...]
) -> str:
    if not images:
        return f"no image '{' '.join((family.name, *fixed))}' is known here"
    vocabulary = {word for image in images for word in (*image.words, image.system) if word}
    strange = next((word for word in words if not any(_says(image, word) for image in images)), "")
    close = get_close_matches(strange, vocabulary, n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    what = f"none is known with '{strange}'{hint}" if strange else f"none is known with all of '{' '.join(words)}'"
    return f"of the family {family.name}, {what}"


def _says(image: KnownImage, word: str) -> bool:
    """Whether an image is what a word of a wish means: 12.4, r36.4, cudnn, ubuntu, ubuntu22.04, arm64."""
    number = re.fullmatch(r"(?:r|v|cuda_?|pth|tf)?(\d+(?:\.\w+)*)", word)
    if number and any(one and begins_with(one, number[1]) for one in (image.version, image.l4t, image.cuda)):
        return True
    system = image.system
    if system and word in (system, system.strip(".0123456789"), system.removeprefix("ubuntu")):
        return True
    named = {"arm64": "arm64", "aarch64": "arm64", "x86_64": "x86_64", "amd64": "x86_64", "jetson": "jetson"}
    if named.get(word) in image.machines or (word == "igpu" and image.integrated):
        return True
    return any(word in (one, one.rstrip(digits)) for one in image.words)


def _best(images: list[KnownImage], words: tuple[str, ...], target: Target, catalogue: Catalogue) -> KnownImage | None:
    """The image that fits best of those that fit at all."""

    def order(image: KnownImage) -> tuple[object, ...]:
        """What counts first comes first; the greatest is the best."""
        l4t, here, found = numbers(image.l4t), numbers(target.l4t), fit(image, target, catalogue)
        distance = (l4t <= here, l4t if l4t <= here else tuple(-one for one in l4t)) if here else ()
        return (
            UNKNOWN_CUDA not in found.grave,
            -len(found.grave),
            -image.rank,
            -len(found.doubts),
            distance,
            -sum(not {one, one.rstrip(digits)} & set(words) for one in image.words),  # what nobody asked for
            -image.default,
            numbers(image.version),
            numbers(image.cuda),
            image.system.startswith("ubuntu"),
            numbers(image.system.lstrip(ascii_lowercase)),
        )

    return max((image for image in images if not fit(image, target, catalogue).refused), key=order, default=None)


def _fewer(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words, then all but one of them, then none."""
    yield words
    yield from (words[:i] + words[i + 1 :] for i in reversed(range(len(words))))
    yield ()


def _nearest(
    family: ImageFamily, fixed: tuple[str, ...], words: tuple[str, ...], target: Target, catalogue: Catalogue
) -> KnownImage | None:
    """What fits and is nearest to what is asked for: with fewer of the words, or of another family."""
    images = images_of(family, (*fixed, *words), catalogue)
    for fewer in _fewer(words):
        asked = [image for image in images if all(_says(image, word) for word in fewer)]
        fitting = [image for image in asked if not fit(image, target, catalogue).refused]
        dropped = next((numbers(word) for word in words if word not in fewer and numbers(word)), ())
        not_newer = (
            [image for image in fitting if image.version and numbers(image.version) <= dropped] if dropped else fitting
        )
        if fitting:
            return _best(not_newer or fitting, fewer, target, catalogue)
    others = (row for name in family.instead for row in catalogue.image_family if row.name == name)
    found = (_best(list(images_of(row, (), catalogue)), (), target, catalogue) for row in others)
    return next((image for image in found if image), None)


def _because(image: KnownImage, target: Target) -> str:
    if target.line and image.l4t:
        return f"made for L4T {image.l4t}, and this Jetson's {target.l4t} is of the same line ({target.line.name})"
    if target.line and image.cuda:
        return f"made for arm64 servers, with CUDA {image.cuda}, which L4T {target.l4t} runs"
    if image.cuda and target.driver:
        return f"CUDA {image.cuda} for driver {target.driver}, {target.machine}"
    return f"made for {target.machine}"


def _refuse(brief: str, seen: str, nearest: KnownImage | None, otherwise: str = "") -> Refusal:
    remedy = f"take {nearest.reference}, which runs here" if nearest else otherwise or OTHERWISE
    return Refusal(Area.IMAGES, brief, seen, remedy)

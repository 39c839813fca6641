"""Whether an image runs on a host: L4T, architecture, CUDA and driver, generations of GPUs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploys.planning.catalogue import Catalogue, L4tLine
from deploys.planning.image_tags import KnownImage
from deploys.planning.versions import begins_with, numbers
from facts.model import Host, PlatformKind

SERVER_CUDA = 13  # from this one on, CUDA for Arm servers is for Jetsons too (CUDA 13.0 release notes)
UNKNOWN_CUDA = "which CUDA it brings is not known here"


@dataclass(frozen=True)
class Target:
    """What of a host decides on images."""

    machine: str  # jetson, x86_64, arm64, or what `uname -m` says
    l4t: str = ""
    line: L4tLine | None = None
    driver: int | None = None  # branch; None: not known, or L4T's
    wsl: bool = False
    gpus: tuple[str, ...] = ()  # generations

    def __str__(self) -> str:
        if self.machine == "jetson":
            return f"a Jetson with L4T {self.l4t or 'of an unknown release'}"
        words = {"x86_64": "an x86_64 host", "arm64": "an arm64 server"}
        driver = f"driver {self.driver}" if self.driver else "a driver that is not known"
        gpus = f" and GPUs: {', '.join(self.gpus)}" if self.gpus else ""
        return f"{words.get(self.machine, f'a {self.machine} host')} with {driver}{gpus}"


@dataclass(frozen=True)
class Fit:
    """Why an image cannot run ("" where it can), what is doubtful, and what else people should know."""

    refused: str = ""
    grave: tuple[str, ...] = ()  # doubts for which another image is taken wherever there is one
    doubts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that people should know."""
        return (*self.grave, *self.doubts, *self.remarks)


def target_of(host: Host, catalogue: Catalogue, driver: str | None) -> Target:
    """The host's side. ``driver`` is the version or branch that it has, or will have after the run."""
    if host.platform.kind is PlatformKind.JETSON:
        l4t = (host.jetson.l4t if host.jetson else None) or ""
        return Target("jetson", l4t, line_of(l4t, catalogue))
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}.get(host.platform.architecture, host.platform.architecture)
    branch = numbers(driver or "")[:1]
    return Target(
        machine,
        driver=branch[0] if branch else None,
        wsl=host.platform.kind is PlatformKind.WSL2,
        gpus=_generations(host, catalogue),
    )


def line_of(l4t: str, catalogue: Catalogue) -> L4tLine | None:
    """The line of L4T releases that one belongs to, or None."""
    rows = (row for row in catalogue.l4t_line if numbers(row.first) <= numbers(l4t) < numbers(row.fixed))
    return next(rows, None)


def is_known(l4t: str, line: L4tLine) -> bool:
    """Whether a release of a line is one that was known when the catalogue was made. 36.5 is 36.5.0."""
    return any(begins_with(release, l4t) or begins_with(l4t, release) for release in line.releases)


def _generations(host: Host, catalogue: Catalogue) -> tuple[str, ...]:
    """The generations of the GPUs: by the ranges of PCI ids; boards listed one by one lie in a range too."""
    ranges = [row for row in catalogue.gpus if not row.devices]
    found = (next((row.name for row in ranges if row.has(gpu.device)), "") for gpu in host.gpus or ())
    return tuple(dict.fromkeys(name for name in found if name))


def fit(image: KnownImage, target: Target, catalogue: Catalogue) -> Fit:
    """Whether the image runs there."""
    found = _on_jetson(image, target, catalogue) if target.machine == "jetson" else _on_server(image, target, catalogue)
    return replace(found, remarks=_remarks(image, catalogue))


def _remarks(image: KnownImage, catalogue: Catalogue) -> tuple[str, ...]:
    ended = (row for row in catalogue.ended_system if image.system in row.names)
    remarks = [f"it is built on {row.title}, which gets no security fixes since {row.since}" for row in ended]
    if image.npu:
        remarks.append("it is for Ascend processors and does not use an NVIDIA GPU")
    return tuple(remarks)


def _on_jetson(image: KnownImage, target: Target, catalogue: Catalogue) -> Fit:
    """Same line, or an image for servers where L4T takes those."""
    if target.line is None:
        known = f"L4T {target.l4t} is of no line that is known here" if target.l4t else "its L4T release is not known"
        return Fit(f"whether it runs cannot be told: {known}")
    if image.l4t:
        found = _of_line(image, target, target.line, catalogue)
    elif image.npu and "arm64" in image.machines:
        found = Fit()
    elif "arm64" in image.machines:
        found = _server_image(image, target, target.line)
    elif "jetson" in image.machines:
        found = Fit(f"it does not say for which L4T it is, and this Jetson has {target.l4t}")
    else:
        found = Fit(f"it is made for {' and '.join(image.machines)}, and this is {target}")
    if is_known(target.l4t, target.line):
        return found
    unknown = f"L4T {target.l4t} is not among the releases that are known here"
    return replace(found, doubts=(*found.doubts, unknown))


def _of_line(image: KnownImage, target: Target, line: L4tLine, catalogue: Catalogue) -> Fit:
    if line_of(image.l4t, catalogue) != line:
        return Fit(f"it is made for L4T {image.l4t}, and this Jetson has {target.l4t}")
    if image.integrated and not image.cuda:
        return Fit(doubts=(UNKNOWN_CUDA,))
    # What a version has in it can differ between Jetsons and servers; a tag that says it, and -igpu, are about Jetsons.
    cuda, here = numbers(image.cuda)[:2], numbers(line.cuda)
    if not (image.cuda_in_tag or image.integrated) or cuda <= here:
        return Fit()
    newer = f"it brings CUDA {image.cuda}, newer than the {line.cuda} of L4T {target.l4t}"
    return Fit(grave=(newer,)) if cuda[0] > here[0] else Fit(doubts=(newer,))


def _server_image(image: KnownImage, target: Target, line: L4tLine) -> Fit:
    """An arm64 server's image on a Jetson: CUDA 13, of L4T's minor version at most."""
    if not line.server_images:
        return Fit(f"it is for arm64 servers, and L4T {target.l4t} runs only images made for Jetson")
    if not image.cuda:
        return Fit(grave=(UNKNOWN_CUDA,))
    cuda = numbers(image.cuda)[:2]
    if cuda[0] < SERVER_CUDA:
        return Fit(f"its CUDA {image.cuda} for arm64 is for servers only; L4T {target.l4t} takes CUDA {SERVER_CUDA}")
    if cuda <= numbers(line.cuda):
        return Fit()
    newer = f"it brings CUDA {image.cuda}, newer than the {line.cuda} of L4T {target.l4t}"
    return Fit(grave=(f"{newer}: it needs the compatibility libraries in it",)) if image.compat else Fit(newer)


def _on_server(image: KnownImage, target: Target, catalogue: Catalogue) -> Fit:
    """Architecture, then CUDA: its major version must be one that the driver runs; what is newer is doubtful."""
    if target.machine not in image.machines:
        if image.machines == ("jetson",):
            what = "for Jetson's integrated GPU (-igpu)" if image.integrated else "made for Jetson"
            return Fit(f"it is {what}, and this is {target}")
        return Fit(f"it is made for {' and '.join(image.machines)}, and this is {target}")
    if not image.cuda:
        return Fit(grave=(UNKNOWN_CUDA,) if image.compat else ())
    return _with_driver(image, target, catalogue)


def _with_driver(image: KnownImage, target: Target, catalogue: Catalogue) -> Fit:
    major, minor = str(numbers(image.cuda)[0]), ".".join(map(str, numbers(image.cuda)[:2]))
    row = next((row for row in catalogue.cuda_major if row.major == major), None)
    dropped, older = _gpu_doubts(image, target, catalogue)
    if row is None:
        return Fit(grave=(*dropped, f"which driver CUDA {minor} needs is not known here"), doubts=older)
    if target.driver is None:
        unknown = f"it needs driver {row.oldest_driver} or newer; the host's is not known"
        return Fit(grave=dropped, doubts=(*older, unknown))
    if target.driver < row.oldest_driver:
        needs = f"it brings CUDA {minor}, which needs driver {row.oldest_driver} or newer; the host has {target.driver}"
        only = f"{needs}: only data centre GPUs run it, by the compatibility libraries in it"
        return Fit(grave=(*dropped, only), doubts=older) if image.compat else Fit(needs)
    came_with = row.drivers.get(minor, 0)
    if target.driver < came_with:
        newer = f"CUDA {minor} came with driver {came_with}: on {target.driver} it runs, without its newest features"
        older = (*older, newer)
    return Fit(grave=dropped, doubts=older)


def _gpu_doubts(image: KnownImage, target: Target, catalogue: Catalogue) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """GPUs that this CUDA has no code for any more, and those that came after it."""
    cuda = numbers(image.cuda)[:2]
    dropped = [f"it has no code for {name} GPUs" for name in target.gpus if name in image.without]
    older = []
    for row in catalogue.cuda_gpus:
        here = ", ".join(name for name in target.gpus if name in row.gpus)
        if here and row.newest_major and cuda[:1] > numbers(row.newest_major):
            dropped.append(f"CUDA {image.cuda} has no code for {here} GPUs; CUDA {row.newest_major} was the last")
        elif here and cuda < numbers(row.oldest):
            older.append(
                f"CUDA {image.cuda} is older than {here} GPUs, whose first is {row.oldest}: slow, or not at all"
            )
    return tuple(dropped), tuple(older)

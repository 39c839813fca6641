"""Small containers that show people their host's GPUs and sound card: each a compose project that ends by itself."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from deploys.planning.catalogue import Catalogue
from deploys.planning.compose_text import base_service, compose_text
from deploys.planning.container_settings import HelloAudio, HelloGpu
from deploys.planning.gpu_access import GpuAccess
from deploys.planning.image_plan import driver_afterwards
from deploys.planning.records import Area, DriverPlan, Project, Refusal
from deploys.planning.service_image import Program, ServiceImage, built_image, program_of, pulled_image
from facts.devices import SoundCard
from facts.model import Host

PROGRAMS = {"cuda": "gpus.py", "tensorflow": "tensorflow_gpus.py"}
# TensorFlow with CUDA takes well over a gigabyte, and its time to be read from an SD card.
MEMORY = {"cuda": "1g", "tensorflow": "4g"}
PATIENCE = {"cuda": 120, "tensorflow": 300}


def plan_hello_gpu(
    name: str, wish: HelloGpu, host: Host, catalogue: Catalogue, *, driver: DriverPlan, gpu: GpuAccess | Refusal
) -> Project | Refusal:
    """A container that prints its GPUs, and fails where there are fewer than wished for.

    ``gpu`` is how this host's containers get theirs. CUDA's driver is asked itself, in the image of the GPU proof, and
    so a Jetson is like the others. TensorFlow's image is l4t-tensorflow there, of its L4T.
    """
    if isinstance(gpu, Refusal):
        return gpu
    named = wish.image or (catalogue.proof.image if wish.by == "cuda" else "tensorflow")
    image = pulled_image(named, host, catalogue, driver=driver_afterwards(driver, host))
    if isinstance(image, Refusal) and not wish.image:
        # What runs there in its place has no TensorFlow.
        return replace(image, remedy='set by = "cuda", or name an image with TensorFlow for this host in `image`')
    if isinstance(image, Refusal):
        return image
    program = program_of("hello_gpu", PROGRAMS[wish.by], project=name)
    service = {
        **base_service(name, wish, memory=MEMORY[wish.by], cpus=1.0),
        **image.service,
        "restart": "no",
        "network_mode": "none",
        # NGC's images ask for more than Docker's 64 MiB (their entry point says so when they start).
        **({"shm_size": "1g"} if wish.by == "tensorflow" else {}),
        "labels": {**program.labels, **image.labels},
        "volumes": [program.mount],
        "command": ["python3", f"/{PROGRAMS[wish.by]}", str(wish.count)],
        **gpu.service,
    }
    return _once(name, "hello-gpu", service, image, program, patience=PATIENCE[wish.by])


def plan_hello_audio(name: str, wish: HelloAudio, host: Host, catalogue: Catalogue) -> Project | Refusal:
    """A container that records a second from a sound card and plays it there."""
    card = _choose_card(wish.card, host)
    if isinstance(card, Refusal):
        return card
    group = next((group for group in host.devices.groups if group.name == "audio"), None)
    if group is None:
        return _refuse(
            "no group owns this host's sound devices",
            "/etc/group has no audio, to which udev gives /dev/snd",
            "install udev's rules, or make the group and reboot",
        )
    image = pulled_image(wish.image, host, catalogue) if wish.image else built_image("hello_audio")
    if isinstance(image, Refusal):
        return image
    program = program_of("hello_audio", "sound.sh", project=name)
    service = {
        **base_service(name, wish, memory="100m", cpus=0.8),
        **image.service,
        "restart": "no",
        "network_mode": "none",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "pids_limit": 64,
        "devices": ["/dev/snd:/dev/snd:rw"],
        "group_add": [str(group.gid)],
        "labels": {**program.labels, **image.labels},
        "volumes": [program.mount],
        "command": ["sh", "/sound.sh", card.id],
    }
    return _once(name, "hello-audio", service, image, program, patience=120)


def _once(
    name: str,
    service: str,
    definition: dict[str, object],
    image: ServiceImage,
    program: Program,
    *,
    patience: int,
) -> Project:
    """The project of one service that ends with status 0."""
    return Project(
        name,
        (("compose.yaml", compose_text({"services": {service: definition}})), *image.files, program.file),
        ((service, "done"),),
        build=image.build,
        images=image.needs,
        patience=patience,
        notes=image.notes,
    )


def _choose_card(wish: str | None, host: Host) -> SoundCard | Refusal:
    """The card of that id, or the first that both plays and records."""
    brief = "there is no sound card for this container"
    if host.docker_desktop:
        remedy = "use a host with a Docker Engine of its own"
        return _refuse(brief, "Docker Desktop's containers run in a machine of its own, which has no /dev/snd", remedy)
    cards = host.devices.sound_cards
    if not cards:
        remedy = "plug one in, or see dmesg for snd; cloud kernels come without sound drivers"
        return _refuse(brief, "ALSA lists none on this host", remedy)
    seen = "; ".join(_describe(card) for card in cards)
    if wish is not None and wish not in [card.id for card in cards]:
        close = get_close_matches(wish, [card.id for card in cards], n=1)
        remedy = f"did you mean {close[0]}?" if close else "name one of these in `card`"
        return _refuse(f"there is no sound card {wish}", seen, remedy)
    both = [card for card in cards if card.plays and card.records and wish in (None, card.id)]
    if both:
        return both[0]
    what = f"the sound card {wish} does not both record and play" if wish else "no sound card both records and plays"
    return _refuse(what, seen, "take another card, or plug in a headset")


def _describe(card: SoundCard) -> str:
    does = [*(["plays"] if card.plays else []), *(["records"] if card.records else [])]
    return f"{card.id} ({card.name}) {' and '.join(does) or 'does neither'}"


def _refuse(brief: str, seen: str, remedy: str) -> Refusal:
    return Refusal(Area.CONTAINERS, brief, seen, remedy)

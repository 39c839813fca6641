"""The small containers: what their compose files say, and on which hosts they are refused and why.

Expected texts are typed from the source documents' own compose files, corrected as the Compose specification has it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.container_settings import HelloAudio, HelloGpu
from deploys.planning.gpu_access import GpuAccess
from deploys.planning.hello import plan_hello_audio, plan_hello_gpu
from deploys.planning.records import Area, DriverPlan, Project, Refusal
from deploys.planning.service_image import BASE, built_image
from facts.devices import Devices, Group, SoundCard
from facts.model import Host
from tests.planning.hosts import DOCKER_DESKTOP, JETSON, READY, with_jetson

CATALOGUE = load_catalogue()
BY_RUNTIME = GpuAccess({"runtime": "nvidia", "environment": {"NVIDIA_VISIBLE_DEVICES": "all"}}, "runtime")
NO_GPU = Refusal(Area.CONTAINERS, "no container of this host can have a GPU", "no GPU", "-")
# Made up, but for ALSA's own words.
PCH = SoundCard(0, "PCH", "HDA Intel PCH", plays=True, records=True)
HDMI = SoundCard(1, "HDMI", "HDA ATI HDMI", plays=True, records=False)
WEBCAM = SoundCard(2, "Webcam", "USB Webcam", plays=False, records=True)

LIMITS = """\
    cpus: 0.8
    mem_limit: "100m"
    memswap_limit: "100m"
"""


def gpu(wish: dict[str, object], host: Host = READY, access: GpuAccess | Refusal = BY_RUNTIME) -> Project | Refusal:
    """The plan of a GPU container."""
    settings = HelloGpu.model_validate({"kind": "hello_gpu", **wish})
    return plan_hello_gpu("see", settings, host, CATALOGUE, driver=DriverPlan(), gpu=access)


def audio(wish: dict[str, object], *cards: SoundCard, host: Host = READY, group: str = "audio") -> Project | Refusal:
    """The plan of a sound container on a host with these cards."""
    settings = HelloAudio.model_validate({"kind": "hello_audio", **wish})
    devices = Devices(sound_cards=cards, groups=(Group(group, 29, ()),))
    return plan_hello_audio("sound", settings, replace(host, devices=devices), CATALOGUE)


def project(found: Project | Refusal) -> Project:
    """The project, which there must be."""
    assert isinstance(found, Project), str(found)
    return found


def compose(found: Project | Refusal) -> str:
    """Its compose file."""
    return dict(project(found).files)["compose.yaml"]


def test_cuda_is_asked_by_a_program_of_the_project() -> None:
    found = project(gpu({"count": 2}))
    assert found.services == (("hello-gpu", "done"),)
    assert found.images == (CATALOGUE.proof.image,)
    assert not found.build
    text = compose(found)
    assert '    image: "python:3.12-slim"\n    pull_policy: never\n' in text
    assert '    volumes:\n      - "/etc/gpu-hosts/containers/see/gpus.py:/gpus.py:ro"\n' in text
    assert '    command:\n      - python3\n      - /gpus.py\n      - "2"\n' in text
    assert "    runtime: nvidia\n    environment:\n      NVIDIA_VISIBLE_DEVICES: all\n" in text
    assert "    cap_drop:\n      - ALL\n" in text
    assert "privileged" not in text
    assert "cuInit" in dict(found.files)["gpus.py"]


def test_what_ends_by_itself_is_not_started_again() -> None:
    """The documents restart it on failure, and so for ever."""
    assert '    restart: "no"\n' in compose(gpu({}))
    assert '    restart: "no"\n' in compose(audio({}, PCH))


def test_a_jetson_needs_no_nvidia_smi() -> None:
    """On L4T 32 there is none; the same program serves."""
    on_jetson, on_server = project(gpu({}, with_jetson(JETSON, l4t="32.7.6"))), project(gpu({}))
    assert on_jetson.files == on_server.files
    assert "nvidia-smi" not in "".join(text for _, text in on_jetson.files)


# The documents' own image first: its tag is of L4T 32.5.0.
@pytest.mark.parametrize(
    ("l4t", "image"),
    [
        ("32.5.0", "nvcr.io/nvidia/l4t-tensorflow:r32.5.0-tf2.3-py3"),
        ("32.7.6", "nvcr.io/nvidia/l4t-tensorflow:r32.7.1-tf2.7-py3"),
        ("35.4.1", "nvcr.io/nvidia/l4t-tensorflow:r35.3.1-tf2.11-py3"),
    ],
)
def test_tensorflow_on_a_jetson_is_of_its_l4t(l4t: str, image: str) -> None:
    found = project(gpu({"by": "tensorflow"}, with_jetson(JETSON, l4t=l4t)))
    assert found.images == (image,)
    assert f'image: "{image}"' in compose(found)
    assert found.notes[0].choice == f"takes {image}"


def test_tensorflow_has_memory_enough() -> None:
    """The documents' 100m are too little for TensorFlow with CUDA."""
    text = compose(gpu({"by": "tensorflow"}))
    assert '    mem_limit: "4g"\n    memswap_limit: "4g"\n' in text
    assert '    shm_size: "1g"\n' in text
    assert "nvcr.io/nvidia/tensorflow:" in text
    assert '    mem_limit: "8g"\n' in compose(gpu({"by": "tensorflow", "memory": "8g"}))


def test_where_no_tensorflow_is_known_another_way_is_told() -> None:
    found = gpu({"by": "tensorflow"}, with_jetson(JETSON, l4t="36.4.4"))
    assert isinstance(found, Refusal)
    assert found.area is Area.CONTAINERS
    assert "36.4.4" in found.seen
    assert 'by = "cuda"' in found.remedy


def test_an_image_of_ones_own_is_taken() -> None:
    found = project(gpu({"image": "registry.lab:5000/python:3"}))
    assert found.images == ("registry.lab:5000/python:3",)
    assert 'image: "registry.lab:5000/python:3"' in compose(found)


def test_without_a_gpu_there_is_no_container() -> None:
    assert gpu({}, access=NO_GPU) is NO_GPU


def test_sound_has_the_card_its_group_and_nothing_else() -> None:
    found = project(audio({}, HDMI, PCH))
    assert found.services == (("hello-audio", "done"),)
    assert found.build
    assert found.images == ("docker.io/library/debian:trixie-slim",)
    text = compose(found)
    assert LIMITS in text
    assert '    devices:\n      - "/dev/snd:/dev/snd:rw"\n    group_add:\n      - "29"\n' in text
    assert "    command:\n      - sh\n      - /sound.sh\n      - PCH\n" in text
    for line in ("read_only: true", '- "no-new-privileges:true"', "- ALL", "network_mode: none", "pids_limit: 64"):
        assert f"{line}\n" in text
    assert "privileged:" not in text


@pytest.mark.parametrize(
    ("wish", "cards", "said"),
    [
        ({}, (), "ALSA lists none"),
        ({}, (HDMI, WEBCAM), "no sound card both records and plays"),
        ({"card": "HDMI"}, (PCH, HDMI), "does not both record and play"),
        ({"card": "PHC"}, (PCH, HDMI), "did you mean PCH?"),
        ({"card": "Loopback"}, (PCH,), "PCH (HDA Intel PCH) plays and records"),
    ],
)
def test_sound_is_refused_with_the_cards_that_there_are(
    wish: dict[str, object], cards: tuple[SoundCard, ...], said: str
) -> None:
    found = audio(wish, *cards)
    assert isinstance(found, Refusal)
    assert said in str(found)


def test_sound_needs_its_group() -> None:
    found = audio({}, PCH, group="video")
    assert isinstance(found, Refusal)
    assert "/etc/group has no audio" in found.seen


def test_docker_desktop_has_no_sound() -> None:
    found = audio({}, PCH, host=DOCKER_DESKTOP)
    assert isinstance(found, Refusal)
    assert "machine of its own" in found.seen


def test_a_changed_dockerfile_is_another_image() -> None:
    """Its name has twelve digits of the file's SHA-256."""
    text = compose(audio({}, PCH))
    line = next(line for line in text.splitlines() if "image:" in line)
    name, _, digits = line.strip().removeprefix('image: "').rstrip('"').partition(":")
    assert name == "gpu-hosts-hello-audio"
    assert len(digits) == 12
    assert set(digits) <= set("0123456789abcdef")


@pytest.mark.parametrize("kind", ["hello_audio", "hello_video"])
def test_dockerfiles_suit_old_builders(kind: str) -> None:
    """Docker 20.10 builds without BuildKit; the documents' Dockerfile has a platform and an archived Debian."""
    text = dict(built_image(kind).files)["Dockerfile"]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[0] == f"FROM {BASE.removeprefix('docker.io/library/')}"
    assert lines[-1] == "USER 65534:65534"
    assert "--mount" not in text
    assert "--no-install-recommends" in text
    assert not any(line.startswith(("COPY", "ADD")) for line in lines)

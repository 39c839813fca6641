"""The right image for a host. What is expected was typed from NVIDIA's, ModelBox' and jetson-containers' own pages."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_choice import Choice, choose_image
from deploys.planning.image_fit import line_of
from deploys.planning.image_tags import find_repository, read_tag
from deploys.planning.images import parse_reference
from deploys.planning.records import Refusal
from facts.model import Host
from tests.planning.hosts import BARE, DIGEST, JETSON, WSL, on, with_gpus, with_jetson

CATALOGUE = load_catalogue()
ARM = on("ubuntu-24.04", arm=True)
PASCAL = with_gpus(BARE, 0x1B80)  # GTX 1080
AMPERE = with_gpus(BARE, 0x20B0)  # A100
BLACKWELL = with_gpus(BARE, 0x2B85)  # RTX 5090
RELEASES = "32.4.4 32.5.1 32.7.1 32.7.6 34.1.1 35.1.0 35.4.1 35.6.4 36.2.0 36.3.0 36.4.0 36.4.4 36.5.0 38.2.0 39.2.1"


def chosen(wish: str, host: Host, driver: str | None = None) -> Choice:
    """The choice, which there must be."""
    found = choose_image(wish, host, CATALOGUE, driver=driver)
    assert isinstance(found, Choice), str(found)
    return found


def refused(wish: str, host: Host, driver: str | None = None) -> Refusal:
    """The refusal, which there must be."""
    found = choose_image(wish, host, CATALOGUE, driver=driver)
    assert isinstance(found, Refusal), found
    return found


def jetson(l4t: str | None) -> Host:
    """A Jetson with this L4T."""
    return with_jetson(JETSON, l4t=l4t)


# What other tools answer wrongly: jetson-containers' autotag (l4t_version_compatible) with its shipped list of tags.
@pytest.mark.parametrize(
    ("l4t", "wrong", "right"),
    [
        ("32.7.6", "dustynv/pytorch:2.7-r36.4.0-cu128-24.04", "dustynv/pytorch:1.10-r32.7.1"),
        ("32.7.6", "dustynv/l4t-pytorch:2.2-r35.4.1", "dustynv/l4t-pytorch:r32.7.1"),
        ("38.2.0", "dustynv/pytorch:2.7-r36.4.0-cu128-24.04", "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("38.2.0", "dustynv/l4t-pytorch:2.2-r35.4.1", "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("38.2.0", "dustynv/l4t-pytorch:r32.7.1", "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("39.2.1", "dustynv/pytorch:2.7-r36.4.0-cu128-24.04", "nvcr.io/nvidia/pytorch:26.05-py3"),
        ("39.2.1", "dustynv/l4t-pytorch:2.2-r35.4.1", "nvcr.io/nvidia/pytorch:26.05-py3"),
        ("39.2.1", "nvcr.io/nvidia/l4t-base:r36.2.0", "nvidia/cuda:13.2.1-base-ubuntu24.04"),
        ("38.2.0", "nvcr.io/nvidia/l4t-jetpack:r36.4.0", "nvidia/cuda:13.0.3-base-ubuntu24.04"),
    ],
)
def test_autotags_wrong_answers_are_refused_with_the_right_ones(l4t: str, wrong: str, right: str) -> None:
    found = refused(wrong, jetson(l4t))
    assert found.remedy.startswith(f"take {right}, which runs here; ")
    assert l4t in found.seen


@pytest.mark.parametrize(
    ("wish", "l4t", "expected"),
    [
        # jetson-containers answers these rightly.
        ("dustynv l4t-pytorch", "36.3.0", "dustynv/l4t-pytorch:r36.2.0"),
        ("dustynv l4t-pytorch", "36.5.0", "dustynv/l4t-pytorch:r36.4.0"),
        # jetson-inference's docker/tag.sh: 32.5.x, 32.7.x and 35 after 4 take the last that was published.
        ("l4t-base", "32.5.2", "nvcr.io/nvidia/l4t-base:r32.5.0"),
        ("l4t-base", "32.7.6", "nvcr.io/nvidia/l4t-base:r32.7.1"),
        ("l4t-base", "35.6.4", "nvcr.io/nvidia/l4t-base:r35.4.1"),
        ("l4t-base", "36.3.0", "nvcr.io/nvidia/l4t-base:r36.2.0"),
        ("l4t-jetpack", "36.3.0", "nvcr.io/nvidia/l4t-jetpack:r36.3.0"),
        ("jetpack", "36.5.2", "nvcr.io/nvidia/l4t-jetpack:r36.4.0"),
        ("l4t-cuda", "32.7.4", "nvcr.io/nvidia/l4t-cuda:10.2.460-runtime"),
        ("cuda", "36.4.7", "nvcr.io/nvidia/l4t-cuda:12.6.11-runtime"),
        ("l4t-tensorrt", "35.3.1", "nvcr.io/nvidia/l4t-tensorrt:r8.5.2-runtime"),
        ("l4t-ml", "32.6.1", "nvcr.io/nvidia/l4t-ml:r32.6.1-py3"),
        ("l4t-ml", "36.4.3", "dustynv/l4t-ml:r36.4.0"),
        ("l4t-pytorch", "32.7.6", "nvcr.io/nvidia/l4t-pytorch:r32.7.1-pth1.10-py3"),
        ("l4t-pytorch 1.9", "32.7.6", "nvcr.io/nvidia/l4t-pytorch:r32.7.1-pth1.9-py3"),
        ("l4t-tensorflow tf1.15", "32.5.1", "nvcr.io/nvidia/l4t-tensorflow:r32.5.0-tf1.15-py3"),
        ("deepstream", "32.7.6", "nvcr.io/nvidia/deepstream-l4t:6.0.1-samples"),
        ("deepstream", "35.5.0", "nvcr.io/nvidia/deepstream-l4t:6.3-samples"),
        ("deepstream-l4t", "36.4.4", "nvcr.io/nvidia/deepstream:7.1-samples-multiarch"),
        ("deepstream", "38.2.1", "nvcr.io/nvidia/deepstream:8.0-samples-multiarch"),
        # deepstream_dockers: jetson/common r36.3, r38.4 and r39.2 in the Dockerfiles of 7.0, 9.0 and 9.1.
        ("deepstream", "36.3.0", "nvcr.io/nvidia/deepstream:7.0-samples-multiarch"),
        ("deepstream", "38.4.0", "nvcr.io/nvidia/deepstream:9.0-samples-multiarch"),
        ("deepstream", "39.2.1", "nvcr.io/nvidia/deepstream:9.1-samples-multiarch"),
        # CUDA 12.6 is what L4T 36.4 has; later -igpu images bring newer ones.
        ("pytorch", "36.4.4", "nvcr.io/nvidia/pytorch:24.12-py3-igpu"),
        ("pytorch", "36.3.0", "nvcr.io/nvidia/pytorch:24.05-py3-igpu"),
        ("tensorrt", "36.3.0", "nvcr.io/nvidia/tensorrt:23.12-py3-igpu"),
        ("triton", "36.4.3", "nvcr.io/nvidia/tritonserver:25.05-py3-igpu"),
        ("pytorch", "32.7.6", "nvcr.io/nvidia/l4t-pytorch:r32.7.1-pth1.10-py3"),
        # CUDA 13: one image for servers and Jetsons; 38 has 13.0, 39.2 has 13.2.
        ("cuda", "38.2.0", "nvidia/cuda:13.0.3-base-ubuntu24.04"),
        ("cuda devel", "39.2.0", "nvidia/cuda:13.2.1-devel-ubuntu24.04"),
        ("pytorch", "38.4.0", "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("vllm", "38.2.0", "nvcr.io/nvidia/vllm:25.11-py3"),
        ("dustynv ollama", "36.4.4", "dustynv/ollama:r36.4.3"),
        ("dustynv pytorch", "36.4.0", "dustynv/pytorch:2.7-r36.4.0"),
    ],
)
def test_a_jetson_gets_an_image_of_its_own_line(wish: str, l4t: str, expected: str) -> None:
    found = chosen(wish, jetson(l4t))
    assert found.reference == expected
    assert l4t in found.because


@pytest.mark.parametrize(
    ("wish", "l4t", "nearest"),
    [
        ("l4t-base", "36.4.4", "nvcr.io/nvidia/l4t-jetpack:r36.4.0"),  # r36.2.0 was its last
        ("l4t-jetpack", "32.7.6", "nvcr.io/nvidia/l4t-base:r32.7.1"),
        ("l4t-pytorch", "38.2.0", "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("cuda 12.4", "36.4.4", "nvcr.io/nvidia/l4t-cuda:12.6.11-runtime"),
        ("cuda 13.2", "38.2.0", "nvidia/cuda:13.0.3-base-ubuntu24.04"),
        ("l4t-ml", "32.1", ""),
        ("modelbox tensorrt", "36.4.4", "modelbox mindspore"),
    ],
)
def test_what_a_jetson_cannot_have_is_refused_with_the_nearest(wish: str, l4t: str, nearest: str) -> None:
    found = refused(wish, jetson(l4t))
    assert nearest in found.remedy
    assert found.seen


def test_cuda_newer_than_l4ts_is_left_to_who_names_it_with_a_warning() -> None:
    found = chosen("dustynv/pytorch:2.7-r36.4.0-cu128-24.04", jetson("36.4.4"))
    assert found.warnings == ("it brings CUDA 12.8, newer than the 12.6 of L4T 36.4.4",)


# -igpu: NVIDIA-AI-IOT/deepstream_dockers has 24.03 with CUDA 12.2 on L4T 36.3 and 24.08 with 12.6 on 36.4; Orins report
# 12.9 in 25.06 and 25.08, and 26.02 has 25.06's TensorRT. Servers' images have 12.4, 12.6, 12.9, 13.0 and 13.1.
@pytest.mark.parametrize(
    ("image", "l4t", "warnings"),
    [
        ("pytorch:24.05-py3-igpu", "36.3.0", ()),
        ("tritonserver:24.08-py3-igpu", "36.4.4", ()),
        ("tritonserver:25.05-py3-igpu", "36.4.3", ("which CUDA it brings is not known here",)),
        ("pytorch:25.06-py3-igpu", "36.4.7", ("it brings CUDA 12.9, newer than the 12.6 of L4T 36.4.7",)),
        ("tensorrt:26.02-py3-igpu", "36.5.0", ("it brings CUDA 12.9, newer than the 12.6 of L4T 36.5.0",)),
    ],
)
def test_cuda_of_igpu_images_is_not_that_of_servers(image: str, l4t: str, warnings: tuple[str, ...]) -> None:
    assert chosen(f"nvcr.io/nvidia/{image}", jetson(l4t)).warnings == warnings


def test_igpu_images_change_their_line_with_24_08() -> None:
    found = refused("nvcr.io/nvidia/pytorch:24.08-py3-igpu", jetson("36.3.0"))
    assert found.remedy.startswith("take nvcr.io/nvidia/pytorch:24.05-py3-igpu, which runs here; ")


def test_an_unknown_release_takes_the_nearest_of_its_line_and_says_so() -> None:
    found = chosen("l4t-jetpack", jetson("36.9.1"))
    assert found.reference == "nvcr.io/nvidia/l4t-jetpack:r36.4.0"
    assert found.warnings == ("L4T 36.9.1 is not among the releases that are known here",)


@pytest.mark.parametrize(("l4t", "seen"), [(None, "its L4T release is not known"), ("41.1", "of no line")])
def test_without_a_line_of_l4t_nothing_is_guessed(l4t: str | None, seen: str) -> None:
    assert seen in refused("l4t-base", jetson(l4t)).seen


# Driver -> CUDA: docs.nvidia.com/deploy/cuda-compatibility; the driver that came with each toolkit.
@pytest.mark.parametrize(
    ("wish", "driver", "expected"),
    [
        ("cuda", "580.95.05", "nvidia/cuda:13.0.3-base-ubuntu24.04"),
        ("cuda", "595", "nvidia/cuda:13.2.1-base-ubuntu24.04"),
        ("cuda", "570", "nvidia/cuda:12.8.2-base-ubuntu24.04"),
        ("cuda", "550.163.01", "nvidia/cuda:12.4.1-base-ubuntu22.04"),
        ("cuda", "535", "nvidia/cuda:12.2.2-base-ubuntu22.04"),
        ("cuda 12.4 base", "580", "nvidia/cuda:12.4.1-base-ubuntu22.04"),
        ("cuda 12.4 devel ubuntu22.04", "550", "nvidia/cuda:12.4.1-devel-ubuntu22.04"),
        ("cuda 12 cudnn runtime", "575", "nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04"),
        ("cuda 11.8 ubuntu20.04", "580", "nvidia/cuda:11.8.0-base-ubuntu20.04"),
        ("CUDA 12.2 cudnn8 devel", "535", "nvidia/cuda:12.2.2-cudnn8-devel-ubuntu22.04"),
        ("pytorch", "580", "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("pytorch 25.06", "580", "nvcr.io/nvidia/pytorch:25.06-py3"),
        ("pytorch", "550", "nvcr.io/nvidia/pytorch:24.05-py3"),
        ("deepstream triton", "580", "nvcr.io/nvidia/deepstream:8.0-triton-multiarch"),
    ],
)
def test_a_server_gets_the_newest_that_its_driver_came_with(wish: str, driver: str, expected: str) -> None:
    found = chosen(wish, AMPERE, driver)
    assert found.reference == expected
    assert driver.split(".")[0] in found.because


def test_an_arm64_server_and_wsl_are_served_alike() -> None:
    assert chosen("cuda", ARM, "580").reference == "nvidia/cuda:13.0.3-base-ubuntu24.04"
    assert chosen("cuda", WSL, "570").reference == "nvidia/cuda:12.8.2-base-ubuntu24.04"


@pytest.mark.parametrize(
    ("wish", "driver", "nearest"),
    [
        ("cuda 13", "570", "nvidia/cuda:12.8.2-base-ubuntu24.04"),
        ("cuda 12.4 base", "470", "nvidia/cuda:11.4.3-base-ubuntu20.04"),
        ("nvidia/cuda:13.0.3-base-ubuntu24.04", "535", "nvidia/cuda:12."),
        ("nvcr.io/nvidia/cuda:12.6.3-base-ubuntu20.04", "470", "nvidia/cuda:11.4.3-base-ubuntu20.04"),
        ("cuda 12.7", "580", "nvidia/cuda:12.6.3-base-ubuntu24.04"),
    ],
)
def test_cuda_that_a_driver_cannot_run_is_refused_with_the_nearest(wish: str, driver: str, nearest: str) -> None:
    assert f"take {nearest}" in refused(wish, AMPERE, driver).remedy


def test_within_a_major_version_an_older_driver_does_and_people_are_told() -> None:
    found = chosen("cuda 12.9", AMPERE, "535")
    assert found.reference == "nvidia/cuda:12.9.1-base-ubuntu24.04"
    assert found.warnings == ("CUDA 12.9 came with driver 575: on 535 it runs, without its newest features",)


def test_frameworks_cross_a_major_version_on_data_centre_gpus_only() -> None:
    found = chosen("nvcr.io/nvidia/tritonserver:25.08-py3", AMPERE, "535")
    assert "only data centre GPUs run it" in found.warnings[0]


# triton-inference-server/server, docs/introduction/compatibility.md; Triton's, PyTorch's and vLLM's release notes.
@pytest.mark.parametrize(
    ("image", "cuda"),
    [
        ("tritonserver:23.07-py3", "12.1"),
        ("tritonserver:23.10-py3", "12.2"),
        ("tensorflow:23.12-tf2-py3", "12.3"),
        ("tritonserver:24.03-py3", "12.4"),
        ("pytorch:24.05-py3", "12.4"),
        ("pytorch:24.07-py3", "12.5"),
        ("tensorflow:24.11-tf2-py3", "12.6"),
        ("pytorch:25.03-py3", "12.8"),
        ("tensorrt:25.06-py3", "12.9"),
        ("tritonserver:25.08-py3", "13.0"),
        ("tritonserver:25.08-trtllm-python-py3", "12.9"),
        ("tritonserver:25.04-trtllm-python-py3", "12.8"),
        ("pytorch:25.12-py3", "13.1"),
        ("vllm:26.05-py3", "13.2"),
        ("pytorch:26.07-py3", "13.3"),
        ("vllm:26.10-py3", "13.4"),
        ("pytorch:27.01-py3", ""),  # nobody has said it yet
    ],
)
def test_cuda_of_a_months_frameworks(image: str, cuda: str) -> None:
    name, tag = f"nvcr.io/nvidia/{image}".split(":")
    row = find_repository(name, CATALOGUE)
    assert row
    assert read_tag(name, tag, row, CATALOGUE).cuda == cuda


def test_without_a_known_driver_the_need_is_said() -> None:
    assert "it needs driver 580 or newer; the host's is not known" in chosen("cuda 13", BARE).warnings


def test_gpus_that_cuda_13_dropped_get_cuda_12() -> None:
    assert chosen("cuda", PASCAL, "580").reference == "nvidia/cuda:12.9.1-base-ubuntu24.04"
    named = chosen("cuda 13.0", PASCAL, "580")
    assert named.reference == "nvidia/cuda:13.0.3-base-ubuntu24.04"
    assert "no code for Maxwell, Pascal and Volta" in named.warnings[0]


def test_frameworks_dropped_volta_before_cuda_did() -> None:
    v100 = with_gpus(BARE, 0x1DB1)
    assert chosen("tritonserver", v100, "580").reference == "nvcr.io/nvidia/tritonserver:24.08-py3"
    assert "no code for" in chosen("nvcr.io/nvidia/tritonserver:25.06-py3", v100, "580").warnings[0]


@pytest.mark.parametrize(
    ("wish", "host", "words"),
    [
        ("modelbox libtorch", AMPERE, "older than Ampere"),
        ("nvidia/cuda:12.4.1-base-ubuntu22.04", BLACKWELL, "older than Blackwell"),
        ("nvidia/cuda:11.8.0-base-ubuntu18.04", AMPERE, "Ubuntu 18.04, which gets no security fixes"),
        ("nvidia/cuda:11.8.0-base-ubuntu20.04", AMPERE, "Ubuntu 20.04, which gets no security fixes"),
        ("nvidia/cuda:11.8.0-base-centos7", AMPERE, "CentOS 7"),
        ("nvidia/cuda", AMPERE, "its tag moves"),
        ("redis:latest", AMPERE, "its tag moves"),
    ],
)
def test_doubts_are_said(wish: str, host: Host, words: str) -> None:
    assert words in " ".join(chosen(wish, host, "580").warnings)


# ModelBox: docker/README.md of its repository.
@pytest.mark.parametrize(
    ("wish", "host", "expected"),
    [
        (
            "modelbox tensorrt develop openeuler",
            AMPERE,
            "modelbox/modelbox-develop-tensorrt_8.4.2-cuda_11.2-openeuler-x86_64:latest",
        ),
        ("modelbox", AMPERE, "modelbox/modelbox-develop-tensorrt_8.4.2-cuda_11.2-ubuntu-x86_64:latest"),
        (
            "modelbox tensorrt runtime 10.2",
            AMPERE,
            "modelbox/modelbox-runtime-tensorrt_7.1.3-cuda_10.2-ubuntu-x86_64:latest",
        ),
        ("modelbox mindspore", ARM, "modelbox/modelbox-develop-mindspore_1.9.0-cann_6.0.1-ubuntu-aarch64:latest"),
        (
            "modelbox ascend d310p runtime",
            BARE,
            "modelbox/modelbox-runtime-mindspore_1.9.0-cann_6.0.1-d310p-ubuntu-x86_64:latest",
        ),
    ],
)
def test_modelbox_by_its_scheme(wish: str, host: Host, expected: str) -> None:
    assert chosen(wish, host, "580").reference == expected


def test_modelbox_for_x86_64_is_refused_on_arm64() -> None:
    image = "modelbox/modelbox-develop-tensorrt_8.4.2-cuda_11.2-ubuntu-x86_64:latest"
    for wish in ("modelbox", image):
        assert "modelbox mindspore" in refused(wish, ARM, "580").remedy


@pytest.mark.parametrize(
    ("wish", "host", "nearest"),
    [
        ("nvcr.io/nvidia/pytorch:25.06-py3-igpu", AMPERE, "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("nvcr.io/nvidia/pytorch:25.06-py3-igpu", ARM, "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("nvcr.io/nvidia/l4t-base:r36.2.0", ARM, "nvidia/cuda:13.0.3-base-ubuntu24.04"),
        ("dustynv/pytorch:2.6-amd64-cu128-24.04", ARM, "nvcr.io/nvidia/pytorch:25.11-py3"),
        ("dustynv/vllm:0.8.6-sbsa-cu128", AMPERE, "nvcr.io/nvidia/vllm:25.11-py3"),
        ("nvcr.io/nvidia/pytorch:25.06-py3", jetson("36.4.4"), "nvcr.io/nvidia/pytorch:24.12-py3-igpu"),
        # CUDA 12 for Arm is for servers.
        ("nvcr.io/nvidia/pytorch:25.06-py3", jetson("38.2.0"), "nvcr.io/nvidia/pytorch:25.11-py3"),
    ],
)
def test_images_for_other_machines_are_refused(wish: str, host: Host, nearest: str) -> None:
    assert refused(wish, host, "580").remedy.startswith(f"take {nearest}, which runs here; ")


@pytest.mark.parametrize(
    "text",
    [
        f"ghcr.io/lab/tool@{DIGEST}",
        f"nvidia/cuda:12.6.3-base-ubuntu24.04@{DIGEST}",
        "registry.lab:5000/nvidia/l4t-base:r32.7.1",
        "redis:7",
        "modelbox/modelbox_cuda101_develop:v1.0.8",
        "dustynv/jetson-inference:22.06",
    ],
)
def test_references_stay_exactly_as_they_are(text: str) -> None:
    assert chosen(text, AMPERE, "580").reference == text


def test_a_bare_word_is_docker_hubs_and_its_tag_moves() -> None:
    found = chosen("python", AMPERE, "580")
    assert found.reference == "python:latest"
    assert "its tag moves" in found.warnings[0]
    assert "did you mean l4t-pytorch" in chosen("l4t-pytroch", AMPERE, "580").warnings[1]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("tritonservr 25.06", "did you mean 'tritonserver 25.06'?"),
        ("cuda 12.4 devl", "take nvidia/cuda:12.4.1-base-ubuntu22.04"),
        ("something else", "begin with one of them"),
        ("Redis", "exact reference"),
        ("", "begin with one of them"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_may_be_meant(wish: str, words: str) -> None:
    assert words in refused(wish, AMPERE, "580").remedy


def test_no_choice_crosses_an_l4t_line_and_every_refusal_has_a_remedy() -> None:
    wishes = [row.name for row in CATALOGUE.image_family] + ["dustynv ollama", "dustynv pytorch", "dustynv ros"]
    for l4t in RELEASES.split():
        for wish in wishes:
            found = choose_image(wish, jetson(l4t), CATALOGUE, driver=None)
            texts = [found.reference] if isinstance(found, Choice) else found.remedy.split()[1:2]
            assert texts, wish
            for text in texts:
                parsed = parse_reference(text.rstrip(","))
                row = find_repository(parsed.name, CATALOGUE)
                if row and parsed.tag:
                    image = read_tag(parsed.name, parsed.tag, row, CATALOGUE)
                    assert not image.l4t or line_of(image.l4t, CATALOGUE) == line_of(l4t, CATALOGUE), (wish, l4t, text)
                    assert image.l4t or l4t >= "38", (wish, l4t, text)


def test_hosts_without_a_gpu_or_of_another_architecture() -> None:
    riscv = replace(BARE, platform=replace(BARE.platform, architecture="riscv64"))
    assert "riscv64" in refused("cuda", riscv, None).seen
    assert chosen("cuda", replace(BARE, gpus=()), "580").reference == "nvidia/cuda:13.0.3-base-ubuntu24.04"


def test_who_knows_better_names_the_image_by_its_digest_alone() -> None:
    alone, host = f"nvcr.io/nvidia/l4t-base@{DIGEST}", with_jetson(JETSON, l4t="36.4.7")
    assert "by its digest alone" in refused(alone.replace("@", ":r36.2.0@"), host).remedy
    assert choose_image(alone, host, CATALOGUE, driver=None) == Choice(alone, alone, "as you named it")

"""Settings out of a host's inventory data."""

from typing import Any

import pytest

from deploys.planning.settings import Problem, Settings, read_settings
from tests.planning.hosts import PROOF_IMAGE


def problems(data: dict[str, Any]) -> dict[str, str]:
    """Reasons by setting; fails where there are none."""
    found = read_settings(data)
    assert not isinstance(found, Settings)
    assert all(isinstance(problem, Problem) for problem in found)
    return {problem.setting: problem.reason for problem in found}


def settings(data: dict[str, Any]) -> Settings:
    """The settings; fails where there are problems."""
    found = read_settings(data)
    assert isinstance(found, Settings), [str(problem) for problem in found]
    return found


def test_defaults_change_as_little_as_possible() -> None:
    default = settings({})
    assert default.reboot is None
    assert (default.nvidia_driver_branch, default.nvidia_driver_modules) == ("auto", "auto")
    assert default.docker_source == "auto"
    assert default.sshd_x11 is True
    assert default.images == ()
    assert default.sudo_password_env is default.sudo_password_file is None


def test_every_setting_is_described_in_a_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("nvidia_driver_branch", 580, "580"),
        ("nvidia_driver_branch", "580", "580"),
        ("images", ["python:3.12", "nvidia/cuda:x"], ("python:3.12", "nvidia/cuda:x")),
        ("images", ("python:3.12",), ("python:3.12",)),
        ("reboot", "when-needed", "when-needed"),
        ("sshd_x11", False, False),
        ("gpu_proof_image", PROOF_IMAGE, PROOF_IMAGE),
        ("sudo_password_env", "LAB_PASSWORD", "LAB_PASSWORD"),
    ],
)
def test_value_is_accepted(name: str, given: object, read: object) -> None:
    assert getattr(settings({name: given}), name) == read


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("nvidia_driver_branch", True),
        ("nvidia_driver_branch", 580.0),
        ("nvidia_driver_branch", "580."),
        ("nvidia_driver_branch", ""),
        ("nvidia_driver_modules", "closed"),
        ("reboot", True),
        ("reboot", "always"),
        ("sshd_x11", "no"),
        ("images", "python:3.12"),
        ("images", [1]),
        ("docker_key_fingerprint", "0xDEADBEEF"),
        ("gpu_proof_image", "python"),
        ("gpu_proof_image", "python@sha256:12"),
        ("images_mirrors", {"nvcr.io": "http://cache.lab:5001"}),
        ("images_mirrors", {"nvcr.io": "cache.lab:5001"}),
        ("images_mirrors", {"nvcr.io": "https://cache.lab:5001/a b"}),
        ("images_mirrors", {"nvcr.io": "https://cache.lab?x=1"}),
        ("images_mirrors", {"index.docker.io": "https://cache.lab"}),
        ("images_mirrors", {"https://nvcr.io": "https://cache.lab"}),
        ("images_mirrors", {"nvidia": "https://cache.lab"}),
    ],
)
def test_value_is_refused_by_name(name: str, given: object) -> None:
    found = problems({name: given})
    assert set(found) == {name}
    assert repr(given) in found[name] or isinstance(given, list)


def test_all_problems_are_reported_together() -> None:
    found = problems({"reboot": "now", "nvidia_driver_branch": "latest", "docker_channel": "test", "sshd_x11": 1})
    assert set(found) == {"reboot", "nvidia_driver_branch", "docker_channel", "sshd_x11"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nvidia_driver_brnach", "nvidia_driver_branch"),
        ("docker_sources", "docker_source"),
        ("sshd_X11", "sshd_x11"),
        ("image", "images"),
        ("reboots", "reboot"),
        ("gpu_proof_images", "gpu_proof_image"),
    ],
)
def test_misspelt_name_is_refused_with_the_one_meant(written: str, meant: str) -> None:
    assert problems({written: "x"})[written].endswith(f"did you mean {meant}?")


def test_a_literal_password_is_refused_unprinted_with_a_hint_at_the_two_ways() -> None:
    reason = problems({"sudo_password": "correct horse"})["sudo_password"]
    assert "sudo_password_" in reason
    assert "correct horse" not in reason


@pytest.mark.parametrize("name", ["sudo_password_env", "sudo_password_file"])
@pytest.mark.parametrize("given", [12345, ["correct horse"]])
def test_a_password_where_its_place_belongs_is_refused_unprinted(name: str, given: object) -> None:
    reason = problems({name: given})[name]
    assert "12345" not in reason
    assert "correct horse" not in reason


def test_a_password_is_not_taken_for_a_variables_name() -> None:
    assert "correct horse" not in problems({"sudo_password_env": "correct horse"})["sudo_password_env"]


@pytest.mark.parametrize(
    ("name", "wish", "place", "reason"),
    [
        (
            "front",
            {"kind": "hello_video", "adress": "::1"},
            "front.adress",
            "has no such option; did you mean address?",
        ),
        ("front", {"kind": "hello_video", "volume": 1}, "front.volume", "has no such option; docs/containers.md lists"),
        ("front", {"kind": "hello_video", "port": "80"}, "front.port", "a valid integer; it is '80'"),
        ("mine", {"kind": "compose"}, "mine.file", "required; it is {'kind': 'compose'}"),
        ("mine", {"kind": "compose", "file": "x", "gpu": ["a b"]}, "mine.gpu.0", "it is 'a b'"),
        ("front", {"kind": "hello"}, "front", "it is {'kind': 'hello'}"),
        ("Front", {"kind": "hello_gpu"}, "Front", "it is 'Front'"),
        (1, {"kind": "hello_gpu"}, "1", "a valid string; it is 1"),
    ],
)
def test_the_option_of_a_container_that_is_wrong_is_named(name: object, wish: object, place: str, reason: str) -> None:
    wishes = {"fine": {"kind": "hello_gpu"}, name: wish}
    assert reason in problems({"containers": wishes})[f"containers.{place}"]


@pytest.mark.parametrize(
    "name", ["ssh_user", "ssh_port", "_sudo", "_sudo_password", "_env", "my_own_key", "nvidiasmi", "site", "rack"]
)
def test_other_inventory_data_is_left_to_its_owner(name: str) -> None:
    assert settings({name: object()}) == Settings()


@pytest.mark.parametrize("name", ["https://nvcr.io", "nvcr.io/nvidia", "index.docker.io", "NVCR.io"])
def test_credentials_that_no_image_would_use_are_refused(name: str) -> None:
    given = {name: {"username": "lab", "password_env": "PASSWORD"}}
    assert "references" in problems({"images_credentials": given})["images_credentials"]


def test_a_mirror_without_tls_is_refused_with_the_reason() -> None:
    assert "without TLS anybody" in problems({"images_mirrors": {"nvcr.io": "http://cache.lab:5001"}})["images_mirrors"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images_mirrors", {"nvcr.io": "https://lab:geheim@cache.lab"}),
        ("images_credentials", {"nvcr.io": "geheim"}),
        ("images_credentials", {"nvcr.io": ["lab", "geheim"]}),
        ("images_credentials", {"nvcr.io": {"username": "lab", "password": "geheim"}}),
        ("registry_cache_credentials", "geheim"),
        ("registry_cache_clients", {"nvcr.io": "geheim"}),
        ("docker_http_proxy", ["http://user:geheim@proxy.lab"]),
        ("docker_registry_mirrors", ["https://user:geheim@mirror.lab", 5]),
        ("docker_daemon_json", '{"proxies": {"http-proxy": "http://user:geheim@proxy.lab"}}'),
        ("docker_log_opts", {"splunk-token": "geheim", "max-file": 3}),
    ],
)
def test_a_wrong_value_is_shown_without_its_password(name: str, value: object) -> None:
    found = read_settings({name: value})
    assert isinstance(found, tuple)
    assert name in str(found[0])
    assert "geheim" not in str(found[0])

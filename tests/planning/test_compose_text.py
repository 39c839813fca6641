"""Compose files as text."""

import pytest

from deploys.planning.compose_text import base_service, compose_text
from deploys.planning.container_settings import HelloVideo

DOCUMENT = {
    "services": {
        "camera": {
            "image": "debian:trixie-slim",
            "command": ["sh", "-c", "echo $HOME\n"],
            "ports": ("127.0.0.1:8090:8090",),
            "cpus": 0.8,
            "pids_limit": 64,
            "read_only": True,
            "environment": {},
            "tmpfs": [],
            "deploy": {"resources": {"reservations": {"devices": [{"driver": "nvidia", "capabilities": ["gpu"]}]}}},
        }
    },
    "volumes": {"data": None},
}

TEXT = """\
services:
  camera:
    image: "debian:trixie-slim"
    command:
      - sh
      - "-c"
      - "echo $$HOME\\n"
    ports:
      - "127.0.0.1:8090:8090"
    cpus: 0.8
    pids_limit: 64
    read_only: true
    environment: {}
    tmpfs: []
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              capabilities:
                - gpu
volumes:
  data: null
"""


def test_document_as_yaml() -> None:
    assert compose_text(DOCUMENT) == TEXT


@pytest.mark.parametrize(
    ("text", "written"),
    [
        # What YAML 1.1 takes for truth, a time of day in base 60, nothing, a number.
        ("no", '"no"'),
        ("On", '"On"'),
        ("22:22", '"22:22"'),
        ("", '""'),
        ("44", '"44"'),
        ("1e3", '"1e3"'),
        ("~", '"~"'),
        ("a: b", '"a: b"'),
        ("# a", '"# a"'),
        ("grün", '"grün"'),
        ("on-failure", "on-failure"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_texts_stay_texts(text: str, written: str) -> None:
    assert compose_text({"key": text}) == f"key: {written}\n"
    assert compose_text({text: 1}) == f"{written}: 1\n"


def test_services_of_ours_have_limits_and_no_privileges() -> None:
    service = base_service("front", HelloVideo(kind="hello_video", memory="64m"), memory="128m", cpus=0.8)
    assert service == {
        "container_name": "gpu-hosts-front",
        "cpus": 0.8,
        "mem_limit": "64m",
        # memswap_limit is memory and swap together (Compose specification, services): equal means no swap.
        "memswap_limit": "64m",
        "pids_limit": 512,
        "restart": "unless-stopped",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "logging": {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}},
    }

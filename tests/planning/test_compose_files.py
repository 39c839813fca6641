"""What is read in compose files without reading YAML: published ports, and images."""

import pytest

from deploys.planning.compose_files import plan_compose_file
from deploys.planning.compose_ports import Published, read_published
from deploys.planning.container_settings import ComposeFile
from deploys.planning.image_plan import LocalFiles
from deploys.planning.records import Area, Project, Refusal

NO_GPU = Refusal(Area.CONTAINERS, "no GPU", "-", "-")


# The short form of `ports`, as the Compose specification lists it (05-services.md).
@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ('      - "8000:8000"', [("0.0.0.0", 8000, 8000)]),
        ('- "9090-9091:8080-8081"', [("0.0.0.0", 9090, 9091)]),
        ("- 49100:22  # sshd", [("0.0.0.0", 49100, 49100)]),
        ("- '127.0.0.1:8001:8001'", [("127.0.0.1", 8001, 8001)]),
        ('- "127.0.0.1:5000-5001:5000-5001"', [("127.0.0.1", 5000, 5001)]),
        ('- "[::1]:6000:6000"', [("::1", 6000, 6000)]),
        ('- "8000:8000/tcp"', [("0.0.0.0", 8000, 8000)]),
        ('ports: ["127.0.0.1:80:80", 81:81]', [("127.0.0.1", 80, 80), ("0.0.0.0", 81, 81)]),
        # UDP; the container's port alone, which gets any; a variable; what is no port.
        ('- "6060:6060/udp"', []),
        ('- "3000"', []),
        ('- "${PORT:-80}:80"', []),
        ('- "/data:/data"', []),
        ('- "c 81:* rw"', []),
        # No address, no ports; a range of which Docker takes one that is free.
        ('- "300.1.1.1:80:80"', []),
        ('- "80-9999999999:80"', []),
        ('- "81-80:81-80"', []),
        ('- "8000-8010:80"', []),
    ],
)
def test_published_ports(line: str, ports: list[tuple[str, int, int]]) -> None:
    assert read_published(f"services:\n  a:\n    ports:\n{line}\n") == tuple(Published(*port) for port in ports)


def test_ports_that_cannot_both_be_had() -> None:
    anywhere, here, there = (Published(address, 80, 80) for address in ("0.0.0.0", "127.0.0.1", "192.0.2.1"))
    assert anywhere.meets(here)
    assert here.meets(Published("::", 80, 80))
    assert not here.meets(there)
    assert not here.meets(Published("127.0.0.1", 81, 81))
    assert here.meets(Published("127.0.0.1", 70, 80))
    assert Published("::", 80, 90).meets(here)
    assert not here.meets(Published("127.0.0.1", 81, 90))


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ('services:\n  a:\n    image: "example/a:1"\n  b:\n    image: example/a:1\n', ("example/a:1",)),
        ("services:\n  a:\n    image: example/a:${TAG}\n", ()),
        # One of those may be what is built.
        ("services:\n  a:\n    image: mine\n    build: https://example.org/mine.git\n", ()),
    ],
)
def test_images_that_are_pulled(text: str, images: tuple[str, ...]) -> None:
    wish = ComposeFile(kind="compose", file="~/my.yaml")
    planned = plan_compose_file("mine", wish, LocalFiles(texts=(("~/my.yaml", text),)), gpu=NO_GPU)
    assert isinstance(planned, Project)
    assert planned.images == images


def test_owners_file_is_in_no_repr() -> None:
    """It may have passwords in it."""
    files = LocalFiles(texts=(("my.yaml", "services: {a: {image: b, environment: {KEY: hunter2}}}"),))
    planned = plan_compose_file("mine", ComposeFile(kind="compose", file="my.yaml"), files, gpu=NO_GPU)
    assert "hunter2" not in repr(planned)
    assert "hunter2" not in repr(files)


def test_empty_file_is_refused() -> None:
    planned = plan_compose_file("mine", ComposeFile(kind="compose", file="my.yaml"), LocalFiles(), gpu=NO_GPU)
    assert isinstance(planned, Refusal)

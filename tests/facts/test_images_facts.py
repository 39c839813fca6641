"""Where images go, which layers are there, registries' files, addresses, the site cache."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from facts.host import Docker as DockerView
from facts.model import Docker, Host, RegistryCache, SourceFile
from facts.parse import parse_probe
from tests.facts.answers import file_line, host_of
from tests.facts.machines import link_tools, run_probe

A, B = "0123456789abcdef" + "a" * 48, "fedcba9876543210" + "b" * 48
STORE = [["driver-type", "io.containerd.snapshotter.v1"]]
SYSTEM_CONTAINERD = {"Address": "/run/containerd/containerd.sock", "Namespaces": {"Containers": "moby"}}
OWN_CONTAINERD = {"Address": "/var/run/docker/containerd/containerd.sock"}
BLOBS = "io.containerd.content.v1.content/blobs/sha256"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of links to the plain tools, and find."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "find").symlink_to(shutil.which("find") or "")
    return link_tools(folder)


def write(root: Path, path: str, content: str = "") -> None:
    """A file below ``root`` with its folders."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content)


def with_docker(root: Path, tools: Path, info: dict[str, object]) -> Docker:
    """Docker as the probe finds it below ``root``, where the daemon says this of itself."""
    write(root, "run/docker.pid", "812")
    write(root, "proc/812/comm", "dockerd\n")
    said = json.dumps({"ServerVersion": "29.4.3", "DockerRootDir": "/var/lib/docker"} | info, separators=(",", ":"))
    (tools / "docker").write_text(f"#!/bin/sh\n[ $1 = info ] && cat <<'EOF'\n{said}\nEOF\n")
    (tools / "docker").chmod(0o755)
    return parse_probe(run_probe(root, [tools])).docker


def test_layers_of_a_graph_driver_are_its_chain_ids(tmp_path: Path, tools: Path) -> None:
    for layer in (A, B):
        write(tmp_path, f"data/docker/image/overlay2/layerdb/sha256/{layer}/diff")
    docker = with_docker(
        tmp_path, tools, {"DockerRootDir": "/data/docker", "Driver": "overlay2", "DriverStatus": [["x", "y"]]}
    )
    assert docker.layers == ("0123456789abcdef", "fedcba9876543210")
    assert docker.images_root == "/data/docker"
    assert not docker.containerd_store
    assert docker.images_free
    assert docker.images_free % 1024 == 0


def test_a_daemon_that_has_no_image_yet_has_no_layers(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "var/lib/docker/image/overlay2/layerdb").mkdir(parents=True)
    assert with_docker(tmp_path, tools, {"Driver": "overlay2"}).layers == ()


def test_layers_that_cannot_be_read_are_not_known(tmp_path: Path, tools: Path) -> None:
    assert with_docker(tmp_path, tools, {"Driver": "overlay2"}).layers is None


@pytest.mark.parametrize(
    ("containerd", "config", "root"),
    [
        (SYSTEM_CONTAINERD, None, "/var/lib/containerd"),
        (None, "", "/var/lib/containerd"),  # Docker did not say the address before 26
        (SYSTEM_CONTAINERD, 'version = 2\n#root = "/x"\nroot = "/data/containerd"  # moved\n', "/data/containerd"),
        (SYSTEM_CONTAINERD, "root='/data/containerd'\n", "/data/containerd"),
        (OWN_CONTAINERD, None, "/var/lib/docker/containerd/daemon"),
    ],
)
def test_layers_of_containerds_store_are_its_blobs(
    tmp_path: Path, tools: Path, containerd: dict[str, object] | None, config: str | None, root: str
) -> None:
    """The wrong root is what fills the disk: docker/cli #6645, docs #24010."""
    write(tmp_path, f"{root}/{BLOBS}/{A}"[1:])
    write(tmp_path, f"var/lib/docker/image/overlayfs/layerdb/sha256/{B}/diff")
    if config is not None:
        write(tmp_path, "etc/containerd/config.toml", config)
    docker = with_docker(tmp_path, tools, {"Driver": "overlayfs", "DriverStatus": STORE, "Containerd": containerd})
    assert docker.containerd_store
    assert docker.images_root == root
    assert docker.layers == ("0123456789abcdef",)


def test_without_docker_the_default_place_counts(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "var/lib").mkdir(parents=True)
    docker = parse_probe(run_probe(tmp_path, [tools])).docker
    assert docker.images_root == "/var/lib/docker"
    assert docker.images_free is not None
    assert docker.layers == ()


def test_docker_desktops_disk_is_not_this_one(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/docker").symlink_to("/mnt/wsl/docker-desktop/cli-tools/usr/bin/docker")
    docker = parse_probe(run_probe(tmp_path, [tools])).docker
    assert (docker.images_root, docker.images_free, docker.layers) == ("", None, None)


@pytest.mark.parametrize(
    ("row", "free"),
    [
        ("/dev/vda         16777216  542343  16234873    4% /var/lib/docker", 16234873),
        ("/dev/vda                0       0         0     - /", None),  # btrfs
        ("Filesystem         Inodes   IUsed     IFree IUse% Mounted on", None),
    ],
)
def test_free_inodes(row: str, free: int | None) -> None:
    assert host_of(f"docker.free_inodes={row}").docker.images_free_inodes == free


def test_registries_files_come_without_keys_and_passwords(tmp_path: Path, tools: Path) -> None:
    folder = "etc/docker/certs.d/nvcr.io"
    secret = '[host."https://c".header]\n  Authorization = ["Basic c2VjcmV0"]\nx-authorization="hunter2"\n'
    write(tmp_path, f"{folder}/hosts.toml", f'server = "https://nvcr.io"\n{secret}')
    write(tmp_path, f"{folder}/ca.crt", "-----BEGIN CERTIFICATE-----\n")
    for name in ("client.key", "client.cert"):
        write(tmp_path, f"{folder}/{name}", "secret")
    text = 'server = "https://nvcr.io"\n[host."https://c".header]\n  Authorization = "***"\nx-authorization="***"\n'
    assert parse_probe(run_probe(tmp_path, [tools])).docker.registry_files == (
        SourceFile(f"/{folder}/ca.crt", "-----BEGIN CERTIFICATE-----\n"),
        SourceFile(f"/{folder}/hosts.toml", text),
    )


def test_a_pull_that_goes_on_is_named(tmp_path: Path, tools: Path) -> None:
    lock = "/var/lib/gpu-hosts/images/lock"
    write(tmp_path, "proc/90/comm", "sh\n")
    (tmp_path / "proc/90/fd").mkdir()
    (tmp_path / "proc/90/fd/9").symlink_to(lock)
    assert parse_probe(run_probe(tmp_path, [tools])).docker.pulling is None
    write(tmp_path, lock[1:])
    assert parse_probe(run_probe(tmp_path, [tools])).docker.pulling == "sh (pid 90)"
    (tmp_path / "proc/90/fd/9").unlink()
    assert parse_probe(run_probe(tmp_path, [tools])).docker.pulling is None


def test_addresses_are_those_that_others_reach() -> None:
    host = host_of(
        "host.address=1: lo    inet 127.0.0.1/8 scope host lo",
        r"host.address=2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\       valid_lft forever",
        "host.address=2: eth0    inet6 fe80::fc:ff:fe00:1/64 scope link",
        "host.address=2: eth0    inet6 fd00::5/64 scope global",
        "host.address=3: docker0    inet 172.17.0.1/16 scope global docker0",
        "host.address=4: br-97e62ee1f065    inet 172.18.0.1/16 scope global br-97e62ee1f065",
        "host.address=5: br-lan    inet 192.168.1.2/24 scope global br-lan",
        "host.address=6: wg0    inet 10.8.0.1 peer 10.8.0.2/32 scope global wg0",
        "host.address=7: bad    inet nonsense/24",
        "host.address=8: short",
    )
    assert host.addresses == ("10.0.0.5", "fd00::5", "192.168.1.2", "10.8.0.1")


def test_addresses_without_names_of_interfaces() -> None:
    assert host_of("host.hostname_addresses=10.0.0.5 172.17.0.1 fd00::5 ").addresses == ("10.0.0.5", "fd00::5")


def test_the_site_cache_is_read_without_its_key(tmp_path: Path, tools: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "the tests need openssl"
    (tools / "openssl").symlink_to(openssl)
    folder = tmp_path / "etc/gpu-hosts/registry-cache"
    for name in ("nvcr.io.yml", "ca.crt", "ca.key", "server.key", "htpasswd"):
        write(folder, name, name)
    request = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt")]
    about = ["-subj", "/CN=cache", "-days", "30", "-addext", "subjectAltName=IP:10.0.0.5"]
    subprocess.run([*request, *made, *about], check=True, capture_output=True)
    host = parse_probe(run_probe(tmp_path, [tools]))
    assert host.registry_cache
    assert host.registry_cache.expires
    assert abs(host.registry_cache.expires - host.time - 30 * 86400) < 600
    assert host.registry_cache.address == "10.0.0.5"
    assert [(file.path.rpartition("/")[2], file.text) for file in host.registry_cache.files] == [
        ("ca.crt", "ca.crt"),
        ("nvcr.io.yml", "nvcr.io.yml"),
    ]


@pytest.mark.parametrize(
    ("lines", "cache"),
    [
        ((), None),
        (
            ("notAfter=Nov 21 10:00:00 2027 GMT", "X509v3 Subject Alternative Name: ", "    DNS:cache.lab, DNS:other"),
            RegistryCache((), "cache.lab", 1826791200),
        ),
        (("notAfter=soon",), RegistryCache((), "", None)),
    ],
)
def test_certificate_of_the_cache(lines: tuple[str, ...], cache: RegistryCache | None) -> None:
    assert host_of(*(f"docker.cache_certificate={line}" for line in lines)).registry_cache == cache


def test_a_cache_without_a_readable_certificate_is_there() -> None:
    found = host_of(file_line("/etc/gpu-hosts/registry-cache/ca.crt", "x")).registry_cache
    assert found == RegistryCache((SourceFile("/etc/gpu-hosts/registry-cache/ca.crt", "x"),), "", None)


def test_old_answers_without_these_lines_say_that_nothing_is_known() -> None:
    host = host_of("docker.running=yes")
    docker = host.docker
    assert (docker.images_root, docker.images_free, docker.images_free_inodes) == ("", None, None)
    assert (docker.registry_files, docker.pulling, docker.containerd_store) == ((), None, False)
    assert (host.addresses, host.registry_cache) == ((), None)


def test_the_view_prints_them() -> None:
    record = Host(
        probe=1, docker=host_of("docker.layers=0123456789abcdef ", 'docker.info={"ServerVersion":"28"}').docker
    )
    shown = DockerView().process_data(record)
    assert isinstance(shown, dict)
    assert shown["layers"] == ["0123456789abcdef"]


@pytest.mark.parametrize(("status", "containers"), [(124, None), (1, ())])
def test_containers_that_were_not_described_in_time_are_not_known(
    tmp_path: Path, tools: Path, status: int, containers: tuple[()] | None
) -> None:
    """With any other status the one that was listed has gone meanwhile."""
    with_docker(tmp_path, tools, {"ServerVersion": "28.5.2"})
    (tools / "timeout").unlink()
    script = f'#!/bin/sh\ncase $3 in ps) echo 0123 ;; inspect) exit {status} ;; *) shift; exec "$@" ;; esac\n'
    (tools / "timeout").write_text(script)
    (tools / "timeout").chmod(0o755)
    host = parse_probe(run_probe(tmp_path, [tools]))
    assert host.docker.containers == containers
    assert any("described in time" in line for line in host.unread) is (status == 124)

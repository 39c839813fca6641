"""What the stand-ins of Enterprise Linux say of themselves: specs, module streams, names and relations."""

from __future__ import annotations

import re

import pytest

from tests.sandbox.enterprise_linux import KEY_FILES
from tests.sandbox.host_images import KINDS
from tests.sandbox.inventory import FLEET, WISHES
from tests.sandbox.rpm_containers import PRESET, toolkit_rpms
from tests.sandbox.rpm_repository import Rpm, batches_of, module_metadata, spec_of
from tests.sandbox.rpm_standins import (
    OPEN,
    PROPRIETARY,
    RELEASES,
    UPSTREAM_VERSIONS,
    driver_packages,
    driver_streams,
    system_repositories,
)

EVERYTHING = [one for version in UPSTREAM_VERSIONS for one in driver_packages(version, b"", b"")]


def streams_of(text: str) -> dict[str, set[str]]:
    """Stream -> NEVRAs of a modules.yaml."""
    documents = [part for part in text.split("---\n") if "document: modulemd\n" in part]
    found = {}
    for document in documents:
        name = re.search(r"stream: (\S+)", document)
        assert name
        found[name[1]] = set(re.findall(r"- (\S+\.(?:x86_64|noarch))\n", document))
    return found


def test_a_package_is_named_as_dnf_names_it() -> None:
    assert Rpm("kmod", "580.95.05", "", epoch=3).nevra(".el9") == "kmod-3:580.95.05-1.el9.x86_64"
    kernel = Rpm("kernel-core", "5.14.0", "", "570.17.1.el9_6")
    assert kernel.nevra(".el9") == "kernel-core-0:5.14.0-570.17.1.el9_6.x86_64"


def test_a_percent_sign_in_a_script_is_no_macro() -> None:
    assert "echo 100%%d\n" in spec_of([Rpm("a", "1", "", scripts={"post": b"echo 100%d"})])


def test_a_spec_has_each_name_once() -> None:
    first, second, third = (Rpm(name, version, "") for name, version in (("a", "1"), ("a", "2"), ("b", "1")))
    assert batches_of([first, second, third]) == [[first, third], [second]]


def test_module_metadata_has_a_document_for_each_stream_and_the_default() -> None:
    text = module_metadata("m", "two", {"one": ["a-0:1-1.x86_64"], "two": ["b-0:1-1.x86_64"]})
    assert streams_of(text) == {"one": {"a-0:1-1.x86_64"}, "two": {"b-0:1-1.x86_64"}}
    assert "document: modulemd-defaults\nversion: 1\ndata:\n  module: m\n  stream: two\n" in text


def test_streams_of_a_branch_have_all_its_versions_and_one_kind_of_modules() -> None:
    streams = streams_of(driver_streams(EVERYTHING, ".el9"))
    assert set(streams) == {"580-open", "580-dkms", "595-open", "595-dkms", "open-dkms", "latest-dkms"}
    for stream, packages in streams.items():
        kept, left_out = (OPEN, PROPRIETARY) if "open" in stream else (PROPRIETARY, OPEN)
        assert any(package.startswith(f"{kept}-3:") for package in packages)
        assert not any(package.startswith(f"{left_out}-3:") for package in packages)
    drivers = {package for package in streams["580-open"] if package.startswith("nvidia-driver-cuda-3:")}
    assert drivers == {f"nvidia-driver-cuda-3:{version}-1.el9.x86_64" for version in ("580.95.05", "580.178.04")}
    assert streams["open-dkms"] == streams["595-open"]


@pytest.mark.parametrize("version", UPSTREAM_VERSIONS)
def test_one_of_two_module_packages_serves_the_driver(version: str) -> None:
    packages = {one.name: one for one in driver_packages(version, b"", b"")}
    assert f"Requires: nvidia-kmod = 3:{version}" in packages["nvidia-kmod-common"].relations
    for name in (OPEN, PROPRIETARY):
        assert f"Provides: nvidia-kmod = 3:{version}" in packages[name].relations
    assert f"Conflicts: {PROPRIETARY}" in packages[OPEN].relations


@pytest.mark.parametrize("kind", RELEASES)
def test_what_the_driver_requires_can_be_had(kind: str) -> None:
    system = [one for packages in system_repositories(RELEASES[kind]).values() for one in packages]
    relations = [line.split()[1:2][0] for one in (*system, *EVERYTHING) for line in one.relations if "Provides" in line]
    offered = {one.name for one in (*system, *EVERYTHING)} | set(relations)
    needed = {line.split()[1] for one in (*system, *EVERYTHING) for line in one.relations if "Requires" in line}
    assert needed <= offered


def test_hosts_of_enterprise_linux_are_not_started_by_up() -> None:
    on_demand = {name for name, kind in KINDS.items() if kind.on_demand}
    assert set(RELEASES) <= on_demand
    assert not on_demand.intersection(FLEET)
    assert on_demand <= set(WISHES)
    assert {release.major for release in RELEASES.values()} == set(KEY_FILES)


@pytest.mark.parametrize(("version", "tools"), [("1.20.0-1", "= 1.20.0-1"), ("1.17.8-1", ">= 1.17.8-1")])
def test_toolkits_rpms_need_each_other_as_its_debs_do(version: str, tools: str) -> None:
    packages = {one.name: one for one in toolkit_rpms(version)}
    assert packages["nvidia-container-toolkit"].relations == (
        f"Requires: libnvidia-container-tools {tools}",
        f"Requires: nvidia-container-toolkit-base = {version}",
    )
    assert {one.nevra(".el9").rsplit("-", 1)[1] for one in packages.values()} == {"1.x86_64"}


@pytest.mark.parametrize(("version", "expected"), [("1.20.0-1", True), ("1.17.8-1", False)])
def test_toolkits_units_are_enabled_by_a_preset(version: str, expected: bool) -> None:
    base = next(one for one in toolkit_rpms(version) if one.name.endswith("-base"))
    assert (PRESET in base.files) is expected
    assert ("posttrans" in base.scripts) is expected

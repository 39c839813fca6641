"""Debian's components that its driver is in: what a host's own sources lack of them, and how that is written."""

from dataclasses import replace

import pytest

from deploys.planning.records import Area, Refusal, Repository
from deploys.planning.repositories import plan_components
from facts.model import Host, SourceFile
from tests.planning.hosts import BARE, with_sources

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# As Debian 13's installer writes it.
INSTALLER = f"""# Modernized from /etc/apt/sources.list
Types: deb deb-src
URIs: http://debian.lab/debian/
Suites: trixie trixie-updates
Components: main non-free-firmware
Signed-By: {KEYRING}

# Modernized from /etc/apt/sources.list
Types: deb deb-src
URIs: http://security.lab/debian-security/
Suites: trixie-security
Components: main non-free-firmware
Signed-By: {KEYRING}
"""
ALL = "contrib non-free non-free-firmware"


def plan(host: Host) -> Repository | Refusal | None:
    """The plan for the driver's components."""
    return plan_components(host, Area.DRIVER)


def source(*texts: str, suffix: str = "list") -> str:
    """The source that is to be added beside these."""
    found = plan(with_sources(BARE, *texts, suffix=suffix))
    assert isinstance(found, Repository), found
    return found.source


def test_missing_components_are_added_to_all_suites_of_the_release() -> None:
    expected = f"""Types: deb
URIs: http://debian.lab/debian/
Suites: trixie trixie-updates
Components: contrib non-free
Signed-By: {KEYRING}

Types: deb
URIs: http://security.lab/debian-security/
Suites: trixie-security
Components: contrib non-free
Signed-By: {KEYRING}
"""
    assert source(INSTALLER, suffix="sources") == expected


def test_it_is_a_source_of_ours_without_a_key() -> None:
    found = plan(with_sources(BARE, INSTALLER, suffix="sources"))
    assert isinstance(found, Repository)
    assert found.source_path == "/etc/apt/sources.list.d/gpu-hosts-debian.sources"
    assert (found.uri, found.suite) == ("http://debian.lab/debian/", "trixie")
    assert (found.key_path, found.key_url, found.fingerprint) == ("", "", "")


@pytest.mark.parametrize("text", [INSTALLER, INSTALLER.replace("\n\n", "\n \n\n"), INSTALLER.replace("Types", "types")])
def test_what_was_added_is_not_missing_any_more(text: str) -> None:
    host = with_sources(BARE, text, suffix="sources")
    found = plan(host)
    assert isinstance(found, Repository)
    ours = SourceFile(found.source_path, found.source)
    assert plan(replace(host, packages=replace(host.packages, sources=(ours, *host.packages.sources)))) is None


@pytest.mark.parametrize(
    "texts",
    [
        (f"deb http://debian.lab/debian trixie main {ALL}",),
        ("deb http://debian.lab/debian trixie main non-free-firmware contrib non-free # all\n",),
        ("deb http://debian.lab/debian trixie main", f"deb http://mirror.lab/debian/ trixie {ALL}"),
    ],
)
def test_components_that_any_source_gives_are_not_missing(texts: tuple[str, ...]) -> None:
    assert plan(with_sources(BARE, *texts)) is None


def test_one_line_source_keeps_its_mirror_and_its_options() -> None:
    """Entries of one address and suite that differ in an option make apt read no source at all."""
    line = f"deb [arch=amd64,i386 check-valid-until=no signed-by={KEYRING}] http://mirror.lab/d trixie main"
    assert source(line) == (
        f"Types: deb\nURIs: http://mirror.lab/d\nSuites: trixie\nComponents: {ALL}\n"
        f"Architectures: amd64 i386\nCheck-Valid-Until: no\nSigned-By: {KEYRING}\n"
    )


def test_deb822_options_are_kept_as_they_are_written() -> None:
    text = INSTALLER.replace(f"Signed-By: {KEYRING}", f"Signed-By:\n {KEYRING}\ntrusted: yes")
    assert f"Components: contrib non-free\nSigned-By:\n {KEYRING}\ntrusted: yes\n" in source(text, suffix="sources")


@pytest.mark.parametrize(
    "uri",
    ["mirror+file:///etc/apt/mirrors/debian.list", "http://debian.mirror.lab/", "http://proxy:3142/debian.lab/x"],
)
def test_source_that_names_no_key_counts_where_it_calls_itself_debians(uri: str) -> None:
    assert f"URIs: {uri}\nSuites: trixie\nComponents: {ALL}\n" in source(f"deb {uri} trixie main")


def test_each_suite_gets_what_it_lacks_once() -> None:
    lines = (
        "deb http://debian.lab/debian trixie main contrib",
        "deb http://mirror.lab/debian trixie main",
        "deb http://debian.lab/debian trixie-updates main non-free-firmware",
        f"deb http://security.lab/debian-security trixie-security main {ALL}",
        "deb http://debian.lab/debian trixie-backports main",
    )
    stanzas = source("\n".join(lines)).split("\n\n")
    assert [stanza.splitlines()[1:4] for stanza in stanzas] == [
        ["URIs: http://debian.lab/debian", "Suites: trixie", "Components: non-free non-free-firmware"],
        ["URIs: http://debian.lab/debian", "Suites: trixie-updates", "Components: contrib non-free"],
    ]


def test_suite_may_be_called_stable() -> None:
    assert "Suites: stable\n" in source("deb http://debian.lab/debian stable main")


DEBIAN = "deb http://debian.lab/debian trixie main\n"


@pytest.mark.parametrize(
    "text",
    [
        "deb [signed-by=/usr/share/keyrings/tailscale.gpg] https://pkgs.tailscale.com/stable/debian trixie main",
        "deb https://dl.google.com/linux/chrome/deb/ stable main",
        "deb https://download.docker.com/linux/debian trixie stable",
        "deb-src http://sources.debian.lab/debian trixie main",
        "# deb http://old.debian.lab/debian trixie main",
        "deb cdrom:[Debian GNU/Linux 13.0.0 _Trixie_ - Official amd64 NETINST]/ trixie main",
    ],
)
def test_other_sources_are_not_asked_for_debians_components(text: str) -> None:
    assert source(f"{text}\n{DEBIAN}") == source(DEBIAN)


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("", "list"),
        ("deb http://debian.lab/debian bookworm main", "list"),
        ("deb [signed-by=/etc/apt/keyrings/site.gpg] http://mirror.lab/debian trixie main", "list"),
        ("deb [arch+=i386] http://debian.lab/debian trixie main", "list"),
        (INSTALLER.replace("Types", "Enabled: no\nTypes"), "sources"),
        ("this is no source\n\n:", "sources"),
    ],
    ids=["none", "another release", "another key", "changed list", "switched off", "nonsense"],
)
def test_sources_that_are_not_recognised_are_refused_in_three_parts(text: str, suffix: str) -> None:
    host = with_sources(BARE, text, suffix=suffix)
    found = plan(host)
    assert isinstance(found, Refusal)
    assert found.area is Area.DRIVER
    assert "trixie main" in found.seen
    assert host.packages.sources[0].path in found.seen
    assert ALL in found.remedy


def test_host_without_any_source_file_is_refused() -> None:
    found = plan(with_sources(BARE))
    assert isinstance(found, Refusal)
    assert found.seen.endswith("/etc/apt")

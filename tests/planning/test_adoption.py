"""Somebody's own source of a vendor's repository: used as it is, or switched off where ours takes its place."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.planning import apt_sources, yum_sources
from deploys.planning.apt_sources import Entry, read_entries
from deploys.planning.catalogue import load_catalogue
from deploys.planning.records import Area, Refusal, Repository
from deploys.planning.repositories import plan_repository
from deploys.planning.yum_sources import Section, read_sections
from facts.model import Host, SourceFile
from tests.planning.hosts import BARE, on

CATALOGUE = load_catalogue()
DOCKER = "https://download.docker.com/linux/debian"
NVIDIA = "https://nvidia.github.io"
TOOLKIT = f"{NVIDIA}/libnvidia-container/stable/deb/amd64"
KEYRING = "/etc/apt/keyrings/docker.asc"
FOLDER = "/etc/apt/sources.list.d"
# What Docker's guide has people write today, and what it had them write before.
GUIDE = f"Types: deb\nURIs: {DOCKER}\nSuites: trixie\nComponents: stable\nSigned-By: {KEYRING}\n"
BEFORE = f"deb [arch=amd64 signed-by={KEYRING}] {DOCKER} trixie stable\n"
# What it had them write in the days of apt-key.
APT_KEY = f"deb [arch=amd64] {DOCKER} trixie stable\n"
DEBIAN = "deb http://debian.lab/debian trixie main\n"

Found = Repository | Refusal | None


def plan(name: str, host: Host, files: dict[str, str], keyrings: tuple[str, ...] = (KEYRING,)) -> Found:
    """The plan for one repository on a host with these source files and keyrings."""
    sources = tuple(SourceFile(path, text) for path, text in sorted(files.items()))
    packages = replace(host.packages, sources=sources, keyrings=tuple((path, "00") for path in keyrings))
    return plan_repository(
        name, Area.DOCKER, replace(host, packages=packages), CATALOGUE, fingerprint=None, address=None
    )


def migrated(name: str, files: dict[str, str], host: Host = BARE) -> dict[str, str]:
    """Path and text that stays of each file that ours takes the place of; their digests are checked here."""
    found = plan(name, host, files)
    assert isinstance(found, Repository), found
    for path, digest, _ in found.migrated:
        assert digest == sha256(files[path].encode()).hexdigest()
    return {path: text for path, _, text in found.migrated}


@pytest.mark.parametrize(
    "files",
    [
        {f"{FOLDER}/docker.sources": GUIDE},
        {f"{FOLDER}/docker.list": BEFORE},
        {f"{FOLDER}/docker.list": DEBIAN + BEFORE},
        # The same keyring in two files is no conflict to apt.
        {f"{FOLDER}/docker.list": BEFORE, f"{FOLDER}/docker.sources": GUIDE},
    ],
)
def test_a_source_with_a_keyring_that_is_there_is_used(files: dict[str, str]) -> None:
    assert plan("docker", BARE, files) is None


def test_a_keyring_that_is_gone_is_no_keyring() -> None:
    path = f"{FOLDER}/docker.sources"
    assert isinstance(plan("docker", BARE, {path: GUIDE}, keyrings=()), Repository)
    elsewhere = GUIDE.replace(KEYRING, "/opt/site/keys/docker.gpg")
    assert plan("docker", BARE, {path: elsewhere}, keyrings=()) is None
    inside = GUIDE.replace(
        KEYRING, "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    )
    assert plan("docker", BARE, {path: inside}, keyrings=()) is None


def test_a_file_of_that_repository_alone_goes() -> None:
    files = {f"{FOLDER}/docker.list": f"# Docker\n{APT_KEY}# deb-src\n", "/etc/apt/sources.list": DEBIAN}
    assert migrated("docker", files) == {f"{FOLDER}/docker.list": ""}


def test_of_other_files_only_those_lines_are_switched_off() -> None:
    files = {f"{FOLDER}/site.list": f"{DEBIAN}{APT_KEY}deb-src {DOCKER} trixie stable\n# end"}
    assert migrated("docker", files) == {
        f"{FOLDER}/site.list": f"{DEBIAN}# {APT_KEY}# deb-src {DOCKER} trixie stable\n# end\n"
    }


def test_of_a_deb822_file_only_that_stanza_is_switched_off() -> None:
    debian = "# Debian\nTypes: deb\nURIs: http://debian.lab/debian\nSuites: trixie\nComponents: main\n"
    unsigned = f"# Docker\nTypes: deb\nenabled: yes\nURIs: {DOCKER}/\nSuites: trixie\nComponents: stable\n"
    files = {f"{FOLDER}/site.sources": f"{debian}\n{unsigned}"}
    off = f"# Docker\nEnabled: no\nTypes: deb\nURIs: {DOCKER}/\nSuites: trixie\nComponents: stable\n"
    assert migrated("docker", files) == {f"{FOLDER}/site.sources": f"{debian}\n{off}"}


def test_what_was_switched_off_is_settled() -> None:
    """After the run ours is there, and what is left of theirs counts no more."""
    files = {f"{FOLDER}/site.list": DEBIAN + APT_KEY}
    first = plan("docker", BARE, files)
    assert isinstance(first, Repository)
    after = {first.source_path: first.source} | {path: text for path, _, text in first.migrated}
    assert plan("docker", BARE, after, keyrings=(first.key_path,)) is None


def test_two_keyrings_for_one_repository_are_a_conflict() -> None:
    """apt: Conflicting values set for option Signed-By."""
    files = {
        f"{FOLDER}/docker.list": BEFORE.replace(KEYRING, "/usr/share/keyrings/docker.gpg"),
        f"{FOLDER}/d.sources": GUIDE,
    }
    assert migrated("docker", files) == dict.fromkeys(files, "")


def test_ours_stays_where_another_came_beside_it() -> None:
    ours = plan("docker", BARE, {})
    assert isinstance(ours, Repository)
    files = {ours.source_path: ours.source, f"{FOLDER}/docker.list": BEFORE}
    assert migrated("docker", files) == {f"{FOLDER}/docker.list": ""}


@pytest.mark.parametrize("text", [GUIDE.replace("trixie", "bookworm"), f"Enabled: no\n{GUIDE}", f"# {BEFORE}"])
def test_what_a_release_upgrade_left_behind_stays_as_it_is(text: str) -> None:
    assert migrated("docker", {f"{FOLDER}/docker.sources": text}) == {}


def test_a_source_that_names_others_too_is_not_taken_apart() -> None:
    text = f"Types: deb\nURIs: https://mirror.lab/debian {DOCKER}/\nSuites: trixie\nComponents: stable\n"
    found = plan("docker", BARE, {f"{FOLDER}/site.sources": text})
    assert isinstance(found, Refusal)
    assert found.seen == f"{FOLDER}/site.sources: https://mirror.lab/debian {DOCKER}/; Signed-By: none"
    assert f"take {DOCKER} out of that entry" in found.remedy
    assert plan("docker", BARE, {f"{FOLDER}/site.sources": f"{text}Signed-By: {KEYRING}\n"}) is None


def test_a_refused_source_is_shown_without_password_and_key() -> None:
    key = " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abcd\n"
    text = f"Types: deb\nURIs: {DOCKER} https://lab:geheim@mirror.lab/debian\nSuites: trixie\nComponents: stable\n"
    older = f"deb {DOCKER} trixie stable\n"
    found = plan("docker", BARE, {f"{FOLDER}/both.sources": f"{text}Signed-By:\n{key}", f"{FOLDER}/old.list": older})
    assert isinstance(found, Refusal)
    assert "Signed-By: a key in the entry itself" in found.seen
    assert "geheim" not in found.seen
    assert "abcd" not in found.seen


@pytest.mark.parametrize(
    "line",
    [
        f"deb {NVIDIA}/libnvidia-container/stable/ubuntu18.04/$(ARCH) /",
        f"deb {NVIDIA}/libnvidia-container/ubuntu20.04/$(ARCH) /",
        f"deb [signed-by=/usr/share/keyrings/n.gpg] {NVIDIA}/libnvidia-container/stable/debian11/amd64 /",
        f"deb {NVIDIA}/nvidia-container-runtime/ubuntu18.04/$(ARCH) /",
        f"deb {NVIDIA}/nvidia-docker/ubuntu18.04/$(ARCH) /",
    ],
)
def test_older_repositories_of_the_toolkit_go(line: str) -> None:
    files = {f"{FOLDER}/nvidia-docker.list": f"{line}\n"}
    assert migrated("nvidia-container-toolkit", files) == {f"{FOLDER}/nvidia-docker.list": ""}
    todays = f"deb [signed-by={KEYRING}] {TOOLKIT} /\n"
    both = files | {f"{FOLDER}/nvidia-container-toolkit.list": todays}
    assert migrated("nvidia-container-toolkit", both) == dict.fromkeys(both, "")


@pytest.mark.parametrize(
    "line",
    [
        f"deb {NVIDIA}/libnvidia-container/experimental/deb/amd64 /",
        f"deb {NVIDIA}/libnvidia-container/experimental/ubuntu18.04/amd64 /",
        f"# deb {NVIDIA}/nvidia-docker/ubuntu18.04/$(ARCH) /",
    ],
)
def test_experimental_repositories_are_left_alone(line: str) -> None:
    assert migrated("nvidia-container-toolkit", {f"{FOLDER}/nvidia.list": line}) == {}


ROCKY = on("rocky-9.6")
YUM = "/etc/yum.repos.d"
# download.docker.com/linux/centos/docker-ce.repo, shortened.
DOCKER_CE_REPO = """[docker-ce-stable]
name=Docker CE Stable - $basearch
baseurl=https://download.docker.com/linux/centos/$releasever/$basearch/stable
enabled=1
gpgcheck=1
gpgkey=https://download.docker.com/linux/centos/gpg

[docker-ce-test]
name=Docker CE Test - $basearch
baseurl=https://download.docker.com/linux/centos/$releasever/$basearch/test
enabled=0
"""


@pytest.mark.parametrize("of", ["centos", "rhel"])
def test_dockers_own_repo_file_is_used(of: str) -> None:
    assert plan("docker", ROCKY, {f"{YUM}/docker-ce.repo": DOCKER_CE_REPO.replace("centos", of)}) is None


@pytest.mark.parametrize(
    "text", [DOCKER_CE_REPO.replace("enabled=1", "enabled=0"), DOCKER_CE_REPO.replace("/stable", "/test")]
)
def test_a_repo_file_that_is_off_or_of_another_channel_is_not(text: str) -> None:
    assert migrated("docker", {f"{YUM}/docker-ce.repo": text}, ROCKY) == {}


def test_the_toolkits_repo_file_is_used() -> None:
    # nvidia.github.io/libnvidia-container/stable/rpm/nvidia-container-toolkit.repo, shortened.
    text = f"[nvidia-container-toolkit]\nbaseurl={NVIDIA}/libnvidia-container/stable/rpm/$basearch\nenabled=1\n"
    assert plan("nvidia-container-toolkit", ROCKY, {f"{YUM}/nvidia-container-toolkit.repo": text}) is None


def test_older_sections_are_switched_off() -> None:
    # As nvidia-docker.repo was for centos7 and 8, shortened.
    text = f"""[libnvidia-container]
baseurl={NVIDIA}/libnvidia-container/stable/centos8/$basearch
enabled=1
gpgcheck=0

[nvidia-docker]
baseurl={NVIDIA}/nvidia-docker/centos8/$basearch

[site]
baseurl=https://mirror.lab/site
enabled=1
"""
    assert migrated("nvidia-container-toolkit", {f"{YUM}/nvidia-docker.repo": text}, ROCKY) == {
        f"{YUM}/nvidia-docker.repo": f"""[libnvidia-container]
enabled=0
baseurl={NVIDIA}/libnvidia-container/stable/centos8/$basearch
gpgcheck=0

[nvidia-docker]
enabled=0
baseurl={NVIDIA}/nvidia-docker/centos8/$basearch

[site]
baseurl=https://mirror.lab/site
enabled=1
"""
    }


LINES = st.sampled_from(
    [
        "",
        "# a comment",
        DEBIAN.strip(),
        APT_KEY.strip(),
        BEFORE.strip(),
        f"deb-src {DOCKER} trixie stable",
        "deb [broken",
    ]
)
STANZAS = st.sampled_from(
    [GUIDE, f"# ours\nEnabled: no\n{GUIDE}", f"{GUIDE}enabled: yes\n", f"Types: deb-src\n{GUIDE[11:]}"]
)
SECTIONS = st.sampled_from(
    ["[a]\nbaseurl=https://a.lab/\nenabled=1\n", "[b]\nbaseurl = https://b.lab/\n\n", "# x\n[c]\nenabled = 0\n"]
)


def what(entry: Entry) -> tuple[object, ...]:
    """All of an entry but where it stands."""
    return (entry.types, entry.source)


@given(st.lists(LINES, max_size=6), st.sets(st.integers(0, 5)))
def test_of_any_list_file_just_those_lines_are_switched_off(lines: list[str], chosen: set[int]) -> None:
    file = SourceFile(f"{FOLDER}/x.list", "".join(f"{line}\n" for line in lines))
    entries = read_entries(file)
    off = [entry for i, entry in enumerate(entries) if i in chosen]
    text = apt_sources.switch_off(file, off)
    left = [what(entry) for entry in read_entries(SourceFile(file.path, text))]
    assert left == [what(entry) for i, entry in enumerate(entries) if i not in chosen]
    if text:
        assert [line.removeprefix("# ") for line in text.splitlines()] == [line.removeprefix("# ") for line in lines]


@given(st.lists(STANZAS, max_size=4), st.sets(st.integers(0, 3)))
def test_of_any_deb822_file_just_those_stanzas_are_switched_off(stanzas: list[str], chosen: set[int]) -> None:
    file = SourceFile(f"{FOLDER}/x.sources", "\n".join(stanzas))
    entries = read_entries(file)
    off = [entry for i, entry in enumerate(entries) if i in chosen]
    text = apt_sources.switch_off(file, off)
    after = read_entries(SourceFile(file.path, text))
    assert not text or [what(entry) for entry in after] == [what(entry) for entry in entries]
    assert [entry.enabled for entry in after if text] == [
        entry.enabled and i not in chosen for i, entry in enumerate(entries) if text
    ]
    assert bool(text) is bool([i for i in range(len(entries)) if i not in chosen])


@given(st.lists(SECTIONS, max_size=4), st.sets(st.integers(0, 3)))
def test_of_any_repo_file_just_those_sections_are_switched_off(texts: list[str], chosen: set[int]) -> None:
    file = SourceFile(f"{YUM}/x.repo", "".join(texts))
    sections = read_sections(file)
    off = [section for i, section in enumerate(sections) if i in chosen]
    after = read_sections(SourceFile(file.path, yum_sources.switch_off(file, off)))

    def tell(section: Section) -> tuple[str, bool]:
        return section.base_url, section.enabled

    assert [tell(section) for section in after] == [
        (section.base_url, section.enabled and i not in chosen) for i, section in enumerate(sections)
    ]

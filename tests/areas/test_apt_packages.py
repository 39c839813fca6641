"""The transaction for Docker, toolkit and tools with apt, in a real shell on a made-up host.

The stand-in for apt-get does to a list of packages what it is told, and says so as apt 3.0.3 does on Debian 13.
Docker's versions are written as in its repository for Debian 13, the toolkit's as in NVIDIA's.
"""

from collections.abc import Mapping

import pytest

from tests.areas.apt_host import APT_MARK, DPKG_QUERY, apt_host, changes, held, set_file
from tests.areas.shell import KILLED, Finished, Place, three_parts

APT_GET = """
now=$here/installed
[ -z "$(cat "$here/busy" 2>/dev/null)" ] || { echo "E: dpkg was interrupted"; exit 100; }
for word; do
  case $word in
    -* | *::* | install) ;;
    *=* | *-) ;;
    *) grep -q "^ $word | " "$here/offered" || { echo "E: Unable to locate package $word"; exit 100; } ;;
  esac
done
case "$*" in *--download-only*) exit 0 ;; esac
cat "$here/besides"
for word; do
  name= version=
  case $word in
    -* | *::* | install) continue ;;
    *=*) name=${word%%=*} version=${word#*=} ;;
    *-) name=${word%-} ;;
    *) name=$word version=$(sed -n "s/^ $word | \\\\([^ ]*\\\\) .*/\\\\1/p" "$here/offered" | head -n 1) ;;
  esac
  if [ -n "$version" ]; then echo "Inst $name ($version Docker:trixie [amd64])"; else echo "Remv $name [1]"; fi
  case "$*" in *--simulate*) continue ;; esac
  sed "/^$name /d" "$now" >"$now.new"
  [ -z "$version" ] || echo "$name $version ii" >>"$now.new"
  [ -n "$version" ] || echo "$name 1 rc" >>"$now.new"
  mv "$now.new" "$now"
done
"""
APT_CACHE = """
case $1 in
  madison) grep "^ $2 | " "$here/offered" ;;
  *) printf '%s:\\n  Installed: (none)\\n  Candidate: %s\\n' "$2" \\
    "$(grep "^ $2 | " "$here/pinned" "$here/offered" -h | grep -v ' Sources$' | head -n 1 | cut -d ' ' -f 4)" ;;
esac
"""
ENGINES = ("29.9.0", "29.2.1", "28.5.2", "28.0.4", "27.5.1")
TOOLKITS = ("1.20.0", "1.19.1", "1.18.2")
TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)


def docker(version: str) -> str:
    """A version of docker-ce and docker-ce-cli, as Docker writes it."""
    return f"5:{version}-1~debian.13~trixie"


def offered() -> list[str]:
    """What apt-cache madison says, the newest first."""
    url = "https://download.docker.com/linux/debian trixie/stable amd64 Packages"
    lines = [f" {name} | {docker(version)} | {url}" for name in ("docker-ce", "docker-ce-cli") for version in ENGINES]
    lines += [f" containerd.io | 1.7.{patch}-1 | {url}" for patch in (28, 27)]
    lines += [f" docker.io | 26.1.5+dfsg1-9+b9 | {url}", f" docker.io | 26.1.5+dfsg1-9 | {url[:-8]}Sources"]
    return [
        *lines,
        *(f" {name} | {version}-1 | {url}" for name in TOOLKIT for version in TOOLKITS),
        f" xauth | 1 | {url}",
    ]


@pytest.fixture
def host(place: Place) -> Place:
    """A host without Docker, whose apt has all versions."""
    apt_host(place)
    for name, body in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-query", DPKG_QUERY)):
        place.stand_in(name, body)
    for name in ("besides", "pinned"):
        (place.root / name).touch()
    set_file(place, "offered", *offered())
    return place


def group(area: str, fields: Mapping[str, str]) -> str:
    """A group as the script takes it."""
    return "|".join([f"area={area}", *(f"{name}={value}" for name, value in fields.items())])


ENGINE = {"packages": "docker-ce docker-ce-cli containerd.io", "same_version": "docker-ce-cli"}
HELD = "docker-ce docker-ce-cli containerd.io"


def change(place: Place, *groups: str) -> Finished:
    """Run the transaction."""
    for file in place.run_folder.iterdir():
        file.unlink()
    return place.run("apt", "packages", "apt_packages", "packages_change", arguments=groups)


def installed(place: Place) -> dict[str, str]:
    """The packages that are installed, with their versions."""
    lines = (line.split() for line in (place.root / "installed").read_text().splitlines())
    return {name: version for name, version, status in lines if status == "ii"}


def run_engine(place: Place, version: str, *, containers: str = "", live_restore: bool = False) -> None:
    """A Docker CE that is installed and runs."""
    packages = {"docker-ce": docker(version), "docker-ce-cli": docker(version), "containerd.io": "1.7.27-1"}
    set_file(place, "installed", *(f"{name} {number} ii" for name, number in packages.items()))
    place.stand_in("docker", f"case $1 in ps) printf '{containers}' ;; info) echo {str(live_restore).lower()} ;; esac")


@pytest.mark.parametrize(
    ("wish", "version"),
    [
        ({}, "29.9.0"),
        ({"release": "28"}, "28.5.2"),
        ({"release": "28.0"}, "28.0.4"),
        ({"release": "27.5.1"}, "27.5.1"),
        ({"floor": "28.3"}, "29.9.0"),
        ({"avoid": "29.0.0,"}, "28.5.2"),
        ({"avoid": "29.0.0,29.3.1"}, "29.9.0"),
        ({"avoid": ",28.5.0 29.0.0,"}, "28.5.2"),
        ({"release": "29", "avoid": "29.3.1,29.10.0"}, "29.2.1"),
        ({"avoid": "29.0.0,29.3.1 29.4.0, 28.1.0,28.5.3"}, "28.0.4"),
        # Nothing better is offered: a mirror that was not renewed.
        ({"release": "28", "avoid": "28.0.0,"}, "28.5.2"),
    ],
)
def test_the_newest_version_that_is_as_wished_is_installed(host: Place, wish: dict[str, str], version: str) -> None:
    done = change(host, group("docker", {**ENGINE, **wish}))
    assert (done.status, done.output) == (0, "")
    assert installed(host) == {
        "docker-ce": docker(version),
        "docker-ce-cli": docker(version),
        "containerd.io": "1.7.28-1",
    }


@pytest.mark.parametrize(
    "wish",
    [
        {"release": "280"},
        {"release": "2"},
        {"release": "28.5.20"},
        {"floor": "30"},
    ],
)
def test_a_wish_that_nothing_fulfils_is_an_error_that_names_what_there_is(host: Place, wish: dict[str, str]) -> None:
    done = change(host, group("docker", {**ENGINE, **wish}))
    assert done.status == 1
    assert three_parts(done.output)
    assert docker("28.5.2") in done.output
    assert not installed(host)


def test_what_an_administrator_pinned_comes_before_the_newest(host: Place) -> None:
    set_file(host, "pinned", f" docker-ce | {docker('28.0.4')} | pinned")
    assert change(host, group("docker", {**ENGINE, "avoid": "27.0.0,27.2.0"})).status == 0
    assert installed(host)["docker-ce"] == docker("28.0.4")


def test_sources_are_no_packages(host: Place) -> None:
    lines = [line for line in offered() if "26.1.5+dfsg1-9+b9" not in line]
    set_file(host, "offered", *lines)
    done = change(host, group("docker", {"packages": "docker.io", "floor": "26.1.5"}))
    assert done.status == 1
    assert "offered are none" in done.output


def test_the_toolkit_comes_in_one_version(host: Place) -> None:
    set_file(host, "installed", "nvidia-container-toolkit 1.18.2-1 ii", "libnvidia-container1 1.20.0-1 ii")
    names = " ".join(TOOLKIT)
    done = change(host, group("toolkit", {"packages": names, "same_version": names, "floor": "1.19.1", "hold": names}))
    assert (done.status, done.output) == (0, "")
    assert installed(host) == dict.fromkeys(TOOLKIT, "1.20.0-1")
    assert held(host) == set(TOOLKIT)


def test_a_version_that_one_of_them_lacks_is_not_taken(host: Place) -> None:
    set_file(host, "offered", *(line for line in offered() if "libnvidia-container1 | 1.20.0" not in line))
    names = " ".join(TOOLKIT)
    assert change(host, group("toolkit", {"packages": names, "same_version": names})).status == 0
    assert installed(host) == dict.fromkeys(TOOLKIT, "1.19.1-1")
    done = change(host, group("toolkit", {"packages": names, "same_version": names, "release": "1.20.0"}))
    assert done.status == 1
    assert "libnvidia-container1 is not there in 1.20.0" in done.output


def test_an_engine_that_is_as_wished_stays_and_what_is_missing_comes(host: Place) -> None:
    run_engine(host, "28.0.4", containers="train")
    assert change(host, group("docker", {**ENGINE, "packages": f"{HELD} xauth", "release": "28"})).status == 0
    assert [call.split("AutomaticRemove=false ")[1] for call in changes(host)][-1] == "xauth"
    host.root.joinpath("calls").unlink()
    assert change(host, group("docker", {**ENGINE, "release": "28"})) == Finished(0, "")
    assert changes(host) == [], "a second run changes nothing"


@pytest.mark.parametrize("release", ["29", "27"])
def test_an_installed_engine_is_upgraded_and_downgraded(host: Place, release: str) -> None:
    run_engine(host, "28.5.2")
    set_file(host, "held", *HELD.split())
    assert change(host, group("docker", {**ENGINE, "release": release, "hold": HELD, "restarts": "yes"})).status == 0
    assert installed(host)["docker-ce"] == docker({"29": "29.9.0", "27": "27.5.1"}[release])
    assert installed(host)["containerd.io"] == "1.7.28-1"
    assert held(host) == set(HELD.split())


@pytest.mark.parametrize(
    ("live_restore", "version", "stops", "remove", "allowed"),
    [
        (False, "28.5.2", "no", "", False),
        (True, "28.5.2", "no", "", True),
        (True, "29.9.0", "no", "", False),
        (True, "28.0.4", "no", "", False),
        (False, "28.5.2", "yes", "", True),
        (True, "28.5.2", "no", "docker.io", False),
        (True, "28.5.2", "yes", "docker.io", True),
    ],
)
def test_running_containers_are_looked_for_at_the_last_moment(
    host: Place, *, live_restore: bool, version: str, stops: str, remove: str, allowed: bool
) -> None:
    """Live-restore keeps them while Docker becomes a patch release of the same, and that only."""
    run_engine(host, "28.5.1", containers="train\\nserve\\n", live_restore=live_restore)
    with (host.root / "installed").open("a") as file:
        file.write("docker.io 26.1.5+dfsg1-9+b9 ii\n")
    before = installed(host)
    fields = {**ENGINE, "release": version, "restarts": "yes", "stops_containers": stops, "remove": remove}
    done = change(host, group("docker", fields), group("sshd X11", {"packages": "xauth"}))
    assert done.status == (0 if allowed else 1), done.output
    assert (installed(host)["docker-ce"] == docker(version)) is allowed
    assert installed(host)["xauth"] == "1", "the other areas go on"
    if not allowed:
        assert three_parts(done.output)
        assert "train serve" in done.output
        assert installed(host) == before | {"xauth": "1"}


@pytest.mark.parametrize(
    "state", ["echo active", "echo activating; exit 3", "echo deactivating; exit 3", "echo reloading; exit 3"]
)
def test_a_daemon_that_cannot_be_asked_is_not_restarted(host: Place, state: str) -> None:
    run_engine(host, "28.5.2")
    host.stand_in("docker", "exit 1")
    host.stand_in("systemctl", state)
    done = change(host, group("docker", {**ENGINE, "release": "29", "restarts": "yes"}))
    assert done.status == 1
    assert three_parts(done.output)
    assert installed(host)["docker-ce"] == docker("28.5.2")
    host.stand_in("systemctl", "echo inactive; exit 3")
    assert change(host, group("docker", {**ENGINE, "release": "29", "restarts": "yes"})).status == 0, "it does not run"


def test_what_is_in_the_way_goes_in_the_same_transaction_and_is_not_purged(host: Place) -> None:
    set_file(host, "installed", "docker.io 26.1.5+dfsg1-9 ii", "podman 5 ii")
    set_file(host, "held", "docker.io", "podman")
    done = change(host, group("docker", {**ENGINE, "remove": "docker.io runc", "hold": HELD, "restarts": "yes"}))
    assert (done.status, done.output) == (0, "")
    assert set(installed(host)) == {*HELD.split(), "podman"}
    assert held(host) == {*HELD.split(), "podman"}
    [call] = [call for call in changes(host) if "--download-only" not in call]
    assert call.endswith(" docker.io-")
    assert "APT::Get::Purge=false" in call


@pytest.mark.parametrize(
    ("besides", "brief"),
    [
        ("Remv site-agent [1]", "docker: other packages would be removed for it"),
        ("Purg site-agent:i386 [1]", "docker: other packages would be removed for it"),
        ("Inst site-agent [1] (2 site [amd64])", "docker: packages that are on hold would be changed for it"),
    ],
)
def test_nothing_else_goes_and_nobody_elses_hold_is_broken(host: Place, besides: str, brief: str) -> None:
    set_file(host, "besides", besides)
    set_file(host, "held", "site-agent", "docker-ce")
    done = change(host, group("docker", ENGINE))
    assert done.status == 1
    assert done.output.startswith(brief)
    assert three_parts(done.output)
    assert "site-agent" in done.output
    assert (installed(host), held(host)) == ({}, {"site-agent", "docker-ce"})


def test_holding_alone_is_done_too(host: Place) -> None:
    run_engine(host, "28.5.2", containers="train")
    assert change(host, group("docker", {"hold": f"{HELD} docker-ce-rootless-extras"})) == Finished(0, "")
    assert held(host) == set(HELD.split())
    assert changes(host) == []


@pytest.mark.parametrize("step", range(1, 6))
def test_a_change_that_was_killed_is_ended_by_the_next_run(host: Place, step: int) -> None:
    """Before the change itself, and before each hold and the end of an old one."""
    set_file(host, "installed", "docker.io 26.1.5+dfsg1-9 ii")
    set_file(host, "held", "docker.io")
    kill = f'echo >>"$here/steps"; [ "$(grep -c "" "$here/steps")" != {step} ] || kill -KILL 0\n'
    guard = f'case "$*" in *--simulate* | *--download-only* | showhold) ;; *) {kill} ;; esac'
    host.stand_in("apt-get", guard + APT_GET)
    host.stand_in("apt-mark", guard + APT_MARK)
    groups = (group("docker", {**ENGINE, "remove": "docker.io", "hold": HELD}),)
    assert change(host, *groups).status == KILLED
    assert change(host, *groups).status == 0
    assert set(installed(host)) == held(host) == set(HELD.split())


GROUPS = (
    group("docker", ENGINE),
    group("toolkit", {"packages": "nvidia-container-toolkit"}),
    group("sshd X11", {"packages": "xauth"}),
)


def test_all_areas_go_in_as_one_transaction(host: Place) -> None:
    assert change(host, *GROUPS) == Finished(0, "")
    assert len([call for call in changes(host) if "--download-only" not in call]) == 1
    assert set(installed(host)) == {*HELD.split(), "nvidia-container-toolkit", "xauth"}


def test_one_bad_name_does_not_hold_up_the_other_areas(host: Place) -> None:
    set_file(host, "offered", *(line for line in offered() if "nvidia-container-toolkit |" not in line))
    done = change(host, *GROUPS)
    assert done.status == 1
    assert "toolkit: its packages cannot be changed\n" in done.output
    assert three_parts(done.output)
    assert set(installed(host)) == {*HELD.split(), "xauth"}


def test_an_area_whose_repository_was_not_added_is_left_out(host: Place) -> None:
    done = change(host, group("docker", {**ENGINE, "source": f"{host.root}/never-added.sources"}), GROUPS[2])
    assert done.status == 1
    assert three_parts(done.output)
    assert set(installed(host)) == {"xauth"}


def test_half_configured_packages_stop_every_change(host: Place) -> None:
    host.stand_in("dpkg", "echo 'The following packages are only half configured: grub-pc'")
    done = change(host, *GROUPS)
    assert done.status == 1
    assert three_parts(done.output)
    assert "grub-pc" in done.output
    assert host.calls("apt-get") == []

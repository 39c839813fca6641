"""Containers brought up and taken down in a real shell, with a stand-in of Docker and Docker Compose."""

from __future__ import annotations

import re
import stat

import pytest

from deploys.areas.containers import containers_input
from deploys.planning.container_trouble import Outcome, read_outcomes
from deploys.planning.records import Answer, Project
from tests.areas.shell import KILLED, STEPS, Finished, Place

FOLDER = "/etc/gpu-hosts/containers"
# A container is a file PROJECT.SERVICE with what `docker container inspect` says of it. Services are those of a compose
# file's lines that are two blanks in, and what their image is called becomes of them: up, healthy, sick, ended, oom.
DOCKER = """
box=$here/containers
state_of() {
  case $1 in
    up) echo "running 0 none false 0" ;; healthy) echo "running 0 healthy false 0" ;;
    sick) echo "running 0 unhealthy false 0" ;; ended) echo "exited 0 none false 0" ;;
    oom) echo "exited 137 none true 0" ;; *) echo "exited 1 none false 0" ;;
  esac
}
services() { sed -n 's/^  \\([a-z.]*\\):.*/\\1/p' $files | sort -u; }
if [ "$1" = compose ]; then
  shift
  files=""
  while :; do
    case $1 in
      --project-name) project=$2; shift 2 ;; --file) files="$files $2"; shift 2 ;; --project-directory) shift 2 ;;
      *) break ;;
    esac
  done
  case "$1 $2" in
    version*) ;;
    "config --services") ! grep -q broken $files || { echo "yaml: line 1" >&2; exit 1; }; services ;;
    "config --quiet") ! grep -q broken $files || { echo "yaml: line 1" >&2; exit 1; } ;;
    up*) ! grep -q taken $files || { echo "Bind for 0.0.0.0:80 failed: port is already allocated" >&2; exit 1; }
      rm -f "$box/$project".*
      for service in $(services); do
        image=$(sed -n "/^  $service:/,/image/s/.*image: //p" $files | head -n 1)
        echo "$service $(state_of "$image") 1970-01-01T00:00:00Z $project.$service" >"$box/$project.$service"
      done ;;
    down*) rm -f "$box/$project".* ;;
  esac
  exit
fi
case "$1 $2" in
  "ps --all") for word; do case $word in label=com.docker.compose.project=*) project=${word##*=} ;; esac; done
    for file in "$box/$project".*; do [ ! -e "$file" ] || echo "${file##*/}"; done ;;
  "container inspect") shift 3
    case $1 in *StartedAt*) shift; for id; do cat "$box/$id"; done ;; esac ;;
  logs*) echo "last words of $4" ;;
  exec*) echo "cuInit says 0" ;;
  restart*) echo "$4" >>"$here/restarted" ;;
  rm*) shift 2; for id; do rm -f "$box/$id"; done ;;
  "image inspect") [ -e "$here/built" ] ;;
  build*) [ ! -e "$here/no-network" ] || { echo "Temporary failure resolving" >&2; exit 1; }; : >"$here/built" ;;
esac
"""


@pytest.fixture
def host(place: Place) -> Place:
    """A host with Docker, and with a container of somebody else's."""
    place.path("/containers").mkdir()
    place.path("/containers/theirs.db").write_text("db running 0 none false 0 1970-01-01T00:00:00Z theirs.db\n")
    place.stand_in("docker", DOCKER)
    # What listens says nothing, but for the ports of which a file has the words.
    place.stand_in("bash", 'port=$5; [ -e "$here/port-$port" ] || exit 1; cat "$here/port-$port"')
    place.stand_in("sleep", "")
    return place


def compose(*services: str) -> str:
    """A compose file: of each service, what becomes of it, as "web: up"."""
    return "services:\n" + "".join("  {}:\n    image: {}\n".format(*one.split(": ")) for one in services)


def project(text: str, name: str = "front") -> Project:
    """A project of ours with one file, whose service may take no time."""
    return Project(name, (("compose.yaml", text),), (), patience=0)


def bring_up(host: Place, *projects: Project, remove: tuple[str, ...] = ()) -> tuple[Finished, tuple[Outcome, ...]]:
    """Run the script as the operation does."""
    done = host.run("containers", arguments=remove, payload=containers_input(projects))
    return done, read_outcomes(done.output)[0]


def outcome(host: Place, *projects: Project) -> tuple[str, str]:
    """Stage and what there is after it, of the one that is brought up."""
    done, (found,) = bring_up(host, *projects)
    assert (done.status == 0) is found.is_good
    return found.stage, found.after


def files(host: Place, name: str = "front") -> dict[str, str]:
    """The files of a project on the host."""
    folder = host.path(f"{FOLDER}/{name}")
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def running(host: Place) -> list[str]:
    """The containers that are there, but for the one of somebody else's, which always must be."""
    names = sorted(path.name for path in host.path("/containers").iterdir())
    assert "theirs.db" in names
    return [name for name in names if name != "theirs.db"]


def test_project_is_written_and_started(host: Place) -> None:
    wished = Project("front", (("compose.yaml", compose("web: up")), ("app/x.py", "print()\n")), (("web", "running"),))
    assert outcome(host, wished) == ("good", "")
    assert files(host) == {"compose.yaml": compose("web: up"), "app/x.py": "print()\n"}
    assert running(host) == ["gpu-hosts-front.web"]
    assert not host.path("/etc/gpu-hosts/containers.before").exists()
    assert not host.path("/etc/gpu-hosts/containers.new").exists()


def test_owners_file_is_for_root_alone_and_comes_after_ours(host: Place) -> None:
    wished = Project("mine", (("compose.yaml", compose("web: up")), ("owner.yaml", compose("web: up", "db: up"))), ())
    host.stand_in("chmod", "")  # it is never anybody else's, not for a moment
    assert outcome(host, wished) == ("good", "")
    assert stat.S_IMODE(host.path(f"{FOLDER}/mine/owner.yaml").stat().st_mode) == 0o600
    assert stat.S_IMODE(host.path(f"{FOLDER}/mine/compose.yaml").stat().st_mode) == 0o644
    up = next(call for call in host.calls("docker") if " up " in call)
    assert up.index("compose.yaml") < up.index("owner.yaml")
    assert f"--project-directory {host.path('/var/lib/gpu-hosts-containers/mine')} " in up
    assert host.path("/var/lib/gpu-hosts-containers/mine").is_dir()


@pytest.mark.parametrize(
    ("text", "stage", "words"),
    [
        (compose("web: crashed"), "state", "last words of"),
        (compose("web: oom"), "state", "web: OOMKilled"),
        (compose("web: sick"), "state", "health unhealthy"),
        (compose("web: taken"), "up", "port is already allocated"),
    ],
)
def test_what_does_not_come_up_gives_way_to_what_was_there(host: Place, text: str, stage: str, words: str) -> None:
    bring_up(host, project(compose("web: up", "cache: up")))
    done, (found,) = bring_up(host, project(text))
    assert (done.status, found.stage, found.after) == (1, stage, "former")
    assert words in "\n".join(found.words)
    assert files(host) == {"compose.yaml": compose("web: up", "cache: up")}
    assert running(host) == ["gpu-hosts-front.cache", "gpu-hosts-front.web"]


def test_what_does_not_come_up_the_first_time_is_taken_down(host: Place) -> None:
    assert outcome(host, project(compose("web: crashed"))) == ("state", "none")
    assert (files(host), running(host)) == ({}, [])


def test_file_that_compose_does_not_read_changes_nothing(host: Place) -> None:
    bring_up(host, project(compose("web: up")))
    assert outcome(host, project("broken\n")) == ("config", "unchanged")
    assert files(host) == {"compose.yaml": compose("web: up")}
    assert running(host) == ["gpu-hosts-front.web"]


@pytest.mark.parametrize("ours", [(("compose.yaml", compose("wbe: up")),), ()])
def test_services_that_the_owners_file_does_not_have(host: Place, ours: tuple[tuple[str, str], ...]) -> None:
    """They are named for the GPU, or among those that end."""
    done = () if ours else (("wbe", "done"),)
    wished = Project("mine", (*ours, ("owner.yaml", compose("web: up"))), done, patience=0)
    _, (found,) = bring_up(host, wished)
    assert (found.stage, found.after, found.words) == ("services", "unchanged", ("it has no wbe", "it has: web"))
    assert running(host) == []


@pytest.mark.parametrize(
    ("image", "wanted", "stage"),
    [
        ("ended", "done", "good"),
        ("crashed", "done", "state"),
        ("up", "done", "state"),
        ("healthy", "healthy", "good"),
        ("up", "healthy", "state"),
        ("ended", "running", "state"),
    ],
)
def test_what_a_service_must_come_to(host: Place, image: str, wanted: str, stage: str) -> None:
    wished = Project("front", (("compose.yaml", compose(f"web: {image}")),), (("web", wanted),), patience=0)
    assert outcome(host, wished)[0] == stage


def test_dot_in_a_service_name_is_a_dot(host: Place) -> None:
    wished = Project("front", (("compose.yaml", compose("a.b: up", "axb: ended")),), (("axb", "done"),), patience=0)
    assert outcome(host, wished) == ("good", "")


def test_one_that_fails_is_in_no_others_way(host: Place) -> None:
    projects = (project(compose("web: crashed")), project(compose("web: up"), "back"))
    done, outcomes = bring_up(host, *projects)
    assert [(one.name, one.stage) for one in outcomes] == [("front", "state"), ("back", "good")]
    assert done.status == 1
    assert running(host) == ["gpu-hosts-back.web"]


def test_services_of_the_owners_file_are_noted_when_it_has_come_up(host: Place) -> None:
    """For them to be missed when they are gone; what did not come up, or is left as it was, is not noted anew."""
    for text in (compose("web: up", "db: up"), compose("web: crashed")):
        bring_up(host, Project("mine", (("owner.yaml", text),), (), patience=0))
        assert files(host, "mine")["services"] == "db\nweb\n"
    assert stat.S_IMODE(host.path(f"{FOLDER}/mine/services").stat().st_mode) == 0o644
    assert not [call for call in host.calls("docker") if "--force-recreate" in call]


def test_what_nothing_wishes_for_goes_with_its_files(host: Place) -> None:
    bring_up(host, project(compose("web: up")), project(compose("web: up"), "back"))
    done, outcomes = bring_up(host, remove=("front",))
    assert [(one.name, one.stage) for one in outcomes] == [("front", "removed")]
    assert done.status == 0
    assert (files(host), running(host)) == ({}, ["gpu-hosts-back.web"])


def test_changed_program_makes_containers_anew_and_a_sick_one_is_restarted(host: Place) -> None:
    """Docker Compose looks at compose files alone, and leaves alone what runs."""

    def wished(program: str) -> Project:
        return Project("front", (("compose.yaml", compose("web: up")), ("x.py", program)), (), patience=0)

    for program, anew in (("1\n", False), ("1\n", False), ("2\n", True)):
        bring_up(host, wished(program))
        up = [call for call in host.calls("docker") if " up " in call][-1]
        assert ("--force-recreate" in up) is anew
    sick = "web running 0 unhealthy false 0 1970-01-01T00:00:00Z gpu-hosts-front.web\n"
    host.path("/containers/gpu-hosts-front.web").write_text(sick)
    assert outcome(host, wished("2\n")) == ("good", "")
    assert host.path("/restarted").read_text() == "gpu-hosts-front.web\n"


@pytest.mark.parametrize(
    ("said", "says", "stage"),
    [
        ("SSH-2.0-OpenSSH_9.2\n", "SSH-2.0", "good"),
        ("HTTP/1.1 200 OK\n", "HTTP/1.1 200", "good"),
        ("HTTP/1.1 403 Forbidden\n", "HTTP/1.1 200", "answer"),
        ("", "SSH-2.0", "answer"),
        ("", "", "good"),
        (None, "SSH-2.0", "answer"),
    ],
)
def test_answer_from_the_host(host: Place, said: str | None, says: str, stage: str) -> None:
    if said is not None:
        host.path("/port-2222").write_text(said)
    answers = (Answer("0.0.0.0", 2222, says),)
    wished = Project("front", (("compose.yaml", compose("web: up")),), (), answers=answers, patience=0)
    assert outcome(host, wished)[0] == stage
    assert " 127.0.0.1 2222 " in host.path("/calls").read_text()


@pytest.mark.parametrize(("text", "stage"), [("cuInit says 0", "good"), ("cuInit says 1", "proof")])
def test_proof_inside(host: Place, text: str, stage: str) -> None:
    proofs = (("web", "python3 -c 'print()'", text),)
    wished = Project("front", (("compose.yaml", compose("web: up")),), (), proofs=proofs, patience=0)
    assert outcome(host, wished)[0] == stage


def test_image_is_built_once_before_anything_changes(host: Place) -> None:
    image = "gpu-hosts-hello-video:0123456789ab"
    text = f"services:\n  web:\n    image: {image}\n"
    # The stand-in makes of an unknown image one that crashes: only the build is looked at here.
    wished = Project("front", (("compose.yaml", text), ("Dockerfile", "FROM scratch\n")), (), build=image, patience=0)
    host.path("/no-network").write_text("")
    assert outcome(host, wished) == ("build", "unchanged")
    host.path("/no-network").unlink()
    bring_up(host, wished)
    bring_up(host, wished)
    builds = [call for call in host.calls("docker") if call.startswith("build")]
    assert [f" --tag {image} " in call for call in builds] == [True, True]


def test_broken_off_at_any_step_the_next_run_makes_it_right(host: Place) -> None:
    """Or, where the new one is no good, puts back what was there."""
    old, new, bad = (project(compose("web: up", f"x: {state}")) for state in ("up", "healthy", "crashed"))
    for wished, expected in ((new, new), (bad, old)):
        step = 0
        while True:
            step += 1
            bring_up(host, old)
            host.kill_at(step)
            killed = bring_up(host, wished)[0].status == KILLED
            host.kill_no_more()
            # The probe sees files: where those of a definition are there and no more, its containers are.
            if files(host) in (dict(old.files), dict(wished.files)):
                [state] = re.findall("x:\n *image: (.*)", files(host)["compose.yaml"])
                says = {"up": "running 0 none", "healthy": "running 0 healthy", "crashed": "exited 1"}[state]
                assert says in host.path("/containers/gpu-hosts-front.x").read_text(), step
            bring_up(host, wished)
            assert files(host) == dict(expected.files), step
            assert running(host) == ["gpu-hosts-front.web", "gpu-hosts-front.x"], step
            if not killed:
                break
        assert step > len(STEPS)


def test_without_docker_compose_nothing_is_done(host: Place) -> None:
    host.stand_in("docker", '[ "$1" != compose ]')
    done, outcomes = bring_up(host, project(compose("web: up")))
    assert (done.status, outcomes) == (1, ())
    assert "there is no Docker Compose" in done.output
    assert files(host) == {}


def test_active_firewalls_are_told(host: Place) -> None:
    host.stand_in("ufw", "echo 'Status: active'")
    assert read_outcomes(bring_up(host, project(compose("web: up")))[0].output)[1] == ("ufw",)

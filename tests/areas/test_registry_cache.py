"""The site cache set up in a real shell, with a stand-in of Docker, and openssl's own certificates."""

from __future__ import annotations

import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploys.areas.registry_cache import (
    CacheSecrets,
    authority_file,
    cache_input,
    cache_words,
    check_secrets,
    lacks_authority,
    mark_secrets,
)
from deploys.planning.records import CachePlan
from deploys.planning.settings import Settings
from deploys.registry.credentials import Secret
from facts.model import Host, RegistryCache, SourceFile
from tests.areas.shell import KILLED, Finished, Place, three_parts

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl here")
SCRIPTS = ("registry_cache_certificate", "registry_cache")
FOLDER = "/etc/gpu-hosts/registry-cache"
NVCR, HUB = "gpu-hosts-cache-nvcr.io", "gpu-hosts-cache-docker.io"
PASSWORD, KEY = "open sesame", "nvapi-$x'\""
SECRETS = CacheSecrets({"nvcr.io": Secret("$oauthtoken", KEY)}, {"nvcr.io": Secret("lab", PASSWORD)})
OPEN = CacheSecrets()
# A container is a file with "true SUM" or "false SUM". One of a configuration that says "broken" ends at once.
DOCKER = """
box=$here/containers
for last; do :; done
case "$1 $2" in
  "image inspect") [ -e "$here/image" ] ;;
  pull*) : >"$here/image" ;;
  "container inspect") [ -e "$box/$last" ] || exit 1
    case "$*" in *State.Running*) cat "$box/$last" ;; *index*) sed "s/^[a-z]* //" "$box/$last" ;; esac ;;
  run*) name="" state=true
    while [ $# -gt 0 ]; do
      case $1 in
        --name) name=$2 ;;
        --label) sum=${2#*=} ;;
        */registry.yml:ro) ! grep -q broken "${1%%:*}" || state=false ;;
      esac
      shift
    done
    [ ! -e "$box/$name" ] || { echo "docker: the name $name is in use" >&2; exit 125; }
    echo "$state $sum" >"$box/$name" ;;
  rename*) [ -e "$box/$2" ] && [ ! -e "$box/$3" ] && /bin/mv "$box/$2" "$box/$3" ;;
  stop*) sed -i s/true/false/ "$box/$last" ;;
  start*) sed -i s/false/true/ "$box/$last" ;;
  rm*) [ -e "$box/$last" ] && /bin/rm -f "$box/$last" ;;
  logs*) echo "level=info msg=starting"
    echo 'time="now" level=fatal msg="listen tcp: bind: address already in use"' >&2 ;;
esac
"""
# A server is there while its container runs, and asks for a password where it has been told to.
S_CLIENT = """cat >/dev/null
case $* in *:5001*) name=gpu-hosts-cache-nvcr.io ;; *) name=gpu-hosts-cache-docker.io ;; esac
! grep -qs ^true "$here/containers/$name" || printf 'HTTP/1.0 %s OK\\r\\n' "$(cat "$here/status")" """


@pytest.fixture
def host(place: Place) -> Place:
    """A host with Docker and openssl, and none of ours on it."""
    place.path("/containers").mkdir()
    place.path("/containers/theirs").write_text("true \n")
    place.path("/status").write_text("200")
    place.stand_in("docker", DOCKER)
    place.stand_in("openssl", f'case $1 in s_client) {S_CLIENT} ;; *) exec {OPENSSL} "$@" ;; esac')
    return place


def plan(
    host: Place,
    texts: dict[str, str],
    *,
    address: str = "192.0.2.10",
    name: str = "",
    remove: tuple[str, ...] = (),
    certificate: bool = True,
) -> CachePlan:
    """The plan that starts these upstreams, on ports from 5001 on, with these records."""
    return CachePlan(
        files=tuple((f"{FOLDER}/{upstream}.yml", text) for upstream, text in texts.items()),
        remove=remove,
        start=tuple(texts),
        upstreams=tuple((upstream, 5001 + number) for number, upstream in enumerate(texts)),
        address=address,
        name=name,
        image="registry@sha256:00",
        folder=str(host.path("/var/lib/cache")),
        environment=(("HTTPS_PROXY", "http://proxy.lab:3128"),),
        make_certificate=certificate,
    )


def set_up(host: Place, wished: CachePlan, secrets: CacheSecrets = OPEN) -> Finished:
    """Run the script as the operation does."""
    return host.run(*SCRIPTS, arguments=tuple(cache_words(wished)), payload=cache_input(wished, secrets))


def ours(host: Place) -> dict[str, str]:
    """Our files: name -> text."""
    return {path.name: path.read_text() for path in host.path(FOLDER).glob("*")}


def containers(host: Place) -> dict[str, bool]:
    """Name -> whether it runs."""
    return {path.name: path.read_text().startswith("true") for path in host.path("/containers").glob("*")}


def certificate(host: Place, *words: str, name: str = "server.crt") -> str:
    """What openssl says of a certificate."""
    command = [str(OPENSSL), "x509", "-noout", "-in", str(host.path(f"{FOLDER}/{name}")), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_new_cache(host: Place) -> None:
    assert set_up(host, plan(host, {"nvcr.io": "one\n", "docker.io": "two\n"})) == Finished(0, "")
    assert containers(host) == {"theirs": True, NVCR: True, HUB: True}
    files = ours(host)
    assert (files["nvcr.io.yml"], files["nvcr.io.config"], files["docker.io.yml"]) == ("one\n", "one\n", "two\n")
    run = next(call for call in host.calls("docker") if call.startswith("run ") and NVCR in call)
    options = ("--network host", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--memory 1g")
    assert [option for option in options if option not in run] == []
    assert "--publish" not in run
    assert run.endswith("registry@sha256:00 serve " + str(host.path("/etc/gpu-hosts/registry.yml")))
    assert f"update --restart unless-stopped {NVCR}" in host.calls("docker")


def test_certificates_are_made_on_the_host_and_keys_are_roots_alone(host: Place) -> None:
    set_up(host, plan(host, {"nvcr.io": "one\n"}, name="cache.lab"))
    assert "IP Address:192.0.2.10, DNS:cache.lab" in certificate(host, "-ext", "subjectAltName")
    assert "TLS Web Server Authentication" in certificate(host, "-ext", "extendedKeyUsage")
    assert "CA:TRUE" in certificate(host, "-ext", "basicConstraints", name="ca.crt")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in host.path(FOLDER).glob("*")}
    assert {modes[name] for name in ("ca.key", "server.key", "nvcr.io.config", "nvcr.io.yml")} == {0o600}
    assert stat.S_IMODE(host.path(FOLDER).stat().st_mode) == 0o700


def test_a_certificate_that_is_right_stays_and_one_for_another_address_does_not(host: Place) -> None:
    set_up(host, plan(host, {"nvcr.io": "one\n"}, name="cache.lab"))
    first = ours(host)
    set_up(host, plan(host, {"nvcr.io": "one\n"}, name="cache.lab"))
    assert ours(host) == first
    for name in ("cache.lab", "other.lab"):
        before = ours(host)
        set_up(host, plan(host, {"nvcr.io": "one\n"}, address="192.0.2.11", name=name))
        assert ours(host)["server.crt"] != before["server.crt"]
        assert ours(host)["ca.crt"] == first["ca.crt"]


def test_an_authority_that_ends_before_its_certificate_would_is_replaced(host: Place) -> None:
    folder = host.path(FOLDER)
    folder.mkdir(parents=True)
    make = [str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old", "-days", "800"]
    subprocess.run([*make, "-keyout", folder / "ca.key", "-out", folder / "ca.crt"], check=True, capture_output=True)
    assert set_up(host, plan(host, {"nvcr.io": "one\n"})).status == 0
    assert "CN = gpu-hosts site cache" in certificate(host, "-subject", "-nameopt", "space_eq", name="ca.crt")
    verify = [str(OPENSSL), "verify", "-CAfile", str(folder / "ca.crt"), str(folder / "server.crt")]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0


def test_an_authority_of_a_clock_that_was_ahead_is_replaced(host: Place) -> None:
    folder = host.path(FOLDER)
    folder.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "of the future")])
    begins = datetime.now(UTC) + timedelta(days=400)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    (folder / "ca.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    assert set_up(host, plan(host, {"nvcr.io": "one\n"})) == Finished(0, "")
    assert "future" not in certificate(host, "-subject", name="ca.crt")


def test_passwords_are_in_files_of_roots_alone(host: Place) -> None:
    host.path("/status").write_text("401")
    assert set_up(host, plan(host, {"nvcr.io": "one\n"}), SECRETS) == Finished(0, "")
    files = ours(host)
    assert files["nvcr.io.yml"] == "one\n"
    assert files["nvcr.io.config"] == 'one\n  username: "$oauthtoken"\n  password: "nvapi-$x\'\\""\n'
    assert files["nvcr.io.htpasswd"].startswith("lab:$2b$")
    assert stat.S_IMODE(host.path(f"{FOLDER}/nvcr.io.htpasswd").stat().st_mode) == 0o600
    told = host.path("/calls").read_text()
    assert PASSWORD not in told
    assert KEY not in told


def test_a_cache_that_asks_nobody_for_a_password_is_not_left_running(host: Place) -> None:
    done = set_up(host, plan(host, {"nvcr.io": "one\n"}), SECRETS)
    assert done.status == 1
    assert "GET /v2/ gave 200" in done.output
    assert containers(host) == {"theirs": True}


def test_what_runs_as_wished_is_left_alone(host: Place) -> None:
    set_up(host, plan(host, {"nvcr.io": "one\n"}))
    host.path("/calls").unlink()
    host.path(f"{FOLDER}/nvcr.io.yml").unlink()  # as after a run that was cut off
    assert set_up(host, plan(host, {"nvcr.io": "one\n"})) == Finished(0, "")
    assert not [call for call in host.calls("docker") if call.split(" ")[0] in ("run", "stop", "rename", "start")]
    assert ours(host)["nvcr.io.yml"] == "one\n"


def test_the_one_from_before_comes_back_where_the_new_one_does_not_answer(host: Place) -> None:
    set_up(host, plan(host, {"nvcr.io": "one\n"}))
    done = set_up(host, plan(host, {"nvcr.io": "broken\n", "docker.io": "two\n"}, certificate=False))
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert "the one from before was started again" in done.output
    assert 'level=fatal msg="listen tcp: bind: address already in use"' in done.output
    assert "another program of this host listens there" in done.output
    assert containers(host) == {"theirs": True, NVCR: True, HUB: True}
    files = ours(host)
    # Without its record the next run takes it up again.
    assert files["nvcr.io.config"] == "one\n"
    assert "nvcr.io.yml" not in files
    assert files["docker.io.yml"] == "two\n"


def test_a_first_one_that_does_not_answer_leaves_nothing(host: Place) -> None:
    done = set_up(host, plan(host, {"nvcr.io": "broken\n"}))
    assert done.status == 1
    assert "nothing listens there now" in done.output
    assert containers(host) == {"theirs": True}
    assert sorted(ours(host)) == ["ca.crt", "ca.key", "server.crt", "server.key"]


def test_an_upstream_that_goes_leaves_its_images(host: Place) -> None:
    set_up(host, plan(host, {"nvcr.io": "one\n", "docker.io": "two\n"}))
    stored = host.path("/var/lib/cache/docker.io/docker")
    stored.mkdir()
    host.path("/containers/gpu-hosts-cache-mine").write_text("true \n")
    # As a change leaves it that was cut off.
    host.path(f"/containers/{HUB}_before").write_text("false 0\n")
    for name in ("config", "htpasswd"):
        host.path(f"{FOLDER}/docker.io.{name}.before").write_text("a password")
    done = set_up(host, plan(host, {}, remove=(HUB, "gpu-hosts-cache-mine"), certificate=False))
    assert "it has no label gpu-hosts.registry-cache" in done.output
    assert containers(host) == {"theirs": True, NVCR: True, "gpu-hosts-cache-mine": True}
    assert not [name for name in ours(host) if name.startswith("docker.io")]
    assert stored.is_dir()


def test_without_openssl_nothing_is_started(host: Place) -> None:
    (host.bin / "openssl").unlink()
    done = set_up(host, plan(host, {"nvcr.io": "one\n"}))
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert containers(host) == {"theirs": True}


def test_an_image_that_cannot_be_pulled_changes_nothing(host: Place) -> None:
    host.stand_in("docker", 'case $1 in info) ;; *) echo "no such host" >&2; exit 1 ;; esac')
    done = set_up(host, plan(host, {"nvcr.io": "one\n"}))
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert ours(host) == {}


@pytest.mark.parametrize("step", range(1, 19))
def test_a_run_that_is_cut_off_is_ended_by_the_next(host: Place, step: int) -> None:
    """At each change of the disk of a second run, which has a new configuration and a new certificate: 17 of them."""
    set_up(host, plan(host, {"nvcr.io": "one\n"}))
    wished = plan(host, {"nvcr.io": "two\n"}, address="192.0.2.11")
    host.kill_at(step)
    cut = set_up(host, wished)
    host.kill_no_more()
    assert cut.status in (0, KILLED)
    # The plan starts what has no record, or another one.
    if ours(host).get("nvcr.io.yml") == "two\n":
        assert "does match" in certificate(host, "-checkip", "192.0.2.11")
    else:
        assert set_up(host, wished).status == 0
    assert containers(host) == {"theirs": True, NVCR: True}
    assert ours(host)["nvcr.io.yml"] == ours(host)["nvcr.io.config"] == "two\n"
    assert not [name for name in ours(host) if name.endswith(("before", "new"))]


def test_marks_change_with_the_passwords_and_tell_nothing_of_them() -> None:
    other = CacheSecrets(SECRETS.upstreams, {"nvcr.io": Secret("lab", PASSWORD + "!")})
    marks = [mark_secrets(secrets) for secrets in (SECRETS, SECRETS, other, OPEN)]
    assert marks[0] == marks[1] != marks[2]
    assert len(marks[0]["nvcr.io"]) == 8
    assert marks[3] == {}
    assert PASSWORD not in repr(SECRETS)


@pytest.mark.parametrize(("user", "password"), [("a:b", "x"), ("lab", "x" * 73), ("lab", "ä" * 37)])
def test_passwords_that_bcrypt_would_cut_are_a_problem(user: str, password: str) -> None:
    problem = check_secrets(CacheSecrets({}, {"nvcr.io": Secret(user, password)}))
    assert problem
    assert password not in str(problem)
    assert check_secrets(SECRETS) is None


def test_the_authority_is_brought_where_the_file_here_is_another(tmp_path: Path) -> None:
    wished = CachePlan(upstreams=(("nvcr.io", 5001),))
    facts = Host(probe=1, registry_cache=RegistryCache((SourceFile(f"{FOLDER}/ca.crt", "theirs\n"),), "192.0.2.10", 0))
    file = tmp_path / "ca.crt"
    assert lacks_authority(wished, facts, file)
    file.write_text("theirs\n")
    assert not lacks_authority(wished, facts, file)
    assert not lacks_authority(CachePlan(), facts, tmp_path / "none")
    assert not lacks_authority(wished, Host(probe=1), tmp_path / "none")


def test_where_the_authority_is_brought() -> None:
    assert authority_file(Settings(), "cache-1") == Path.cwd() / "registry-cache-cache-1.crt"
    assert authority_file(Settings(registry_cache_ca_file="/lab/ca.crt"), "cache-1") == Path("/lab/ca.crt")

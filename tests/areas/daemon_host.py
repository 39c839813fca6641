"""A made-up host with a small Docker, which takes daemon.json up by reload or start as a real one would."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace

from deploys.areas.docker import daemon_json_input, daemon_json_words
from deploys.planning.records import Action, DaemonPlan
from tests.areas.shell import Finished, Place, three_parts

# What is in force is sticky: a reload takes up the keys that it finds, and only those that dockerd can change without
# a start. A text with "unknown" in it is not taken at all, one with "fatal" lets a reload pass and no start.
DOCKERD = r"""
file=$here/etc/docker/daemon.json
text=$(cat "$file" 2>/dev/null || echo "{}")
case $1/$text in */*unknown* | start/*fatal*) exit 1 ;; esac
was=$(cat "$here/in_force")
has() { case $text in *"$1"*) ;; *) return 1 ;; esac; }
had() { [ "$how" = reload ] && case $was in *"$1"*) ;; *) return 1 ;; esac; }
how=$1
{
  echo server=20.10.24
  echo runtime=runc
  if has '"nvidia"' || had runtime=nvidia; then echo runtime=nvidia; fi
  if [ -e "$here/live-restore-flag" ] || has '"live-restore": true' ||
    { had live-restore=true && ! has live-restore; }; then
    echo live-restore=true
  else
    echo live-restore=false
  fi
  if [ "$how" = start ] && has '"log-driver": "local"' || had log-driver=local; then
    echo log-driver=local
  else
    echo log-driver=json-file
  fi
} >"$here/in_force"
echo yes >"$here/up"
"""
DOCKER = r"""
read -r up <"$here/up"
[ "$up" = yes ] || exit 1
case $1 in
  info) [ $# = 1 ] || cat "$here/in_force" ;;
  events) dockerd-model reload && echo "daemon reload"; exit 0 ;;
  ps) cut -d ' ' -f 1 "$here/containers" ;;
  inspect) cut -d ' ' -f 2,3 "$here/containers" ;;
esac
"""
# live-restore as it is when the daemon ends decides whether containers outlive it, and the new value whether they stay.
SYSTEMCTL = r"""
read -r up <"$here/up"
case "$*" in
  *MainPID*) if [ "$up" = yes ]; then echo PID; else echo 0; fi ;;
  is-active*) [ "$up" = yes ] ;;
  "restart docker.service")
    if [ "$up" = yes ] && ! grep -q live-restore=true "$here/in_force"; then : >"$here/containers"; fi
    echo no >"$here/up"
    dockerd-model start || exit 1
    grep -q live-restore=true "$here/in_force" || : >"$here/containers"
    ;;
esac
"""


class DaemonHost:
    """A host whose Docker runs with ``text`` as its daemon.json, and knows the runtime nvidia's command."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes], text: str) -> None:
        self.place = place
        self.file = place.path("/etc/docker/daemon.json")
        self.backup = place.path("/etc/docker/daemon.json.gpu-hosts.bak")
        self.state = place.path("/var/lib/gpu-hosts/daemon-json")
        self.ledger = self.state / "ledger"
        self.state.mkdir()
        place.stand_in("dockerd-model", DOCKERD)
        place.stand_in("docker", DOCKER)
        place.stand_in("systemctl", SYSTEMCTL.replace("PID;", f"{process.pid};"))
        place.stand_in("dockerd", "")
        place.stand_in("journalctl", "")
        place.stand_in("nvidia-container-runtime", "")
        place.stand_in("sleep", "")  # the patience of a negative answer is not what is tested
        self.begin(text)

    def begin(self, text: str, *, containers: Mapping[str, int] | None = None) -> None:
        """Start anew from this daemon.json, with these containers running (name -> process id), and no change begun."""
        for left in self.state.iterdir():
            left.unlink()
        self.file.write_text(text)
        (self.place.root / "in_force").write_text("")
        (self.place.root / "containers").write_text("")
        subprocess.run(["sh", str(self.place.bin / "dockerd-model"), "start"], check=True)
        rows = (f"id-{name} /{name} {pid}\n" for name, pid in (containers or {}).items())
        (self.place.root / "containers").write_text("".join(rows))
        (self.place.root / "calls").write_text("")

    def change(self, plan: DaemonPlan) -> Finished:
        """Run the script for ``plan``."""
        words = daemon_json_words(plan)
        return self.place.run("daemon_json", arguments=tuple(words), payload=daemon_json_input(plan))

    @property
    def text(self) -> str:
        """daemon.json as it is."""
        return self.file.read_text()

    @property
    def in_force(self) -> list[str]:
        """What the daemon goes by."""
        return (self.place.root / "in_force").read_text().split("\n")

    @property
    def containers(self) -> dict[str, int]:
        """Those that run: name -> process id."""
        rows = (row.split() for row in (self.place.root / "containers").read_text().splitlines())
        return {name.removeprefix("/"): int(pid) for _, name, pid in rows}

    @property
    def is_up(self) -> bool:
        """Whether the daemon answers."""
        return (self.place.root / "up").read_text() == "yes\n"

    @property
    def is_settled(self) -> bool:
        """Whether nothing of a transaction is left but lock, ledger and backup."""
        left = {path.name for path in self.state.iterdir()} | {path.name for path in self.file.parent.iterdir()}
        return left <= {"ledger", self.file.name, self.backup.name}

    @property
    def starts(self) -> int:
        """How often the daemon was started by the script."""
        return self.place.calls("systemctl").count("restart docker.service")


def text_of(keys: Mapping[str, object]) -> str:
    """A daemon.json with these keys."""
    return json.dumps(keys, indent=2) + "\n"


PROXIES = {"http-proxy": "http://user:Wj7vQ@proxy.lab:3128"}
NVIDIA = {"nvidia": {"path": "nvidia-container-runtime"}}
THEIRS = text_of({"labels": ["a=b"], "proxies": PROXIES})
BRIDGE = text_of({"labels": ["a=b"], "proxies": PROXIES, "live-restore": True})
OURS = text_of({"labels": ["a=b"], "proxies": PROXIES, "runtimes": NVIDIA})
LOCAL = text_of({"labels": ["a=b"], "proxies": PROXIES, "log-driver": "local", "live-restore": True})
EDITED = text_of({"debug": True})
OLD_LEDGER, LEDGER = '{"version": 1, "keys": []}', '{"version": 1, "keys": [{"path": ["runtimes", "nvidia"]}]}'


def digest(text: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


REGISTER = DaemonPlan(
    text=OURS,
    found=digest(THEIRS),
    action=Action.RELOAD,
    ledger=LEDGER,
    expected=("runtime=nvidia", "!default-runtime=nvidia"),
    executables=("nvidia-container-runtime",),
)
ROTATE = DaemonPlan(
    text=LOCAL, found=digest(THEIRS), action=Action.RESTART, ledger=LEDGER, expected=("log-driver=local",)
)
BRIDGED = replace(ROTATE, bridge=BRIDGE)
FAILING = replace(ROTATE, text=text_of({"fatal": True, "live-restore": True}))


def is_as_before(host: DaemonHost, text: str = THEIRS) -> bool:
    """Whether file and ledger are the old ones, Docker runs, and nothing of the transaction is left."""
    assert (host.text, host.is_up, host.is_settled) == (text, True, True)
    return not host.ledger.exists()


def refused(done: Finished, brief: str) -> bool:
    """Whether it failed with an error in three parts that begins so."""
    assert done.status == 1
    assert f"\n{brief}" in f"\n{done.output}", done.output
    return three_parts(done.output)

"""What became of containers on a host, as templates/containers.sh tells it; and why one does not start or answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploys.planning.catalogue import Catalogue
from deploys.planning.diagnosis import diagnose
from deploys.planning.proof import REFUSALS
from deploys.planning.records import Answer

# Stage at which it failed: what is wrong with container {name}, what to do where the words have no known cause.
STAGES = {
    "services": ("its compose file does not have the services that gpu and done name", "correct the names"),
    "config": ("Docker Compose does not accept its compose file", "correct the file"),
    "build": ("its image cannot be built", "see the last lines; the host must reach the archives that it builds from"),
    "up": ("it does not start", "docker compose -p gpu-hosts-{name} up on the host says more"),
    "state": ("it does not come up", "see its last lines; docker logs of such a container says more"),
    "answer": ("its port does not answer as it must", "see its last lines: what must listen there does not"),
    "proof": ("it runs and does not work", "see its answer; docker exec into it says more"),
    "remove": ("it cannot be removed", "docker ps -a --filter label=com.docker.compose.project=gpu-hosts-{name}"),
}
AFTER = {
    "unchanged": "nothing was changed",
    "former": "the one from before was started again",
    "none": "it was taken down again",
    "broken": "and what is left of it is not right either",
}
GOOD = ("good", "removed")
MOUNT = "error mounting"  # among REFUSALS
# compose 1.29.2, compose/config/interpolation.py; compose-go, interpolation/interpolation.go: the value comes after it.
QUOTES = (
    (r'.*interpolation format for ("[^"]*" option in [a-z]+ "[^"]*"|[^\s:]*)', "a dollar sign in it is written as $$"),
    # compose-go, dotenv/parser.go: a line of an .env, or what follows a quote.
    (r".*(?=unexpected character .* in variable name)", "a line of the .env is not NAME=value"),
    (r".*(?=unterminated quoted value)", "a quote in the .env has no end"),
)
DRIVERS_FILE = rf'{MOUNT} "[^"]*(nvidia|cuda)'
TOLD, SHOWN = 3, 25  # lines of what was seen: on one line, and, where there are more, below


@dataclass(frozen=True)
class Outcome:
    """What became of one container."""

    name: str
    stage: str  # good, removed, or where it failed: a key of STAGES
    after: str = ""  # where it failed, what there is now: a key of AFTER
    words: tuple[str, ...] = ()  # of Docker, of its programs

    @property
    def is_good(self) -> bool:
        """Whether it is as it was to be."""
        return self.stage in GOOD


def read_outcomes(said: str) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """The outcomes in what the script has said, and the names of the host's active firewalls."""
    outcomes: list[Outcome] = []
    firewalls: list[str] = []
    for block in re.split(r"^@@ ", said, flags=re.MULTILINE)[1:]:
        head, *lines = block.splitlines() or [""]
        if " " not in head:  # cut off with the connection
            continue
        name, stage, *after = head.split(" ")
        if name == "-":
            firewalls += after
        else:
            words = tuple(_printable(line.removeprefix("  ")) for line in lines)
            outcomes.append(Outcome(name, stage, "".join(after), _without_values(words)))
    return tuple(outcomes), tuple(firewalls)


def _without_values(words: tuple[str, ...]) -> tuple[str, ...]:
    """Docker Compose quotes all of a value that it cannot read, and that may be a password."""
    for index, line in enumerate(words):
        for pattern, remedy in QUOTES:
            if found := re.match(pattern, line, re.IGNORECASE):
                return (*words[:index], f"{found[0].rstrip(': ')}: what stands there is not told; {remedy}")
    return words


def _printable(line: str) -> str:
    """A container's words go to somebody's terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in line).rstrip()


def explain_outcome(outcome: Outcome, catalogue: Catalogue) -> str:
    """What is wrong, what was seen, what to do: by the words' known cause, or else by the stage. Then all the words."""
    brief, remedy = STAGES.get(outcome.stage, STAGES["up"])
    causes = find_causes("\n".join(outcome.words), catalogue)
    todo = " / ".join(causes) or remedy.format(name=outcome.name)
    after = AFTER.get(outcome.after, AFTER["broken"])
    words = outcome.words[-SHOWN:]
    told, more = (words, ()) if len(words) <= TOLD else ((words[0], *words[1 - TOLD :]), words)
    seen = "; ".join(told) or "nothing was said"
    quoted = "".join(f"\n  | {line}" for line in more)
    return f"container {outcome.name}: {brief}; {after}\n  seen: {seen}\n  to do: {todo}{quoted}"


def explain_end(said: str, wanted: Iterable[str], outcomes: Iterable[Outcome]) -> str:
    """Why the script did not succeed where it told of no failure: by its own words, or it was not heard to its end."""
    told = {outcome.name for outcome in outcomes}
    if said.strip() and not told:
        return said.strip()
    missing = ", ".join(name for name in wanted if name not in told)
    return explain_lost(f"what it said ends before {missing or 'its status'}")


def explain_lost(seen: str) -> str:
    """Nobody knows what became of the containers."""
    brief = "what became of the containers is not known; what was begun goes on on the host"
    return f"{brief}\n  seen: the connection is lost ({seen})\n  to do: run this again"


def find_causes(words: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Known causes of what Docker, the toolkit and programs in containers say, each with what to do."""
    # runc's words for the driver's files, which CDI names, are those for any file of anybody's.
    about_gpu = {part: text for part, text in REFUSALS.items() if part != MOUNT or re.search(DRIVERS_FILE, words)}
    injection = next((f"the GPU did not reach it: {text}" for part, text in about_gpu.items() if part in words), "")
    return (*([injection] if injection else []), *diagnose(words, catalogue))


def explain_unreachable(name: str, answer: Answer, address: str, firewalls: tuple[str, ...]) -> str:
    """Why a port that answers on the host, and is published to others, is not reached from the controller."""
    named = " and ".join(firewalls)
    where = f"{named} of the host is active" if named else "neither ufw nor firewalld is active on the host"
    commands = {"ufw": f"ufw allow {answer.port}/tcp", "firewalld": f"firewall-cmd --add-port={answer.port}/tcp"}
    todo = ", ".join(commands[one] for one in firewalls if one in commands)
    otherwise = "see rules in its chain DOCKER-USER (iptables -L DOCKER-USER), and firewalls between it and you"
    return (
        f"container {name}: it answers on the host, and not from here\n"
        f"  seen: {address}:{answer.port} does not let us in; {where}\n"
        f"  to do: {todo + '; ' if todo else ''}{otherwise}; or reach it through ssh -L"
    )

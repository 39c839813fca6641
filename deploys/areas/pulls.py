"""Pulls on a host: started there in the background, watched from here over as many connections as it takes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput

from deploys.areas.access import Access, load_detached, run_now
from deploys.areas.connection import reconnect
from deploys.planning.pull_failure import explain_failure, without_secrets
from deploys.planning.pull_progress import (
    SHORTEST,
    Line,
    PullProgress,
    PullState,
    Stage,
    add_up,
    begin_progress,
    describe_bytes,
    describe_fleet,
    describe_rate,
    is_due,
    named_architectures,
    read_watched,
    short_name,
)
from deploys.planning.records import Pull
from deploys.registry.credentials import Secret

POLL = 2  # seconds between two questions to a host, at least
POLLS = 40  # questions a second to all hosts, at most: each costs this machine some milliseconds
# Seconds without contact. Every host of the run waits for the last one, so one that is gone is not waited for long; a
# pull that was begun goes on without us.
BEGINS_WITHIN, PATIENCE = 30, 180
ANSWERS_WITHIN = 120  # seconds; a connection that says nothing for longer is dead
WATCH = 'exec sh /var/lib/gpu-hosts/images/script watch "$@"'
# config.json's key of Docker Hub: docker/cli, cli/config/credentials, and moby, registry.IndexServer.
HUB, HUB_KEY = "docker.io", "https://index.docker.io/v1/"


def pull_group(host: Host, access: Access, pulls: tuple[Pull, ...], secrets: Mapping[str, Secret]) -> bool:
    """Pull these images, one after another. Returns False, with the reasons logged, where one is not there then.

    Raises nothing where the connection is lost: the pulls go on meanwhile, and the watch over a new one.
    """
    token = token_hex(8)
    words = [word for pull in pulls for word in _describe_to_host(pull, secrets)]
    command = access.command(
        load_detached("images_pull"), "images-start", "start", token, *words, stdin=docker_config(pulls, secrets)
    )
    started, said = ask(host, command, within=BEGINS_WITHIN)
    if started:
        return _Watch(host, pulls, secrets).run(access, token)
    if not said:
        _explain(
            host,
            "the pulls could not be begun",
            f"no contact for {BEGINS_WITHIN} s",
            "look at the host, then run this again",
        )
    else:
        host.log(f"the pulls could not be begun: {said}", log_func=logger.error)
    return False


def _describe_to_host(pull: Pull, secrets: Mapping[str, Secret]) -> list[str]:
    has_secret = "yes" if pull.registry in secrets else "no"
    architectures = " ".join((*named_architectures(pull), pull.architecture)).strip()
    return [key_of(pull), pull.source, pull.tag, architectures, has_secret]


def key_of(pull: Pull) -> str:
    """What a pull's folder on the host is called by."""
    return sha256(f"{pull.source} {pull.tag}".encode()).hexdigest()[:16]


def docker_config(pulls: tuple[Pull, ...], secrets: Mapping[str, Secret]) -> str:
    """Docker's config.json with who we are at the registries of these pulls, and at no other."""
    auths = {}
    for registry in sorted({pull.registry for pull in pulls} & secrets.keys()):
        secret = secrets[registry]
        coded = base64.b64encode(f"{secret.username}:{secret.password}".encode()).decode()
        auths[HUB_KEY if registry == HUB else registry] = {"auth": coded}
    return json.dumps({"auths": auths})


def ask(host: Host, command: StringCommand, *, within: float) -> tuple[bool, str]:
    """Run a command that may run twice, over a new connection where the old one is lost.

    Returns True and its standard output, or False and all that it said: nothing after ``within`` seconds without
    contact.
    """
    command.connector_arguments["_timeout"] = ANSWERS_WITHIN
    deadline: float | None = None
    while True:
        try:
            ok, output = run_now(host.connector, command)
            if ok or not _is_cut_off(output):
                return ok, output.stdout if ok else output.output
            seen = f"it ended after {output.stdout!r}"
        except Exception as error:  # paramiko's, the socket's, a timeout: the connection is lost
            seen = repr(error)
        logger.debug("no answer from %s: %s", host.name, seen)
        if deadline is None:
            deadline = time.monotonic() + within
            host.log("the connection is lost; what was begun there goes on, and we try to come back")
        time.sleep(POLL)
        left = deadline - time.monotonic()
        if left <= 0 or not reconnect(host, within=left):
            return False, ""


def _is_cut_off(output: CommandOutput) -> bool:
    """Whether a command that failed ended with its connection: nothing came, or a watch's answer without its end."""
    return not output.output.strip() or output.stdout.startswith("working=")


class _Watch:
    """The watch over a start's pulls, from this side."""

    def __init__(self, host: Host, pulls: tuple[Pull, ...], secrets: Mapping[str, Secret]) -> None:
        self._host = host
        self._pulls = {key_of(pull): pull for pull in pulls}
        self._passwords = [secret.password for secret in secrets.values()]
        self._progress = {key: begin_progress(pull) for key, pull in self._pulls.items()}
        self._told: dict[str, object] = {}  # key: what was last said of it
        self._lines: dict[str, Line] = {}
        self._good: dict[str, bool] = {}  # key: whether it is there; only of those that ended

    def run(self, access: Access, token: str) -> bool:
        """Until the host is done with them. Returns whether all are there."""
        command = access.ask(WATCH, token, *self._pulls)
        while True:
            ok, said = ask(self._host, command, within=PATIENCE)
            watched = read_watched(said)
            if not ok or watched is None:
                self._give_up(said)
                return False
            for key, state in watched.pulls.items():
                self._look(key, state, token)
            if not watched.is_working:
                return self._conclude()
            time.sleep(max(POLL, len(_fleet.progress) / POLLS))

    def _look(self, key: str, state: PullState, token: str) -> None:
        is_ours = state.token == token
        if key in self._good or (not is_ours and state.stage not in (Stage.PULLING, Stage.RETRYING)):
            return
        now = time.monotonic()
        if state.stage is Stage.PULLED:
            self._finish(key, state, now)
        elif state.stage is Stage.FAILED:
            self._fail(key, state)
        else:
            self._go_on(key, state, now, is_ours=is_ours)

    def _go_on(self, key: str, state: PullState, now: float, *, is_ours: bool) -> None:
        pull = self._pulls[key]
        progress = self._progress[key] = self._progress[key].advance(state.log)
        if key not in self._lines:
            self._lines[key] = Line(now, progress.done)
            size = f" ({describe_bytes(pull.size, 0)})" if pull.size else ""
            earlier = "" if is_ours else ", as an earlier run has begun"
            self._host.log(f"pulls {short_name(pull)} from {pull.registry}{size}{earlier}")
        if state.stage is Stage.RETRYING:
            self._tell_retry(key, state)
            return
        note_progress(self._host.name, key, progress, now)
        last = self._lines[key]
        if is_due(last, now, progress.done, progress.total):
            rate = describe_rate((progress.done - last.done) / (now - last.time))
            self._host.log(f"{short_name(pull)}: {describe_bytes(progress.done, progress.total)}, {rate}")
            self._lines[key] = Line(now, progress.done)

    def _tell_retry(self, key: str, state: PullState) -> None:
        if self._told.get(key) != state.attempt:
            self._told[key] = state.attempt
            seen = without_secrets(state.seen, self._passwords)
            self._host.log(
                f"{short_name(self._pulls[key])}: attempt {state.attempt} failed ({state.kind}: {seen}); "
                f"the next one is in {state.seconds} s",
                log_func=logger.warning,
            )

    def _finish(self, key: str, state: PullState, now: float) -> None:
        self._good[key] = True
        self._progress[key] = self._progress[key].finish()
        note_progress(self._host.name, key, self._progress[key], now)
        self._host.log(f"{short_name(self._pulls[key])} is there")
        if state.server and state.architecture != state.server:
            self._host.log(
                f"{short_name(self._pulls[key])} is for {state.architecture}, as its name says, "
                f"and this host's Docker for {state.server}",
                log_func=logger.warning,
            )

    def _fail(self, key: str, state: PullState) -> None:
        self._good[key] = False
        text = explain_failure(
            self._pulls[key], state.kind, state.seen, attempts=state.attempt, passwords=self._passwords
        )
        self._host.log(text, log_func=logger.error)

    def _conclude(self) -> bool:
        for key in self._pulls.keys() - self._good.keys():
            _explain(
                self._host,
                f"image {self._pulls[key].reference}: its pull has ended without a result",
                "the script that pulls is gone: it was killed, or the host was restarted",
                "run this again: layers that are finished are kept",
            )
        return len(self._good) == len(self._pulls) and all(self._good.values())

    def _give_up(self, said: str) -> None:
        seen = without_secrets(said.strip())[-300:] or f"no contact for {PATIENCE} s"
        remedy = "nothing at once: the pull goes on there; running this again picks it up"
        _explain(self._host, "we do not see any more how far the pulls are", seen, remedy)


def _explain(host: Host, brief: str, seen: str, remedy: str) -> None:
    host.log(f"{brief}\n  seen: {seen}\n  to do: {remedy}", log_func=logger.error)


@dataclass
class _Fleet:
    """What all hosts of this run pull: bytes done and in all of each pull, by host and key."""

    progress: dict[str, dict[str, tuple[int, int]]]
    last: Line | None = None


_fleet = _Fleet({})


def expect(host: Host, pulls: tuple[Pull, ...]) -> None:
    """Count these pulls of a host in, before they begin."""
    for pull in pulls:
        _fleet.progress.setdefault(host.name, {}).setdefault(key_of(pull), (0, pull.size))


def note_progress(host: str, key: str, progress: PullProgress, now: float) -> None:
    """Count a pull's bytes, and log the line of the whole fleet where one is due and there are several hosts."""
    _fleet.progress.setdefault(host, {})[key] = (progress.done, progress.total)
    _fleet.last = _fleet.last or Line(now, progress.done)
    if len(_fleet.progress) == 1 or now - _fleet.last.time < SHORTEST:
        return
    hosts = [add_up(list(pulls.values())) for pulls in _fleet.progress.values()]
    done, total = add_up(hosts)
    if is_due(_fleet.last, now, done, total):
        logger.info(f"    {describe_fleet(hosts, _fleet.last, now)}")
        _fleet.last = Line(now, done)

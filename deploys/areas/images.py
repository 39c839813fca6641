"""Images: archives loaded, missing images pulled, unwanted ones removed; all in one step of a host."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Generator, Mapping

from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand, StringCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.connectors.local import LocalConnector

from deploys.areas.access import Access, load_detached, run_now
from deploys.areas.pulls import BEGINS_WITHIN, ask, expect, pull_group
from deploys.areas.waves import Wave
from deploys.planning.pull_progress import describe_bytes, short_name
from deploys.planning.records import Archive, ImagesPlan, Pull
from deploys.registry.credentials import Secret

# Of this run: where an image comes from through a cache, and its digest, by which a cache keeps it.
_waves: dict[tuple[str, str], Wave] = defaultdict(Wave)
# As whoever logs in: that is who uploads. The archive may be a private image, and is unpacked elsewhere later.
# What a run that was killed has left there goes a day later.
MAKE_FILE = """
find /var/tmp -maxdepth 1 -name 'gpu-hosts-image.*' -user "$(id -u)" -mmin +1440 -exec rm -f {} + 2>/dev/null
free=$(df -Pk /var/tmp | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
[ "$free" -gt "$1" ] || { echo "/var/tmp has $free kB free, and the archive needs $1 kB"; exit 1; }
umask 077
mktemp /var/tmp/gpu-hosts-image.XXXXXX
"""


@operation()
def pull_images(
    plan: ImagesPlan, access: Access, secrets: Mapping[str, Secret]
) -> Generator[PyinfraCommand, None, None]:
    """Load the archives, pull what is missing, then remove what is not wished for. ``secrets``: by registry.

    One image's failure holds up no other one. It fails the host in the end.
    """
    yield FunctionCommand(provide_images, (plan, access, secrets), {})


def provide_images(state: State, host: Host, plan: ImagesPlan, access: Access, secrets: Mapping[str, Secret]) -> bool:
    """Do it. Returns False, with the reasons logged, where anything failed."""
    expect(host, plan.pull)
    good = [_load(host, access, archive) for archive in plan.load]
    direct = tuple(pull for pull in plan.pull if not _is_shared(pull))
    if direct:
        good.append(pull_group(host, access, direct, secrets))
    for pull in plan.pull:
        if _is_shared(pull):
            good.append(_pull_in_turn(host, access, pull, plan.wave, secrets))
    if plan.prune and all(good):  # what is to take the place of the old ones is there
        good.append(_run(host, access.command(load_detached("images_prune"), "images-prune", *plan.prune)))
    return all(good)


def _is_shared(pull: Pull) -> bool:
    """Whether it comes through a cache that one host can fill for the others."""
    return pull.cached and bool(pull.manifest or pull.digest)


def _pull_in_turn(host: Host, access: Access, pull: Pull, size: int, secrets: Mapping[str, Secret]) -> bool:
    wave = _waves[pull.registry, pull.manifest or pull.digest]

    def say() -> None:
        """Tell who looks on why nothing happens."""
        host.log(f"{short_name(pull)}: waits for its turn, while others pull it through the cache")

    with wave.turn(size, on_wait=say):
        is_there = pull_group(host, access, (pull,), secrets)
        if is_there:
            wave.fill()
        return is_there


def _load(host: Host, access: Access, archive: Archive) -> bool:
    host.log(f"loads {archive.path} ({describe_bytes(archive.size, 0)})")
    if isinstance(host.connector, LocalConnector):
        return _run(host, _load_command(access, archive, archive.path, remove=False))
    words = shlex.join(["sh", "-c", MAKE_FILE, "gpu-hosts", str(archive.size // 1024)])
    made, said = ask(host, StringCommand(words), within=BEGINS_WITHIN)
    if not made:
        return _fail(host, archive, said.strip() or "no contact")
    remote = said.strip()
    try:
        host.connector.put_file(archive.path, remote)
    except Exception as error:  # paramiko's and the socket's own: a full disk, a lost connection
        logger.debug("the upload to %s failed", host.name, exc_info=True)
        ask(host, StringCommand(f"rm -f {shlex.quote(remote)}"), within=BEGINS_WITHIN)
        return _fail(host, archive, f"the upload to {remote} failed: {error!r}")
    return _run(host, _load_command(access, archive, remote, remove=True))


def _load_command(access: Access, archive: Archive, path: str, *, remove: bool) -> StringCommand:
    words = [path, "yes" if remove else "no", *archive.names, "--", *archive.ids]
    return access.command(load_detached("images_load"), "images-load", *words)


def _fail(host: Host, archive: Archive, seen: str) -> bool:
    host.log(
        f"the archive {archive.path} was not loaded\n  seen: {seen}\n"
        "  to do: check the connection and the space in /var/tmp on the host, then run this again",
        log_func=logger.error,
    )
    return False


def _run(host: Host, command: StringCommand) -> bool:
    """Run a step that goes on where the connection is lost. What it says is logged."""
    try:
        good, output = run_now(host.connector, command)
        said = output.output.strip()
    except Exception as error:
        good, said = False, f"the connection was lost\n  seen: {error!r}\n  to do: run this again"
    if said:
        host.log(said, log_func=logger.info if good else logger.error)
    return good

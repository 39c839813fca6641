"""The proof: a container that initialises CUDA, and whether the one on record still counts."""

from __future__ import annotations

from deploys.planning.records import Note, ProofPlan
from facts.model import Host, PlatformKind


def driver_identity(host: Host) -> str | None:
    """What names the driver that a proof was made with: its version, the L4T release, or Windows' driver."""
    if host.platform.kind is PlatformKind.JETSON:
        return f"L4T {(host.jetson and host.jetson.l4t) or 'of unknown release'}"
    if host.platform.kind is PlatformKind.WSL2:
        return "Windows driver"
    return host.driver.loaded_version


def plan_proof(image: str, host: Host, *, changes_driver: bool = False) -> ProofPlan:
    """Prove again, unless the recorded proof was good and image, driver, mechanism and boot will still be the same."""
    desktop = bool(host.wsl and host.wsl.docker_desktop)
    # Docker Desktop has no `nvidia` runtime (docker/for-win issue 13907); --runtime needs no daemon restart elsewhere.
    mechanism = "--gpus all" if desktop else "--runtime=nvidia"
    stale = stale_because(image, mechanism, host) or ("this run changes the driver" if changes_driver else None)
    note = Note("proves the GPU in a container", stale or "") if stale else _valid(host)
    return ProofPlan(image=image, mechanism=mechanism, run=bool(stale), notes=(note,))


def _valid(host: Host) -> Note:
    names = f" of {host.proof.names}" if host.proof and host.proof.names else ""
    return Note(f"the proof on record{names} is valid", "nothing it rests on has changed")


def stale_because(image: str, mechanism: str, host: Host) -> str | None:
    """Why the proof on record does not count, or None where it does."""
    proof = host.proof
    if proof is None:
        return "there is no proof on record"
    if proof.result != "ok":
        return f"the last one failed: {proof.result}"
    if proof.boot != host.boot:
        return "the host has booted since the last one"
    if proof.driver != driver_identity(host):
        return f"the last one was with driver {proof.driver}"
    if (proof.image, proof.mechanism) != (image, mechanism):
        return "the last one was in another image or by another mechanism"
    return None

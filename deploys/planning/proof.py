"""The proof: a container that initialises CUDA, by each mechanism that the host has, and whether the record counts."""

from __future__ import annotations

from itertools import chain

from deploys.planning.daemon_config import MISSING, at, parse
from deploys.planning.records import DaemonPlan, DockerPlan, Note, ProofPlan, ToolkitPlan
from deploys.planning.versions import may_reach, numbers
from facts.model import Attempt, Host, PlatformKind

RUNTIME = "--runtime=nvidia"
GPUS = "--gpus all"
CDI = "--device nvidia.com/gpu=all"
# What people call them, where there is little room.
SHORT = {RUNTIME: "runtime", GPUS: "gpus", CDI: "CDI"}

GPUS_SINCE = (19, 3)  # Docker's release notes, 19.03.0
CDI_SINCE = "25"  # features.cdi; see the catalogue's daemon.toml
GPUS_BY_CDI_SINCE = (29, 2)  # moby, daemon/devices_nvidia_linux.go: CDI first, else the hook
CDI_BY_DEFAULT_SINCE = "28.2"
UNKNOWN_VERSION = (1000,)  # of a Docker that this run installs: any, and so the newest

# moby, daemon/errors.go. dockerd looks for NVIDIA's hooks once, when it starts (daemon/devices_nvidia_linux.go).
NO_HOOK = "could not select device driver"

# CUDA driver API, CUresult; and what the proof itself says.
EXPLANATIONS = {
    "cuInit 100": "no device reached the container: look at nvidia-smi on the host, and at NVIDIA_VISIBLE_DEVICES",
    "cuInit 802": "not yet initialised: NVSwitch machines need nvidia-fabricmanager, of the driver's version",
    "cuInit 803": "driver and library versions differ: reboot the host",
    "cuInit 804": "forward compatibility is not available on this GPU: use an image of an older CUDA",
    "cuInit 999": "unknown error of the driver: dmesg on the host, lines with NVRM; often nvidia-uvm is not loaded",
    "libcuda": "nothing was injected: the nvidia runtime did not run, or NVIDIA_DRIVER_CAPABILITIES lacks compute",
    "python3": "the image of gpu_proof_image has no python3",
}
NEW_SPEC = (
    "the CDI specification is outdated: systemctl restart nvidia-cdi-refresh, or run deploys/container_toolkit.py"
)
# Parts of what `docker run` says where it does not come so far, as the programs behind it write them.
REFUSALS = {
    # moby, daemon/errors.go; the driver "cdi" is there from Docker 25 on, where it is switched on.
    f'{NO_HOOK} "cdi"': 'dockerd takes no CDI devices: docker_features = {"cdi": True}, or Docker 28.2 or newer',
    NO_HOOK: "dockerd has not been started since the toolkit came: systemctl restart docker on the host when it suits, "
    'or set docker_live_restore or docker_restart = "when-needed" and run deploys/container_toolkit.py',
    # container-device-interface, pkg/cdi/cache.go. Specifications 0.7.0 of toolkit 1.19 need Docker 26.1.
    "unresolvable CDI devices": "no CDI specification that this Docker reads has it (those of toolkit 1.19 need Docker "
    "26.1): see nvidia-ctk cdi list on the host, or run deploys/container_toolkit.py",
    # container-device-interface, pkg/cdi/container-edits_unix.go; runc, which mounts the libraries: 1.1 as seen on
    # Debian 12, newer ones as in nvidia-settings issue 124.
    "failed to stat CDI host device": NEW_SPEC,
    "error mounting": NEW_SPEC,
    "failed to fulfil mount request": NEW_SPEC,
    # nvidia-container-toolkit, cmd/nvidia-container-runtime-hook/hook_config.go.
    "invoking the NVIDIA Container Runtime Hook directly": "the toolkit's mode is not legacy: see mode in "
    "/etc/nvidia-container-runtime/config.toml on the host",
    # libnvidia-container, as quoted in nvidia-container-toolkit issues 260 and 1269.
    "driver not loaded": "the NVIDIA driver is not loaded: look at nvidia-smi on the host",
    "libnvidia-ml.so.1: cannot open": "the driver's libraries are not on the host: look at nvidia-smi there",
    # moby, daemon/runtime_unix.go.
    "unknown or invalid runtime name": "the daemon does not know the nvidia runtime: run deploys/container_toolkit.py",
}


def explain(result: str) -> str:
    """What a failed proof's result usually means, and what to do or where to look."""
    refusals = (text for part, text in REFUSALS.items() if result.startswith("docker run:") and part in result)
    answers = (text for start, text in EXPLANATIONS.items() if result.startswith(start))
    return next(chain(refusals, answers), "see `docker run` on the host")


def driver_identity(host: Host) -> str | None:
    """What names the driver that a proof was made with: its version, the L4T release, or Windows' driver."""
    if host.platform.kind is PlatformKind.JETSON:
        return f"L4T {(host.jetson and host.jetson.l4t) or 'of unknown release'}"
    if host.platform.kind is PlatformKind.WSL2:
        return "Windows driver"
    return host.driver.loaded_version


def other_mechanisms(host: Host) -> tuple[str, ...]:
    """Those that Docker, toolkit and platform have now, beside the one that must work."""
    with_spec = host.docker.cdi and bool(host.toolkit.cdi_specs)
    return _mechanisms(host, version=numbers(host.docker.server_version or ""), with_cdi=with_spec)


def takes_cdi_afterwards(host: Host, *, docker: DockerPlan, daemon: DaemonPlan, version: str) -> bool:
    """Whether dockerd takes CDI devices after this run, in which it is of ``version``, or begins with that.

    Docker 25 to 28.1 take them only with the feature; from 28.2 on without (moby, cmd/dockerd/daemon.go).
    """
    if daemon.text is None and not (docker.packages or docker.start):
        return host.docker.cdi
    before = _cdi_feature(host.docker.daemon_json)
    feature = before if daemon.text is None else _cdi_feature(daemon.text)
    if feature is MISSING:
        by_flag = host.docker.cdi and before is MISSING
        return by_flag or may_reach(version, CDI_BY_DEFAULT_SINCE)
    return bool(feature) and may_reach(version, CDI_SINCE)


def _cdi_feature(text: str | None) -> object:
    try:
        return at(parse(text), ("features", "cdi"))
    except ValueError:
        return MISSING


def mechanisms_afterwards(
    host: Host, *, docker: DockerPlan, toolkit: ToolkitPlan, daemon: DaemonPlan, changes_driver: bool = False
) -> tuple[str, ...]:
    """Those that it has, or may have, after this run: a Docker that the run installs may have everything."""
    changes_docker = bool(docker.packages or docker.start)
    version = UNKNOWN_VERSION if changes_docker else numbers(host.docker.server_version or "")
    known = "" if changes_docker else host.docker.server_version or ""
    takes_cdi = takes_cdi_afterwards(host, docker=docker, daemon=daemon, version=known)
    may_have_spec = bool(host.toolkit.cdi_specs or toolkit.packages or toolkit.cdi or changes_driver)
    return _mechanisms(host, version=version, with_cdi=takes_cdi and may_have_spec)


def _mechanisms(host: Host, *, version: tuple[int, ...], with_cdi: bool) -> tuple[str, ...]:
    """``with_cdi``: the daemon takes CDI devices, and there is a specification."""
    if host.docker_desktop or version < GPUS_SINCE:
        return ()
    # The hook behind --gpus refuses in every mode but legacy, which auto is for it but on Tegra
    # (nvidia-container-toolkit, cmd/nvidia-container-runtime-hook/hook_config.go, internal/info/auto.go).
    by_hook = host.jetson is None and host.toolkit.mode in (None, "auto", "legacy")
    by_cdi = with_cdi and version >= GPUS_BY_CDI_SINCE
    return (GPUS,) * (by_hook or by_cdi) + (CDI,) * with_cdi


def plan_proof(
    image: str,
    host: Host,
    *,
    docker: DockerPlan,
    toolkit: ToolkitPlan,
    daemon: DaemonPlan,
    changes_driver: bool = False,
) -> ProofPlan:
    """Prove again, unless the recorded proof was good and what it rests on stays the same.

    What this run makes true counts, and what it may make true as well: a Docker that it installs may have everything.
    A mechanism too many is tried, fails and is not told; one too few would be tried by the next run.
    """
    # Docker Desktop has no `nvidia` runtime (docker/for-win issue 13907); --runtime needs no daemon restart elsewhere.
    mechanism = GPUS if host.docker_desktop else RUNTIME
    also = mechanisms_afterwards(host, docker=docker, toolkit=toolkit, daemon=daemon, changes_driver=changes_driver)
    stale = (
        stale_because(image, mechanism, host)
        or _changes("the driver" if changes_driver else "")
        or _changes("Docker or the toolkit" if docker.packages or toolkit.packages else "")
        or _changes("the CDI specification" if toolkit.cdi or toolkit.stale_specs else "")
        or _untold_because(also, host, changes_daemon=daemon.text is not None)
    )
    note = Note("proves the GPU in a container", stale or "") if stale else _valid(host)
    return ProofPlan(image=image, mechanism=mechanism, also=also, run=bool(stale), notes=(note,))


def _changes(what: str) -> str | None:
    return f"this run changes {what}" if what else None


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


def _untold_because(also: tuple[str, ...], host: Host, *, changes_daemon: bool) -> str | None:
    """Why the other mechanisms are tried again: one is not on record, or failed for a reason that may be gone."""
    proof = host.proof
    results = {one.mechanism: one for one in proof.others} if proof else {}
    missing = [mechanism for mechanism in also if mechanism not in results]
    if missing:
        return f"{missing[0]} has not been tried"
    failed = [results[mechanism] for mechanism in also if results[mechanism].result != "ok"]
    has_started = bool(proof and host.docker.started and host.docker.started > proof.time)
    again = [one for one in failed if has_started or changes_daemon or is_bad(one)]
    return f"{again[0].mechanism} failed the last time" if again else None


def is_bad(attempt: Attempt) -> bool:
    """Whether a failure is a fault: --gpus is what people type. Only a restart of dockerd may be waited for."""
    return attempt.result != "ok" and attempt.mechanism == GPUS and NO_HOOK not in attempt.result

"""A host as it is now against what was planned: good, bad or unknown. What was not looked at is never good."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deploys.planning.advisories import describe, docker_advisories, engine_version, toolkit_advisories
from deploys.planning.cameras import camera_faults, camera_name, cameras_of
from deploys.planning.catalogue import Catalogue
from deploys.planning.cdi import is_stale
from deploys.planning.containers import container_faults
from deploys.planning.daemon import is_heeded
from deploys.planning.docker_choice import Wish
from deploys.planning.driver import is_ours
from deploys.planning.host_plan import Plan
from deploys.planning.image_plan import has_archive
from deploys.planning.images import is_present
from deploys.planning.installed import fabric_managers
from deploys.planning.proof import driver_identity, explain, is_bad, other_mechanisms, stale_because
from deploys.planning.records import Area, Refusal
from deploys.planning.registry_cache import cache_faults
from deploys.planning.sshd import sets_x11, sshd_faults, x11_cautions
from deploys.planning.versions import numbers, upstream
from facts.model import Host, PlatformKind, Proof


class Verdict(StrEnum):
    """The three answers, and what is worth knowing but decides nothing."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One answer, with the reading it rests on and, where it is not good, what to do."""

    area: Area
    verdict: Verdict
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.area}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def check(plan: Plan, host: Host, catalogue: Catalogue) -> tuple[Finding, ...]:
    """Findings for every area that was planned, refused areas included (bad) and those skipped for them (unknown)."""
    if host.probe == 0 and not plan.host:
        return _unknown(Area.HOST, "it gave no answer when it was asked again", "run deploys/verify.py")
    if plan.host:
        return (_refused(plan.host),)
    checks = {
        Area.SSHD: _check_sshd,
        Area.DRIVER: _check_driver,
        Area.DOCKER: _check_docker,
        Area.TOOLKIT: _check_toolkit,
        Area.DAEMON: _check_daemon,
        Area.CACHE: _check_cache,
        Area.MIRRORS: _check_mirrors,
        Area.IMAGES: _check_images,
        Area.PROOF: _check_proof,
        Area.CAMERAS: _check_cameras,
        Area.CONTAINERS: _check_containers,
    }
    findings: list[Finding] = []
    for area, area_plan in plan.areas:
        if area_plan.refusal:
            findings.append(_refused(area_plan.refusal))
        elif area_plan.skipped:
            findings.append(Finding(area, Verdict.UNKNOWN, f"skipped: it needs {area_plan.skipped}"))
        elif area in checks:
            findings.extend(checks[area](plan, host))
            findings.extend(_note_advisories(area, host, catalogue))
    return tuple(findings)


def sum_up(findings: tuple[Finding, ...]) -> Verdict:
    """Bad if anything is bad, else unknown if anything is unknown (or nothing was looked at), else good."""
    verdicts = {finding.verdict for finding in findings} - {Verdict.NOTE}
    if Verdict.BAD in verdicts:
        return Verdict.BAD
    return Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts or not verdicts else Verdict.GOOD


def _refused(refusal: Refusal) -> Finding:
    return Finding(refusal.area, Verdict.BAD, f"refused: {refusal.brief} ({refusal.seen})", refusal.remedy)


def _good(area: Area, text: str) -> tuple[Finding, ...]:
    return (Finding(area, Verdict.GOOD, text),)


def _bad(area: Area, text: str, remedy: str) -> tuple[Finding, ...]:
    return (Finding(area, Verdict.BAD, text, remedy),)


def _unknown(area: Area, text: str, remedy: str) -> tuple[Finding, ...]:
    return (Finding(area, Verdict.UNKNOWN, text, remedy),)


def _check_sshd(plan: Plan, host: Host) -> tuple[Finding, ...]:
    if not plan.sshd.expected and not plan.sshd.change:
        return ()
    if faults := sshd_faults(plan.sshd, host):
        return _bad(Area.SSHD, ", ".join(faults), "see above what became of it, and `sshd -T` on the host")
    cautions = x11_cautions(host) if sets_x11(plan.sshd) else ()
    good = "all five X11 options are in force" if sets_x11(plan.sshd) else "its options are as planned"
    notes = (Finding(Area.SSHD, Verdict.NOTE, one.choice, one.because) for one in cautions)
    return (*_good(Area.SSHD, good), *notes)


def _check_driver(plan: Plan, host: Host) -> tuple[Finding, ...]:
    if not is_ours(host):
        return _check_makers_driver(host)
    if plan.driver.absent:
        return _check_absent(host)
    if plan.driver.branch is None:
        return ()
    driver = host.driver
    # Modules that came for the next kernel only are there as well: they want the reboot.
    module = driver.disk_version or driver.next_boot_version
    if module is None or driver.library_version is None:
        seen = f"module {module or 'missing'}, library {driver.library_version or 'missing'}"
        return _bad(
            Area.DRIVER, f"the driver is not installed whole: {seen}", "run deploys/driver.py and read its output"
        )
    if driver.disk_flavour and plan.driver.flavour not in (None, driver.disk_flavour):
        text = f"{plan.driver.flavour} modules were planned, {driver.disk_flavour} ones are there"
        return _bad(Area.DRIVER, text, "see which of the nvidia-kernel or kmod-nvidia packages is installed")
    if module != plan.driver.release and not module.startswith(f"{plan.driver.release}."):
        return _bad(
            Area.DRIVER,
            f"{plan.driver.release} was planned, {module} is there",
            "apt-cache policy or dnf repoquery says what is to be had",
        )
    if driver.library_version not in (module, driver.next_boot_version):
        text = f"module {module} and library {driver.library_version} differ"
        return _bad(Area.DRIVER, text, "reinstall the driver's packages as one version")
    kernel = host.kernel.next_boot
    if kernel not in (None, host.kernel.running) and driver.next_boot_version is None:
        text = f"kernel {kernel}, which boots next, has no NVIDIA module"
        return _bad(Area.DRIVER, text, "run deploys/driver.py and read its output")
    if driver.loaded_version != driver.library_version:
        text = f"{driver.library_version} is installed, {driver.loaded_version or 'none'} is loaded"
        again = " (nouveau has the GPU; if it still has it then: update-initramfs -u -k all, and reboot again)"
        return _bad(Area.DRIVER, text, "reboot the host" + (again if driver.nouveau_loaded else ""))
    if driver.unfinished:
        return _unfinished()
    right = _good(Area.DRIVER, f"{module} is loaded, on disk and in the library; {_hold(host)}")
    return _check_fabric_manager(host, module) + right + _note_floor(plan, module)


def _hold(host: Host) -> str:
    """Whether the driver's packages are held, and for how long they have not changed."""
    age = f", unchanged for {format_age(host.time - host.driver.changed)}" if host.driver.changed else ""
    names = [name for name, _ in host.driver.packages]
    # dnf's entries are names with versions: nvidia-driver-cuda-3:580.95.05-1.el9.*
    held = [name for name in names if any(f"{entry}-".startswith(f"{name}-") for entry in host.packages.held)]
    return f"{len(held)} of its {len(names)} packages are on hold{age}" if names else "it is not made of packages"


def _note_floor(plan: Plan, version: str) -> tuple[Finding, ...]:
    floor = plan.driver.security_floor
    if not floor or numbers(version) >= numbers(floor):
        return ()
    text = f"{version} is below the security floor of its branch, {floor} (NVIDIA's bulletin {plan.driver.bulletin})"
    return (Finding(Area.DRIVER, Verdict.NOTE, text, "deploys/driver_update.py installs the newest that there is"),)


def _check_fabric_manager(host: Host, version: str) -> tuple[Finding, ...]:
    """NVSwitch machines: CUDA answers 802 until a fabric manager of the driver's very version runs."""
    if not host.nvswitches:
        return ()
    managers = fabric_managers(host)
    if version not in managers.values():
        seen = ", ".join(f"{name} {found}" for name, found in managers.items()) or "none is installed"
        return _bad(Area.DRIVER, f"no fabric manager of {version}: {seen}", "run deploys/driver.py")
    state = dict(host.driver.services).get("nvidia-fabricmanager", "not there")
    if state != "active":
        return _bad(Area.DRIVER, f"nvidia-fabricmanager is {state}", "journalctl -u nvidia-fabricmanager on the host")
    return ()


def _check_absent(host: Host) -> tuple[Finding, ...]:
    names = [name for name, _ in host.driver.packages]
    if names:
        return _bad(Area.DRIVER, f"still installed: {', '.join(names)}", "run deploys/driver.py and read its output")
    if host.driver.loaded_version:
        return _bad(Area.DRIVER, f"{host.driver.loaded_version} is removed and still loaded", "reboot the host")
    return _unfinished() if host.driver.unfinished else _good(Area.DRIVER, "no driver is installed, as wished")


def _unfinished() -> tuple[Finding, ...]:
    text = "a change of the driver began and did not finish"
    return _bad(Area.DRIVER, text, "run deploys/driver.py and read its output")


def _check_makers_driver(host: Host) -> tuple[Finding, ...]:
    if host.platform.kind is PlatformKind.WSL2:
        if host.wsl and host.wsl.gpu_device and host.wsl.lib_directory:
            return _good(Area.DRIVER, "Windows offers its driver: /dev/dxg and /usr/lib/wsl/lib/libcuda.so.1")
        return _bad(
            Area.DRIVER,
            "Windows offers no NVIDIA driver here",
            "install NVIDIA's driver in Windows, then wsl --shutdown",
        )
    if host.jetson:
        return _good(
            Area.DRIVER,
            f"L4T {host.jetson.l4t or '(release unknown)'} and its {len(host.jetson.packages)} packages left alone",
        )
    return _good(Area.DRIVER, f"{host.platform.hands_off}: left alone")


def _check_docker(plan: Plan, host: Host) -> tuple[Finding, ...]:
    if not host.docker.installed:
        return _bad(Area.DOCKER, "Docker is not installed", "run deploys/docker.py")
    if not host.docker.running:
        return _bad(Area.DOCKER, "the Docker daemon does not answer", "journalctl -u docker on the host says why")
    version, wish = engine_version(host) or "", Wish(plan.docker.release, plan.docker.floor)
    if not wish.is_met_by(version):
        return _bad(
            Area.DOCKER, f"Docker {wish} was planned, {version} runs", "run deploys/docker.py and read its output"
        )
    strangers = [user for user in plan.docker.users if user not in host.docker.group]
    if strangers:
        text = f"not in the group docker: {', '.join(strangers)}"
        return _bad(Area.DOCKER, text, "run deploys/docker.py and read its output")
    return _good(Area.DOCKER, f"Docker {host.docker.server_version} runs")


def _note_advisories(area: Area, host: Host, catalogue: Catalogue) -> tuple[Finding, ...]:
    """Known trouble of what is installed. That of a JetPack's toolkit is bad: no update of the board mends it."""
    if area is Area.DOCKER and (advisories := docker_advisories(host, catalogue)):
        return (Finding(area, Verdict.NOTE, describe(advisories), "docker_version changes it"),)
    if area is Area.TOOLKIT and (advisories := toolkit_advisories(host, catalogue)):
        if host.jetson:
            remedy = 'set nvidia_toolkit_jetson = "upgrade", or upgrade JetPack'
            return (Finding(area, Verdict.BAD, describe(advisories), remedy),)
        return (Finding(area, Verdict.NOTE, describe(advisories), "nvidia_toolkit_version changes it"),)
    return ()


def _check_toolkit(plan: Plan, host: Host) -> tuple[Finding, ...]:
    if host.docker_desktop:
        return ()
    if plan.toolkit.absent:
        return _check_no_toolkit(host)
    versions = {version for name, version in host.toolkit.packages if name in plan.toolkit.expected}
    if not host.toolkit.runtime_path:
        # Where no driver is wished for, none is expected.
        missing = _bad(Area.TOOLKIT, "nvidia-container-runtime is not there", "run deploys/container_toolkit.py")
        return missing if plan.toolkit.expected else ()
    if len(versions) > 1:
        return _bad(
            Area.TOOLKIT, f"its packages are of versions {', '.join(sorted(versions))}", "install them as one version"
        )
    version = toolkit_version(host) or "of unknown version"
    if not Wish(plan.toolkit.release, plan.toolkit.floor).is_met_by(upstream(version)):
        text = f"toolkit {plan.toolkit.release or plan.toolkit.floor} was planned, {version} is there"
        return _bad(Area.TOOLKIT, text, "run deploys/container_toolkit.py and read its output")
    specs = host.toolkit.cdi_specs
    if plan.toolkit.cdi and host.docker.cdi and all(is_stale(spec, host) for spec in specs):
        text = "the CDI specification is of another driver" if specs else "there is no CDI specification of the GPUs"
        return _bad(Area.TOOLKIT, text, "run deploys/container_toolkit.py and read its output")
    return _good(Area.TOOLKIT, f"toolkit {version}")


def _check_no_toolkit(host: Host) -> tuple[Finding, ...]:
    names = ", ".join(name for name, _ in host.toolkit.packages)
    if names:
        return _bad(Area.TOOLKIT, f"still installed: {names}", "run deploys/container_toolkit.py and read its output")
    return _good(Area.TOOLKIT, "no toolkit is installed, as wished")


def toolkit_version(host: Host) -> str | None:
    """Version of the package that gives the toolkit its name, or of its predecessor's."""
    versions = dict(host.toolkit.packages)
    return versions.get("nvidia-container-toolkit") or versions.get("nvidia-container-runtime")


def _check_daemon(plan: Plan, host: Host) -> tuple[Finding, ...]:
    missing = [name for name in plan.daemon.runtimes if name not in host.docker.runtimes]
    if host.docker.pending:
        return _bad(Area.DAEMON, "a change of daemon.json began and did not finish", "run deploys/container_toolkit.py")
    if missing:
        return _bad(
            Area.DAEMON, f"Docker does not know the runtime {', '.join(missing)}", "run deploys/container_toolkit.py"
        )
    wrong = [line for line in plan.daemon.expected if not is_heeded(line, host.docker)]
    if wrong:
        text = "not in force: " + ", ".join(line.replace("!", "no ", 1) for line in wrong)
        return _bad(Area.DAEMON, text, "run deploys/docker.py and read its output")
    return _good(Area.DAEMON, f"runtimes {', '.join(plan.daemon.runtimes)} registered") if plan.daemon.runtimes else ()


def _check_cache(plan: Plan, host: Host) -> tuple[Finding, ...]:
    faults = cache_faults(plan.cache, host)
    if faults:
        return _bad(Area.CACHE, "; ".join(faults), "run deploys/registry_cache.py and read its output")
    names = ", ".join(f"{upstream} on {plan.cache.address}:{port}" for upstream, port in plan.cache.upstreams)
    return _good(Area.CACHE, f"caches {names}") if names else ()


def _check_mirrors(plan: Plan, host: Host) -> tuple[Finding, ...]:
    there = {file.path: file.text for file in host.docker.registry_files}
    wrong = [path for path, text in plan.mirrors.files if there.get(path) != text]
    wrong += [path for path in plan.mirrors.remove if path in there]
    if wrong:
        return _bad(Area.MIRRORS, f"not as planned: {', '.join(wrong)}", "run deploys/images.py and read its output")
    names = [*plan.mirrors.mirrored, *(registry for registry, _ in plan.mirrors.rewrites)]
    return _good(Area.MIRRORS, f"{', '.join(names)} by a mirror") if names else ()


def _check_images(plan: Plan, host: Host) -> tuple[Finding, ...]:
    missing = [image for image in plan.images.wanted if not is_present(image, host)]
    archives = [archive for archive in plan.images.load if not has_archive(archive, host.docker)]
    missing += [name for archive in archives for name in archive.names]
    if missing:
        return _bad(Area.IMAGES, f"not there: {', '.join(missing)}", "run deploys/images.py")
    return _good(Area.IMAGES, f"{len(plan.images.wanted)} images there") if plan.images.wanted else ()


def _check_proof(plan: Plan, host: Host) -> tuple[Finding, ...]:
    if not plan.proof.image:
        return ()
    if not is_present(plan.proof.image, host):
        return _unknown(Area.PROOF, f"the image {plan.proof.image} is not on the host", "run deploys/images.py")
    proof = host.proof
    stale = stale_because(plan.proof.image, plan.proof.mechanism, host)
    if proof and stale is None:
        return _judge_proof(proof, host)
    if proof and proof.result != "ok":
        return _bad(Area.PROOF, f"CUDA did not initialise in a container: {proof.result}", explain(proof.result))
    return _unknown(Area.PROOF, stale or "no proof", "run deploys/verify.py")


def _check_cameras(plan: Plan, host: Host) -> tuple[Finding, ...]:
    faults = camera_faults(plan.cameras, host)
    if faults:
        return _bad(Area.CAMERAS, "; ".join(faults), "run deploys/cameras.py and read its output")
    names = ", ".join(camera_name(camera) for camera in cameras_of(host))
    # Most hosts have none, and nobody has asked.
    is_of_interest = names or plan.cameras.expected or plan.selected == {Area.CAMERAS}
    return _good(Area.CAMERAS, names or "there is none") if is_of_interest else ()


def _check_containers(plan: Plan, host: Host) -> tuple[Finding, ...]:
    """Those that were refused are bad each by itself, and the others are judged all the same."""
    refused = tuple(_refused(one.refusal) for one in plan.containers.refused)
    faults = container_faults(plan.containers, host)
    if faults:
        return (*refused, *_bad(Area.CONTAINERS, "; ".join(faults), "run deploys/containers.py and read its output"))
    names = ", ".join(project.name for project in plan.containers.projects)
    return (*refused, *(_good(Area.CONTAINERS, f"{names} as wished") if names else ()))


def _judge_proof(proof: Proof, host: Host) -> tuple[Finding, ...]:
    """Good by the mechanism that must work; of the others that this host has, what failed beside it."""
    others = [one for one in proof.others if one.mechanism in other_mechanisms(host)]
    gpus = f"{proof.devices} GPU{'' if proof.devices == 1 else 's'}"
    names = f" ({proof.names})" if proof.names else ""
    also = [_by(one.mechanism, one.injected) for one in others if one.result == "ok"]
    text = (
        f"CUDA initialised in a container by {_by(proof.mechanism, proof.injected)}: {gpus}{names}, "
        f"{driver_identity(host)}" + (f"; also by {', '.join(also)}" if also else "")
    )
    failed = [one for one in others if one.result != "ok"]
    return _good(Area.PROOF, text) + tuple(
        Finding(
            Area.PROOF,
            Verdict.BAD if is_bad(one) else Verdict.NOTE,
            f"{one.mechanism} does not give a container the GPU: {one.result}",
            explain(one.result),
        )
        for one in failed
    )


def _by(mechanism: str, injected: str) -> str:
    return f"{mechanism} (injected by {injected})" if injected else mechanism


def format_age(seconds: int) -> str:
    """A duration in its largest whole unit: 42 s, 7 min, 5 h, 3 d. Clocks that ran backwards give 0 s."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"

"""Whether a reboot is due after the run, and whether the settings and what runs on the host allow it."""

from __future__ import annotations

from deploys.planning.obstacles import processes_at_work
from deploys.planning.records import Area, DriverPlan, Note, RebootPlan, Refusal
from deploys.planning.settings import Settings
from facts.model import Host


def plan_reboot(settings: Settings, host: Host, driver: DriverPlan, *, is_controller: bool) -> RebootPlan:
    """What becomes of a reboot that is due, or may turn out to be: after an update, or where loading anew fails."""
    # Prebuilt modules come with the newest kernel, which need not be the running one.
    may_turn_out = driver.may_be_there or bool(driver.packages and driver.hold)
    if not (driver.reboot_due or may_turn_out):
        return RebootPlan()
    allowed = settings.reboot in ("when-idle", "when-needed") and not is_controller
    can_reboot = allowed and _allow_reboot(settings, host, "").allowed
    if driver.reload and not can_reboot:
        return RebootPlan(notes=(Note("the modules are loaded anew, without a reboot", "nvidia_driver_reload is set"),))
    # An update may find nothing new, and the newest kernel may run.
    if not driver.reboot_due and not can_reboot:
        return RebootPlan()
    on_disk = "what this run installs" if driver.packages else host.driver.disk_version or "no driver"
    on_disk = "no driver, after this run" if driver.uninstall else on_disk
    seen = f"loaded is {host.driver.loaded_version or _other_driver(host)}, on disk is {on_disk}"
    if settings.reboot == "never":
        return RebootPlan(due=True, notes=(Note("a reboot is due and left to you", "reboot is never"),))
    if allowed:
        return _allow_reboot(settings, host, seen)
    remedy = "reboot the host yourself, then run this again"
    if not is_controller:
        remedy = 'set reboot = "when-idle" (or "when-needed": running containers stop with it), or ' + remedy
    return RebootPlan(due=True, refusal=Refusal(Area.REBOOT, "a reboot is due, and it was not allowed", seen, remedy))


def _allow_reboot(settings: Settings, host: Host, seen: str) -> RebootPlan:
    even_in_use = settings.reboot == "when-needed"
    running = [
        *(f"container {container.name}" for container in host.docker.running_containers),
        *processes_at_work(host),
    ]
    if running and not even_in_use:
        remedy = 'run this again when they have ended, or set reboot = "when-needed", which stops them'
        brief = "a reboot is due, and it would stop what runs here"
        return RebootPlan(due=True, refusal=Refusal(Area.REBOOT, brief, ", ".join(running), remedy))
    if host.display.sessions:
        remedy = "run this again when they have logged out"
        brief = "a reboot is due, and somebody works at this machine's screen"
        return RebootPlan(due=True, refusal=Refusal(Area.REBOOT, brief, ", ".join(host.display.sessions), remedy))
    note = Note("reboots after everything else, if it is needed then", seen)
    return RebootPlan(due=True, allowed=True, even_in_use=even_in_use, notes=(note,))


def _other_driver(host: Host) -> str:
    return "nouveau" if host.driver.nouveau_loaded else "nova_core" if host.driver.nova_core_loaded else "none"

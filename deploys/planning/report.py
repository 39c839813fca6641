"""The words of the run: a host's plan and findings as log lines, and the closing table. Pure text."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.check import Finding, format_age, toolkit_version
from deploys.planning.driver import is_ours
from deploys.planning.host_plan import AreaPlan, Plan
from deploys.planning.proof import SHORT
from deploys.planning.records import Area, ContainersPlan, DaemonPlan, Refusal
from facts.model import Host, Proof


@dataclass(frozen=True)
class Row:
    """One host's line of the closing table."""

    host: str
    platform: str = "unknown"
    driver: str = "unknown"
    docker: str = "unknown"
    toolkit: str = "unknown"
    reboot: str = "unknown"
    proof: str = "unknown"
    verdict: str = "unknown"


TITLES = Row("host", "platform", "driver loaded/on disk", "Docker", "toolkit", "reboot due", "GPU proof", "verdict")


def describe_plan(plan: Plan, host: Host) -> list[str]:
    """Log lines: what the host is, then area by area what was found right or will be done, and why."""
    if plan.host:
        return [f"{Area.HOST}: {line}" for line in _describe_refusal(plan.host)]
    evidence = "; ".join(host.platform.evidence)
    lines = [
        f"{host.platform.kind}, {host.os.pretty_name} ({evidence})",
        *(f"not read: {what}" for what in host.unread),
    ]
    if host.packages.lock_holder and (plan.package_groups or plan.driver.packages):
        holder = f"{host.packages.manager} is in use by {host.packages.lock_holder}"
        lines.append(f"{holder}: the run waits for it, up to 300 s")
    for area, area_plan in plan.areas:
        lines += [f"{area}: {line}" for line in _describe_area(area_plan)]
    return lines


def _describe_area(area_plan: AreaPlan) -> list[str]:
    if area_plan.refusal:
        return _describe_refusal(area_plan.refusal)
    if area_plan.skipped:
        return [f"skipped: it needs {area_plan.skipped}"]
    diff = area_plan.diff if isinstance(area_plan, DaemonPlan) else ()
    refused = area_plan.refused if isinstance(area_plan, ContainersPlan) else ()
    return [
        *(f"{note.choice} ({note.because})" for note in area_plan.notes),
        *(f"  {line}" for line in diff),
        *(line for one in refused for line in _describe_refusal(one.refusal)),
    ]


def _describe_refusal(refusal: Refusal) -> list[str]:
    return [f"refused: {refusal.brief}", f"  seen: {refusal.seen}", f"  to do: {refusal.remedy}"]


def make_row(name: str, plan: Plan, host: Host, *, verdict: str) -> Row:
    """The table line of a host whose facts are known."""
    if host.probe == 0:
        return Row(name, verdict=verdict)
    return Row(
        host=name,
        platform=str(host.platform.kind),
        driver=_driver(host),
        docker=_docker(host),
        toolkit=toolkit_version(host) or ("Docker Desktop's" if host.docker_desktop else "none"),
        reboot=_reboot(plan, host),
        proof=_proof(host),
        verdict=verdict,
    )


def _reboot(plan: Plan, host: Host) -> str:
    if not is_ours(host):
        return "no"
    if host.driver.loaded_version != host.driver.disk_version:
        return "yes"
    return "after this run" if plan.reboot.due and plan.driver.packages and host.driver.disk_version is None else "no"


def _driver(host: Host) -> str:
    if host.jetson:
        return f"L4T {host.jetson.l4t or 'unknown'}"
    if host.wsl:
        return "Windows'"
    return f"{host.driver.loaded_version or 'none'}/{host.driver.disk_version or 'none'}"


def _docker(host: Host) -> str:
    if not host.docker.installed:
        return "none"
    return host.docker.server_version or ("not running" if host.docker.running is False else "unknown")


def _proof(host: Host) -> str:
    if host.proof is None:
        return "none"
    if host.proof.boot != host.boot:
        return "before this boot"
    names = f": {host.proof.names}" if host.proof.names else ""
    return f"{host.proof.result}{_mechanisms(host.proof)}, {format_age(host.time - host.proof.time)} ago{names}"


def _mechanisms(proof: Proof) -> str:
    if proof.result != "ok":
        return ""
    good = [proof.mechanism, *(one.mechanism for one in proof.others if one.result == "ok")]
    return f" ({', '.join(SHORT.get(mechanism, mechanism) for mechanism in good)})"


def render_table(rows: list[Row]) -> list[str]:
    """The closing table as lines."""
    return align([tuple(vars(row).values()) for row in (TITLES, *rows)])


def align(table: list[tuple[str, ...]]) -> list[str]:
    """The lines of a table, each column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]


def describe_findings(findings: tuple[Finding, ...]) -> list[str]:
    """Log lines: one a finding."""
    return [f"{finding.verdict}: {finding}" for finding in findings]

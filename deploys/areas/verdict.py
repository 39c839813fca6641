"""The end of every run: ask the host again, compare with the plan, and fail the host where the answer is bad."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import logger
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.context import host, state

from deploys.areas.closing import record
from deploys.areas.session import Session, probe
from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Finding, Verdict, check, sum_up
from deploys.planning.diagnosis import diagnose
from deploys.planning.host_plan import Plan
from deploys.planning.records import Area
from deploys.planning.report import Row, describe_findings, make_row
from facts.model import Host


@operation()
def verdict(plan: Plan, session: Session, steps: tuple[OperationMeta, ...]) -> Generator[str, None, None]:
    """Fail the host where anything is bad, was refused, or failed on the way.

    While planning it shows what is bad already. Afterwards the host is probed again, unless no step of it ran.
    """
    if not state.is_executing:
        yield from _fail([str(refusal) for refusal in plan.refusals] if steps else _bad(plan, session.facts))
        return
    ran = [step for step in steps if _ran(step)]
    record(Row(host.name))  # what is in the table where the host is gone and cannot be asked again
    facts = probe(host, session.access) if ran else session.facts
    failed = [step for step in ran if step.did_error()]
    if conclude(plan, facts, has_failed=bool(failed)) is Verdict.BAD:
        _log_causes(plan, facts, "\n".join(step.stdout for step in failed))
        yield from _fail(["this host is not right, or a step failed: see above"])


def conclude(plan: Plan, facts: Host, *, has_failed: bool) -> Verdict:
    """Log the findings, put the host's line into the closing table, and return the verdict."""
    findings = _check(plan, facts)
    _log(findings)
    answer = Verdict.BAD if has_failed else sum_up(findings)
    record(make_row(host.name, plan, facts, verdict=answer))
    return answer


def conclude_unchanged(plan: Plan, facts: Host) -> Verdict:
    """The same for a host on which nothing is to be done: the plan has said already what is right, or refused."""
    findings = _check(plan, facts)
    refused = {refusal.area for refusal in plan.refusals}
    _log(tuple(finding for finding in findings if finding.verdict is not Verdict.GOOD and finding.area not in refused))
    answer = sum_up(findings)
    record(make_row(host.name, plan, facts, verdict=answer))
    if answer is Verdict.BAD:
        _log_causes(plan, facts, "")
    host.log(f"nothing is done here; the verdict is {answer}")
    return answer


def _log_causes(plan: Plan, facts: Host, said: str) -> None:
    """What is known to be behind the words of failed steps and, where the GPU is in trouble, of the kernel's log."""
    troubled = {finding.area for finding in _check(plan, facts) if finding.verdict is Verdict.BAD}
    log = facts.driver.kernel_log if troubled & {Area.DRIVER, Area.PROOF} else ()
    for cause in diagnose("\n".join((said, *log)), load_catalogue()):
        host.log(f"likely cause: {cause}", log_func=logger.warning)


def _log(findings: tuple[Finding, ...]) -> None:
    for line in describe_findings(findings):
        host.log(line, log_func=logger.error if line.startswith(Verdict.BAD) else logger.info)


def _check(plan: Plan, facts: Host) -> tuple[Finding, ...]:
    """check, with any mistake of ours turned into a bad finding: an exception would abort every host."""
    try:
        return check(plan, facts, load_catalogue())
    except Exception as error:
        logger.debug("checking %s failed", host.name, exc_info=True)
        return (
            Finding(Area.HOST, Verdict.BAD, f"it could not be judged: {error!r}", "please report it, with --debug"),
        )


def _bad(plan: Plan, facts: Host) -> list[str]:
    return [str(finding) for finding in _check(plan, facts) if finding.verdict is Verdict.BAD]


def _ran(step: OperationMeta) -> bool:
    """Whether any command of it ran. `did_change` would miss one that failed half-way and changed the host too."""
    return step.is_complete() and step.executed


def _fail(lines: list[str]) -> Generator[str, None, None]:
    if lines:
        text = "\n".join(lines)
        yield f"printf '%s\\n' {shlex.quote(text)} >&2; exit 1"

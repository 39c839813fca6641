"""From what programs say when a driver does not work to what it usually means and what to do."""

from __future__ import annotations

import re

from deploys.planning.catalogue import Catalogue


def diagnose(text: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Cause and remedy, as "cause; remedy", for each known symptom in ``text``: dmesg, dkms' or apt's output."""
    said = _run_on(text).lower()
    return tuple(
        f"{row.cause}; {row.remedy}" for row in catalogue.symptom if any(part.lower() in said for part in row.texts)
    )


def _run_on(text: str) -> str:
    """The text on one line. NVIDIA's module breaks its sentences over several lines of the kernel's log."""
    lines = (re.sub(r"^(\[[^\]]*\]\s*)?(NVRM:\s*)?", "", line) for line in text.splitlines())
    return " ".join(" ".join(lines).split())

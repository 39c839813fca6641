"""Docker's configuration, and the proof in a container."""

from __future__ import annotations

import base64
from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation

from deploys.areas.access import Access, load_detached
from deploys.planning.images import parse_reference
from deploys.planning.records import DaemonPlan, ProofPlan


@operation()
def change_daemon_json(plan: DaemonPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Change daemon.json as one transaction on the host, which ends committed or rolled back."""
    words = daemon_json_words(plan)
    yield access.command(load_detached("daemon_json"), "daemon-json", *words, stdin=daemon_json_input(plan))


def daemon_json_words(plan: DaemonPlan) -> list[str]:
    """The arguments of templates/daemon_json.sh for ``plan``. Nothing secret is among them."""
    return [
        f"found={plan.found}",
        f"action={plan.action}",
        f"stops_containers={'yes' if plan.stops_containers else 'no'}",
        f"for_gpus={'yes' if plan.for_gpus else 'no'}",
        *(f"expect={line}" for line in plan.expected),
        *(f"executable={name}" for name in plan.executables),
    ]


def daemon_json_input(plan: DaemonPlan) -> str:
    """Its standard input: the new file, the bridge and the ledger, a line of base64 each."""
    texts = (plan.text or "", plan.bridge or "", plan.ledger)
    return "".join(f"{base64.b64encode(text.encode()).decode()}\n" for text in texts)


@operation()
def prove_gpu(plan: ProofPlan, driver: str, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Initialise CUDA in a container by each mechanism, and record it. ``driver``: "" for the loaded module's."""
    image = parse_reference(plan.image)
    tagged = f"{image.name}:{image.tag}" if image.digest and image.tag else ""
    words = (plan.image, image.pinned, tagged, driver, plan.mechanism, *plan.also)
    yield access.command(load_detached("gpu_proof"), "gpu-proof", *words)

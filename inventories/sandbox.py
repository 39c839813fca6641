"""The simulated fleet of ``make demo``: ``pyinfra inventories/sandbox.py deploys/gpu_host.py``.

Needs ``python -m tests.sandbox up``, which writes the .sandbox/state.json that is read here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_CHECKOUT = Path(__file__).resolve().parents[1]
_PROOF = "docker.io/library/python:3.12-slim"
_WISHES: dict[str, dict[str, Any]] = {
    "server": {"reboot": "when-needed", "images": ["nvidia/cuda:12.6.3-base-ubuntu24.04"]},
    "jetson": {"images": ["nvcr.io/nvidia/l4t-base:r36.2.0"]},
    "wsl": {"images": ["nvidia/cuda:12.6.3-base-ubuntu24.04"]},
}


def _read_state() -> dict[str, Any]:
    path = _CHECKOUT / ".sandbox/state.json"
    if path.exists():
        state: dict[str, Any] = json.loads(path.read_text())
        return state
    sys.exit(
        "the simulated fleet is not up\n"
        f"  seen:   no {path}\n"
        f"  remedy: in {_CHECKOUT}, run: python -m tests.sandbox up"
    )


def _host_data(host: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """pyinfra's data for one host of state.json; image references are completed with their digests."""
    wishes = _WISHES[host["kind"]]
    digests = state["images"]
    data = {
        **wishes,
        "ssh_hostname": host["address"],
        "ssh_user": host["user"],
        "ssh_key": str(_CHECKOUT / state["ssh_key"]),
        "ssh_known_hosts_file": str(_CHECKOUT / state["known_hosts"]),
        "docker_key_fingerprint": state["fingerprints"]["docker"],
        "nvidia_toolkit_key_fingerprint": state["fingerprints"]["toolkit"],
        "nvidia_driver_key_fingerprint": state["fingerprints"]["driver"],
        "images": [f"{reference}@{digests[reference]}" for reference in wishes["images"]],
        "gpu_proof_image": f"{_PROOF}@{digests[_PROOF]}",
        "gpu_label": "simulated GPU",
    }
    if host["sudo_password_file"]:
        data["sudo_password_file"] = str(_CHECKOUT / host["sudo_password_file"])
    return data


_STATE = _read_state()
fleet = [(name, _host_data(host, _STATE)) for name, host in _STATE["hosts"].items()]

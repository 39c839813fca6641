"""The simulated fleet of ``make demo``: ``pyinfra inventories/sandbox.py deploys/gpu_host.py``.

Needs ``python -m tests.sandbox up``. What each host wishes for is in tests/sandbox/inventory.py; for machines of your
own, start from inventories/example.py.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.sandbox.errors import SandboxError
from tests.sandbox.inventory import controller_environment, fleet_of
from tests.sandbox.state import read_state

try:
    _state = read_state()
    fleet = fleet_of(_state)
    # The registries are asked from this machine, which knows the real ones by these names.
    os.environ.update(controller_environment(_state))
except SandboxError as _error:
    sys.exit(str(_error))

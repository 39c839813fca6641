"""The newest version of the installed driver's branch: what the driver is held at moves only by this."""

import sys
from pathlib import Path

# pyinfra appends the current directory: the checkout must come before any installed package of these names.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploys.areas.provision import provision
from deploys.planning.records import Area

provision(frozenset({Area.DRIVER, Area.REBOOT}), update=True)

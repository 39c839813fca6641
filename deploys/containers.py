"""The containers of the settings, and the images that they are made of."""

import sys
from pathlib import Path

# pyinfra appends the current directory: the checkout must come before any installed package of these names.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploys.areas.provision import provision
from deploys.planning.records import Area

provision(frozenset({Area.MIRRORS, Area.IMAGES, Area.CONTAINERS}))

"""Change nothing: probe, compare with the settings, prove the GPU again; exit status 1 where anything is bad."""

import sys
from pathlib import Path

# pyinfra appends the current directory: the checkout must come before any installed package of these names.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploys.areas.provision import verify

verify()

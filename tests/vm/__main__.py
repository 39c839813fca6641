"""``python -m tests.vm down``: stop the guest that a killed run has left."""

from __future__ import annotations

import sys

from tests.vm.guest import stop

if __name__ == "__main__":
    if sys.argv[1:] != ["down"]:
        sys.exit(__doc__)
    if stop():
        print("vm: stopped the guest")

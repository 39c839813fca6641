"""pyinfra's own command line, with the remote commands counted in its SSH connector.

``python -m tests.counted_pyinfra COUNTS.json INVENTORY DEPLOY…`` runs pyinfra unchanged and writes, when it ends,
how many commands each host was sent, as a JSON object of name and number.
"""

from __future__ import annotations

import atexit
import json
import sys
from collections import Counter
from functools import wraps
from pathlib import Path
from typing import Any

from pyinfra.connectors.ssh import SSHConnector
from pyinfra_cli.main import main  # type: ignore[import-untyped]


def count_commands(path: Path) -> None:
    """From now on count each exec of the SSH connector, and write the numbers to ``path`` at exit."""
    counts: Counter[str] = Counter()
    original = SSHConnector.run_shell_command

    @wraps(original)
    def run_shell_command(self: SSHConnector, *arguments: Any, **options: Any) -> Any:
        counts[self.host.name] += 1
        return original(self, *arguments, **options)

    SSHConnector.run_shell_command = run_shell_command  # type: ignore[method-assign]
    atexit.register(lambda: path.write_text(json.dumps(counts)))


if __name__ == "__main__":
    count_commands(Path(sys.argv[1]))
    sys.argv = ["pyinfra", *sys.argv[2:]]
    sys.exit(main())

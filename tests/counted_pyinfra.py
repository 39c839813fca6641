"""pyinfra's own command line, with the remote commands counted beneath its SSH connector.

``python -m tests.counted_pyinfra COUNTS.json INVENTORY DEPLOY…`` runs pyinfra unchanged and writes, when it ends,
how many commands each host was sent (SSH exec requests), as a JSON object of name and number.
"""

from __future__ import annotations

import atexit
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from paramiko import Channel, Transport
from pyinfra.connectors.ssh import SSHConnector
from pyinfra_cli.main import main  # type: ignore[import-untyped]


def count_commands(path: Path) -> None:
    """From now on count each exec request by host, and write the numbers to ``path`` at exit."""
    counts: Counter[str] = Counter()
    names: dict[Transport, str] = {}
    connect, exec_command = SSHConnector.connect, Channel.exec_command

    def connect_and_remember(self: SSHConnector) -> None:
        connect(self)
        transport = self.client.get_transport() if self.client else None
        if transport:
            names[transport] = self.host.name

    def exec_and_count(self: Channel, command: Any) -> None:
        counts[names[self.get_transport()]] += 1
        exec_command(self, command)

    SSHConnector.connect = connect_and_remember  # type: ignore[method-assign]
    Channel.exec_command = exec_and_count  # type: ignore[method-assign]
    atexit.register(lambda: path.write_text(json.dumps(counts)))


if __name__ == "__main__":
    count_commands(Path(sys.argv[1]))
    sys.argv = ["pyinfra", *sys.argv[2:]]
    sys.exit(main())

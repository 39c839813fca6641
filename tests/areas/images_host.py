"""A made-up host with a stand-in Docker that keeps images, and pyinfra's connection to it, which can be cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput, OutputLine

from tests.areas.shell import Place

PULLED = 'echo "$2" >>$here/there'
# docker: `there` has the names of its images, `pull` says what a pull does.
DOCKER = """
for last; do :; done
case "$1 $2" in
    version*) echo amd64 ;;
    "image inspect")
        grep -qxF -- "$last" $here/there || { echo "Error: No such image: $last" >&2; exit 1; }
        case $* in *Architecture*) cat $here/about; echo " $last" ;; *Id*) cat $here/id ;; esac ;;
    "image rm") . $here/rm ;;
    tag*) echo "$3" >>$here/there ;;
    pull*) . $here/pull ;;
    load*) . $here/load ;;
    info*) cat $here/info ;;
esac
"""


class ImagesHost:
    """What the code takes for pyinfra's host: its commands run in a shell, below a temporary folder."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = "board-1"
        self.connector = Connection(place)
        self.said: list[str] = []
        for name, text in {"there": "", "about": "amd64", "id": "sha256:1", "info": "", "load": "", "rm": ""}.items():
            (place.root / name).write_text(text)
        place.path("/var/tmp").mkdir(parents=True)
        self.pull_does(PULLED)
        place.stand_in("docker", DOCKER)
        place.stand_in("sleep", "")

    def log(self, message: str, log_func: Callable[[str], Any] | None = None) -> None:
        """pyinfra's own."""
        self.said.append(message)

    def pull_does(self, script: str) -> None:
        """sh text: what `docker pull $2` does."""
        (self.place.root / "pull").write_text(f"{script}\n")

    @property
    def there(self) -> list[str]:
        """Names of the images that it has."""
        return (self.place.root / "there").read_text().split()

    @property
    def pulls(self) -> list[str]:
        """What was pulled, or tried."""
        return [call.partition(" ")[2] for call in self.place.calls("docker") if call.startswith("pull ")]

    @property
    def text(self) -> str:
        """All that was logged."""
        return "\n".join(self.said)

    @property
    def as_pyinfras(self) -> Host:
        """Itself, under the type that the code asks for."""
        return cast(Host, self)


class Connection:
    """pyinfra's connector. It is lost for as many commands as ``lost`` has: True, and the command never arrives; False,
    and its answer never does."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.lost: list[bool] = []
        self.cut: list[CommandOutput] = []  # what is left of a watch's answers when the connection ends within them
        self.on_command: Callable[[], None] = lambda: None
        self.commands: list[str] = []
        self.connects = 0
        self.uploads: list[str] = []

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool,
        print_input: bool,
        _stdin: list[str] | None = None,
        _timeout: int | None = None,
    ) -> tuple[bool, CommandOutput]:
        """Run it in a shell."""
        self.on_command()
        text = command.get_raw_value()
        self.commands.append(text)
        lost = self.lost.pop(0) if self.lost else None
        if lost is True:
            raise EOFError
        if self.cut and " watch " in text:
            return False, self.cut.pop()
        stdin = "".join(f"{line}\n" for line in _stdin or ())
        done = self._place.run_text(self._place.moved(text), stdin=stdin)
        if lost is False:
            raise EOFError
        return done.status == 0, CommandOutput([OutputLine("stdout", line) for line in done.output.splitlines()])

    def put_file(self, path: str, remote: str) -> bool:
        """Upload."""
        self.uploads.append(f"{path} {remote}")
        return True

    def connect(self) -> None:
        """Open it again."""
        self.connects += 1

    def disconnect(self) -> None:
        """Close it."""

"""A made-up apt host for the scripts that install and remove the driver: stand-in commands and how to call the scripts.

What ``apt-get --simulate`` prints is what apt 3.0.3 prints on Debian 13.
"""

import shutil
from collections.abc import Mapping
from types import MappingProxyType

from tests.areas.shell import Finished, Place

RUNNING = "6.8.0-45-generic"
BLACKLIST = "/etc/modprobe.d/gpu-hosts-nouveau.conf"
OURS = "/etc/apt/preferences.d/gpu-hosts-nvidia-driver"
UNFINISHED = "/var/lib/gpu-hosts/driver/unfinished"
PIN = "/etc/apt/preferences.d/nvidia-driver-pin"

# The host's packages are lines "NAME VERSION STATUS" of a file; those on hold are lines of another.
DPKG_QUERY = r"""
if [ "$1" = -L ]; then
  case $2 in nvidia-driver-pinning-*) echo /etc/apt/preferences.d/nvidia-driver-pin ;; esac
  exit 0
fi
while read -r name version status; do
  [ $# = 3 ] || [ "$4" = "${name%:*}" ] || continue
  case $3 in
    *"|\${Version}|"*) echo "$status |$version|" ;;
    *"|"*) echo "$status |$name|$version" ;;
    *Status*) printf '%s ' "$status" ;;
    *) printf '%s' "$version" ;;
  esac
done <"$here/installed"
"""
APT_MARK = """
command=$1
shift
for name; do
  case $command in
    hold) grep -qx "$name" "$here/held" || echo "$name" >>"$here/held" ;;
    unhold) grep -vx "$name" "$here/held" >"$here/held.new"; mv "$here/held.new" "$here/held" ;;
  esac
done
[ "$command" != showhold ] || cat "$here/held"
"""
# The change is made by "$here/after": what is installed once apt is done.
APT_GET = """
case "$*" in
  *--download-only*) ;;
  *download*) for name; do :; done; : >"$name.deb" ;;
  *--simulate*) cat "$here/choice" ;;
  *) [ ! -e "$here/after" ] || cp "$here/after" "$here/installed" ;;
esac
"""
DPKG_DEB = """
mkdir -p "$3/etc/apt/preferences.d"
echo "${2##*/}" >"$3/etc/apt/preferences.d/nvidia-driver-pin"
"""
APT_CACHE = """
case "$*" in
  *madison*) cat "$here/offered" ;;
  *) printf 'lead:\\n  Installed: (none)\\n  Candidate: %s\\n  Version table:\\n' "$(cat "$here/candidate")" ;;
esac
"""


def apt_host(place: Place) -> Place:
    """A host without a driver whose apt offers 580.95.05 and chooses as it is told."""
    # Looking through every process of a busy machine takes long, and nobody holds this host's locks.
    place.stand_in("find", f'case $1 in /proc/*) ;; *) {shutil.which("find")} "$@" ;; esac')
    for name in ("dpkg", "modprobe", "update-initramfs", "systemctl", "journalctl"):
        place.stand_in(name, "")
    place.stand_in("uname", f"echo {RUNNING}")
    place.stand_in("dpkg-query", DPKG_QUERY)
    place.stand_in("apt-mark", APT_MARK)
    place.stand_in("apt-get", APT_GET)
    place.stand_in("apt-cache", APT_CACHE)
    place.stand_in("dpkg-deb", DPKG_DEB)
    place.stand_in("modinfo", "echo 580.95.05")
    for name in ("installed", "held", "choice", "offered"):
        (place.root / name).touch()
    (place.root / "candidate").write_text("580.95.05-1\n")
    return place


def install(place: Place, words: Mapping[str, str] = MappingProxyType({})) -> Finished:
    """Install branch 580, with further words."""
    given = {
        "source": "",
        "release": "580",
        "lead": "nvidia-utils-580",
        "packages": "nvidia-utils-580 the-module",
        **words,
    }
    shutil.rmtree(place.run_folder)
    place.run_folder.mkdir()
    return place.run("apt", "driver", "apt_driver", arguments=tuple(f"{key}={value}" for key, value in given.items()))


def remove(place: Place, words: Mapping[str, str] = MappingProxyType({})) -> Finished:
    """Remove packages."""
    shutil.rmtree(place.run_folder)
    place.run_folder.mkdir()
    arguments = tuple(f"{key}={value}" for key, value in words.items())
    return place.run("apt", "driver", "apt_driver_remove", arguments=arguments)


def set_file(place: Place, name: str, *lines: str) -> None:
    """What one of the stand-ins reads: installed, after, held, choice, offered."""
    (place.root / name).write_text("".join(f"{line}\n" for line in lines))


def changes(place: Place) -> list[str]:
    """apt-get's calls that change the host."""
    return [call for call in place.calls("apt-get") if " download " not in call and "--simulate" not in call]


def held(place: Place) -> set[str]:
    """The packages on hold."""
    return set((place.root / "held").read_text().split())


def is_untouched(place: Place) -> bool:
    """Whether neither packages nor preferences nor holds nor nouveau's configuration were changed."""
    marks = [call for call in place.calls("apt-mark") if call != "showhold"]
    written = [place.path(BLACKLIST).exists(), place.path(OURS).exists(), place.path(PIN).exists()]
    return not changes(place) and not marks and not any(written)


def add_kernel(place: Place, release: str, *, modules: bool = True) -> None:
    """A kernel in /boot, with or without its modules."""
    place.path("/boot").mkdir(exist_ok=True)
    place.path(f"/boot/vmlinuz-{release}").touch()
    if modules:
        place.path(f"/lib/modules/{release}").mkdir(parents=True)

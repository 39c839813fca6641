"""A made-up dnf host: stand-in commands, and what ``dnf shell`` says of a transaction (dnf 4.23)."""

from collections.abc import Iterable

from tests.areas.shell import Place

RUNNING = "5.14.0-570.17.1.el9_6.x86_64"
LOCKS = "/etc/dnf/plugins/versionlock.list"
# The host's packages are lines "NAME EPOCH VERSION RELEASE ARCHITECTURE" of a file.
RPM = """
while read -r name epoch version release architecture; do
  case "$*" in
    -qa*) echo "$name $version"; continue ;;
  esac
  for word; do
    [ "$word" = "$name" ] || continue
    found=yes
    case $3 in
      *NAME*) echo "$name-$epoch:$version-$release.$architecture" ;;
      *EPOCHNUM*) echo "$epoch:$version-$release" ;;
      *VERSION*) echo "$version" ;;
    esac
  done
done <"$here/installed"
case "$*" in -qa*) exit 0 ;; esac
[ -n "${found:-}" ]
"""
# The commands that dnf's shell is given are kept in "asked"; the change is made by "after": what is installed then.
DNF = """
for last; do :; done
case "$*" in
  *repoquery*"*-"*) version=${last#??}; grep -e " [0-9]*:${version%??}-" "$here/offered" ;;
  *repoquery*"--qf %{epoch}"*) sed -n "s/^$last //p" "$here/offered" ;;
  *repoquery*) grep -e "^$last " "$here/offered" ;;
  *"module list"*) cat "$here/streams" ;;
  *--assumeno*) cat "$last" >>"$here/looked"; cat "$here/choice"; exit 1 ;;
  *shell*) cp "$last" "$here/asked"; cat "$here/said"; [ ! -e "$here/after" ] || cp "$here/after" "$here/installed" ;;
esac
exit 0
"""


def table(heading: str, rows: Iterable[str] = ()) -> str:
    """What dnf says of a transaction that it then leaves: rows of name and version under a heading."""
    lines = ["Dependencies resolved.", "=" * 80, " Package  Arch  Version  Repository  Size", "=" * 80]
    lines.append(f"{heading}:")
    lines += [f" {row.split()[0]}    x86_64  {row.split()[1]}  cuda-rhel9-x86_64  7.3 k" for row in rows]
    return "\n".join([*lines, "", "Transaction Summary", "=" * 80, "Operation aborted.", ""])


def installed(version: str, *names: str) -> str:
    """Lines of the host's packages, all of one version."""
    return "".join(f"{name} 3 {version} 1.el9 x86_64\n" for name in names)


def asked(place: Place) -> list[str]:
    """The commands that were carried out, without the blanks at their ends."""
    file = place.root / "asked"
    return [line.rstrip() for line in file.read_text().splitlines()] if file.exists() else []


def locked(place: Place) -> list[str]:
    """The entries of versionlock.list."""
    return place.path(LOCKS).read_text().splitlines()

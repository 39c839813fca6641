# shellcheck shell=sh
# Put before every script that is sent to a host. POSIX sh; runs as root.
set -u
umask 022
LC_ALL=C
PATH=${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
# This host's own daemon, as the probe asks it: root may have another one in view.
DOCKER_CONTEXT=default
unset DOCKER_HOST
export LC_ALL PATH DOCKER_CONTEXT
state=/var/lib/gpu-hosts

# explain WHAT SEEN TODO: the three parts of an error.
explain() {
  printf '%s\n  seen: %s\n  to do: %s\n' "$1" "$2" "$3"
}

fail() {
  explain "$@"
  exit 1
}

# among WORD WORD...: whether the first is one of the others.
among() {
  needle=$1
  shift
  for other in "$@"; do
    [ "$other" != "$needle" ] || return 0
  done
  return 1
}

# digest FILE: SHA-256, or "absent".
digest() {
  if [ -e "$1" ]; then sha256sum <"$1" | cut -d ' ' -f 1; else echo absent; fi
}

# quote FILE: its last lines, for people to read and for known causes to be found in.
quote() {
  tail -n 20 "$1" 2>/dev/null | sed 's/^/  | /'
}

# next_kernel: the newest installed kernel, which is what boots next on Debian and Ubuntu; else the running one.
next_kernel() {
  # rpm: 4.18.0-553.16.1.el8_10 is newer than 4.18.0-553.el8_10. For sort, only a tilde comes before a number.
  newest=$(find /boot -maxdepth 1 -name 'vmlinuz-*' 2>/dev/null | sed 's/.*vmlinuz-//; s/\.el/~el/' | sort -V |
    tail -n 1 | sed 's/~el/.el/')
  if [ -n "$newest" ] && [ -d "/lib/modules/$newest" ]; then echo "$newest"; else uname -r; fi
}

# module_version KERNEL: of its nvidia module on disk. Debian's own packages give it names of theirs, and hide `nvidia`
# from modinfo by an `install nvidia` in /etc/modprobe.d (seen on Debian 12 and 13).
module_version() {
  modinfo -k "$1" -F version nvidia nvidia-current nvidia-current-open nvidia-tesla-535 nvidia-tesla-470 2>/dev/null | head -n 1
}

# need_docker AREA: where Docker does not answer, one short reason in place of what would follow from that.
need_docker() {
  timeout 60 docker info >/dev/null 2>&1 && return 0
  fail "$1: not done, because Docker does not answer" "docker info fails" \
    "see above what became of Docker, and journalctl -u docker on the host"
}

# short FILE: the last lines of a log on one line.
short() {
  tail -n "${2:-6}" "$1" 2>/dev/null | tr -s ' \t\n' ' '
}

# name_process PID: as "name (pid N)". Whoever owns a process may call it anything, with line ends in it, too.
name_process() {
  printf '%s (pid %s)' "$(cat "/proc/$1/comm" 2>/dev/null)" "$1" | tr -c '\40-\176' '?'
}

# opener FILE: a process that has it open, named. A container's file of the same path is another one.
opener() {
  [ -e "$1" ] || return 1
  links=$(find /proc/[0-9]*/fd -lname "$1" 2>/dev/null)
  for link in $links; do
    [ "$(stat -L -c %d:%i "$link" 2>/dev/null)" = "$(stat -c %d:%i "$1" 2>/dev/null)" ] || continue
    pid=${link#/proc/}
    name_process "${pid%%/*}"
    return 0
  done
  return 1
}

lock_timeout=300
# wait_for_locks: returns when lock_holder, the package manager's own, finds nobody; or fails after $lock_timeout seconds
# and names who it is.
wait_for_locks() {
  deadline=$(($(date +%s) + lock_timeout))
  while holder=$(lock_holder); do
    [ "$(date +%s)" -lt "$deadline" ] || fail "the package manager is busy" \
      "$holder has held its lock for $lock_timeout s" "wait for it to end or stop it, then run this again"
    sleep 1
  done
}

# upstream VERSION: without epoch and revision, which is the driver's own version.
upstream() {
  printf '%s\n' "$1" | sed 's/^[0-9]*://; s/-[^-]*$//'
}

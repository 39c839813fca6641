# shellcheck shell=sh
# Shared by the scripts that use apt: waiting for locks, auditing dpkg, installing.
export DEBIAN_FRONTEND=noninteractive
# Ubuntu's needrestart would restart services, Docker among them, behind our back.
export NEEDRESTART_SUSPEND=1
lock_timeout=300

# lock_holder: the process that has one of apt's or dpkg's lock files open, as "name (pid N)".
lock_holder() {
  for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
    [ -e "$lock" ] || continue
    open=$(find /proc/[0-9]*/fd -lname "$lock" 2>/dev/null)
    for found in $open; do
      # A container's apt has files of these names, too.
      [ "$(stat -L -c %d:%i "$found" 2>/dev/null)" = "$(stat -c %d:%i "$lock" 2>/dev/null)" ] || continue
      pid=${found#/proc/}
      pid=${pid%%/*}
      printf '%s (pid %s)' "$(cat "/proc/$pid/comm" 2>/dev/null)" "$pid"
      return 0
    done
  done
  return 1
}

# wait_for_locks: returns when nobody uses apt, or fails after $lock_timeout seconds and names who does.
wait_for_locks() {
  deadline=$(($(date +%s) + lock_timeout))
  while holder=$(lock_holder); do
    [ "$(date +%s)" -lt "$deadline" ] || fail "the package manager is busy" \
      "$holder has held its lock for $lock_timeout s" "wait for it to end or stop it, then run this again"
    sleep 1
  done
}

audit_packages() {
  broken=$(dpkg --audit 2>&1)
  [ -z "$broken" ] || fail "packages are half configured, and apt would trip over them" \
    "$(printf '%s' "$broken" | tr -s ' \n' ' ')" "dpkg --configure -a, then apt-get -f install"
}

# change_packages LOG COMMAND WORD...: apt-get without a question, and with configuration files that an administrator
# changed kept.
change_packages() {
  output=$1
  command=$2
  shift 2
  wait_for_locks
  apt-get "$command" -y -o DPkg::Lock::Timeout="$lock_timeout" -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >"$output" 2>&1
}

# install_packages LOG PACKAGE...: exactly these and what they depend on. Nothing is removed for them.
install_packages() {
  log=$1
  shift
  change_packages "$log" install --no-install-recommends --no-remove "$@"
}

# installed_of PACKAGE...: those of them that are installed. A library that is there for two architectures (a desktop's
# i386) is named for each: by its plain name apt would change this machine's own only.
installed_of() {
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}|${binary:Package}|\n' "$package" 2>/dev/null | sed -n 's/^.i.*|\([^|]*\)|.*/\1/p' | tr '\n' ' '
  done
}

# upstream VERSION: without epoch and revision, which is the driver's own version.
upstream() {
  printf '%s\n' "$1" | sed 's/^[0-9]*://; s/-[^-]*$//'
}

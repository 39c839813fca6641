# shellcheck shell=sh
# Shared by the scripts that use apt: waiting for locks, auditing dpkg, installing.
export DEBIAN_FRONTEND=noninteractive
# Ubuntu's needrestart would restart services, Docker among them, behind our back.
export NEEDRESTART_SUSPEND=1

# lock_holder: the process that has one of apt's or dpkg's locks, as "name (pid N)".
lock_holder() {
  for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
    opener "$lock" && return 0
  done
  return 1
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

# install_exactly LOG WORD...: these packages, NAME=VERSION too, whatever is on hold; those with a minus behind go.
# --simulate among the words only says what would be done.
install_exactly() {
  to=$1
  shift
  change_packages "$to" install --no-install-recommends --allow-downgrades --allow-change-held-packages --ignore-hold "$@"
}

# chosen_in OUTPUT KIND...: the packages that a simulation has under these words (Inst, Remv, Purg), as it names them.
chosen_in() {
  from=$1
  shift
  for kind in "$@"; do
    sed -n "s/^$kind \([^ ]*\).*/\1/p" "$from"
  done
}

apt_cache() {
  apt-cache "$@"
}

# preferred PACKAGE: the version that apt would install.
preferred() {
  apt_cache policy "$1" | sed -n 's/^  Candidate: //p' | grep -vx '(none)'
}

# offered PACKAGE: its versions, the newest first; sources have others.
offered() {
  apt_cache madison "$1" | sed '/ Sources$/d' | cut -d '|' -f 2 | tr -d ' '
}

# installed_of PACKAGE...: those of them that are installed. A library that is there for two architectures (a desktop's
# i386) is named for each: by its plain name apt would change this machine's own only.
installed_of() {
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}|${binary:Package}|\n' "$package" 2>/dev/null | sed -n 's/^.i.*|\([^|]*\)|.*/\1/p' | tr '\n' ' '
  done
}

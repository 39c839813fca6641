# shellcheck shell=sh
# Shared by the scripts that use dnf (dnf4: Enterprise Linux 8 to 10): waiting for locks, looking at a transaction
# before it is done, version locks.
locks=/etc/dnf/plugins/versionlock.list
stream_file=/etc/dnf/modules.d/nvidia-driver.module

# lock_holder: the process that has one of dnf's locks, or rpm's, as "name (pid N)".
lock_holder() {
  for lock in /var/cache/dnf/*_lock.pid /var/lib/dnf/*_lock.pid; do
    [ -s "$lock" ] || continue
    read -r pid <"$lock" || true
    [ -n "$pid" ] && [ -d "/proc/$pid" ] && name_process "$pid" && return 0
  done
  opener /var/lib/rpm/.rpm.lock || opener /usr/lib/sysimage/rpm/.rpm.lock
}

# An rpm transaction that was cut off leaves the old package beside the new one.
audit_packages() {
  twice=$(dnf --quiet --cacheonly check --duplicates 2>&1 | grep -E 'is a duplicate with' | head -n 3 | tr -s ' \n' ' ')
  [ -z "$twice" ] || fail "a transaction of rpm was cut off, and dnf would trip over what it left" "$twice" \
    "dnf remove --duplicates, then dnf check"
}

# change_packages LOG COMMAND WORD...: dnf without a question.
change_packages() {
  output=$1
  shift
  wait_for_locks
  dnf --assumeyes "$@" >"$output" 2>&1
}

# install_packages LOG PACKAGE...: exactly these and what they depend on. Nothing is removed for them, which is what
# dnf does unless it is told otherwise.
install_packages() {
  log=$1
  shift
  change_packages "$log" --setopt=install_weak_deps=False install "$@"
}

# installed_of PACKAGE...: those of them that are installed.
installed_of() {
  for package in "$@"; do
    rpm -q "$package" >/dev/null 2>&1 && printf '%s ' "$package"
  done
}

# transact OUTPUT OPTION...: what $RUN/commands says, as one transaction. The shell of dnf goes on after a command that
# failed, and its exit status does not tell. Version locks are left out explicitly: the caller looks after those of others.
# To enable another stream is to switch to it; "module switch-to" would bring the newest of it besides.
transact() {
  to=$1
  shift
  wait_for_locks
  dnf --disableplugin=versionlock --setopt=install_weak_deps=False --setopt=clean_requirements_on_remove=False \
    --setopt=module_stream_switch=True "$@" shell "$RUN/commands" >"$to" 2>&1
  done_with=$?
  # It goes on without somebody else's repository that is broken (skip_if_unavailable), and says so.
  if grep -E '^(Error|Problem)' "$to" | grep -qv '^Error: Failed to download metadata for repo'; then return 1; fi
  [ "$done_with" = 0 ] || grep -qx 'Operation aborted.' "$to"
}

# reason OUTPUT: why dnf would not, in its words.
reason() {
  grep -A 2 -E '^(Error|Problem)' "$1" | grep -v '^All matches' | head -n 6 | tr -s ' \n' ' ' | cut -c 1-600
}

# look_ahead OUTPUT OPTION...: what the transaction would do, into OUTPUT; nothing is changed. False where it cannot be done.
look_ahead() {
  transact "$@" --assumeno
}

# chosen_in OUTPUT KIND...: the packages of a transaction's table under these headings (Installing, Upgrading, Removing …),
# each on a line of its own, with the version that it gets, where dnf had room for it beside the name.
chosen_in() {
  from=$1
  shift
  heading=
  while IFS= read -r line; do
    case $line in
      "Transaction Summary"*) return 0 ;;
      [A-Z]*:)
        heading=${line%% *}
        heading=${heading%:}
        ;;
      " "[!\ ]*)
        among "$heading" "$@" || continue
        printf '%s\n' "$line" | sed 's/^ //; s/  */ /g' | cut -d ' ' -f 1,3
        ;;
      *" replacing "*)
        among Removing "$@" || continue
        # NAME.ARCHITECTURE VERSION
        printf '%s\n' "$line" | sed 's/.* replacing *//; s/\.[^. ]* .*//'
        ;;
    esac
  done <"$from"
}

# full_names PACKAGE...: those that are installed, as version locks name them.
full_names() {
  rpm -q --qf '%{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}\n' "$@" 2>/dev/null | grep -v ' '
}

# is_lock_of ENTRY NAME...: whether a line of versionlock.list is about one of these packages, full names or plain ones.
is_lock_of() {
  pattern=${1#!}
  shift
  for one in "$@"; do
    # shellcheck disable=SC2254
    case $one in $pattern | ${pattern%-*-*}) return 0 ;; esac
  done
  return 1
}

# write_locks: standard input becomes versionlock.list.
write_locks() {
  cat >"$locks.new" && chmod 0644 "$locks.new" && mv "$locks.new" "$locks"
}

# other_locks NAME...: versionlock.list without the entries of these packages, whatever version they name.
other_locks() {
  [ -e "$locks" ] || return 0
  while IFS= read -r entry; do
    is_lock_of "$entry" "$@" || printf '%s\n' "$entry"
  done <"$locks"
}

# lock_packages PACKAGES NAME...: these packages (words of one argument) as they are installed, and no longer what was locked
# of the others.
lock_packages() {
  now=$(full_names $1)
  known=$*
  {
    other_locks $known $now
    [ -z "$now" ] || printf '%s\n' $now | sort | sed 's/\.[^.]*$/.*/'
  } >"$RUN/locks"
  [ "$(cat "$RUN/locks")" = "$(cat "$locks" 2>/dev/null)" ] || write_locks <"$RUN/locks"
}

# locked_in OUTPUT NAME...: packages that a transaction would change although somebody has locked them; these names are ours
# to change.
locked_in() {
  table=$1
  shift
  for package in $(chosen_in "$table" Upgrading Downgrading Removing | cut -d ' ' -f 1); do
    among "$package" "$@" && continue
    for entry in $(other_locks | grep -v '^#' | tr -d ' \t'); do
      is_lock_of "$entry" "$(full_names "$package")" && printf '%s ' "$package"
    done
  done
}

# need_versionlock: the plugin without which nothing is locked.
need_versionlock() {
  [ -e /etc/dnf/plugins/versionlock.conf ] || install_packages "$log" python3-dnf-plugin-versionlock || {
    quote "$log"
    fail "dnf's versionlock plugin cannot be installed" "dnf install python3-dnf-plugin-versionlock: $(short "$log")" \
      "mend the host's own package sources"
  }
}

# enabled_stream: the stream of the module nvidia-driver.
enabled_stream() {
  grep -qx 'state=enabled' "$stream_file" 2>/dev/null && sed -n 's/^stream=//p' "$stream_file"
}

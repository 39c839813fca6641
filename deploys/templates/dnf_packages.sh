# shellcheck shell=sh
# packages.sh with dnf.

installed_version() {
  rpm -q --qf '%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n' "$1" 2>/dev/null | grep -v ' ' | head -n 1
}

# offered PACKAGE: its versions, the newest first. Asked once: each question takes a second.
offered() {
  [ -e "$RUN/offered.$1" ] || dnf --quiet --disableplugin=versionlock repoquery --qf '%{epoch}:%{version}-%{release}' "$1" \
    2>"$log" | sort -rV >"$RUN/offered.$1"
  cat "$RUN/offered.$1"
}

# preferred: dnf takes the newest.
preferred() {
  :
}

named() {
  printf '%s-%s' "$1" "$2"
}

# choose OUTPUT OPTION...: without --allowerasing where nothing may go.
choose() {
  to=$1
  shift
  [ -z "$(echo $gone)" ] || set -- --allowerasing "$@"
  transact "$to" "$@"
}

look() {
  {
    [ -z "$(echo $gone)" ] || echo remove $gone
    [ -z "$(echo $all)" ] || echo install $all
  } >"$RUN/commands"
  asked=$(sed 's/^/dnf /' "$RUN/commands" | tr '\n' ';')
  asked=${asked%;}
  choose "$choice" --assumeno || refuse_change "$choice"
}

removed() {
  chosen_in "$choice" Removing | cut -d ' ' -f 1
}

broken_holds() {
  locked_in "$choice" $ours $may_go
}

# What is fetched before the last look at Docker makes the time after it short.
download() {
  choose "$log" --assumeyes --downloadonly || refuse_change "$log"
}

install() {
  choose "$log" --assumeyes || refuse_change "$log"
}

hold_group() {
  [ -n "$hold$remove" ] || return 0
  [ -z "$hold" ] || need_versionlock
  lock_packages "$(installed_of $hold)" $remove $hold || fail "$area: its packages are installed, but not locked" \
    "$locks cannot be written" "look at the disk, then run this again"
}

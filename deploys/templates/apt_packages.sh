# shellcheck shell=sh
# packages.sh with apt.

installed_version() {
  dpkg-query -W -f '${db:Status-Abbrev}|${Version}|\n' "$1" 2>/dev/null | sed -n 's/^.i.*|\([^|]*\)|$/\1/p' | head -n 1
}

named() {
  printf '%s=%s' "$1" "$2"
}

reason() {
  short "$1"
}

# choose OUTPUT OPTION...: packages that go are removed and never purged: /etc/docker/daemon.json is one's own file (conffile
# of nvidia-docker2).
choose() {
  to=$1
  shift
  install_exactly "$to" -o APT::Get::Purge=false -o APT::Get::AutomaticRemove=false "$@" $words
}

look() {
  words=$all
  for package in $gone; do words="$words $package-"; done
  asked="apt-get install$words"
  choose "$choice" --simulate || refuse_change "$choice"
}

removed() {
  chosen_in "$choice" Remv Purg | sed 's/:.*//'
}

broken_holds() {
  changed=$(chosen_in "$choice" Inst Remv)
  for package in $(apt-mark showhold); do
    among "$package" $changed && ! among "${package%%:*}" $ours $may_go && printf '%s ' "$package"
  done
}

# What is fetched before the last look at Docker makes the time after it short.
download() {
  choose "$log" --download-only || refuse_change "$log"
}

install() {
  choose "$log" || refuse_change "$log"
}

hold_group() {
  on_hold=$(apt-mark showhold)
  for package in $(installed_of $hold); do
    among "$package" $on_hold && continue
    apt-mark hold "$package" >"$log" 2>&1 || fail "$area: $package is installed, but not on hold" \
      "apt-mark hold $package: $(short "$log")" "run that command on the host"
  done
  for package in $on_hold; do
    ! among "$package" $remove || [ -n "$(installed_of "$package")" ] || apt-mark unhold "$package" >"$log" 2>&1
  done
}

# shellcheck shell=sh
# Brings the NVIDIA driver to a release: installs, upgrades, downgrades, takes other modules or another origin.
# What apt would do is looked at first, with its preferences as they will be: until that is as planned, nothing is changed.
pins=$RUN/preferences.d
choice=$RUN/choice
ours=/etc/apt/preferences.d/gpu-hosts-nvidia-driver

# pinned_by PACKAGE: names of the preferences files that it has brought.
pinned_by() {
  dpkg-query -L "$1" 2>/dev/null | sed -n 's|^/etc/apt/preferences\.d/||p'
}

# foresee_preferences: this host's preferences, without those of packages that go, with those that come, in $pins.
# A pinning package must count before apt chooses versions, and must not stay where apt then chooses otherwise.
foresee_preferences() {
  mkdir -p "$pins" "$RUN/first"
  cp -a /etc/apt/preferences.d/. "$pins/"
  for package in $(installed_of $remove); do
    for file in $(pinned_by "$package"); do rm -f "$pins/$file"; done
  done
  rm -f "$pins/${ours##*/}"
  [ -z "$preferences" ] || printf '%s' "$preferences" >"$pins/${ours##*/}"
  for package in $first; do
    [ -z "$(installed_of "$package")" ] || continue
    # Our own preferences of a driver of another origin would hide it.
    (cd "$RUN/first" && apt-get -o Dir::Etc::PreferencesParts="$pins/" download "$package") >"$log" 2>&1 ||
      fail "driver: $release cannot be pinned" "apt-get download $package: $(short "$log")" \
        "set nvidia_driver_branch to a branch or a whole version: apt-cache search nvidia-driver-pinning on the host lists them"
  done
  for archive in "$RUN"/first/*.deb; do
    [ ! -e "$archive" ] || dpkg-deb -x "$archive" "$RUN/first"
  done
  [ ! -d "$RUN/first/etc/apt/preferences.d" ] || cp -a "$RUN/first/etc/apt/preferences.d/." "$pins/"
}

# What follows counts with the preferences as they will be.
apt_cache() {
  apt-cache -o Dir::Etc::PreferencesParts="$pins/" "$@"
}

# find_version: $candidate of the lead package, which must be of the release.
find_version() {
  candidate=$(preferred "$lead")
  case ${candidate#*:} in
    "$release" | "$release"[.-]*) ;;
    *) fail "driver: $release is not what apt would install" "candidate of $lead is ${candidate:-(none)}" \
      "apt-cache policy $lead on the host shows where it comes from" ;;
  esac
}

# name_packages: $wanted is what apt-get install is told: packages, with =VERSION where that must be the driver's, and
# with a minus behind those that must go.
name_packages() {
  wanted=$first
  for package in $packages; do
    if among "$package" $same_version; then
      offers=$(offered "$package" | tr '\n' ' ')
      same=
      for one in $offers; do
        [ "$(upstream "$one")" != "$(upstream "$candidate")" ] || same=${same:-$one}
      done
      [ -n "$same" ] || fail "driver: there is no $package of the driver's own version" \
        "the driver is $(upstream "$candidate"), offered are ${offers:-none}" "set nvidia_driver_branch to a version that has both"
      package=$package=$same
    fi
    wanted="$wanted $package"
  done
  for package in $(installed_of $remove); do wanted="$wanted $package-"; done
}

# choose_packages OUTPUT [--simulate]
choose_packages() {
  to=$1
  shift
  install_exactly "$to" -o Dir::Etc::PreferencesParts="$pins/" "$@" $wanted
}

# check_choice: whether apt would remove only what may go, and would change only those held packages that are the driver's.
# check_kernels: whether prebuilt modules come for every kernel that comes with them, and for the one that boots next. An
# archive publishes a kernel a while before its modules, and their metapackages do not need each other.
check_kernels() {
  case " $hold " in *' linux-modules-nvidia-'*) ;; *) return 0 ;; esac
  coming=$(sed -nE 's/^Inst linux-image-(unsigned-)?([0-9][^ ]*) .*/\2/p' "$choice")
  following=$(next_kernel)
  [ -n "$(module_version "$following")" ] || coming="$coming $following"
  for kernel in $coming; do
    grep -qE "^Inst linux-modules-nvidia-.*-$kernel " "$choice" || fail "driver: its modules for a kernel are not there yet" \
      "kernel $kernel would boot next, and no linux-modules-nvidia-…-$kernel comes" \
      "run this again when the archive has them, or set nvidia_driver_source = \"nvidia\""
  done
}

check_choice() {
  if ! choose_packages "$choice" --simulate; then
    quote "$choice"
    fail "driver: its packages cannot be installed" "apt-get install $wanted: $(short "$choice")" \
      "run that command on the host and mend what it says"
  fi
  check_kernels
  others=
  for package in $(chosen_in "$choice" Remv Purg); do
    among "${package%%:*}" $remove $allowed || others="$others $package"
  done
  [ -z "$others" ] || fail "driver: other packages would be removed for it" "apt-get install $wanted would remove$others" \
    "remove them yourself if you can do without them, then run this again"
  before=$(dpkg-query -W -f '${Version}' "$lead" 2>/dev/null)
  for package in $(apt-mark showhold); do
    grep -q "^Inst $package " "$choice" || continue
    among "${package%%:*}" $first $packages $remove $allowed $hold && continue
    [ "$(upstream "$(dpkg-query -W -f '${Version}' "$package")")" = "$(upstream "$before")" ] || others="$others $package"
  done
  [ -z "$others" ] || fail "driver: packages that are on hold would be changed for it" \
    "apt-mark showhold names$others" "apt-mark unhold them on the host, then run this again"
}

# keep_preferences: what was foreseen is what apt reads from now on.
keep_preferences() {
  if [ -n "$preferences" ]; then
    cp "$pins/${ours##*/}" "$ours.new" && mv "$ours.new" "$ours"
  else
    rm -f "$ours"
  fi
  # A package that is removed and not purged would go on pinning.
  for package in $unpinned; do
    [ -n "$(installed_of "$package")" ] || dpkg --purge "$package" >"$log" 2>&1
  done
}

# hold_driver: unattended upgrades leave alone what is on hold.
hold_driver() {
  kept=$(installed_of $hold)
  for line in $(dpkg-query -W -f '${db:Status-Abbrev}|${binary:Package}|${Version}\n' | tr -d ' '); do
    case $line in
      ?i*"|"*"$version"*) ;;
      *) continue ;;
    esac
    package=${line#*|}
    [ "$(upstream "${package#*|}")" != "$version" ] || kept="$kept ${package%|*}"
  done
  apt-mark hold $kept >"$log" 2>&1 || fail "driver: it is installed, but not on hold" "apt-mark hold $kept: $(short "$log")" \
    "run that command on the host"
  for package in $(apt-mark showhold); do
    among "${package%%:*}" $remove $allowed || continue
    # Ubuntu's firmware has its version in its name: the old driver's stays behind, for apt-get autoremove.
    left=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null)
    [ -n "$(installed_of "$package")" ] && [ "$(upstream "$left")" != "$old" ] && continue
    among "$package" $kept || apt-mark unhold "$package" >"$log" 2>&1
  done
  [ -z "$unhold" ] || apt-mark unhold $unhold >"$log" 2>&1
}

need_source
audit_packages
wait_for_locks
foresee_preferences
find_version
name_packages
check_choice
unpinned=
for package in $(installed_of $remove $allowed); do
  [ -z "$(pinned_by "$package")" ] || unpinned="$unpinned $package"
done
old=$(module_version "$(next_kernel)")
begin_change
if ! choose_packages "$log"; then
  quote "$log"
  fail "driver: its packages cannot be installed" "apt-get install $wanted: $(short "$log")" \
    "run that command on the host and mend what it says"
fi
keep_preferences
build_modules
prove_module
keep_nouveau_away
hold_driver
load_module
start_services
end_change
printf 'driver %s installed for kernel %s\n' "$version" "$kernel"

# shellcheck shell=sh
# Brings the NVIDIA driver to a release: installs, upgrades, downgrades, takes other modules, another stream or origin.
# What dnf would do is looked at first, in a shell of its own that enables the stream too: until that is as planned,
# nothing is changed. Nothing is left to dnf's choice: packages are named with the version that they get.
table=$RUN/table

# offered NAME-OR-PATTERN: "NAME EPOCH:VERSION-RELEASE" of all that the repositories have, streams aside.
offered() {
  dnf --quiet repoquery --disable-modular-filtering --qf '%{name} %{epoch}:%{version}-%{release}' "$1" 2>"$log" | sort -V
}

# find_version: $wish, the newest version of the lead package that is of the release.
find_version() {
  wish=
  seen=
  for candidate in $(offered "$lead" | cut -d ' ' -f 2); do
    candidate=$(upstream "$candidate")
    seen="$seen $candidate"
    case $candidate in "$release" | "$release".*) wish=$candidate ;; esac
  done
  [ -n "$wish" ] || {
    quote "$log"
    fail "driver: $release is not there for dnf to install" "$lead is offered as${seen:- nothing}" \
      "dnf repoquery --disable-modular-filtering $lead on the host shows where it comes from"
  }
  offered "*-$wish-*" >"$RUN/offered"
}

# in_wished_version NAME: it with the version that belongs to the driver's; nothing where there is none.
in_wished_version() {
  sed -n "s/^$1 /$1-/p" "$RUN/offered" | tail -n 1
}

# choose_stream: $stream becomes the first of those it names that NVIDIA's repository has: not every branch is one.
choose_stream() {
  [ -n "$stream" ] || return 0
  dnf --quiet module list nvidia-driver 2>"$log" | sed -n 's/^nvidia-driver  *\([^ ]*\).*/\1/p' >"$RUN/streams"
  for one in $stream; do
    grep -qx -e "$one" "$RUN/streams" || continue
    stream=$one
    return 0
  done
  fail "driver: its module stream is not there" "nvidia-driver has no $stream, but $(tr '\n' ' ' <"$RUN/streams")" \
    "check the driver's repository: dnf module list nvidia-driver"
}

# of_version VERSION: the installed packages that are of it; nothing but the driver has such versions.
of_version() {
  rpm -qa --qf '%{NAME} %{VERSION}\n' | sed -n "s/ $1\$//p" | tr '\n' ' '
}

# name_packages: $wanted, what dnf is told to install; $ours, the packages of the driver that are there now, $known their
# full names.
name_packages() {
  before=$(rpm -q --qf '%{VERSION}\n' "$lead" 2>/dev/null | grep -v ' ' | head -n 1)
  ours=$(installed_of $allowed)
  [ -z "$before" ] || ours="$ours $(of_version "$before")"
  known=$(full_names $ours $remove)
  wanted=
  for package in $packages; do
    named=$(in_wished_version "$package")
    if [ -z "$named" ] && among "$package" $same_version; then
      fail "driver: there is no $package of the driver's own version" \
        "the driver is $wish, offered are $(offered "$package" | cut -d ' ' -f 2 | tr '\n' ' ')" \
        "set nvidia_driver_branch to a version that has both"
    fi
    wanted="$wanted ${named:-$package}"
  done
  # What is there and not asked for moves along: not everything requires the driver's own version of what it needs.
  for package in $ours; do
    among "$package" $packages $remove && continue
    named=$(in_wished_version "$package")
    among "$named" $wanted || wanted="$wanted $named"
  done
}

write_commands() {
  {
    [ -z "$stream" ] || [ "$stream" = "$(enabled_stream)" ] || echo "module enable nvidia-driver:$stream"
    for package in $(installed_of $remove); do echo "remove $package"; done
    echo "install $wanted"
  } >"$RUN/commands"
}

# refuse_transaction OUTPUT: in dnf's own words.
refuse_transaction() {
  quote "$1"
  fail "driver: its packages cannot be installed" "dnf install $packages: $(reason "$1")" "mend what it says"
}

# look: the table of what dnf would do with what is wanted.
look() {
  write_commands
  look_ahead "$table" --allowerasing && return 0
  refuse_transaction "$table"
}

# complete_choice: dependencies of the driver's own that come with it in another version are wanted in its own.
complete_choice() {
  more=
  for line in $(chosen_in "$table" Installing Upgrading Downgrading | tr ' ' '|'); do
    named=$(in_wished_version "${line%%|*}")
    [ -z "$named" ] || [ "$(upstream "${line#*|}")" = "$wish" ] || more="$more $named"
  done
  [ -n "$more" ] || return 0
  wanted="$wanted$more"
  look
}

# check_choice: whether dnf would remove only what may go, and leave alone what somebody else has locked.
check_choice() {
  others=
  for package in $(chosen_in "$table" Removing | cut -d ' ' -f 1); do
    among "$package" $remove $allowed || others="$others $package"
  done
  [ -z "$others" ] || fail "driver: other packages would be removed for it" "dnf install$wanted would remove$others" \
    "remove them yourself if you can do without them, then run this again"
  others=$(locked_in "$table" $packages $remove $allowed $ours $hold)
  [ -z "$others" ] || fail "driver: packages that are locked would be changed for it" "$locks names$others" \
    "dnf versionlock delete them on the host, then run this again"
}

# lock_driver: dnf upgrade leaves alone what is locked.
lock_driver() {
  held=$(installed_of $hold)
  held="$held $(of_version "$version")"
  lock_packages "$held" $packages $remove $allowed $ours $known ||
    fail "driver: it is installed, but not locked" "$locks cannot be written" "look at the disk, then run this again"
}

need_source
audit_packages
need_versionlock
# EPEL's package is one: dkms comes from there, and what EPEL needs from CodeReady Builder, which `crb` switches on.
for package in $first; do
  [ -n "$(installed_of "$package")" ] || install_packages "$log" "$package" || {
    quote "$log"
    fail "driver: $package cannot be installed, which brings a repository that it needs" \
      "dnf install $package: $(reason "$log")" "install it by hand, then run this again"
  }
done
[ -z "$first" ] || ! command -v crb >/dev/null || crb enable >"$log" 2>&1 || fail "driver: the repository CRB cannot be enabled" \
  "crb enable: $(short "$log")" "enable it on the host, then run this again"
find_version
choose_stream
name_packages
look
complete_choice
check_choice
begin_change
transact "$log" --allowerasing --assumeyes || refuse_transaction "$log"
build_modules
prove_module
keep_nouveau_away
lock_driver
load_module
start_services
end_change
printf 'driver %s installed for kernel %s\n' "$version" "$kernel"

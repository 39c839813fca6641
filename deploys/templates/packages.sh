# shellcheck shell=sh
# Put before the scripts that change packages of Docker, toolkit and tools, whatever the package manager. An argument is a
# group, one an area: KEY=VALUE|KEY=VALUE…, a list as words with blanks between. packages: the first is the lead, whose
# version is wished for by release (what it is or begins with), floor (the oldest that will do) and avoid (FIRST,FIXED
# ranges; either may be empty); same_version are those that get the lead's. remove: all that may go. hold: what no upgrade
# may touch. source: the file of their repository. restarts: an installed engine starts anew; stops_containers: even while
# containers run.
log=$RUN/log
choice=$RUN/choice

read_group() {
  area='' packages='' same_version='' release='' floor='' avoid='' remove='' hold='' restarts='' stops_containers='' source=''
  rest="$1|"
  while [ -n "$rest" ]; do
    word=${rest%%|*}
    rest=${rest#*|}
    case ${word%%=*} in
      area | packages | same_version | release | floor | avoid | remove | hold | restarts | stops_containers | source)
        eval "${word%%=*}=\${word#*=}"
        ;;
    esac
  done
  lead=${packages%% *}
}

# is_older VERSION VERSION: whether the first comes before the second; nothing comes before no version.
is_older() {
  [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# is_wished VERSION RANGES: without epoch and revision, and in none of the ranges to avoid.
is_wished() {
  case $1 in
    "$release" | "$release"[.+]*) ;;
    *) [ -z "$release" ] || return 1 ;;
  esac
  ! is_older "$1" "$floor" || return 1
  for range in $2; do
    is_older "$1" "${range%,*}" && continue
    [ -n "${range#*,}" ] && ! is_older "$1" "${range#*,}" || return 1
  done
}

# in_version PACKAGE VERSION: the package's own version that has this one in it.
in_version() {
  for one in $(installed_version "$1") $(offered "$1"); do
    [ "$(upstream "$one")" != "$2" ] || {
      echo "$one"
      return 0
    }
  done
  return 1
}

# choose_version: $version, in which the lead and all of the same version can be had. What is there stays where it is as
# wished. Then comes what the package manager would choose, which an administrator may have pinned, then the newest. Where
# nothing but versions to avoid is offered, as by a mirror that was not renewed, one of them is taken; the verdict names it.
choose_version() {
  offers=$(offered "$lead")
  lacking=
  for ranges in "$avoid" ''; do
    for one in $(installed_version "$lead") $(preferred "$lead") $offers; do
      version=$(upstream "$one")
      is_wished "$version" "$ranges" || continue
      for package in $same_version; do
        in_version "$package" "$version" >/dev/null || {
          lacking=" ($package is not there in $version)"
          continue 2
        }
      done
      return 0
    done
  done
  fail "$area: $lead is not offered in a version that will do${release:+, $release is wished for}${floor:+, at least $floor}" \
    "offered are $(echo ${offers:-none})$lacking" "choose another version, or check the package sources of this host"
}

# name_packages: $wanted, what is to be installed. What is there of the wished version is not named, and what is there in any
# version is not where no engine changes: it would be upgraded.
name_packages() {
  wanted=
  case "$release$floor$avoid$same_version" in ?*) choose_version ;; *) version= ;; esac
  for package in $packages; do
    there=$(installed_version "$package")
    if [ -n "$version" ] && among "$package" "$lead" $same_version; then
      [ "$(upstream "$there")" = "$version" ] || wanted="$wanted $(named "$package" "$(in_version "$package" "$version")")"
    elif [ -z "$there" ] || [ "$restarts" = yes ]; then
      wanted="$wanted $package"
    fi
  done
}

need_source() {
  [ -z "$source" ] || [ -e "$source" ] || fail "$area: its repository is not there" "$source was not added, see above" \
    "mend what is said above, then run this again"
}

# is_patch: whether the engine becomes one of the same major and minor version: live-restore is for those only (Docker's
# documentation).
is_patch() {
  there=$(upstream "$(installed_version "$lead")")
  [ -z "$(installed_of $remove)" ] && [ "${there%.*}" = "${version%.*}" ]
}

# need_idle: that an engine's restart stops no container.
need_idle() {
  [ "$restarts" = yes ] && [ "$stops_containers" != yes ] && command -v docker >/dev/null || return 0
  if ! running=$(timeout 60 docker ps --format '{{.Names}}' 2>/dev/null); then
    # One that begins or ends is not there to be asked, and its containers may be.
    case $(systemctl is-active docker) in *activating | reloading | active) ;; *) return 0 ;; esac
    fail "$area: it is not changed, because Docker cannot be asked whether containers run" "docker ps fails" \
      "journalctl -u docker on the host says why"
  fi
  [ -n "$running" ] || return 0
  is_patch && [ "$(timeout 60 docker info --format '{{.LiveRestoreEnabled}}' 2>/dev/null)" = true ] && return 0
  fail "$area: it is not changed, because containers run that its restart would stop" "$(echo $running)" \
    'run this again when they have ended, or set docker_restart = "when-needed", which stops them'
}

# refuse_change OUTPUT: in the package manager's own words.
refuse_change() {
  quote "$1"
  fail "$area: its packages cannot be changed" "$asked: $(reason "$1")" "run that command on the host and mend what it says"
}

# change GROUP...: in one transaction, which is looked at before: nothing goes but what may, and nobody else's holds are
# broken.
change() {
  all='' gone='' may_go='' ours=''
  for group in "$@"; do
    read_group "$group"
    need_source
    name_packages
    all="$all$wanted"
    gone="$gone $(installed_of $remove)"
    may_go="$may_go $remove"
    ours="$ours $packages $hold"
  done
  if [ -n "$(echo $all $gone)" ]; then
    look
    others=
    for package in $(removed); do among "$package" $may_go || others="$others $package"; done
    [ -z "$others" ] || fail "$area: other packages would be removed for it" "$asked would remove$others" \
      "remove them yourself if you can do without them, then run this again"
    others=$(broken_holds)
    [ -z "$others" ] || fail "$area: packages that are on hold would be changed for it" "$others" \
      "take them off hold on the host, then run this again"
    download
    for group in "$@"; do
      read_group "$group"
      name_packages
      [ -z "$wanted$(installed_of $remove)" ] || need_idle
    done
    install
  fi
  for group in "$@"; do
    read_group "$group"
    hold_group
  done
}

# change_groups GROUP...: all as one; where that fails, each as one, which says what is wrong with it.
change_groups() {
  if [ $# -gt 1 ] && (change "$@") >/dev/null; then return 0; fi
  outcome=0
  for group in "$@"; do
    (change "$group") || outcome=1
  done
  return "$outcome"
}

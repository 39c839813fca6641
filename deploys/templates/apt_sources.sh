# shellcheck shell=sh
# Adds apt repositories and refreshes the package lists once. Arguments: seven for each repository:
# NAME URI SOURCE_PATH SOURCE KEY_PATH KEY_URL FINGERPRINT, the last three empty where apt has the key already.
# A repository that does not work is taken away again.

# set_aside: a copy of this host's sources without what the older files have of the repositories, into $RUN. Where they
# name other keys for one address, apt would not even fetch the tools from the sources beside them.
set_aside() {
  mkdir -p "$RUN/etc" && cp -p /etc/apt/sources.list "$RUN/etc/" 2>/dev/null || : >"$RUN/etc/sources.list"
  cp -Rp /etc/apt/sources.list.d "$RUN/etc/" || return 1
  while read -r _ _ text path; do
    copy=$RUN/etc/sources.list.d/${path##*/}
    [ "$path" != /etc/apt/sources.list ] || copy=$RUN/etc/sources.list
    if [ "$text" = - ]; then rm -f "$copy"; elif [ -e "$copy" ]; then printf '%s' "$text" | base64 -d >"$copy"; fi
  done <"$RUN/input"
}

need_tools() {
  missing=
  command -v curl >/dev/null || missing="$missing curl"
  command -v gpg >/dev/null || missing="$missing gpg"
  [ -s /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
  [ -n "$missing" ] || return 0
  wait_for_locks
  here=
  if [ -s "$RUN/input" ]; then
    set_aside && here="-o Dir::Etc::sourcelist=$RUN/etc/sources.list -o Dir::Etc::sourceparts=$RUN/etc/sources.list.d"
  fi
  # shellcheck disable=SC2086
  apt-get update $here >"$log" 2>&1
  # shellcheck disable=SC2086
  install_packages "$log" $here $missing || fail "the tools to fetch and check keys cannot be installed" \
    "apt-get install$missing: $(short "$log")" "mend the host's own package sources"
}

# judge NAME URI SOURCE_PATH KEY_PATH: after the refresh, whether apt accepted the repository.
judge() {
  [ -e "$3" ] || return 1
  # apt prints a flat repository's address without its last slash.
  # What follows it is a space or a slash: another repository's address may begin the same.
  complaint=$(grep -F -e "${2%/} " -e "${2%/}/" "$log" | grep -E '^(E|Err):' | sed 's/  */ /g' | sort -u | head -n 3 | tr '\n' ' ')
  after=$(grep -A1 -F -e "${2%/} " -e "${2%/}/" "$log" | grep -E '^ ' | sed 's/^ *//' | sort -u | head -n 2 | tr '\n' ' ')
  [ -n "$complaint" ] || return 0
  withdraw "$1" "$3" "$4"
  explain "apt does not accept the $1 repository, so it was taken away again" "$complaint$after" \
    "404 means that it does not serve this release, a signature error that its key is another: check both addresses"
  return 1
}

! has_key "$@" || need_tools
failed=0
count=$#
while [ "$count" -gt 0 ]; do
  add "$1" "$2" "$3" "$4" "$5" "$6" "$7" || failed=1
  set -- "$@" "$1" "$2" "$3" "$5"
  shift 7
  count=$((count - 7))
done
wait_for_locks
apt-get update -o DPkg::Lock::Timeout="$lock_timeout" >"$log" 2>&1 || cp "$log" "$RUN/refused"
while [ $# -gt 0 ]; do
  judge "$1" "$2" "$3" "$4" || failed=1
  shift 4
done
# Somebody else's source that is broken need not be in the way of ours: the packages will tell.
[ ! -e "$RUN/refused" ] || explain "the package lists could not all be refreshed" "$(short "$log")" "mend the host's package sources"
exit "$failed"

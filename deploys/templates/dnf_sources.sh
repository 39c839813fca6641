# shellcheck shell=sh
# Adds vendors' dnf repositories and refreshes the metadata. Arguments: seven for each repository:
# NAME URI SOURCE_PATH SOURCE KEY_PATH KEY_URL FINGERPRINT. A repository that does not work is taken away again.

need_tools() {
  missing=
  command -v curl >/dev/null || missing="$missing curl"
  command -v gpg >/dev/null || missing="$missing gnupg2"
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086
  install_packages "$log" $missing || fail "the tools to fetch and check keys cannot be installed" \
    "dnf install$missing: $(reason "$log")" "mend the host's own package sources"
}

# refresh SOURCE_PATH: the metadata of the repositories of this file alone. Their keys are taken without a question: they
# are files that were checked.
refresh() {
  ids=$(sed -n 's/^\[\(.*\)\]$/\1/p' "$1" | tr '\n' ',')
  wait_for_locks
  dnf --assumeyes --setopt=skip_if_unavailable=False --repo "${ids%,}" --refresh makecache >"$log" 2>&1
}

# try NAME URI SOURCE_PATH SOURCE KEY_PATH KEY_URL FINGERPRINT
try() {
  add "$@" || return 1
  refresh "$3" && return 0
  withdraw "$1" "$3" "$5"
  explain "dnf does not accept the $1 repository, so it was taken away again" "$(reason "$log")" \
    "404 means that it does not serve this release, a signature error that its key is another: check both addresses"
  return 1
}

! has_key "$@" || need_tools
failed=0
while [ $# -gt 0 ]; do
  try "$1" "$2" "$3" "$4" "$5" "$6" "$7" || failed=1
  shift 7
done
# Somebody else's repository that is broken need not be in the way of ours: the packages will tell. Their keys are not ours
# to accept: no --assumeyes.
wait_for_locks
dnf --refresh makecache >"$log" 2>&1 </dev/null ||
  explain "the package lists could not all be refreshed" "$(reason "$log")" "mend the host's package sources"
exit "$failed"

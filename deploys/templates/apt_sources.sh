# shellcheck shell=sh
# Adds apt repositories and refreshes the package lists once. Arguments: seven for each repository:
# NAME URI SOURCE_PATH SOURCE KEY_PATH KEY_URL FINGERPRINT, the last three empty where apt has the key already.
# A repository that does not work is taken away again.
log=$RUN/log

need_tools() {
  missing=
  command -v curl >/dev/null || missing="$missing curl"
  command -v gpg >/dev/null || missing="$missing gpg"
  [ -s /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
  [ -n "$missing" ] || return 0
  wait_for_locks
  apt-get update >"$log" 2>&1
  # shellcheck disable=SC2086
  install_packages "$log" $missing || fail "the tools to fetch and check keys cannot be installed" \
    "apt-get install$missing: $(short "$log")" "mend the host's own package sources"
}

# has_key: whether a key is to be fetched for any of the repositories, all arguments.
has_key() {
  while [ $# -gt 0 ]; do
    [ -z "$6" ] || return 0
    shift 7
  done
  return 1
}

# add NAME URI SOURCE_PATH SOURCE KEY_PATH KEY_URL FINGERPRINT
add() {
  [ -z "$6" ] || add_key "$@" || return 1
  printf '%s' "$4" >"$3.new" && chmod 0644 "$3.new" && mv "$3.new" "$3"
}

# add_key: the same arguments.
add_key() {
  key=$RUN/$1.key
  if ! curl --fail --silent --show-error --location --retry 2 --max-time 60 --output "$key" "$6" 2>"$log"; then
    explain "the key of the $1 repository cannot be fetched" "$6: $(short "$log")" \
      "check the host's network and proxy, and that the address answers"
    return 1
  fi
  found=$(gpg --batch --quiet --no-options --homedir "$RUN" --show-keys --with-colons "$key" 2>/dev/null |
    sed -n '/^pub/{n;s/^fpr:*\([0-9A-F]*\):*$/\1/p;}' | tr '\n' ' ')
  if [ "$found" != "$7 " ]; then
    explain "the key of the $1 repository is not the one that is known" "fingerprint ${found:-none}, known is $7" \
      "do not go on before the vendor has confirmed it; for a mirror of yours set its fingerprint in the inventory"
    return 1
  fi
  mkdir -p "${5%/*}" && cp "$key" "$5.new" && chmod 0644 "$5.new" && mv "$5.new" "$5"
}

# judge NAME URI SOURCE_PATH KEY_PATH: after the refresh, whether apt accepted the repository.
judge() {
  [ -e "$3" ] || return 1
  # apt prints a flat repository's address without its last slash.
  # What follows it is a space or a slash: another repository's address may begin the same.
  complaint=$(grep -F -e "${2%/} " -e "${2%/}/" "$log" | grep -E '^(E|Err):' | sed 's/  */ /g' | sort -u | head -n 3 | tr '\n' ' ')
  after=$(grep -A1 -F -e "${2%/} " -e "${2%/}/" "$log" | grep -E '^ ' | sed 's/^ *//' | sort -u | head -n 2 | tr '\n' ' ')
  [ -n "$complaint" ] || return 0
  rm -f "$3" ${4:+"$4"}
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

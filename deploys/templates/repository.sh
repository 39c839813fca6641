# shellcheck shell=sh
# Put before the scripts that add vendors' repositories: the key, checked by fingerprint, and the repository file.
log=$RUN/log

# has_key: whether a key is to be fetched for any of the repositories, all arguments.
has_key() {
  while [ $# -gt 0 ]; do
    [ -z "$6" ] || return 0
    shift 7
  done
  return 1
}

# fingerprints KEY-FILE: of its primary keys, each followed by a blank.
fingerprints() {
  gpg --batch --quiet --no-options --homedir "$RUN" --show-keys --with-colons "$1" 2>/dev/null |
    sed -n '/^pub/{n;s/^fpr:*\([0-9A-F]*\):*$/\1/p;}' | tr '\n' ' '
}

# add NAME URI SOURCE_PATH SOURCE KEY_PATH KEY_URL FINGERPRINT
add() {
  [ -z "$6" ] || add_key "$@" || return 1
  printf '%s' "$4" >"$3.new" && chmod 0644 "$3.new" && mv "$3.new" "$3"
}

# add_key: the same arguments. FINGERPRINT is the key's (40 hexadecimal digits), or where none was published, SHA-256 of the
# armoured file without its Version line (64).
add_key() {
  key=$RUN/$1.key
  if ! curl --fail --silent --show-error --location --retry 2 --max-time 60 --output "$key" "$6" 2>"$log"; then
    explain "the key of the $1 repository cannot be fetched" "$6: $(short "$log")" \
      "check the host's network and proxy, and that the address answers"
    return 1
  fi
  case ${#7} in
    64) found="$(sed '/^Version/d' "$key" | sha256sum | cut -c 1-64) " ;;
    *) found=$(fingerprints "$key") ;;
  esac
  if [ "$found" != "$7 " ]; then
    explain "the key of the $1 repository is not the one that is known" "fingerprint ${found:-none}, known is $7" \
      "do not go on before the vendor has confirmed it; for a mirror of yours set its fingerprint in the inventory"
    return 1
  fi
  mkdir -p "${5%/*}" && cp "$key" "$5.new" && chmod 0644 "$5.new" && mv "$5.new" "$5"
}

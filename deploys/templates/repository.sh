# shellcheck shell=sh
# Put before the scripts that add vendors' repositories: the key, checked by fingerprint, the repository file, and older
# files that give the same repository. $RUN/input has a line for each of those: NAME SHA256 TEXT PATH, where TEXT is what
# stays of it, in base64; "-": the file goes. A file may have passwords in it, so it is no argument.
log=$RUN/log
backups=$state/backup

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

# back_up FILE: prints where its copy is: under its path in one word. An older copy of another content stays.
back_up() {
  copy=$backups/$(printf '%s' "${1#/}" | tr / _)
  number=0
  to=$copy
  while [ -e "$to" ] && [ "$(digest "$to")" != "$(digest "$1")" ]; do
    number=$((number + 1))
    to=$copy.$number
  done
  if [ ! -e "$to" ]; then
    mkdir -p "$backups" && chmod 0700 "$backups" && cp -p "$1" "$to.new" && sync "$to.new" && mv "$to.new" "$to" || return 1
  fi
  printf '%s\n' "$to"
}

# replace FILE SOURCE: in one step, with the mode and owner that FILE has, or SOURCE where it has gone.
replace() {
  last=$1
  [ -e "$last" ] || last=$2
  rm -f "$1.new"
  (umask 077 && cp "$2" "$1.new") && chown --reference="$last" "$1.new" && chmod --reference="$last" "$1.new" &&
    mv "$1.new" "$1" && return 0
  rm -f "$1.new"
  return 1
}

# migrate NAME: takes the repository out of the older files, once all of them are as they were read and have a copy.
migrate() {
  sed -n "s|^$1 ||p" "$RUN/input" >"$RUN/older"
  while read -r was text path; do
    [ "$(digest "$path")" = "$was" ] && continue
    explain "the $1 repository was not added, because a file that has it too has changed since it was read" "$path" \
      "run this again"
    return 1
  done <"$RUN/older"
  while read -r was text path; do
    copy=$(back_up "$path") && printf '%s %s %s\n' "$1" "$copy" "$path" >>"$RUN/copies" || {
      explain "the $1 repository was not added, because a file that has it too cannot be backed up" "$path to $backups" \
        "df -h /var on the host; then run this again"
      return 1
    }
  done <"$RUN/older"
  while read -r was text path; do
    if [ "$text" = - ]; then
      rm -f "$path" && continue
    else
      printf '%s' "$text" | base64 -d >"$RUN/text" && replace "$path" "$RUN/text" && continue
    fi
    put_back "$1"
    explain "the $1 repository was not added, because a file that has it too cannot be written" "$path" \
      "look at the disk, then run this again"
    return 1
  done <"$RUN/older"
}

# put_back NAME: the older files as they were.
put_back() {
  [ -e "$RUN/copies" ] || return 0
  sed -n "s|^$1 ||p" "$RUN/copies" >"$RUN/back"
  while read -r copy path; do
    [ "$(digest "$copy")" = "$(digest "$path")" ] || replace "$path" "$copy"
  done <"$RUN/back"
}

# keep NAME SOURCE_PATH KEY_PATH: copies of our own source and key of an earlier run, which had another address.
keep() {
  for file in "$2" "$3"; do
    [ -z "$file" ] || [ ! -e "$file" ] || cp -p "$file" "$RUN/$1.${file##*/}" 2>"$log" && continue
    explain "the $1 repository was not added, because a file of an earlier run cannot be copied" "$file: $(short "$log")" \
      "df -h /var on the host; then run this again"
    return 1
  done
}

# withdraw NAME SOURCE_PATH KEY_PATH: the repository that does not work. Everything is as it was before.
withdraw() {
  for file in "$2" "$3"; do
    if [ -e "$RUN/$1.${file##*/}" ]; then replace "$file" "$RUN/$1.${file##*/}"; elif [ -n "$file" ]; then rm -f "$file"; fi
  done
  put_back "$1"
}

# add NAME URI SOURCE_PATH SOURCE KEY_PATH KEY_URL FINGERPRINT
add() {
  keep "$1" "$3" "$5" || return 1
  [ -z "$6" ] || add_key "$@" || return 1
  migrate "$1" || { withdraw "$1" "$3" "$5"; return 1; }
  printf '%s' "$4" >"$3.new" && chmod 0644 "$3.new" && mv "$3.new" "$3" && return 0
  rm -f "$3.new"
  withdraw "$1" "$3" "$5"
  explain "the $1 repository was not added, because its file cannot be written" "$3" "look at the disk, then run this again"
  return 1
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

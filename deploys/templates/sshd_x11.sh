# shellcheck shell=sh
# Puts the drop-in in place and lets sshd read it, then takes it back by itself unless a new login confirms it in time.
# Arguments: DROP_IN SECONDS NAME=VALUE… (must be in force). The drop-in's text comes on standard input.
# While unconfirmed, `pending` stands; the confirming login removes it.
file=$1 patience=$2
shift 2
dir=$state/sshd
sshd=$(command -v sshd)

reload() {
  # With socket activation and no connection there is nothing to reload: the next connection reads the files anyway.
  for unit in ssh sshd; do
    systemctl try-reload-or-restart "$unit" 2>/dev/null && systemctl cat "$unit" >/dev/null 2>&1 && return 0
  done
  service ssh reload 2>/dev/null
}

take_back() {
  if [ -e "$dir/before" ]; then mv -f "$dir/before" "$file"; else rm -f "$file"; fi
  reload
  rm -f "$dir/pending"
}

in_force() {
  effective=$("$sshd" -T 2>/dev/null) || return 1
  for option in "$@"; do
    printf '%s\n' "$effective" | grep -qix "${option%%=*} ${option#*=}" || { printf '%s' "${option%%=*}"; return 1; }
  done
}

[ ! -e "$dir/pending" ] || take_back
"$sshd" -t 2>"$RUN/error" || fail "sshd's files are broken already, so nothing was added" "$(short "$RUN/error")" "mend them first"
rm -f "$dir/before"
[ ! -e "$file" ] || cp -p "$file" "$dir/before"
: >"$dir/pending"
chmod 0644 "$RUN/input"
cp -p "$RUN/input" "$file.new" && mv -f "$file.new" "$file"
if ! "$sshd" -t 2>"$RUN/error"; then
  take_back
  fail "sshd does not accept the X11 options; they were taken back" "$(short "$RUN/error")" "set sshd_x11 = False for this host"
fi
if ! wrong=$(in_force "$@"); then
  take_back
  fail "another file of /etc/ssh wins over ours; ours was taken back" "$wrong has another value in sshd -T" \
    "grep -ri $wrong /etc/ssh on the host; or set sshd_x11 = False"
fi
reload
setsid sh -c "
  sleep $patience
  [ -e '$dir/pending' ] || exit 0
  if [ -e '$dir/before' ]; then mv -f '$dir/before' '$file'; else rm -f '$file'; fi
  systemctl try-reload-or-restart ssh || systemctl try-reload-or-restart sshd || service ssh reload
  rm -f '$dir/pending'
" >/dev/null 2>&1 </dev/null &
exit 0

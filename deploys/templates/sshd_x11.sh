# shellcheck shell=sh
# Puts the drop-in in place and lets sshd read it, then takes it back by itself unless a new login confirms it in time.
# Arguments: DROP_IN SECONDS TOKEN NAME=VALUE… (must be in force). The drop-in's text is $RUN/input.
# While unconfirmed, `pending` stands, with this change's TOKEN in it. Whoever settles it, the confirming login or the
# timer, claims it by moving it away, which only one of them can.
file=$1 patience=$2 token=$3
shift 3
dir=$state/sshd
sshd=$(command -v sshd)

cat >"$RUN/lib" <<'END_OF_LIB'
reload() {
  # With socket activation and no connection there is nothing to reload: the next connection reads the files anyway.
  for unit in ssh sshd; do
    if systemctl cat "$unit.service" >/dev/null 2>&1; then
      systemctl try-reload-or-restart "$unit.service"
      return
    fi
  done
  service ssh reload
}

# take_back: the drop-in as it was before, or none. Repeatable: the copy goes last.
take_back() {
  if [ -e "$dir/before" ]; then
    cp -p "$dir/before" "$file.new" && mv -f "$file.new" "$file"
  else
    rm -f "$file"
  fi
  reload
  rm -f "$dir/pending"
  rm -f "$dir/before"
}
END_OF_LIB
. "$RUN/lib"

first_wrong() {
  effective=$("$sshd" -T 2>/dev/null) || return 1
  for option in "$@"; do
    printf '%s\n' "$effective" | grep -qix "${option%%=*} ${option#*=}" || { printf '%s' "${option%%=*}"; return 1; }
  done
}

[ ! -e "$dir/pending" ] || take_back
"$sshd" -t 2>"$RUN/error" || fail "sshd's files are broken already, so nothing was added" "$(short "$RUN/error")" "mend them first"
rm -f "$dir/before"
unwritable() {
  fail "the drop-in for sshd cannot be written" "$file" "look at free space and at whether ${file%/*} is there"
}
[ ! -e "$file" ] || cp -p "$file" "$dir/before" || unwritable
printf '%s\n' "$token" >"$dir/pending" || unwritable
if ! { cp "$RUN/input" "$file.new" && chmod 0644 "$file.new" && mv -f "$file.new" "$file"; }; then
  rm -f "$file.new" "$dir/pending" "$dir/before"
  unwritable
fi
if ! "$sshd" -t 2>"$RUN/error"; then
  take_back
  fail "sshd does not accept the X11 options; they were taken back" "$(short "$RUN/error")" "set sshd_x11 = False for this host"
fi
if ! wrong=$(first_wrong "$@"); then
  take_back
  fail "the X11 options did not come into force; ours were taken back" \
    "${wrong:-everything} is otherwise in sshd -T: another file of /etc/ssh comes first" \
    "grep -ri ${wrong:-x11} /etc/ssh on the host; or set sshd_x11 = False"
fi
if ! reload >"$RUN/error" 2>&1; then
  take_back
  fail "sshd did not read the X11 options again; they were taken back" "$(short "$RUN/error")" "systemctl status ssh on the host"
fi
cp "$RUN/lib" "$dir/timer"
# The timer: nobody waits for it, and it holds no lock.
setsid sh -c '
  dir=$1 file=$2 token=$3
  sleep "$4"
  [ "$(cat "$dir/pending" 2>/dev/null)" = "$token" ] || exit 0
  mv "$dir/pending" "$dir/expired" 2>/dev/null || exit 0
  . "$dir/timer"
  take_back
  rm -f "$dir/expired"
' timer "$dir" "$file" "$token" "$patience" >/dev/null 2>&1 </dev/null &
exit 0

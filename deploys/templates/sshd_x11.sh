# shellcheck shell=sh
# Puts the drop-in in place and lets sshd read it, then takes it back by itself unless a new login confirms it in time.
# Arguments: DROP_IN SECONDS TOKEN NAME=VALUE… (must be in force). The drop-in's text is $RUN/input.
# While unconfirmed, `pending` stands, with this change's TOKEN in it. Whoever settles it, the confirming login, the timer
# or the next run, holds the area's lock meanwhile.
file=$1 patience=$2 token=$3
shift 3
dir=$state/sshd
sshd=$(command -v sshd)

cat >"$RUN/take_back" <<'END_OF_LIB'
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

# take_back: the drop-in as it was before, or none. Each step can be repeated: the mark goes after the file is back, and
# the copy after the mark.
take_back() {
  if [ -e "$dir/before" ]; then
    cp -p "$dir/before" "$file.new" && mv -f "$file.new" "$file" || return 1
  else
    rm -f "$file" || return 1
  fi
  reload
  rm -f "$dir/pending"
  rm -f "$dir/before"
}
END_OF_LIB
. "$RUN/take_back"

undo() {
  take_back || fail "the drop-in for sshd cannot be taken back" "$file" "look at free space, then run this again"
}

first_wrong() {
  effective=$("$sshd" -T 2>/dev/null) || return 1
  for option in "$@"; do
    printf '%s\n' "$effective" | grep -qix "${option%%=*} ${option#*=}" || { printf '%s' "${option%%=*}"; return 1; }
  done
}

# Nothing has been changed yet.
unwritable() {
  rm -f "$file.new" "$dir/pending"
  fail "the drop-in for sshd cannot be written" "$file" "look at free space and at whether ${file%/*} is there"
}

[ ! -e "$dir/pending" ] || undo
"$sshd" -t 2>"$RUN/error" || fail "sshd's files are broken already, so nothing was added" "$(short "$RUN/error")" "mend them first"
rm -f "$dir/before"
[ ! -e "$file" ] || cp -p "$file" "$dir/before" || unwritable
cp "$RUN/take_back" "$dir/take_back" || unwritable
printf '%s\n' "$token" >"$dir/pending" || unwritable
{ cp "$RUN/input" "$file.new" && chmod 0644 "$file.new" && mv -f "$file.new" "$file"; } || unwritable
if ! "$sshd" -t 2>"$RUN/error"; then
  undo
  fail "sshd does not accept the X11 options; they were taken back" "$(short "$RUN/error")" "set sshd_x11 = False for this host"
fi
if ! wrong=$(first_wrong "$@"); then
  undo
  fail "the X11 options did not come into force; ours were taken back" \
    "${wrong:-everything} is otherwise in sshd -T: another file of /etc/ssh comes first" \
    "grep -ri ${wrong:-x11} /etc/ssh on the host; or set sshd_x11 = False"
fi
# The timer runs before sshd reads the file. Nobody waits for it, and it takes the lock only when its time has come.
# The lock's file is opened to append: `>` would give it a new time long after a confirmed change.
setsid sh -c '
  dir=$1 file=$2 token=$3
  sleep "$4"
  exec 9>>"$dir/lock" && flock 9
  [ "$(cat "$dir/pending" 2>/dev/null)" = "$token" ] || exit 0
  . "$dir/take_back"
  take_back
' timer "$dir" "$file" "$token" "$patience" >/dev/null 2>&1 </dev/null &
if ! reload >"$RUN/error" 2>&1; then
  undo
  fail "sshd did not read the X11 options again; they were taken back" "$(short "$RUN/error")" "systemctl status ssh on the host"
fi
exit 0

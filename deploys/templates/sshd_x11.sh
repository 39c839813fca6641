# shellcheck shell=sh
# Puts lines of ours where sshd reads them first and lets it read them, then takes them back by itself unless a new login
# confirms them in time. Arguments: FILE SHA256 SECONDS TOKEN NAME=VALUE… (must be in force). $RUN/input holds the lines;
# an empty one takes ours away. FILE is our drop-in where SHA256 is empty; else it is the main file, which must have that
# digest still, and our lines stand between two marks at its very top.
# While unconfirmed, `pending` stands, with this change's TOKEN in it. Whoever settles it, the confirming login, the timer,
# the run whose login failed or the next run, holds the area's lock meanwhile.
file=$1 read=$2 patience=$3 token=$4
shift 4
dir=$state/sshd
sshd=$(command -v sshd)
begin='# BEGIN pyinfra-gpu-hosts' end='# END pyinfra-gpu-hosts'
[ -z "$read" ] || file=$(readlink -f "$file")

# Everything that takes a change back, as a script of its own: its argument is that change's token. Each step can be
# repeated: the mark goes after the file is back, and the copy after the mark.
write_take_back() {
  # What runs now must run in the end: an sshd that ended when it read our lines is started again with the earlier ones.
  try=try-
  for unit in ssh sshd; do
    if systemctl --quiet is-active "$unit.service" || service "$unit" status; then try=; fi
  done >/dev/null 2>&1
  printf "dir='%s' file='%s' was=%s ours=%s block='%s' try=%s\n" \
    "$dir" "$file" "$(digest "$file")" "$(digest "$RUN/new")" "$read" "$try"
  printf "begin='%s' end='%s' sshd='%s'\n" "$begin" "$end" "$sshd"
  cat <<'END_OF_TAKE_BACK'
[ "$(cat "$dir/pending" 2>/dev/null)" = "$1" ] || exit 0
reload() {
  for unit in ssh sshd; do
    systemctl cat "$unit.service" >/dev/null 2>&1 || continue
    # An sshd whose socket is systemd's ends itself at SIGHUP: it cannot bind that address again (10.0p2 on Debian 13).
    # A restart gives it the socket anew, and what it has forked stays.
    if ! systemctl --quiet is-active "$unit.socket"; then
      systemctl "${try}reload-or-restart" "$unit.service"
    elif systemctl show --property=KillMode "$unit.service" | grep -qx KillMode=process; then
      systemctl "${try}restart" "$unit.service"
    else
      echo "a restart of $unit.service, which $unit.socket makes necessary, would end sessions (KillMode)"
      return 1
    fi
    return
  done
  for unit in ssh sshd; do
    service "$unit" status >/dev/null 2>&1 || continue
    service "$unit" reload
    return
  done
  verb=start
  [ -z "$try" ] || verb=reload
  service ssh "$verb" || service sshd "$verb"
}
# Whether somebody has edited the main file since: then their lines stay, and ours alone go.
is_edited() {
  [ -n "$block" ] && [ -s "$file" ] || return 1
  now=$(sha256sum <"$file" | cut -d ' ' -f 1)
  [ "$now" != "$was" ] && [ "$now" != "$ours" ]
}
without_ours() {
  case $(grep -xF -e "$begin" -e "$end" "$file") in
    '') cat "$file" ;;
    "$begin
$end") sed "/^$begin\$/,/^$end\$/d" "$file" ;;
    *) return 1 ;;
  esac
}
if [ "${2-}" = reload ]; then
  reload
  exit
fi
if [ "$was" = absent ]; then
  rm -f "$file" || exit 1
elif is_edited; then
  cp -p "$file" "$file.new" && without_ours >"$file.new" && sync "$file.new" && mv -f "$file.new" "$file" || exit 1
else
  cp -p "$dir/before" "$file.new" && sync "$file.new" && mv -f "$file.new" "$file" || exit 1
fi
# SIGHUP would end an sshd whose files somebody has broken meanwhile: Enterprise Linux' unit does not look at them first.
"$sshd" -t && reload
rm -f "$dir/pending"
rm -f "$dir/before"
END_OF_TAKE_BACK
}

# settle TOKEN: takes that change back.
settle() {
  sh "$dir/take_back" "$1" ||
    fail "the change of sshd's files cannot be taken back" "the copy from before is $dir/before" \
      "look at free space and at our marks in $file, then run this again"
}

first_wrong() {
  # From 7.7 to 8.0 -T wants to hear of a connection where there is a Match block, be it one that none matches.
  effective=$("$sshd" -T 2>/dev/null || "$sshd" -T -C user=-,host=-,addr=0.0.0.0,laddr=0.0.0.0,lport=22 2>/dev/null) || return 1
  for option in "$@"; do
    printf '%s\n' "$effective" | grep -qix "${option%%=*} ${option#*=}" || { printf '%s' "${option%%=*}"; return 1; }
  done
}

# Nothing has been changed yet.
unwritable() {
  rm -f "$file.new" "$dir/pending"
  fail "sshd's options cannot be written" "$file" "look at free space and at whether ${file%/*} is there"
}

# with_ours: what FILE is to be.
with_ours() {
  [ -n "$read" ] || { cat "$RUN/input"; return; }
  if [ -s "$RUN/input" ]; then
    printf '%s\n' "$begin" && cat "$RUN/input" && printf '%s\n' "$end" || return 1
  fi
  sed "/^$begin\$/,/^$end\$/d" "$dir/before"
}

put() {
  if [ -z "$read" ] && [ ! -s "$RUN/input" ]; then
    rm -f "$file"
  elif [ -e "$file" ]; then
    cp -p "$file" "$file.new" && cat "$RUN/new" >"$file.new" && sync "$file.new" && mv -f "$file.new" "$file"
  else
    cp "$RUN/new" "$file.new" && chmod 0644 "$file.new" && sync "$file.new" && mv -f "$file.new" "$file"
  fi
}

# Where SUSE has no /etc/ssh/sshd_config, sshd reads /usr/etc's: but not once there is one that we made.
case $read:$file in
  :*/sshd_config.d/*) ;;
  :*)
    fail "sshd's main file is not made by us, so it was left alone" "no digest of $file came with our lines" \
      "copy the vendor's file there if there is none; then run this again"
    ;;
esac
if [ -n "$read" ] && [ "$(digest "$file")" != "$read" ]; then
  fail "sshd's main file is not as it was read, so it was left alone" "$file has changed since" "run this again"
fi
[ ! -e "$dir/pending" ] || settle "$(cat "$dir/pending")"
"$sshd" -t 2>"$RUN/error" || fail "sshd does not take its files as they are, so nothing was added" \
  "$(short "$RUN/error")" "mend what it complains of; where /run/sshd is missing, start sshd once"
marks=$([ -z "$read" ] || grep -xF -e "$begin" -e "$end" "$file")
if [ -n "$marks" ] && [ "$marks" != "$begin
$end" ]; then
  fail "the marks around our lines in sshd's main file are no pair any more" "$(printf '%s' "$marks" | tr '\n' ' ')in $file" \
    "take both away, with the lines between them, and run this again"
fi
rm -f "$dir/before"
[ ! -e "$file" ] || cp -p "$file" "$dir/before" || unwritable
with_ours >"$RUN/new" || unwritable
{ write_take_back >"$RUN/take_back" && cp "$RUN/take_back" "$dir/take_back"; } || unwritable
[ ! -e "$dir/before" ] || sync "$dir/before" || unwritable
{ printf '%s\n' "$token" >"$dir/pending" && sync "$dir/take_back" "$dir/pending"; } || unwritable
put 2>"$RUN/error" || unwritable
if ! "$sshd" -t 2>"$RUN/error"; then
  settle "$token"
  fail "sshd does not accept the X11 options; they were taken back" "$(short "$RUN/error")" "set sshd_x11 = False for this host"
fi
if ! wrong=$(first_wrong "$@"); then
  settle "$token"
  fail "the X11 options did not come into force; ours were taken back" \
    "${wrong:-everything} is otherwise in sshd -T: something else comes first" \
    "grep -ri ${wrong:-x11} /etc/ssh on the host; or set sshd_x11 = False"
fi
# The timer runs before sshd reads the file. Nobody waits for it, and it takes the lock only when its time has come; where
# the disk is full just then, it tries again, as long as there is something to take back.
# flock opens the lock's file for reading: it does not get a new time long after a confirmed change.
# shellcheck disable=SC2016
setsid sh -c 'while sleep "$3" && [ -e "$1/pending" ]; do flock "$1/lock" sh "$1/take_back" "$2" && break; done' \
  timer "$dir" "$token" "$patience" >/dev/null 2>&1 </dev/null &
if ! sh "$dir/take_back" "$token" reload >"$RUN/error" 2>&1; then
  settle "$token"
  fail "sshd did not read the X11 options again; they were taken back" "$(short "$RUN/error")" "systemctl status ssh on the host"
fi
exit 0

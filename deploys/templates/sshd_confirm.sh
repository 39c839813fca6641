# shellcheck shell=sh
# Run over a new login: the change of sshd with this TOKEN is good, the timer finds nothing to take back.
dir=$state/sshd
exec 9>>"$dir/lock" && flock -w 60 9 || fail "the change of sshd is not confirmed" "$dir/lock has been held for 60 s" "run this again"
[ "$(cat "$dir/pending" 2>/dev/null)" = "$1" ] ||
  fail "the change of sshd had been taken back already" "no mark of it in $dir" "run this again"
rm -f "$dir/pending"
rm -f "$dir/before"

# shellcheck shell=sh
# Run over a new login: the change of sshd with this TOKEN is good, the timer finds nothing to take back.
dir=$state/sshd
[ "$(cat "$dir/pending" 2>/dev/null)" = "$1" ] && mv "$dir/pending" "$dir/confirmed" 2>/dev/null ||
  fail "the change of sshd had been taken back already" "no mark of it in $dir" "run this again"
rm -f "$dir/confirmed" "$dir/before"

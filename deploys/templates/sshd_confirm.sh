# shellcheck shell=sh
# Run over a new login: the change of sshd is good, nothing will be taken back.
[ -e "$state/sshd/pending" ] || fail "the change of sshd had been taken back already" "no pending mark" "run this again"
rm -f "$state/sshd/pending" "$state/sshd/before"

# shellcheck shell=sh
# Run over the connection that still stands: the login that was to confirm the change of sshd with this TOKEN failed. Says
# nothing where it was taken back already.
flock -w 60 "$state/sshd/lock" sh "$state/sshd/take_back" "$1" ||
  fail "the change of sshd was not taken back at once" "$state/sshd/take_back failed" "nothing: the host tries it again by itself"

# shellcheck shell=sh
# Runs a script in a session of its own, so that it finishes or rolls back whatever becomes of the SSH connection.
# Arguments: AREA, then the script's own. Standard input, from the mark on, is kept for it in $RUN/input; its output goes
# to a file first, because a broken pipe could kill it half-way.
area=$1
shift
mkdir -p "$state/$area" && chmod 0700 "$state/$area" || exit 1
find "$state/$area" -maxdepth 1 -name 'run.*' -mmin +1440 -exec rm -rf {} +
RUN=$(mktemp -d "$state/$area/run.XXXXXX") || exit 1
export RUN
# A sudo that asked for no password has left it on standard input, above the mark.
while IFS= read -r line && [ "$line" != "gpu-hosts input" ]; do :; done
# A line that does not end was cut off with the connection.
if ! { IFS= read -r line && printf '%s' "$line" | base64 -d >"$RUN/input"; }; then
  rm -rf "$RUN"
  fail "the input of this step did not arrive whole, so nothing was done" "its last line has no end" "run this again"
fi
cat >"$RUN/script" <<'END_OF_SCRIPT'
@SCRIPT@
END_OF_SCRIPT
# Where logind has KillUserProcesses=yes, a session's end kills all of its scope, and the last session's end kills more.
# Only what runs outside of the users' slice is left alone.
escape=
if grep -qs /user.slice/ /proc/self/cgroup && systemd-run --quiet --scope true 2>/dev/null; then
  escape='systemd-run --quiet --scope'
fi
# shellcheck disable=SC2086
setsid -w $escape flock -o -E 75 -w 900 "$state/$area/lock" sh "$RUN/script" "$@" >"$RUN/output" 2>&1 </dev/null
rc=$?
[ "$rc" != 75 ] || explain "another run is at work here" "it has held $state/$area/lock for 900 s" "wait for it, then run this again"
# Docker hands on what containers say, byte for byte, and pyinfra reads nothing but UTF-8.
LC_ALL=C tr -c '\11\12\15\40-\176' '?' <"$RUN/output"
rm -rf "$RUN"
exit "$rc"

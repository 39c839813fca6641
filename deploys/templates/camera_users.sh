# shellcheck shell=sh
# Makes users members of the groups that own the cameras. Arguments: USER=GROUP.
log=$RUN/log
unknown='' failed=''
for one in "$@"; do
  user=${one%=*} group=${one##*=}
  if ! getent passwd "$user" >/dev/null; then
    among "$user" $unknown || unknown="$unknown $user"
  elif ! usermod -aG "$group" "$user" >"$log" 2>&1; then
    failed="$failed $user of $group ($(short "$log"))"
  fi
done
[ -z "$unknown$failed" ] || fail "cameras: not everybody could be given access to them; the others have it" \
  "${unknown:+unknown here:$unknown}${failed:+${unknown:+; }usermod -aG failed for:$failed}" "make these users first, or correct camera_users"

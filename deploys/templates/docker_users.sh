# shellcheck shell=sh
# Makes users members of the group docker. Arguments: their names.
log=$RUN/log
getent group docker >/dev/null || fail "docker: nobody was made a member of its group" "there is no group docker" \
  "see above what became of Docker"
unknown='' failed=''
for user in "$@"; do
  if ! getent passwd "$user" >/dev/null; then
    unknown="$unknown $user"
  elif ! usermod -aG docker "$user" >"$log" 2>&1; then
    failed="$failed $user ($(short "$log"))"
  fi
done
[ -z "$unknown$failed" ] || fail "docker: not everybody could be made a member of its group; the others are" \
  "${unknown:+unknown here:$unknown}${failed:+${unknown:+; }usermod -aG docker failed:$failed}" "make these users first, or correct docker_users"

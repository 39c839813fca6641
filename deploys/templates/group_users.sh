# shellcheck shell=sh
# Makes users members of groups. Arguments: the SETTING that names the users, then USER=GROUP, any number.
setting=$1
shift
log=$RUN/log
unknown='' failed=''
for one in "$@"; do
  user=${one%=*} group=${one##*=}
  if ! getent passwd "$user" >/dev/null; then
    among "$user" $unknown || unknown="$unknown $user"
  elif ! getent group "$group" >/dev/null; then
    failed="$failed $user of $group (there is no such group)"
  elif ! usermod -aG "$group" "$user" >"$log" 2>&1; then
    failed="$failed $user of $group ($(short "$log"))"
  fi
done
[ -z "$unknown$failed" ] || fail "$setting: not everybody could be made a member; the others are" \
  "${unknown:+unknown here:$unknown}${failed:+${unknown:+; }usermod -aG failed for:$failed}" \
  "make these users first, or correct $setting; where there is no group, see above what became of what brings it"

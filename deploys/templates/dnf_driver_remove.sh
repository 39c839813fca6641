# shellcheck shell=sh
# Removes the NVIDIA driver: exactly `packages`, which must be all that goes. `hold` are further packages to let go of.
table=$RUN/table

audit_packages
present=$(installed_of $packages)
gone="$packages $hold $(full_names $packages $hold)"
{
  [ -z "$present" ] || echo "remove $present"
  [ -z "$(enabled_stream)" ] || echo "module reset nvidia-driver"
} >"$RUN/commands"
if [ -s "$RUN/commands" ]; then
  look_ahead "$table" || {
    quote "$table"
    fail "driver: its packages cannot be removed" "dnf remove $present: $(reason "$table")" \
      "run that command on the host and mend what it says"
  }
  others=
  for package in $(chosen_in "$table" Removing Installing Upgrading Downgrading | cut -d ' ' -f 1); do
    among "$package" $present || others="$others $package"
  done
  [ -z "$others" ] || fail "driver: other packages would be removed or installed with it" \
    "dnf remove $present would change$others" "remove what needs the driver yourself, then run this again"
fi
begin_change
if [ -e "$locks" ]; then
  other_locks $gone >"$RUN/locks"
  [ "$(cat "$RUN/locks")" = "$(cat "$locks")" ] || write_locks <"$RUN/locks"
fi
if [ -s "$RUN/commands" ]; then
  transact "$log" --assumeyes || {
    quote "$log"
    fail "driver: its packages cannot be removed" "dnf remove $present: $(reason "$log")" \
      "run that command on the host and mend what it says"
  }
fi
let_nouveau_back
end_change
printf 'driver removed: %s\n' "${present:-nothing was left of it}"

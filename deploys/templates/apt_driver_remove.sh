# shellcheck shell=sh
# Removes the NVIDIA driver: exactly `packages`, which must be all that goes. `hold` are further packages to let go of.
choice=$RUN/choice
ours=/etc/apt/preferences.d/gpu-hosts-nvidia-driver

# purge OUTPUT [--simulate]
purge() {
  to=$1
  shift
  change_packages "$to" purge --allow-change-held-packages "$@" $present
}

audit_packages
present=$(installed_of $packages)
if [ -n "$present" ]; then
  purge "$choice" --simulate || {
    quote "$choice"
    fail "driver: its packages cannot be removed" "apt-get purge $present: $(short "$choice")" \
      "run that command on the host and mend what it says"
  }
  others=
  for package in $(chosen_in "$choice" Remv Purg Inst); do
    among "${package%%:*}" $packages || others="$others $package"
  done
  [ -z "$others" ] || fail "driver: other packages would be removed or installed with it" \
    "apt-get purge $present would change$others" "remove what needs the driver yourself, then run this again"
fi
begin_change
for package in $(apt-mark showhold); do
  among "${package%%:*}" $packages $hold && apt-mark unhold "$package" >"$log" 2>&1
done
if [ -n "$present" ]; then
  purge "$log" || {
    quote "$log"
    fail "driver: its packages cannot be removed" "apt-get purge $present: $(short "$log")" \
      "run that command on the host and mend what it says"
  }
fi
rm -f "$ours"
let_nouveau_back
end_change
printf 'driver removed: %s\n' "${present:-nothing was left of it}"

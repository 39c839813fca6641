# shellcheck shell=sh
# Unloads the NVIDIA modules and loads those that are installed, in place of a reboot: only where nothing uses them.
# Nobody is killed for it and nothing is forced. Argument: services=UNITS, which must run afterwards.
modules='nv_peer_mem nvidia_peermem nvidia_vgpu_vfio nvidia_uvm nvidia_drm nvidia_modeset nvidia' # as they can be unloaded
stopped=''

loaded_version() {
  cat /sys/module/nvidia/version 2>/dev/null
}

# run_services: those that ran before, those that are wished, and those that run at every boot: one that does not start on
# the old module has failed since the packages were changed.
run_services() {
  for unit in nvidia-persistenced nvidia-fabricmanager; do
    systemctl is-enabled --quiet "$unit" 2>/dev/null && stopped="$stopped $unit"
  done
  for unit in $stopped $services; do
    systemctl start "$unit" >"$log" 2>&1 || fail "driver: $unit does not start" "$(short "$log")" \
      "look at journalctl -u $unit on the host"
  done
}

# refuse WHO
refuse() {
  fail "driver: its old modules are in use, so the new ones were not loaded" "in use by $1" \
    "end what uses the GPU and run this again, or reboot the host"
}

# count_users MODULE: without the modules of the driver itself that need it.
count_users() {
  users=$(cat "/sys/module/$1/refcnt" 2>/dev/null) || users=0
  for holder in "/sys/module/$1/holders"/*; do
    among "${holder##*/}" $modules && users=$((users - 1))
  done
  echo "$users"
}

version=$(module_version "$(uname -r)")
[ -n "$version" ] || fail "driver: the running kernel has no nvidia module to load" "kernel $(uname -r), modinfo says nothing" \
  "reboot the host, so that the kernel runs that the driver was built for"
before=$(loaded_version)
if [ "$before" = "$version" ]; then
  run_services
  exit 0
fi
for other in nouveau nova_core; do
  [ ! -d "/sys/module/$other" ] || fail "driver: its modules cannot be loaded now" "$other has the GPU" "reboot the host"
done
# Before any daemon is stopped: that of the new version does not start on the old module.
processes=$(gpu_processes nvidia-persiste nv-fabricmanage)
[ -z "$processes" ] || refuse "${processes% }"
for unit in nvidia-persistenced nvidia-fabricmanager; do
  systemctl is-active --quiet "$unit" || continue
  systemctl stop "$unit" >"$log" 2>&1
  stopped="$stopped $unit"
done
present=
busy=
for module in $modules; do
  [ -d "/sys/module/$module" ] || continue
  present="$present $module"
  [ "$(count_users "$module")" -le 0 ] || busy="$busy $module"
done
if [ -n "$busy" ]; then
  for unit in $stopped; do
    systemctl start "$unit" >"$log" 2>&1 || printf 'driver: %s is stopped and does not start on the old module\n' "$unit"
  done
  refuse "the kernel, or a module of another's ($busy )"
fi
for module in $present; do
  rmmod "$module" >"$log" 2>&1 || fail "driver: its old modules cannot all be unloaded" "rmmod $module: $(short "$log")" \
    "reboot the host"
done
for module in nvidia nvidia_uvm; do
  modprobe "$module" >"$log" 2>&1 || fail "driver: the old modules are unloaded, and the new ones do not load" \
    "modprobe $module: $(short "$log")" "look at dmesg on the host, around NVRM"
done
[ "$(loaded_version)" = "$version" ] || fail "driver: the modules that were loaded are not those installed" \
  "loaded is $(loaded_version), installed is $version" "reboot the host"
for module in $present; do
  [ -d "/sys/module/$module" ] || modprobe "$module" >"$log" 2>&1 || printf 'module %s was loaded before and is not now\n' "$module"
done
run_services
printf 'driver %s loaded in place of %s\n' "$version" "${before:-none}"

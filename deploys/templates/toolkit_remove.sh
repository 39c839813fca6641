# shellcheck shell=sh
# Removes NVIDIA Container Toolkit: the packages of its group, and what they would leave behind.
! grep -q nvidia-container-runtime /etc/docker/daemon.json 2>/dev/null ||
  fail "toolkit: it stays, because Docker would start no container without the runtime that it is told to use" \
    "/etc/docker/daemon.json names nvidia-container-runtime" "see above what became of the docker daemon, then run this again"
audit_packages
change_groups "$@" || exit 1
# They are configuration files below /etc in 1.18 and 1.19, and stay when the package goes.
for unit in nvidia-cdi-refresh.path nvidia-cdi-refresh.service; do
  [ ! -e "/etc/systemd/system/$unit" ] || systemctl disable --now "$unit" >"$log" 2>&1 ||
    fail "toolkit: it is removed, but $unit is still enabled" "systemctl disable --now $unit: $(short "$log")" "run that command on the host"
done
# A specification whose hooks are the toolkit's programs gives containers that do not start.
for spec in /var/run/cdi/nvidia.yaml /etc/cdi/nvidia.yaml; do
  ! grep -qE 'nvidia-(ctk|cdi-hook)' "$spec" 2>/dev/null || rm -f "$spec"
done

# shellcheck shell=sh
# Who uses this host's GPUs, and what a reboot would stop.

# gpu_processes [NAME...]: processes that have a GPU's device open, each as "name (pid N)". Those called NAME are left out;
# the kernel knows the first 15 letters of a name.
gpu_processes() {
  devices=$(find /proc/[0-9]*/fd -lname '/dev/nvidia*' 2>/dev/null)
  for pid in $(printf '%s\n' "$devices" | cut -d / -f 3 | sort -un); do
    name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
    for left_out in "$@"; do
      [ "$name" != "$left_out" ] || continue 2
    done
    printf '%s (pid %s) ' "$name" "$pid"
  done
}

# stopped_by_reboot: running containers, and processes at work on a GPU. NVIDIA's own daemons do no work.
stopped_by_reboot() {
  if command -v docker >/dev/null; then
    for name in $(timeout 60 docker ps --format '{{.Names}}' 2>/dev/null); do
      printf 'container %s ' "$name"
    done
  fi
  gpu_processes nvidia-persiste nv-fabricmanage nvidia-cuda-mps nvidia-imex nvidia-powerd nv-hostengine dcgm-exporter
}

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

# sessions: users who have logged in at the screen, from systemd-logind's own files; a login screen is none.
sessions() {
  for file in /run/systemd/sessions/*; do
    [ -f "$file" ] && grep -qx 'CLASS=user' "$file" && grep -qxE 'TYPE=(x11|wayland|mir)' "$file" || continue
    grep -qx 'STATE=closing' "$file" || printf 'session of %s ' "$(sed -n 's/^USER=//p' "$file")"
  done
}

# stopped_by_reboot: sessions, running containers, and processes at work on a GPU. NVIDIA's own daemons do no work, nor does
# what draws a display manager's login screen: whoever has logged in there has a session.
stopped_by_reboot() {
  sessions
  if command -v docker >/dev/null; then
    for name in $(timeout 60 docker ps --format '{{.Names}}' 2>/dev/null); do
      printf 'container %s ' "$name"
    done
  fi
  idle='nvidia-persiste nv-fabricmanage nvidia-cuda-mps nvidia-imex nvidia-powerd nv-hostengine dcgm-exporter'
  [ ! -e /etc/systemd/system/display-manager.service ] ||
    idle="$idle Xorg Xwayland gnome-shell sddm-greeter kwin_wayland lightdm-gtk-gre slick-greeter unity-greeter"
  gpu_processes $idle
}

# shellcheck shell=sh
# Uninstalls a driver that NVIDIA's .run installer has left, by its own program, so that packages find the host clean.
program=$(command -v nvidia-uninstall || command -v nvidia-installer) || exit 0
# Without --silent it asks, and draws a screen for that.
"$program" --uninstall --silent >"$RUN/log" 2>&1 && ! command -v nvidia-installer >/dev/null && exit 0
quote /var/log/nvidia-uninstall.log
fail "driver: the one of the .run installer cannot be uninstalled" "$program --uninstall --silent: $(short "$RUN/log")" \
  "run $program --uninstall on the host and read what it says; its log is /var/log/nvidia-uninstall.log"

# shellcheck shell=sh
# Starts an installed Docker Engine and lets it start with the host.
# Docker's unit has no limit for a start of its own (TimeoutStartSec=0 in docker.service).
timeout 120 systemctl enable --now docker >/dev/null 2>&1
timeout 30 docker info >/dev/null 2>&1 || fail "Docker does not start" \
  "$(journalctl -u docker -n 4 --no-pager -o cat 2>/dev/null | tr -s ' \n' ' ')" "journalctl -u docker on the host says why"

# shellcheck shell=sh
# Pulls images and checks that they are there by the name they were asked for. Arguments: pairs PINNED TAGGED;
# TAGGED is empty, or the name that a digest also goes by (Docker drops it when it pulls by digest).
log=$RUN/log
failed=0
need_docker images
while [ $# -gt 0 ]; do
  if ! docker pull --quiet "$1" >"$log" 2>&1 || ! docker image inspect "$1" >"$log" 2>&1; then
    explain "image $1 cannot be pulled" "$(short "$log")" "check the name and digest, the registry and the host's network"
    failed=1
  elif [ -n "$2" ]; then
    docker tag "$1" "$2"
  fi
  shift 2
done
exit "$failed"

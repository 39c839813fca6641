# shellcheck shell=sh
# Removes images by name, without force. Arguments: the names. One that a container uses stays, and is named.
need_docker images
failed=0
for name; do
  docker image inspect "$name" >/dev/null 2>&1 || continue
  if docker image rm "$name" >"$RUN/log" 2>&1; then
    echo "removed $name"
    continue
  fi
  case $(cat "$RUN/log") in
    *container*) echo "kept $name: $(short "$RUN/log" 1)" ;;
    *)
      explain "image $name cannot be removed" "$(short "$RUN/log")" "try docker image rm on the host"
      failed=1
      ;;
  esac
done
exit "$failed"

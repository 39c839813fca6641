# shellcheck shell=sh
# Installs packages in one transaction; where that fails, in one an area, so that one bad name does not hold up the others.
# Arguments: one for each area: AREA|SOURCE_PATH|PACKAGE PACKAGE…; SOURCE_PATH is empty, or the repository they need.
log=$RUN/log
audit_packages
failed=0
all=
count=$#
while [ "$count" -gt 0 ]; do
  area=${1%%|*}
  rest=${1#*|}
  source=${rest%%|*}
  if [ -n "$source" ] && [ ! -e "$source" ]; then
    explain "$area: its repository is not there" "$source was not added, see above" "mend what is said above, then run this again"
    failed=1
  else
    all="$all ${rest#*|}"
    set -- "$@" "$1"
  fi
  shift
  count=$((count - 1))
done
[ -n "$all" ] || exit "$failed"
# shellcheck disable=SC2086
install_packages "$log" $all && exit "$failed"
for group in "$@"; do
  # shellcheck disable=SC2086
  install_packages "$log" ${group##*|} && continue
  explain "${group%%|*}: its packages cannot be installed" "apt-get install ${group##*|}: $(short "$log")" \
    "run that command on the host and mend what it says"
  failed=1
done
exit "$failed"

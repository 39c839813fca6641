# shellcheck shell=sh
# Writes and removes our files below /etc/docker/certs.d, each in one step; Docker reads them with every pull. Arguments:
# the first line of each hosts.toml of ours. $RUN/input has a line for each file, in this order: PATH TEXT, which is in
# base64; "-": the file goes, and its folder with the last one.
mark=$1

while read -r path _; do
  case $path in */hosts.toml) ;; *) continue ;; esac
  [ ! -s "$path" ] || [ "$(head -n 1 "$path")" = "$mark" ] || fail "nothing below ${path%/*/*} was changed" \
    "$path is another's by now" "run this again, which says what can be done about it"
done <"$RUN/input"
while read -r path text; do
  if [ "$text" = - ]; then
    rm -f "$path" || fail "a file for Docker's mirrors cannot be removed" "$path" "see df and mount of ${path%/*} on the host"
    rmdir "${path%/*}" 2>/dev/null
    continue
  fi
  # Docker looks at names that end in .crt, .cert, .key and at hosts.toml.
  { printf '%s' "$text" | base64 -d >"$RUN/text" && mkdir -p "${path%/*}" && cp "$RUN/text" "$path.new" &&
    chmod 0644 "$path.new" && sync "$path.new" && mv -f "$path.new" "$path" &&
    [ "$(digest "$path")" = "$(digest "$RUN/text")" ]; } 2>"$RUN/log" && continue
  rm -f "$path.new"
  fail "a file for Docker's mirrors cannot be written, nor those after it" "$path: $(short "$RUN/log")" \
    "see df ${path%/*} on the host, then run this again"
done <"$RUN/input"
exit 0

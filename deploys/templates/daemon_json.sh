# shellcheck shell=sh
# Swaps daemon.json as a transaction: validate, back up, rename into place, SIGHUP, wait for the daemon's word, else back.
# Arguments: FOUND (SHA-256 of the file the plan was made from, or "absent") RUNTIME… (must be known afterwards).
# The new text comes on standard input (it may hold proxy passwords). `pending` stands between swap and outcome.
file=/etc/docker/daemon.json
dir=$state/daemon-json
new=$RUN/input
found=$1
shift

digest() {
  if [ -e "$file" ]; then sha256sum <"$file" | cut -d ' ' -f 1; else echo absent; fi
}

daemon_pid() {
  pid=$(systemctl show -p MainPID --value docker 2>/dev/null)
  if [ "${pid:-0}" != 0 ]; then echo "$pid"; else cat /run/docker.pid; fi
}

# reload: SIGHUP, then up to 15 s for the reload event. The signal itself says nothing: a rejected file gives no event.
reload() {
  since=$(date +%s.%N)
  kill -HUP "$(daemon_pid)" || return 1
  tries=0
  while [ "$tries" -lt 50 ]; do
    events=$(timeout 10 docker events --since "$since" --until "$(date +%s.%N)" --filter type=daemon --filter event=reload 2>/dev/null)
    [ -z "$events" ] || return 0
    tries=$((tries + 1))
    sleep 0.3
  done
  return 1
}

knows() {
  known=$(timeout 30 docker info --format '{{range $name, $_ := .Runtimes}}{{$name}} {{end}}' 2>/dev/null) || return 1
  for runtime in "$@"; do
    case " $known" in *" $runtime "*) ;; *) return 1 ;; esac
  done
}

# put_back: the file as it was before the interrupted or rejected change.
put_back() {
  if [ -e "$dir/before" ]; then mv -f "$dir/before" "$file"; else rm -f "$file"; fi
  sync
  rm -f "$dir/pending"
  # Only a daemon that died is started again: a restart would stop containers.
  reload || systemctl is-active --quiet docker || systemctl start docker
}

if [ -e "$dir/pending" ]; then
  put_back
  fail "an earlier change of daemon.json had not finished; the file was put back as it was" \
    "$dir/pending was there" "run this again"
fi
[ "$(digest)" = "$found" ] || fail "daemon.json has changed since it was read, so it was left alone" \
  "SHA-256 $(digest), read was $found" "run this again"
need_docker "daemon runtimes"
command -v nvidia-container-runtime >/dev/null || fail "nvidia-container-runtime is not there, so it was not registered" \
  "no such command on the path" "see above what became of the toolkit"

if dockerd --help 2>/dev/null | grep -q -- --validate; then
  # The daemon's own flags take part: a key that is in both places stops it. The unit's text still has variables in it.
  flags=$(tr '\0' ' ' <"/proc/$(daemon_pid)/cmdline" | cut -d ' ' -f 2-)
  # shellcheck disable=SC2086
  said=$(dockerd --validate $flags --config-file "$new" 2>&1) || fail "dockerd does not accept the new daemon.json; the old one stays" \
    "$(printf '%s' "$said" | tr -s ' \n' ' ')" "mend the keys it names in $file"
fi

mkdir -p "${file%/*}"
rm -f "$dir/before"
if [ -e "$file" ]; then
  cp -p "$file" "$dir/before"
  cp -p "$file" "$file.gpu-hosts.bak"
  chmod --reference="$file" "$new" && chown --reference="$file" "$new"
else
  chmod 0644 "$new"
fi
: >"$dir/pending"
cp -p "$new" "$file.gpu-hosts.new" && sync && mv -f "$file.gpu-hosts.new" "$file"
if reload && knows "$@"; then
  rm -f "$dir/pending" "$dir/before"
  exit 0
fi
put_back
fail "Docker did not take the new daemon.json; the old one is back and containers were left running" \
  "$(journalctl -u docker -n 3 --no-pager -o cat 2>/dev/null | tr -s ' \n' ' ')" "mend what the daemon names, then run this again"

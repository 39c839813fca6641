# shellcheck shell=sh
# Swaps daemon.json as a transaction: validate, back up, rename into place, SIGHUP, wait for the daemon's word, else back.
# Arguments: FOUND (SHA-256 of the file the plan was made from, or "absent") RUNTIME… (must be known afterwards).
# The new text is $RUN/input (it may hold proxy passwords). Between swap and outcome stands `pending`, which says what the
# file was and what we made of it, so that whoever comes after a crash can tell our text from anybody else's.
file=$(readlink -f /etc/docker/daemon.json || echo /etc/docker/daemon.json)
dir=$state/daemon-json
new=$RUN/input
found=$1
shift

digest() {
  if [ -e "$1" ]; then sha256sum <"$1" | cut -d ' ' -f 1; else echo absent; fi
}

# daemon_pid: dockerd's process. Without systemd its pid file says it, unless that is stale and the number somebody else's.
daemon_pid() {
  pid=$(systemctl show -p MainPID --value docker 2>/dev/null)
  if [ "${pid:-0}" = 0 ]; then
    pid=$(cat /run/docker.pid 2>/dev/null)
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 1
  fi
  echo "$pid"
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

# put SOURCE: its text as the file, in one step, with the old file's owner and mode. Nobody else can read it on the way.
put() {
  staged=$file.gpu-hosts.new
  rm -f "$staged"
  if ! { (umask 077 && cp "$1" "$staged") && own "$staged" && sync "$staged" && mv -f "$staged" "$file"; }; then
    rm -f "$staged"
    return 1
  fi
  sync "${file%/*}"
}

own() {
  if [ -e "$file" ]; then chown --reference="$file" "$1" && chmod --reference="$file" "$1"; else chmod 0644 "$1"; fi
}

# put_back: the file as it was, if what is there is ours. Each step can be repeated: `pending` goes after the file is
# back, and the copy after `pending`.
put_back() {
  was=$(sed -n 's/^was=//p' "$dir/pending")
  ours=$(sed -n 's/^new=//p' "$dir/pending")
  if [ -n "$ours" ] && [ "$(digest "$file")" = "$ours" ] && [ "$was" != "$ours" ]; then
    if [ "$was" = absent ]; then
      rm -f "$file" || return 1
    elif [ "$(digest "$dir/before")" = "$was" ]; then
      put "$dir/before" || return 1
    else
      return 1
    fi
  fi
  rm -f "$dir/pending"
  rm -f "$dir/before"
  # Only a daemon that died is started again: a restart would stop containers.
  reload || systemctl is-active --quiet docker || systemctl start docker
  return 0
}

stuck() {
  fail "daemon.json is ours still, and the old one cannot be put back" \
    "$dir/before is not the file as it was, or $file cannot be written" "look at both, then remove $dir/pending"
}

if [ -e "$dir/pending" ]; then
  put_back || stuck
  fail "an earlier change of daemon.json had not finished; it was settled, the file is not ours any more" \
    "$dir/pending was there" "run this again"
fi
need_docker "docker daemon"
command -v nvidia-container-runtime >/dev/null || fail "nvidia-container-runtime is not there, so it was not registered" \
  "no such command on the path" "see above what became of the toolkit"

if dockerd --help 2>/dev/null | grep -q -- --validate; then
  # The daemon's own flags take part: a key that is in both places stops it. The unit's text still has variables in it.
  flags=$(tr '\0' ' ' <"/proc/$(daemon_pid)/cmdline" | cut -d ' ' -f 2-)
  # shellcheck disable=SC2086
  said=$(dockerd --validate $flags --config-file "$new" 2>&1) || fail "dockerd does not accept the new daemon.json; the old one stays" \
    "$(printf '%s' "$said" | tr -s ' \n' ' ')" "mend the keys it names in $file"
fi

# Nothing has been changed yet, or all of it was undone.
unwritable() {
  rm -f "$dir/pending"
  fail "daemon.json cannot be written, so it was left alone" "$(df -Pk "${file%/*}" "$dir" | tr -s ' \n' ' ')" \
    "look at free space and at whether /etc and /var can be written"
}

mkdir -p "${file%/*}" && rm -f "$dir/before" || unwritable
if [ -e "$file" ]; then
  cp -p "$file" "$dir/before" && cp -p "$file" "$file.gpu-hosts.bak" && sync "$dir/before" || unwritable
fi
# Compared at the last moment, because asking Docker took a while.
[ "$(digest "$dir/before")" = "$found" ] || fail "daemon.json has changed since it was read, so it was left alone" \
  "SHA-256 $(digest "$file"), read was $found" "run this again"
printf 'was=%s\nnew=%s\n' "$found" "$(digest "$new")" >"$dir/pending" && sync "$dir/pending" || unwritable
if ! put "$new"; then
  put_back || stuck
  unwritable
fi
if reload && knows "$@"; then
  rm -f "$dir/pending"
  rm -f "$dir/before"
  exit 0
fi
why=$(journalctl -u docker -n 3 --no-pager -o cat 2>/dev/null | tr -s ' \n' ' ')
put_back || stuck
fail "Docker did not take the new daemon.json; the old one is back and containers were left running" "$why" \
  "mend what the daemon names, then run this again"

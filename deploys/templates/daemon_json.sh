# shellcheck shell=sh
# Changes daemon.json as a transaction: validate, back up, rename into place, have Docker take it up, ask it what is in
# force, else back.
# Arguments: found=SHA-256 of the file the plan was made from, or "absent"; action=reload|restart;
# stops_containers=yes|no (a restart may stop them); for_gpus=yes|no (where a restart stops none, it replaces a reload:
# dockerd looks for NVIDIA's hook at its start only); expect=LINE… (of what `ask` writes, or with "!" before: not in it);
# executable=COMMAND… (must be there).
# $RUN/input: three lines of base64: the new text, which may hold proxy passwords; the old one with live-restore switched
# on, or nothing; the text of our ledger.
# From before the swap to the outcome stands `pending`, which says what the file was and what we made of it, so that
# whoever comes after a crash can tell our text from anybody else's. Taking the ledger's copy away is the commit.
file=$(readlink -f /etc/docker/daemon.json || echo /etc/docker/daemon.json)
backup=$file.gpu-hosts.bak
dir=$state/daemon-json
pending=$dir/pending
for word in "$@"; do
  case $word in
    found=*) found=${word#*=} ;;
    action=*) action=${word#*=} ;;
    stops_containers=*) stops_containers=${word#*=} ;;
    for_gpus=*) for_gpus=${word#*=} ;;
  esac
done
bridged=
{ read -r new && read -r bridge && read -r ledger; } <"$RUN/input"
for name in new bridge; do
  if [ "$name" = new ]; then text=$new; else text=$bridge; fi
  printf '%s' "$text" | base64 -d >"$RUN/$name" || fail "daemon.json was left alone, because its new text cannot be kept" \
    "$(df -Pk "$RUN" | tr -s ' \n' ' ')" "look at free space in /var"
done

noted() {
  sed -n "s/^$1=//p" "$pending"
}

# is_service: whether systemd runs Docker.
is_service() {
  pid=$(systemctl show -p MainPID --value docker 2>/dev/null) && [ "${pid:-0}" != 0 ]
}

# daemon_pid: dockerd's process. Without systemd its pid file says it, unless that is stale and the number somebody else's.
daemon_pid() {
  if ! is_service; then
    pid=$(cat /run/docker.pid 2>/dev/null)
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 1
  fi
  echo "$pid"
}

# The names of these fields are the same from Docker 17.06 on, but DefaultAddressPools is of 20.10: where a field is
# missing, the whole question fails.
# shellcheck disable=SC2016
question='server={{.ServerVersion}}
default-runtime={{.DefaultRuntime}}
live-restore={{.LiveRestoreEnabled}}
log-driver={{.LoggingDriver}}
cgroup-driver={{.CgroupDriver}}
data-root={{.DockerRootDir}}
storage-driver={{.Driver}}
debug={{.Debug}}
http-proxy={{.HTTPProxy}}
https-proxy={{.HTTPSProxy}}
no-proxy={{.NoProxy}}
{{range $name, $_ := .Runtimes}}runtime={{$name}}
{{end}}{{range .Labels}}label={{.}}
{{end}}{{with .RegistryConfig}}{{range .Mirrors}}registry-mirror={{.}}
{{end}}{{range .InsecureRegistryCIDRs}}insecure-registry={{.}}
{{end}}{{range $name, $index := .IndexConfigs}}{{if not $index.Secure}}insecure-registry={{$name}}
{{end}}{{end}}{{end}}'
case "$*" in
  *address-pool=*)
    question="$question{{range .DefaultAddressPools}}address-pool={{.Base}} {{.Size}}
{{end}}"
    ;;
esac

# ask: writes what the daemon says is in force to $RUN/in_force, which is not there without an answer.
ask() {
  timeout 30 docker info --format "$question" >"$RUN/in_force" 2>/dev/null && grep -q '^server=.' "$RUN/in_force" && return 0
  rm -f "$RUN/in_force"
  return 1
}

is_in_force() {
  grep -qxF -e "$1" "$RUN/in_force"
}

# unmet EXPECT…: those of the arguments expect=LINE that do not hold.
unmet() {
  for word in "$@"; do
    line=${word#expect=}
    case $word in
      expect=!*) ! is_in_force "${line#!}" || echo "$line" ;;
      expect=*) is_in_force "$line" || echo "$line" ;;
    esac
  done
}

# has_live_restore FILE: whether a daemon that starts with it lets containers live.
has_live_restore() {
  case " $flags" in *' --live-restore '* | *' --live-restore=true '*) return 0 ;; esac
  tr -d ' \t\n' <"$1" 2>/dev/null | grep -q '"live-restore":true'
}

# containers ID…: name and process of each, a line for one that is still there.
containers() {
  [ -z "$*" ] || timeout 60 docker inspect --type container --format '{{.Name}} {{.State.Pid}}' "$@" 2>/dev/null
}

# lost: names of the containers of $ids that do not run any more, or in another process.
lost() {
  # shellcheck disable=SC2086
  [ -z "$running" ] || printf '%s\n' "$running" | grep -vxF -e "$(containers $ids)" | names
}

names() {
  sed 's|^/||; s/ .*//' | tr '\n' ' '
}

# reload: SIGHUP, then 15 s for the reload event, or 30 where Docker is slow. The signal itself says nothing: a rejected file gives no event.
# A daemon that died meanwhile, and was started again by systemd, has read the file at its start.
reload() {
  rm -f "$RUN/in_force"
  signalled=$(daemon_pid) || return 1
  since=$(date +%s.%N)
  kill -HUP "$signalled" || return 1
  deadline=$(($(date +%s) + 30))
  tries=0
  while [ "$tries" -lt 50 ] && [ "$(date +%s)" -lt "$deadline" ]; do
    events=$(timeout 10 docker events --since "$since" --until "$(date +%s.%N)" --filter type=daemon --filter event=reload 2>/dev/null)
    [ -z "$events" ] || return 0
    if now=$(daemon_pid) && [ "$now" != "$signalled" ] && ask; then return 0; fi
    tries=$((tries + 1))
    sleep 0.3
  done
  return 1
}

# restart: up to 120 s for systemd, which waits for the daemon's own word, then up to 60 s for an answer. Failed starts
# count, and after three in a minute systemd would not try (docker.service); the socket fails with them.
restart() {
  rm -f "$RUN/in_force"
  systemctl reset-failed docker.service docker.socket 2>/dev/null
  timeout 120 systemctl restart docker.service >/dev/null 2>&1 || return 1
  deadline=$(($(date +%s) + 60))
  tries=0
  until ask; do
    [ "$tries" -lt 30 ] && [ "$(date +%s)" -lt "$deadline" ] || return 1
    tries=$((tries + 1))
    sleep 2
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

# own STAGED: with the old file's owner and mode. A proxy's password is nobody else's business, not for a moment.
own() {
  mode=$(stat -c %a "$file" 2>/dev/null || echo 644)
  # Docker takes a proxy without http:// too: user:password@proxy:3128.
  ! grep -Eq '://[^"/]*@|"[^"]*:[^"/]*@' "$1" || mode=${mode%??}00
  if [ -e "$file" ]; then chown --reference="$file" "$1" || return 1; fi
  chmod "$mode" "$1"
}

# is_ours: whether the file is what we made of it, and another than it was.
is_ours() {
  is=$(digest "$file")
  [ "$is" != "$(noted was)" ] || return 1
  [ "$is" = "$(noted new)" ] || [ "$is" = "$(noted bridge)" ]
}

# put_old: the file as it was. By renaming the backup, which a full disk cannot hinder.
put_old() {
  if [ "$(noted was)" = absent ]; then
    rm -f "$file" || return 1
  else
    [ "$(digest "$backup")" = "$(noted was)" ] && mv -f "$backup" "$file" || return 1
  fi
  sync "${file%/*}"
}

# take_back HOW: the old file, and by a reload or restart the daemon as before; it is started in any case where it died.
# Each step can be repeated. Where live-restore was switched on by us, it is on at the start too, else the containers
# that outlived the daemon would be stopped then.
take_back() {
  how=$1
  daemon_pid >/dev/null || how=restart
  if is_ours; then
    if [ "$how" = restart ] && [ -s "$dir/bridge" ] && [ "$(digest "$dir/bridge")" = "$(noted bridge)" ] && put "$dir/bridge"; then
      ! systemctl is-active --quiet docker.service || reload
      restart
      how=reload
    fi
    put_old || return 1
  fi
  if [ "$how" = restart ]; then
    # What live-restore was in the old file is in force again before the daemon ends.
    ! systemctl is-active --quiet docker.service || reload
    restart
  else
    reload
  fi
  rm -f "$pending"
  rm -f "$dir/bridge" "$dir/ledger.new" "$file.gpu-hosts.new"
}

stuck() {
  fail "daemon.json is ours still, and the old one cannot be put back" \
    "$backup is not the file as it was, or $file cannot be written" "look at both, then remove $pending"
}

# Nothing has been changed yet, or all of it was undone.
unwritable() {
  rm -f "$pending"
  rm -f "$dir/bridge" "$dir/ledger.new"
  fail "daemon.json cannot be written, so it was left alone" "$(df -Pk "${file%/*}" "$dir" | tr -s ' \n' ' ')" \
    "look at free space and at whether /etc and /var can be written"
}

# put_or_leave SOURCE DIGEST: the same in place of the file that has this digest, or all is taken back. What somebody has
# written meanwhile stays, and is what the daemon goes by.
put_or_leave() {
  [ "$(digest "$file")" = "$2" ] || {
    take_back reload
    changed
  }
  put "$1" && return 0
  take_back reload || stuck
  unwritable
}

changed() {
  fail "daemon.json has changed since it was read, so it was left alone" "SHA-256 $(digest "$file"), read was $found" \
    "run this again"
}

would_stop() {
  # shellcheck disable=SC2086
  running=$(containers $ids)
  seen='docker ps fails'
  [ -z "$ids" ] || seen="running: $(printf '%s\n' "${running:-$ids}" | names)"
  fail "Docker would have to be restarted for the new daemon.json, which stops containers; the old one stays" "$seen" \
    "run this again when they have ended, or set docker_restart = \"when-needed\""
}

# is_still_idle: whether a restart stops as little as it was found to: nothing, where nothing ran.
is_still_idle() {
  [ "$effect/$stops_containers" = none/no ] || return 0
  ids=$(timeout 60 docker ps -q --no-trunc) && [ -z "$ids" ]
}

# reason: what the daemon said of it, on one line. A failed start is repeated by systemd. Where it took the file, and only
# not all of it is in force, it said nothing of that.
reason() {
  # What it said a moment ago may still be on its way into the journal.
  timeout 10 journalctl --sync >/dev/null 2>&1
  journalctl -u docker --since "@$began" --no-pager -o cat >"$RUN/said" 2>/dev/null
  grep -E 'failed to start daemon|unable to configure the Docker daemon' "$RUN/said" | tail -n 1 | grep . ||
    [ -n "$unmet" ] || short "$RUN/said" 3
}

# give_up EXPECT…: takes all back, says why Docker did not take it, and how it is now.
give_up() {
  unmet=$(if [ -e "$RUN/in_force" ]; then unmet "$@" | tr '\n' ' '; fi)
  why=$(reason)
  take_back "$tried" || stuck
  if ! ask; then
    fail "Docker does not run: it did not take the new daemon.json; the old one is back, and it does not start with that either" \
      "$why" "journalctl -u docker on the host says why"
  fi
  left=
  [ "$how" = restart ] || left=$(grep -vxF -e "$before" "$RUN/in_force" | grep . | tr '\n' ' ')
  gone=
  [ "$tried/$how" = reload/reload ] || gone=$(lost)
  fail "Docker did not take the new daemon.json; the old one is back and Docker runs${gone:+; these containers did not outlive it: $gone}" \
    "${unmet:+not in force: $unmet}$why${left:+ (in force until Docker is started again: $left)}" \
    "mend what the daemon names, then run this again"
}

if [ -e "$pending" ]; then
  if [ -n "$(noted ledger)" ] && [ ! -e "$dir/ledger.new" ]; then
    rm -f "$pending" # it was at its end
  else
    was=$(noted was)
    kept=$(if [ "$(digest "$RUN/new")" = "$(noted new)" ]; then base64 <"$dir/ledger.new"; fi)
    take_back reload || stuck
    if [ -n "$kept" ] && [ "$(digest "$file")" = "$was" ]; then
      # The same is wished for again. What it is made from is the file as it was, and so is its ledger.
      found=$was
      ledger=$kept
    fi
    [ "$(digest "$file")" = "$found" ] || fail \
      "an earlier change of daemon.json had not finished; it was settled, the file is not ours any more" \
      "$pending was there" "run this again"
  fi
fi
need_docker "docker daemon"
for word in "$@"; do
  case $word in
    executable=*)
      command -v "${word#*=}" >/dev/null || fail "${word#*=} is not there, so daemon.json was left alone" \
        "no such command on the path" "see above what became of the toolkit"
      ;;
  esac
done
# The daemon's own flags: the unit's text still has variables in it.
flags=$(tr '\0' ' ' <"/proc/$(daemon_pid)/cmdline" | cut -d ' ' -f 2-)
if dockerd --help 2>/dev/null | grep -q -- --validate; then
  # They take part: a key that is in both places stops the daemon.
  # shellcheck disable=SC2086
  said=$(dockerd --validate $flags --config-file "$RUN/new" 2>&1) || fail "dockerd does not accept the new daemon.json; the old one stays" \
    "$(printf '%s' "$said" | tr -s ' \n' ' ')" "mend the keys it names in $file"
fi

ask && before=$(cat "$RUN/in_force") && ids=$(timeout 60 docker ps -q --no-trunc) || fail \
  "Docker does not say what runs, so daemon.json was left alone" "docker info or docker ps fails" "journalctl -u docker on the host says why"
# shellcheck disable=SC2086
running=$(containers $ids)
# What a restart does to containers: none, kept, stopped. A daemon that starts without live-restore stops those that have
# outlived the one before (seen on 20.10), so the old file must have it too, in case it comes back, or else the bridge.
effect=none
if [ -n "$ids" ]; then
  effect=stopped
  if is_in_force live-restore=true && has_live_restore "$file"; then
    effect=kept
  elif [ -s "$RUN/bridge" ]; then
    bridged=yes
    effect=kept
  fi
  has_live_restore "$RUN/new" || effect=stopped
fi
asked=$action
if [ "$for_gpus" = yes ] && [ "$effect" != stopped ] && is_service; then action=restart; fi
if [ "$action" = restart ]; then
  is_service || fail "Docker would have to be restarted for the new daemon.json; the old one stays" \
    "it is not a service of systemd here" "write the file and restart Docker by hand, as you start it"
  [ "$effect" != stopped ] || [ "$stops_containers" = yes ] || would_stop
fi
[ "$action/$effect" = restart/kept ] || bridged=

mkdir -p "${file%/*}" && rm -f "$dir/bridge" "$dir/ledger.new" || unwritable
if [ -e "$file" ] && ! { cp -p "$file" "$backup" && sync "$backup"; }; then
  rm -f "$backup"
  unwritable
fi
was=$(if [ -e "$file" ]; then digest "$backup"; else echo absent; fi)
# Compared at the last moment, because asking Docker took a while.
[ "$was" = "$found" ] || changed
(umask 077 && printf '%s' "$ledger" | base64 -d >"$dir/ledger.new" && sync "$dir/ledger.new") || unwritable
if [ -n "$bridged" ]; then (umask 077 && cp "$RUN/bridge" "$dir/bridge" && sync "$dir/bridge") || unwritable; fi
printf 'was=%s\nnew=%s\nbridge=%s\nledger=%s\n' "$found" "$(digest "$RUN/new")" "${bridged:+$(digest "$RUN/bridge")}" \
  "$(digest "$dir/ledger.new")" >"$pending" && sync "$pending" || unwritable
began=$(date +%s)
tried=reload
if [ -n "$bridged" ]; then
  put_or_leave "$RUN/bridge" "$found"
  reload && ask && is_in_force live-restore=true || give_up expect=live-restore=true
fi
put_or_leave "$RUN/new" "$(if [ -n "$bridged" ]; then noted bridge; else noted was; fi)"
# Looked at again, because the disk may have taken a while.
if [ "$action" = restart ] && ! is_still_idle; then
  if [ "$asked" = restart ]; then
    take_back reload || stuck
    would_stop
  fi
  action=reload
fi
if [ "$action" = restart ]; then
  tried=restart
  restart && [ -z "$(unmet "$@")" ] || give_up "$@"
else
  reload && ask && [ -z "$(unmet "$@")" ] || give_up "$@"
fi
mv -f "$dir/ledger.new" "$dir/ledger" || give_up
[ -s "$dir/ledger" ] || rm -f "$dir/ledger"
rm -f "$pending"
rm -f "$dir/bridge"
[ "$action/$effect" = restart/kept ] || exit 0
gone=$(lost)
[ -z "$gone" ] || fail "Docker runs with the new daemon.json, but containers did not outlive its restart with live-restore" \
  "not in the process of before: $gone" "docker ps -a and journalctl -u docker on the host say what became of them"

# shellcheck shell=sh
# Pulls images in the background, one after another, whatever becomes of the connection that asked for it.
# start TOKEN, then KEY SOURCE TAG ARCHITECTURES SECRET for each image: returns at once. ARCHITECTURES are those that its
# name speaks of, beside the host's own. SECRET is yes where the config.json of standard input is needed, else no.
# watch TOKEN KEY...: prints whether the pulls of that start are still at work, and for each image its state and the end
# of its log, in base64.
folder=$state/images

# tell LINE...: leaves the state of this image, in one step, so that nobody reads half of it.
tell() {
  printf '%s\n' "token=$token" "$@" >"$here/state.new" && mv -f "$here/state.new" "$here/state"
}

# guard PID: ends a pull on a terminal that has said nothing for an hour. Docker waits for ever where a connection stays
# open and nothing comes, and with it a fleet that waits for its first host.
guard() {
  while sleep 30 && kill -0 "$1" 2>/dev/null; do
    [ -n "$(find "$here/log" -mmin +60 2>/dev/null)" ] || continue
    echo "timeout: Docker told of nothing new for an hour" >"$here/stalled"
    kill -s KILL "$1"
    return
  done
}

# pull: one attempt; leaves Docker's complaints in $here/error. Docker counts bytes on a terminal only.
pull() {
  rm -f "$here/status" "$here/stalled"
  if command -v script >/dev/null 2>&1; then
    # A pipe that is open for writing, too, never ends and never gives anything: nothing is typed on that terminal.
    [ -p "$folder/silence" ] || mkfifo "$folder/silence"
    # shellcheck disable=SC2016
    SHELL=/bin/sh script -q -f -c 'docker pull "$source" 2>"$here/error"; echo $? >"$here/status"' "$here/log" \
      <>"$folder/silence" >/dev/null 2>&1 &
    terminal=$!
    # Without the locks: what it sleeps in outlives it.
    guard "$terminal" 8>&- 9>&- &
    guard=$!
    wait "$terminal"
    kill "$guard" 2>/dev/null
    if [ -e "$here/stalled" ]; then mv -f "$here/stalled" "$here/error" && return 1; fi
  fi
  if [ ! -e "$here/status" ]; then
    docker pull "$source" >"$here/log" 2>"$here/error" </dev/null
    echo $? >"$here/status"
  fi
  [ "$(cat "$here/status")" = 0 ]
}

# classify: one word for what is in $here/error.
classify() {
  case $(tr 'A-Z\n\t' 'a-z  ' <"$here/error") in
    *'no space left'* | *'disk quota exceeded'*) echo space ;;
    *toomanyrequests* | *'too many requests'* | *'rate limit'*) echo rate ;;
    *'no matching manifest'* | *'no match for platform'*) echo architecture ;;
    *'proxyconnect'* | *'proxy authentication'*) echo proxy ;;
    *'tls handshake timeout'*) echo network ;;
    *'x509:'* | *'tls: '* | *'http response to https client'*) echo tls ;;
    *unauthorized* | *'authentication required'* | *'no basic auth'*) echo unauthorized ;;
    *denied* | *forbidden*) echo denied ;;
    *'no such host'* | *'server misbehaving'* | *'name resolution'* | *'lookup '*'timeout'*) echo dns ;;
    *'cannot connect to the docker daemon'* | *'error during connect'*) echo daemon ;;
    *timeout* | *'deadline exceeded'* | *': eof'* | *'unexpected eof'* | *'connection re'[sf]* | *'broken pipe'* | \
      *unreachable* | *'no route'* | *'http status: 5'* | *'internal server error'* | *'bad gateway'* | \
      *'service unavailable'* | *'verification failed'*) echo network ;;
    *'manifest unknown'* | *'not found'* | *'name unknown'*) echo not-found ;;
    *) echo unknown ;;
  esac
}

# patience KIND: sets how often such a failure is tried, and the seconds before the second attempt.
patience() {
  most=1 pause=5
  case $1 in
    network | daemon) most=7 ;;
    dns | proxy) most=3 ;;
    rate) most=4 pause=60 ;;
  esac
}

# fetch: pulls until it is here, or until trying again makes no sense.
fetch() {
  attempt=1
  while :; do
    tell state=pulling "attempt=$attempt"
    ! pull || return 0
    kind=$(classify)
    patience "$kind"
    if [ "$attempt" -ge "$most" ]; then
      tell state=failed "kind=$kind" "attempt=$attempt" "seen=$(short "$here/error")"
      return 1
    fi
    # Twice as long each time. Up to half as much is added by chance, so that a fleet does not come back all at once.
    doubled=$((pause << (attempt - 1)))
    [ "$doubled" -le 240 ] || doubled=240
    doubled=$((doubled + $(od -An -N2 -tu2 /dev/urandom) % (doubled / 2 + 1)))
    tell state=retrying "kind=$kind" "attempt=$attempt" "seconds=$doubled" "seen=$(short "$here/error")"
    sleep "$doubled"
    attempt=$((attempt + 1))
  done
}

# settle: checks what is here, and gives it its tag.
settle() {
  found=$(timeout 300 docker image inspect --format '{{.Architecture}}{{range .RepoDigests}} {{.}}{{end}}' "$source" 2>"$here/error") ||
    { tell state=failed kind=unknown "seen=$(short "$here/error")" && return 1; }
  case "$source|$found " in
    *@*'|'*"@${source##*@} "*) ;;
    *@*'|'*) tell state=failed kind=digest "seen=it goes by ${found#* }" && return 1 ;;
  esac
  # An image can call it anything: a line of its own would be one of our state.
  architecture=$(printf '%s' "${found%% *}" | tr -cd 'A-Za-z0-9_.-')
  server=$(timeout 60 docker version --format '{{.Server.Arch}}' 2>/dev/null)
  # shellcheck disable=SC2086
  if ! among "$architecture" "${server:-$architecture}" $architectures; then
    tell state=failed kind=architecture "seen=it is for $architecture, and this host's Docker for $server" && return 1
  fi
  if [ -n "$tag" ] && ! timeout 300 docker tag "$source" "$tag" 2>"$here/error"; then
    tell state=failed kind=unknown "seen=docker tag: $(short "$here/error")" && return 1
  fi
  tell state=pulled "architecture=$architecture" "server=$server"
}

# choose KEY SOURCE TAG ARCHITECTURES SECRET...: makes that image the one that the rest is about.
choose() {
  here=$folder/pull.$1 source=$2 tag=$3 architectures=$4
  if [ "$5" = yes ]; then DOCKER_CONFIG=$folder/docker && export DOCKER_CONFIG; else unset DOCKER_CONFIG; fi
  export here source
}

# open_states KEY SOURCE TAG ARCHITECTURES SECRET...: what earlier pulls of these images have left goes.
open_states() {
  while [ $# -ge 5 ]; do
    choose "$@"
    mkdir -p "$here"
    rm -f "$here/log"
    tell state=waiting
    shift 5
  done
}

# work KEY SOURCE TAG ARCHITECTURES SECRET...: all of them, under the lock.
work() {
  trap 'rm -rf "$folder/docker"' EXIT
  # What a worker that was killed has left.
  rm -rf "$folder/docker"
  (umask 077 && mkdir "$folder/docker" && printf '%s' "$config" >"$folder/docker/config.json")
  while [ $# -ge 5 ]; do
    choose "$@"
    shift 5
    if timeout 300 docker image inspect "$source" >/dev/null 2>&1 || fetch; then settle; fi
  done
}

# wait_and_work: the pulls of an earlier start come first. They may leave less to do, and are not done a second time.
wait_and_work() {
  flock 9
  open_states "$@"
  work "$@"
}

start() {
  token=$1
  shift
  mkdir -p "$folder" && chmod 0700 "$folder" || exit 1
  # It has begun already: the answer to the first start was lost with the connection.
  [ ! -e "$folder/worker.$token" ] || exit 0
  need_docker images
  # In one step: a watch may be reading it.
  cp "$RUN/script" "$folder/script.$token" && mv -f "$folder/script.$token" "$folder/script" || exit 1
  # In a variable, and written when its turn comes: one start's file is never in another's way.
  config=$(cat "$RUN/input")
  exec 8>"$folder/worker.$token" 9>"$folder/lock"
  flock -n 8
  if flock -n 9; then
    # Only where nobody is at work: a clock that was set makes everything old.
    find "$folder" -maxdepth 1 \( -name 'pull.*' -o -name 'worker.*' -o -name 'script.*' \) -mtime +7 -exec rm -rf {} +
    open_states "$@"
    begin=work
  else
    begin=wait_and_work
  fi
  # The locks go with the last process that has them open.
  (trap 'exit 1' HUP INT TERM && "$begin" "$@") >"$folder/work.log" 2>&1 </dev/null &
}

watch() {
  token=$1 working=no
  shift
  # Whoever works has it locked.
  if [ -e "$folder/worker.$token" ] && ! flock -n 8 8<"$folder/worker.$token"; then working=yes; fi 2>/dev/null
  # A worker that was killed could not take the credentials away.
  [ ! -d "$folder/docker" ] || flock -n "$folder/lock" rm -rf "$folder/docker"
  echo "working=$working"
  for key; do
    printf '%s ' "$key"
    { cat "$folder/pull.$key/state" && echo && tail -c 6000 "$folder/pull.$key/log"; } 2>/dev/null | base64 | tr -d '\n'
    echo
  done
  echo end
}

"$@"

# shellcheck shell=sh
# Takes projects of ours down and brings others up. Arguments: names of those to take down. $RUN/input has the others, a
# few lines each: project NAME SECONDS IMAGE, then any number of file PATH TEXT, service NAME STATE, answer ADDRESS PORT
# PATH WORDS and proof SERVICE SCRIPT TEXT. TEXT and SCRIPT are in base64; "-" is for nothing.
# What became of each is told by "@@ NAME good", "@@ NAME removed", or "@@ NAME STAGE AFTER", then what was seen, two blanks
# in.
base=/etc/gpu-hosts/containers
staged=/etc/gpu-hosts/containers.new
former=/etc/gpu-hosts/containers.before # a project's folder here: a change of it has begun
data=/var/lib/gpu-hosts-containers      # relative paths in the owner's compose files start here
# In a project's folder while what runs need not be of its files. It is no file of any plan, and so another run is due.
unfinished=unfinished
# In a project's folder once it came up: the services that the owner's file has, which is read on the host alone.
services=services
project_label=com.docker.compose.project
service_label=com.docker.compose.service
settled=5 # seconds that a service without a health check must have run: most that cannot work end before
failed=0

# compose NAME FOLDER ARGUMENT...: Docker Compose with the files in FOLDER, for the project of that name. What the owner's
# file says of a service comes after ours, and counts.
compose() {
  project=$1 folder=$2 start_at=$2
  shift 2
  if [ -e "$folder/owner.yaml" ]; then
    start_at=$data/$project
    set -- --file "$folder/owner.yaml" "$@"
  fi
  [ ! -e "$folder/compose.yaml" ] || set -- --file "$folder/compose.yaml" "$@"
  # docker-compose, the one in Python, reads the file of a seccomp profile from where it is itself.
  # shellcheck disable=SC2086 # two words or one
  (cd "$start_at" && timeout 1800 $tool --project-name "gpu-hosts-$project" --project-directory "$start_at" "$@")
}

# containers_of NAME [SERVICE]: their ids, without those of `docker compose run`.
containers_of() {
  docker ps --all --quiet --no-trunc --filter "label=$project_label=gpu-hosts-$1" \
    --filter label=com.docker.compose.oneoff=False ${2:+--filter "label=$service_label=$2"}
}

# states_of NAME: a line for each container: SERVICE STATUS EXIT HEALTH OOM RESTARTS STARTED ID
states_of() {
  # shellcheck disable=SC2046
  set -- $(containers_of "$1")
  [ $# = 0 ] || docker container inspect --format "{{index .Config.Labels \"$service_label\"}} {{.State.Status}} \
{{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.State.OOMKilled}} {{.RestartCount}} \
{{.State.StartedAt}} {{.ID}}" "$@" 2>/dev/null
}

# rest_of WORD FILE: of the line of that first word; false where there is none.
rest_of() {
  while read -r word rest; do
    [ "$word" = "$1" ] && echo "$rest" && return
  done <"$2"
  return 1
}

# judge STATUS EXIT HEALTH STARTED WANTED: good, wait or bad.
judge() {
  case $5:$1:$3 in
    done:exited:*) if [ "$2" = 0 ]; then echo good; else echo bad; fi ;;
    done:*) echo wait ;;
    *:running:healthy) echo good ;;
    healthy:running:none) echo bad ;;
    *:running:none)
      since=$(date -d "$4" +%s 2>/dev/null || echo 0)
      if [ $(($(date +%s) - since)) -ge "$settled" ]; then echo good; else echo wait; fi
      ;;
    # What does not work at once may still do so: a service that waits for another, a restart policy.
    *:running:* | *:restarting:* | *:created:*) echo wait ;;
    *) echo bad ;;
  esac
}

# look NAME: good, wait or bad of all of the project's containers; $RUN/troubled has the lines of those that are not good.
look() {
  states_of "$1" >"$RUN/states"
  : >"$RUN/troubled"
  whole=good
  while read -r service status code health oom restarts started id; do
    wanted=$(rest_of "$service" "$RUN/new/$1.services")
    one=$(judge "$status" "$code" "$health" "$started" "${wanted:-running}")
    [ "$one" = good ] || printf '%s\n' "$service $status $code $health $oom $restarts $id" >>"$RUN/troubled"
    case $one:$whole in bad:* | wait:good) whole=$one ;; esac
  done <"$RUN/states"
  while read -r service _; do
    rest_of "$service" "$RUN/states" >/dev/null || whole=bad
  done <"$RUN/new/$1.services"
  [ -s "$RUN/states" ] || whole=bad
  echo "$whole"
}

# comes_up NAME: within $patience seconds, or until that is out of the question.
comes_up() {
  while :; do
    case $(look "$1") in
      good) return 0 ;;
      bad) return 1 ;;
    esac
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 1
  done
}

# first_words ADDRESS PORT PATH WORDS: the first line of what listens there, asked for PATH where HTTP is expected.
first_words() {
  case $1 in 0.0.0.0) set -- 127.0.0.1 "$2" "$3" "$4" ;; ::) set -- ::1 "$2" "$3" "$4" ;; esac
  # shellcheck disable=SC2016 # bash's own variables
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 1
    case $4 in HTTP/*) printf "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" "$3" >&3 ;; esac
    IFS= read -r line <&3 && printf "%s\n" "$line"' first_words "$@" 2>"$RUN/refused" | tr -cd '[:print:]' | cut -c 1-200
}

# all_answer NAME: within $patience seconds. $RUN/words has what was seen of the first that does not.
all_answer() {
  while read -r address port path words; do
    while :; do
      heard=$(first_words "$address" "$port" "$path" "$words")
      case $heard in "$words"*) break ;; esac
      if [ "$(date +%s)" -ge "$deadline" ]; then
        { echo "$address:$port says '$heard' in place of '$words'"; cut -d : -f 3- "$RUN/refused"; } >"$RUN/words"
        return 1
      fi
      sleep 1
    done
  done <"$RUN/new/$1.answers"
}

# all_proved NAME: within $patience seconds.
all_proved() {
  while read -r service script text; do
    wanted=$(printf '%s' "$text" | base64 -d)
    while :; do
      id=$(containers_of "$1" "$service" | head -n 1)
      timeout 60 docker exec "$id" sh -c "$(printf '%s' "$script" | base64 -d)" >"$RUN/proof" 2>&1 </dev/null
      grep -qF -e "$wanted" "$RUN/proof" && break
      if [ "$(date +%s)" -ge "$deadline" ]; then
        { echo "$service: its answer does not have '$wanted':"; tail -n 3 "$RUN/proof"; } >"$RUN/words"
        return 1
      fi
      sleep 1
    done
  done <"$RUN/new/$1.proofs"
}

# tell NAME STAGE AFTER: why it failed, with what is in $RUN/words.
tell() {
  printf '@@ %s %s %s\n' "$1" "$2" "$3"
  sed "s|$RUN/alone/||g; s|$staged/||g; s/^/  /" "$RUN/words"
  failed=1
}

# last_words NAME: of the containers that are not as they must be: their state, Docker's error and their last lines.
last_words() {
  while read -r service status code health oom restarts id; do
    printf '%s: %s, exit code %s, health %s, restarts %s\n' "$service" "$status" "$code" "$health" "$restarts"
    [ "$oom" != true ] || echo "$service: OOMKilled"
    docker container inspect --format '{{.State.Error}}' "$id" 2>/dev/null | grep .
    docker container inspect --format '{{if .State.Health}}{{range .State.Health.Log}}{{.Output}}{{end}}{{end}}' "$id" 2>/dev/null |
      grep . | tail -n 3
    docker logs --tail 15 "$id" 2>&1
  done <"$RUN/troubled"
  while read -r service _; do
    rest_of "$service" "$RUN/states" >/dev/null || echo "$service: no container of it is there"
  done <"$RUN/new/$1.services"
}

# listeners: who listens on the ports that Docker's words name.
listeners() {
  grep -Eo '(Bind for|bind host port|bind host port for|listen tcp[46]?|port TCP) ([0-9.]+|\[[0-9a-f:]*\]):[0-9]+' "$RUN/words" |
    sed 's/.*://' | sort -u |
    while read -r port; do
      ss -Hltnp "sport = :$port" 2>/dev/null | sed -n "s/.*users:((\"\([^\"]*\)\",pid=\([0-9]*\).*/port $port: \1 (pid \2) listens/p" |
        head -n 1
    done
}

# settle NAME: where a change was broken off, what was there before counts again.
settle() {
  [ -e "$former/$1" ] || return 0
  echo 'a change was broken off' >"$former/$1/$unfinished"
  rm -rf "${base:?}/$1"
  mv "$former/$1" "$base/$1"
}

# place NAME: those of its files that others look for in places of theirs, Docker a CDI specification and udev a rule; or
# takes them away where the project has none.
place() {
  put "$base/$1/cdi.yaml" "/etc/cdi/gpu-hosts-$1.yaml"
  put "$base/$1/udev.rules" "/etc/udev/rules.d/70-gpu-hosts-$1.rules"
}

# put FROM TO: neither reads a file of another ending.
put() {
  if [ -e "$1" ]; then
    mkdir -p "${2%/*}" && cp "$1" "$2.new" && mv -f "$2.new" "$2"
  else
    rm -f "$2"
  fi
}

# restore NAME: the definition from before, and its containers, or none where there was none; says what became of it.
restore() {
  if [ ! -e "$former/$1" ]; then
    if compose "$1" "$base/$1" down --remove-orphans --timeout 10 >>"$RUN/log" 2>&1; then
      rm -rf "${base:?}/$1"
      place "$1"
      echo none
    else
      echo broken
    fi
    return
  fi
  rm -rf "${base:?}/$1"
  mv "$former/$1" "$base/$1" || { echo broken && return; }
  place "$1"
  # shellcheck disable=SC2086
  if compose "$1" "$base/$1" up --detach --remove-orphans $recreate >>"$RUN/log" 2>&1; then
    rm -f "$base/$1/$unfinished"
    echo former
  else
    echo broken
  fi
}

# unknown_services NAME: those that are named to us, and that the owner's file does not have, which is in $RUN/alone.
unknown_services() {
  # compose.yaml is a text of ours: its services are two blanks in.
  {
    cut -d ' ' -f 1 "$RUN/new/$1.services"
    sed -n 's/^  "\{0,1\}\([^ "]*\)"\{0,1\}:$/\1/p' "$staged/$1/compose.yaml" 2>/dev/null
  } | sort -u | while read -r service; do
    grep -qxF -e "$service" "$RUN/services" || echo "$service"
  done
}

# check NAME: whether Docker Compose can read what is staged, and all services that are named to us are in it.
check() {
  if [ -e "$staged/$1/owner.yaml" ]; then
    mkdir -p "$data/$1" "$RUN/alone" && cp "$staged/$1/owner.yaml" "$RUN/alone/"
    compose "$1" "$RUN/alone" config --services >"$RUN/services" 2>"$RUN/words" || {
      tell "$1" config unchanged
      return 1
    }
    unknown=$(unknown_services "$1" | tr '\n' ' ')
    if [ -n "$unknown" ]; then
      printf 'it has no %s\nit has: %s\n' "$unknown" "$(tr '\n' ' ' <"$RUN/services")" >"$RUN/words"
      tell "$1" services unchanged
      return 1
    fi
  fi
  compose "$1" "$staged/$1" config --quiet >"$RUN/words" 2>&1 && return 0
  tell "$1" config unchanged
  return 1
}

# build NAME IMAGE: with the host's own names and routes, and by the proxies that the daemon has for itself: those are not
# its builds' (docs.docker.com, "Daemon proxy configuration").
build() {
  [ "$2" != - ] || return 0
  docker image inspect "$2" >/dev/null 2>&1 && return 0
  # Blanks after its commas are right for the daemon, not for every program that a build runs.
  docker info --format '{{with .HTTPProxy}}http_proxy={{println .}}{{end}}{{with .HTTPSProxy}}https_proxy={{println .}}{{end
}}{{with .NoProxy}}no_proxy={{println .}}{{end}}' 2>/dev/null | tr -d ' ' >"$RUN/proxies"
  ! grep -q xxxxx@ "$RUN/proxies" || : >"$RUN/proxies" # a password, which Docker does not tell
  project=$1 image=$2
  set -- build --network host
  while read -r one; do [ -z "$one" ] || set -- "$@" --build-arg "$one"; done <"$RUN/proxies"
  timeout 1800 docker "$@" --tag "$image" "$staged/$project" >"$RUN/log" 2>&1 && return 0
  tail -n 20 "$RUN/log" >"$RUN/words"
  tell "$project" build unchanged
  return 1
}

# start NAME: the stage at which it failed; nothing where it came up.
start() {
  place "$1"
  # shellcheck disable=SC2086 # an option or nothing
  compose "$1" "$base/$1" up --detach --remove-orphans $recreate >"$RUN/words" 2>&1 || {
    tail -n 20 "$RUN/words" >"$RUN/log"
    { cat "$RUN/log"; listeners; } >"$RUN/words.all"
    look "$1" >/dev/null
    last_words "$1" >>"$RUN/words.all"
    mv "$RUN/words.all" "$RUN/words"
    echo up
    return
  }
  deadline=$(($(date +%s) + patience))
  if ! comes_up "$1"; then
    last_words "$1" >"$RUN/words"
    echo state
  elif ! all_answer "$1"; then
    look "$1" >/dev/null
    while read -r service _ _ _ _ _ _ id; do
      docker logs --tail 10 "$id" 2>&1 | sed "s/^/$service: /"
    done <"$RUN/states" >>"$RUN/words"
    echo answer
  elif ! all_proved "$1"; then
    echo proof
  fi
}

# parts_of FOLDER: what is there besides compose files: Docker Compose does not see when it changes.
parts_of() {
  [ ! -e "$1" ] || (cd "$1" && find . -type f ! -name compose.yaml ! -name owner.yaml ! -name "$services" -exec sha256sum {} + | sort)
}

# wake NAME: `up` leaves containers alone that run and are of no use.
wake() {
  look "$1" >/dev/null
  while read -r _ status _ health _ _ id; do
    case $status:$health in restarting:* | running:unhealthy) docker restart --time 10 "$id" >/dev/null 2>&1 ;; esac
  done <"$RUN/troubled"
}

# bring_up NAME SECONDS IMAGE
bring_up() {
  patience=$2
  settle "$1"
  if ! check "$1" || ! build "$1" "$3"; then return; fi
  recreate=
  if [ -e "$base/$1" ]; then
    wake "$1"
    [ "$(parts_of "$base/$1")" = "$(parts_of "$staged/$1")" ] || recreate=--force-recreate
    echo 'a change has begun' >"$base/$1/$unfinished"
    mv "$base/$1" "$former/$1"
  fi
  echo 'a change has begun' >"$staged/$1/$unfinished"
  mv "$staged/$1" "$base/$1"
  stage=$(start "$1")
  if [ -n "$stage" ]; then
    tell "$1" "$stage" "$(restore "$1")"
    return
  fi
  # For the probe to read, whatever root's umask.
  [ ! -e "$base/$1/owner.yaml" ] || (umask 022 && cut -d ' ' -f 1 "$RUN/states" | sort -u >"$base/$1/$services")
  [ ! -e "$former/$1" ] || mv "$former/$1" "$former/$1.old"
  rm -rf "${former:?}/$1.old"
  rm -f "$base/$1/$unfinished"
  printf '@@ %s good\n' "$1"
}

# take_down NAME: its containers and its definition. Its volumes and its folder below $data stay.
take_down() {
  folder=$base/$1
  [ -e "$folder" ] || folder=$former/$1
  compose "$1" "$folder" down --remove-orphans >"$RUN/words" 2>&1
  # A file that cannot be read any more is no reason to leave them there.
  # shellcheck disable=SC2046
  set -- "$1" $(docker ps --all --quiet --filter "label=$project_label=gpu-hosts-$1")
  name=$1
  shift
  if [ $# = 0 ] || docker rm --force "$@" >>"$RUN/words" 2>&1; then
    # The folder goes last: while it is there, another run knows of it.
    rm -rf "${former:?}/$name" "$base/$name/cdi.yaml" "$base/$name/udev.rules"
    place "$name"
    rm -rf "${base:?}/$name"
    printf '@@ %s removed\n' "$name"
  else
    tell "$name" remove broken
  fi
}

# stage_files: $RUN/input as folders below $staged, and the other lines as files below $RUN/new.
stage_files() {
  rm -rf "$staged" "$former"/*.old
  mkdir -p "$base" "$staged" "$former" "$RUN/new" && : >"$RUN/projects" || return 1
  while read -r kind first second third; do
    case $kind in
      project)
        project=$first
        printf '%s %s %s\n' "$first" "$second" "$third" >>"$RUN/projects"
        mkdir "$staged/$project" && : >"$RUN/new/$project.services" && : >"$RUN/new/$project.answers" &&
          : >"$RUN/new/$project.proofs" || return 1
        ;;
      file)
        file=$staged/$project/$first
        # The owner's own may have passwords in it; others may be for whoever runs in a container.
        case $first in owner.yaml) mask=077 ;; *) mask=022 ;; esac
        mkdir -p "${file%/*}" && (umask "$mask" && printf '%s' "$second" | base64 -d >"$file") || return 1
        sync "$file"
        ;;
      service) printf '%s %s\n' "$first" "$second" >>"$RUN/new/$project.services" ;;
      answer) printf '%s %s %s\n' "$first" "$second" "$third" >>"$RUN/new/$project.answers" ;;
      proof) printf '%s %s %s\n' "$first" "$second" "$third" >>"$RUN/new/$project.proofs" ;;
    esac
  done <"$RUN/input"
}

need_docker "containers"
if docker compose version >/dev/null 2>&1; then
  tool='docker compose'
elif docker-compose version >/dev/null 2>&1; then
  tool=docker-compose
else
  fail "containers: not done, because there is no Docker Compose" "neither docker compose nor docker-compose answers" \
    "see above what became of its package"
fi
stage_files 2>"$RUN/log" || fail "the containers' files cannot be written; nothing was changed" "$(short "$RUN/log")" \
  "see df and mount of /etc on the host, then run this again"
for name; do
  : >"$RUN/new/$name.services"
  take_down "$name"
done
while read -r name seconds image; do
  bring_up "$name" "$seconds" "$image" </dev/null
done <"$RUN/projects"
rm -rf "$staged"
rmdir "$former" 2>/dev/null
if command -v ufw >/dev/null && ufw status 2>/dev/null | grep -q 'Status: active'; then echo '@@ - firewall ufw'; fi
if firewall-cmd --state >/dev/null 2>&1; then echo '@@ - firewall firewalld'; fi
exit "$failed"

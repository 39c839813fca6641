# shellcheck shell=sh
# Sets up the site cache. Arguments: ADDRESS NAME IMAGE FOLDER CERTIFICATE (yes: make one), then remove=CONTAINER and
# env=NAME=VALUE, any number. $RUN/input has a line for each cache to start: NAME PORT RECORD CREDENTIALS HTPASSWD, the
# last three in base64, or "-" for none. NAME.yml in $dir is the record of what runs, and is written when that has
# answered; the registry itself reads NAME.config, which has the upstream's credentials besides.
address=$1 name=$2 image=$3 folder=$4 certificate=$5
shift 5
dir=/etc/gpu-hosts/registry-cache
label=gpu-hosts.registry-cache
log=$RUN/log
patience=30 # seconds in which a cache must answer
failed=0
case $address in *:*) host="[$address]" ;; *) host=$address ;; esac

exists() {
  docker container inspect "$1" >/dev/null 2>&1
}

# state_of CONTAINER: "true SUM" or "false SUM"; empty where it is not there.
state_of() {
  docker container inspect --format "{{.State.Running}} {{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null
}

# take_away CONTAINER: one of ours, with its files. What it has stored stays.
take_away() {
  if exists "$1"; then
    [ -n "$(docker container inspect --format "{{index .Config.Labels \"$label\"}}" "$1")" ] || {
      explain "the container $1 was left" "it is not ours: it has no label $label" "remove or rename it yourself"
      failed=1
      return
    }
    docker rm -f "$1" >"$log" 2>&1 || {
      explain "the container $1 cannot be removed" "$(short "$log" 3)" "docker rm -f $1 on the host"
      failed=1
      return
    }
  fi
  name_of=${1#gpu-hosts-cache-}
  # What a change that was cut off has put aside goes as well: it may have the upstream's password.
  docker rm -f "${1}_before" >/dev/null 2>&1
  rm -f "$dir/$name_of.yml" "$dir/$name_of.config" "$dir/$name_of.htpasswd" "$dir/$name_of.config.before" "$dir/$name_of.htpasswd.before"
  printf 'removed %s; its images are still in %s\n' "$1" "$folder/$name_of"
}

# status_of PORT: of an answer to GET /v2/ over TLS, from a server that our authority vouches for. Hosts without curl are
# many, and openssl is there: it has made the certificate.
status_of() {
  printf 'GET /v2/ HTTP/1.0\r\nHost: %s\r\n\r\n' "$host:$1" | timeout 10 openssl s_client -quiet -connect "$host:$1" \
    -CAfile "$dir/ca.crt" -verify_ip "$address" -verify_return_error 2>"$RUN/tls" | sed -n '1s|^HTTP/[0-9.]* \([0-9]*\).*|\1|p'
}

# answers CONTAINER PORT STATUS: within $patience seconds, or until there is another answer or the container ends.
answers() {
  deadline=$(($(date +%s) + patience))
  while :; do
    status=$(status_of "$2")
    [ "$status" != "$3" ] || return 0
    # A registry that is up and is not as wished stays so.
    case $status$(state_of "$1") in true*) ;; *) return 1 ;; esac
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 1
  done
}

# go_back NAME: to the container and the files from before, where a change of them began and did not end.
go_back() {
  container=gpu-hosts-cache-$1
  for file in "$dir/$1.config" "$dir/$1.htpasswd"; do
    [ ! -e "$file.before" ] || mv -f "$file.before" "$file"
  done
  exists "${container}_before" || return 0
  docker rm -f "$container" >/dev/null 2>&1
  docker rename "${container}_before" "$container" && docker start "$container" >/dev/null
}

# start_container NAME SUM
start_container() {
  set -- "$1" "$2" --volume "$dir/$1.config:/etc/gpu-hosts/registry.yml:ro" --volume "$folder/$1:/var/lib/registry" \
    --volume "$dir/server.crt:/etc/gpu-hosts/server.crt:ro" --volume "$dir/server.key:/etc/gpu-hosts/server.key:ro"
  [ ! -e "$dir/$1.htpasswd" ] || set -- "$@" --volume "$dir/$1.htpasswd:/etc/gpu-hosts/htpasswd:ro"
  # Whom the host trusts, the cache trusts as well: a site's own registries, a proxy that looks into TLS. Go reads this
  # path first (crypto/x509/root_linux.go).
  for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    [ -s "$bundle" ] || continue
    set -- "$@" --volume "$(readlink -f "$bundle"):/etc/ssl/certs/ca-certificates.crt:ro"
    break
  done
  container=gpu-hosts-cache-$1 sum=$2
  shift 2
  # Root without any capability, for the files that root alone may read. A daemon with userns-remap gives neither those
  # nor the host's network to its other containers. The keys' SELinux type stays as it is. Distribution 3 sends traces
  # unless it is told not to.
  docker run --detach --name "$container" --label "$label=$sum" --network host --userns host --security-opt label=disable \
    --read-only --cap-drop ALL --security-opt no-new-privileges --memory 1g --pids-limit 1000 \
    --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 \
    --env OTEL_TRACES_EXPORTER=none --env-file "$RUN/environment" "$@" \
    "$image" serve /etc/gpu-hosts/registry.yml >/dev/null 2>"$log"
}

# decode BASE64 FILE: readable by root alone. No file for "-".
decode() {
  rm -f "$2"
  [ "$1" = - ] || (umask 077 && printf '%s' "$1" | base64 -d >"$2")
}

# swap NAME: the new files for the old ones, the running container aside.
swap() {
  for file in config htpasswd; do
    [ ! -e "$dir/$1.$file" ] || mv -f "$dir/$1.$file" "$dir/$1.$file.before" || return 1
    [ ! -e "$RUN/$1.$file" ] || place "$RUN/$1.$file" "$dir/$1.$file" 0600 || return 1
  done
  exists "gpu-hosts-cache-$1" || return 0
  docker rename "gpu-hosts-cache-$1" "gpu-hosts-cache-${1}_before" && docker stop "gpu-hosts-cache-${1}_before" >/dev/null
}

# keep NAME: what answers; that is put on record last.
keep() {
  docker update --restart unless-stopped "gpu-hosts-cache-$1" >/dev/null 2>"$log" || return 1
  docker rm -f "gpu-hosts-cache-${1}_before" >/dev/null 2>&1
  rm -f "$dir/$1.config.before" "$dir/$1.htpasswd.before"
  place "$RUN/$1.yml" "$dir/$1.yml" 0600
}

# words_of CONTAINER: why it does not answer: Docker's words or openssl's, the registry's errors, or else its last lines.
words_of() {
  docker logs "$1" >"$RUN/said" 2>&1
  {
    grep -E '^panic:|level=(error|fatal|panic)' "$RUN/said" | sed 's/^time="[^"]*" //' | head -n 2
    grep -h 'verify error' "$RUN/tls" 2>/dev/null
    cat "$log"
  } >"$RUN/words"
  [ -s "$RUN/words" ] || tail -n 3 "$RUN/said" >"$RUN/words"
  short "$RUN/words"
}

# advise TEXT: what to do about the words of a registry or of Docker.
advise() {
  case $1 in
    *"address already in use"*) echo "another program of this host listens there: choose another port for it" ;;
    *"assign requested address"*) echo "set registry_cache_address to an address that this host has" ;;
    *"no such host"* | *"dial tcp"* | *x509* | *"server misbehaving"*)
      echo "the host must reach the registry: look at its names, proxy and trusted certificates" ;;
    *) echo "docker logs of such a container says more; registry_cache_image must be a distribution registry of 2.8 or 3" ;;
  esac
}

# set_up NAME PORT RECORD CREDENTIALS HTPASSWD
set_up() {
  container=gpu-hosts-cache-$1
  decode "$3" "$RUN/$1.yml"
  decode "$4" "$RUN/credentials"
  decode "$5" "$RUN/$1.htpasswd"
  expected=200
  [ "$5" = - ] || expected=401
  sum=$(cat "$RUN/$1.yml" "$dir/server.crt" | sha256sum | cut -d ' ' -f 1)
  if [ -s "$dir/$1.config" ] && [ "$(state_of "$container")" = "true $sum" ] && answers "$container" "$2" "$expected"; then
    keep "$1"
    return
  fi
  go_back "$1"
  rm -f "$dir/$1.yml"
  mkdir -p "$folder/$1" && chmod 0700 "$folder/$1" &&
    (umask 077 && cat "$RUN/$1.yml" >"$RUN/$1.config" && { [ "$4" = - ] || cat "$RUN/credentials" >>"$RUN/$1.config"; }) || return 1
  : >"$log"
  if swap "$1" && start_container "$1" "$sum" && answers "$container" "$2" "$expected"; then
    keep "$1"
    return
  fi
  seen="GET /v2/ gave ${status:-no answer}: $(words_of "$container")"
  docker rm -f "$container" >/dev/null 2>&1
  rm -f "$dir/$1.config" "$dir/$1.htpasswd"
  go_back "$1"
  case $(state_of "$container") in
    true*) now="the one from before was started again" ;;
    *) now="nothing listens there now" ;;
  esac
  explain "the cache of $1 does not answer at https://$host:$2; $now" "$seen" "$(advise "$seen")"
  return 1
}

need_docker "registry cache"
[ ! -s "$RUN/input" ] || command -v openssl >/dev/null || fail "the cache cannot be set up; nothing was changed" \
  "there is no openssl on this host" "install the package openssl"
mkdir -p "$dir" "$folder" && chmod 0700 "$dir" || fail "the cache has no place" "$dir, $folder" "look at their file systems"
if [ -s "$RUN/input" ] && ! docker image inspect "$image" >/dev/null 2>&1; then
  timeout 1800 docker pull --quiet "$image" >"$log" 2>&1 || fail "the cache's image cannot be pulled; nothing was changed" \
    "$image: $(short "$log" 3)" "check registry_cache_image and the host's network"
fi
: >"$RUN/environment"
for argument; do
  case $argument in
    remove=*) take_away "${argument#remove=}" ;;
    env=*) printf '%s\n' "${argument#env=}" >>"$RUN/environment" ;;
  esac
done
[ "$certificate" != yes ] || make_certificate "$address" "$name"
while read -r cache port record credentials htpasswd; do
  status=''
  set_up "$cache" "$port" "$record" "$credentials" "$htpasswd" || failed=1
done <"$RUN/input"
exit "$failed"

# shellcheck shell=sh
# Loads an archive of docker save and checks that its images are there. Arguments: ARCHIVE, REMOVE (yes: the file goes,
# whatever happens), then the images' names, "--", and their ids.
archive=$1 remove=$2
shift 2
# shellcheck disable=SC2064
[ "$remove" != yes ] || trap 'rm -f "$archive"' EXIT
trap 'exit 1' HUP INT TERM
need_docker images
if ! docker load --quiet --input "$archive" >"$RUN/log" 2>&1; then
  fail "an archive cannot be loaded" "$(short "$RUN/log")" \
    "docker load says why: free some space, or make the archive anew with docker save -o"
fi
# containerd's store calls an image by its manifest's digest, which an archive's configuration does not tell.
store=$(docker info --format '{{.DriverStatus}}' 2>/dev/null)
names=' '
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  names="$names$1 "
  shift
done
shift
for name in $names; do
  id=$(docker image inspect --format '{{.Id}}' "$name" 2>"$RUN/log") ||
    fail "image $name is not there, though its archive was loaded" "$(short "$RUN/log")" "make the archive anew"
  case $store in *io.containerd.snapshotter*) continue ;; esac
  among "$id" "$@" || fail "image $name is another one than that of the archive" "its id is $id" "run this again"
done
case $store in *io.containerd.snapshotter*) exit 0 ;; esac
for id; do
  docker image inspect "$id" >/dev/null 2>&1 ||
    fail "an image is not there, though its archive was loaded" "no image has the id $id" "make the archive anew"
done

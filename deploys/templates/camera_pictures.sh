# shellcheck shell=sh
# Two pictures from each camera, as they come. Arguments, six a camera: NODE TOOL FORMAT WIDTH HEIGHT SENSOR, where TOOL
# is v4l2 or argus, and FORMAT is - for the one it is set to. For each, lines that begin with: camera, then holder where
# somebody has it open and it is left alone, time, status, said, format (v4l2-ctl's words), data (base64), and end.
limit=20 # seconds a camera may take; some need several for the first picture
most=33554432 # bytes
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT PIPE TERM

# holder NODE: a process that has it open, named. In a container it may have another name: what counts is its number.
# A desktop's PipeWire has every camera open, used or not (planning/cameras.py, IDLE); where it streams, the driver
# refuses us (EBUSY).
holder() {
  # What is no device has the number 0:0, as all files below /dev/shm have.
  [ -c "$1" ] || return 1
  number=$(stat -L -c %t:%T "$1")
  for pid in $(find /proc/[0-9]*/fd -lname '/dev/*' -exec stat -L -c '%t:%T %n' {} + 2>/dev/null |
    sed -n "s|^$number /proc/\([0-9]*\)/.*|\1|p"); do
    case $(name_process "$pid") in
      'pipewire (pid '* | 'wireplumber (pid '*) ;;
      *) name_process "$pid" && return ;;
    esac
  done
  return 1
}

# from_v4l2 NODE FORMAT WIDTH HEIGHT: passes over the first ones, in which a camera finds its exposure.
from_v4l2() {
  wanted=
  [ "$2" = - ] || wanted=--set-fmt-video=width=$3,height=$4,pixelformat=$2
  timeout -k 5 "$limit" v4l2-ctl -d "$1" ${wanted:+"$wanted"} --stream-mmap --stream-skip=15 --stream-count=2 \
    --stream-to="$folder/data"
}

# from_argus SENSOR WIDTH HEIGHT: by the image processor of a Jetson.
from_argus() {
  timeout -k 5 "$limit" gst-launch-1.0 -q nvarguscamerasrc "sensor-id=$1" num-buffers=17 ! \
    "video/x-raw(memory:NVMM),width=$2,height=$3" ! nvjpegenc ! multifilesink "location=$folder/%04d.jpg" max-files=2 ||
    return
  cat "$folder"/*.jpg >"$folder/data"
}

# take NODE TOOL FORMAT WIDTH HEIGHT SENSOR
take() {
  echo "time $(date +%s)"
  if holder=$(holder "$1"); then
    printf 'holder %s\n' "$holder"
    return
  fi
  if [ "$2" = argus ]; then
    from_argus "$6" "$4" "$5"
  else
    from_v4l2 "$1" "$3" "$4" "$5"
  fi >"$folder/said" 2>&1
  echo "status $?"
  # v4l2-ctl writes a < for each frame.
  printf 'said %s\n' "$(short "$folder/said" | tr -d '<' | tr -cd '[:print:]')"
  [ -s "$folder/data" ] || return
  [ "$2" = argus ] || timeout -k 5 5 v4l2-ctl -d "$1" --get-fmt-video 2>/dev/null | sed 's/^/format /'
  head -c "$most" "$folder/data" | base64 -w 4096 | sed 's/^/data /'
}

while [ $# -ge 6 ]; do
  echo "camera $1"
  take "$1" "$2" "$3" "$4" "$5" "$6"
  echo end
  rm -f "$folder"/*
  shift 6
done

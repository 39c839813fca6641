# shellcheck shell=sh
# Initialises CUDA in a container and records what came of it. Arguments: IMAGE AS-ASKED, IMAGE PINNED, MECHANISM, DRIVER
# (empty: the loaded module's version). The record is what the next run compares with. Exits 0: the verdict judges.
image=$1 pinned=$2 mechanism=$3 driver=$4
out=$RUN/out
name=gpu-hosts-proof-${RUN##*.}

program='
import ctypes, sys
try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError as error:
    sys.exit(print("libcuda: %s" % error))
code = cuda.cuInit(0)
if code:
    sys.exit(print("cuInit %d" % code))
count, names = ctypes.c_int(), []
cuda.cuDeviceGetCount(ctypes.byref(count))
for index in range(count.value):
    device, name = ctypes.c_int(), ctypes.create_string_buffer(100)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, 100, device)
    names.append(name.value.decode())
print("ok" if count.value else "no devices")
print(count.value)
print(", ".join(names))
'
need_docker "gpu proof"
if ! docker image inspect "$pinned" >/dev/null 2>&1; then
  printf 'the image %s is not there: nothing was proved\n' "$image"
  exit 0
fi
# shellcheck disable=SC2086
timeout 120 docker run --rm --name "$name" --network none $mechanism -e NVIDIA_VISIBLE_DEVICES=all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility \
  "$pinned" python3 -c "$program" >"$out" 2>"$RUN/error" </dev/null
rc=$?
result=$(sed -n 1p "$out")
case $rc in
  0) ;;
  124)
    result="docker run took more than 120 s"
    docker rm -f "$name" >/dev/null 2>&1
    ;;
  127) result="python3 is not in the image" ;;
  *) result="docker run: $(short "$RUN/error" 2)" ;;
esac
[ -n "$driver" ] || driver=$(cat /sys/module/nvidia/version 2>/dev/null)
stat=$(cat /proc/1/stat)
stat=${stat##*) }
# Field 22 of /proc/1/stat, PID 1's start time, is the 20th after the name.
boot=$(cat /proc/sys/kernel/random/boot_id)/$(printf '%s' "$stat" | cut -d ' ' -f 20)
{
  printf 'time=%s\nresult=%s\nimage=%s\n' "$(date +%s)" "$result" "$image"
  printf 'driver=%s\nboot=%s\nmechanism=%s\n' "$driver" "$boot" "$mechanism"
  devices=$(sed -n 2p "$out")
  printf 'devices=%s\nnames=%s\n' "${devices:-0}" "$(sed -n 3p "$out")"
} >"$RUN/proof"
chmod 0644 "$RUN/proof" && mv -f "$RUN/proof" "$state/proof"
printf '%s\n' "$result"

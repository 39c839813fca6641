# shellcheck shell=sh
# Initialises CUDA in a container, once by each mechanism, and records what came of it. Arguments: IMAGE AS-ASKED, IMAGE
# PINNED, IMAGE TAGGED (its name where it was pulled by another one; may be empty), DRIVER (empty: the loaded module's version), MECHANISM that must work, others that are tried. The record is what
# the next run compares with. Exits 0: the verdict judges.
image=$1 pinned=$2 tagged=$3 driver=$4
shift 4
out=$RUN/out
name=gpu-hosts-proof-${RUN##*.}

# Lines 1 to 3: result, number of devices, their names. Line 4: what shows who injected the GPU. CDI specifications of
# NVIDIA's toolkit, files and those that its runtime makes in memory, set NVIDIA_VISIBLE_DEVICES=void (from 1.15.0 on:
# nvidia-container-toolkit, pkg/nvcdi); the legacy hook leaves it and bind-mounts the device nodes (libnvidia-container,
# src/nvc_mount.c), which runc makes with mknod for CDI.
program='
import ctypes, os, sys
mounts = open("/proc/self/mountinfo").read().split()
sign = "void" if os.environ.get("NVIDIA_VISIBLE_DEVICES") == "void" else "bind" if {"/dev/nvidiactl", "/dev/dxg"} & set(mounts) else ""
def end(*lines):
    print(*[*lines, "", ""][:3], sign, sep="\n")
    sys.exit()
try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError as error:
    end("libcuda: %s" % error)
code = cuda.cuInit(0)
if code:
    end("cuInit %d" % code)
count, names = ctypes.c_int(), []
cuda.cuDeviceGetCount(ctypes.byref(count))
for index in range(count.value):
    device, name = ctypes.c_int(), ctypes.create_string_buffer(100)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, 100, device)
    names.append(name.value.decode())
end("ok" if count.value else "no devices", count.value, ", ".join(names))
'

# is_tegra: as the toolkit's mode auto asks, which takes csv then (go-nvlib, pkg/nvlib/info).
is_tegra() {
  [ -f /etc/nv_tegra_release ] || grep -qi '^tegra' /sys/devices/soc0/family 2>/dev/null
}

# name_injection MECHANISM SIGN: in NVIDIA's words.
name_injection() {
  case "$1 $2" in
    --device*) echo CDI ;;
    --runtime=*" void") if is_tegra; then echo csv; else echo CDI; fi ;;
    *" void") echo CDI ;;
    *" bind") echo 'legacy hook' ;;
    --runtime=*) if is_tegra; then echo csv; else echo 'runtime (auto)'; fi ;;
  esac
}

# run_container MECHANISM: leaves $out, $result and, where the GPU was there, $injected.
run_container() {
  visible=''
  # The runtime goes by this variable; with the others Docker itself says which GPUs.
  case $1 in --runtime=*) visible='-e NVIDIA_VISIBLE_DEVICES=all' ;; esac
  # shellcheck disable=SC2086
  began=$(date +%s)
  # The client hands SIGTERM on to the container, whose first process leaves it unheard: only SIGKILL ends the waiting.
  timeout -s KILL 120 docker run --rm --name "$name" --network none $1 $visible -e NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    "$pinned" python3 -c "$program" >"$out" 2>"$RUN/error" </dev/null
  rc=$?
  # A container that was killed for memory exits 137 too.
  if [ "$rc" = 137 ] && [ $(($(date +%s) - began)) -ge 120 ]; then rc=124; fi
  [ "$rc" = 0 ] || timeout -s KILL 60 docker rm -f "$name" >/dev/null 2>&1
  # docker ends its errors with an empty line and a hint at --help; | separates the fields of the record.
  sed '/docker run --help/d; /^[[:space:]]*$/d; s/^docker: //' "$RUN/error" | tr '|' '/' >"$RUN/why"
  why=$(short "$RUN/why" 3)
  # docker exits 127 for any file that is not found: the program, or a library that a CDI specification mounts.
  case "$rc $why" in
    "0 "*) result=$(sed -n 1p "$out" | tr '|' '/') ;;
    "124 "*) result="docker run took more than 120 s" ;;
    "127 "*python3*) result="python3 is not in the image" ;;
    *) result="docker run: ${why% }" ;;
  esac
  injected=''
  [ "$result" != ok ] || injected=$(name_injection "$1" "$(sed -n 4p "$out")")
  printf '%s: %s%s\n' "$1" "$result" "${injected:+, injected by $injected}"
}

need_docker "gpu proof"
if [ -n "$tagged" ] && ! timeout 60 docker image inspect "$pinned" >/dev/null 2>&1; then
  case $(timeout 60 docker image inspect --format '{{json .RepoDigests}}' "$tagged" 2>/dev/null) in
    *"@${pinned##*@}\""*) pinned=$tagged ;;
  esac
fi
if ! timeout 60 docker image inspect "$pinned" >/dev/null 2>&1; then
  printf 'the image %s is not there: nothing was proved\n' "$image"
  exit 0
fi
[ -n "$driver" ] || driver=$(cat /sys/module/nvidia/version 2>/dev/null)
stat=$(cat /proc/1/stat)
stat=${stat##*) }
# Field 22 of /proc/1/stat, PID 1's start time, is the 20th after the name.
boot=$(cat /proc/sys/kernel/random/boot_id)/$(printf '%s' "$stat" | cut -d ' ' -f 20)
run_container "$1"
{
  printf 'result=%s\nimage=%s\ndriver=%s\nboot=%s\nmechanism=%s\n' "$result" "$image" "$driver" "$boot" "$1"
  devices=$(sed -n 2p "$out")
  printf 'devices=%s\nnames=%s\ninjected=%s\n' "${devices:-0}" "$(sed -n 3p "$out")" "$injected"
} >"$RUN/proof"
shift
for mechanism; do
  run_container "$mechanism"
  printf 'also=%s|%s|%s\n' "$mechanism" "$result" "$injected" >>"$RUN/proof"
done
printf 'time=%s\n' "$(date +%s)" >>"$RUN/proof"
chmod 0644 "$RUN/proof" && mv -f "$RUN/proof" "$state/proof"

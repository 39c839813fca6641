# shellcheck shell=sh
# Has the CDI specification of NVIDIA's GPUs made anew, for the driver that is loaded now. Arguments: DRIVER (empty: the
# loaded module's version; L4T's and Windows' is in no library's name, and not looked for), then specifications to put
# aside. Those of another driver go aside too: CDI reads .yaml and .json only. Docker watches the folders by itself.
version=$1
shift
service=nvidia-cdi-refresh.service # of toolkit 1.18.0 and newer: makes it at boot and when the driver's modules change
file=/etc/cdi/nvidia.yaml
log=$RUN/log
aside=''
[ -n "$version" ] || version=$(cat /sys/module/nvidia/version 2>/dev/null)
case $version in [0-9]*) ;; *) version='' ;; esac

# outdated: specifications of NVIDIA's GPUs that name no library of the driver.
outdated() {
  [ -n "$version" ] || return 0
  for spec in /etc/cdi/*.yaml /etc/cdi/*.json /var/run/cdi/*.yaml /var/run/cdi/*.json; do
    grep -Eq 'kind"?: *"?nvidia\.com/gpu("|,|$)' "$spec" 2>/dev/null || continue
    grep -qF ".so.$version" "$spec" || printf '%s\n' "$spec"
  done
}

is_listed() {
  nvidia-ctk cdi list 2>"$log" | grep -qx 'nvidia.com/gpu=all'
}

# give_up WHAT SEEN TODO: with the specifications as they were, where no new one has taken their place.
give_up() {
  for spec in $aside; do
    [ -e "$spec" ] || mv -f "$spec.gpu-hosts.bak" "$spec"
  done
  fail "$@"
}

command -v nvidia-ctk >/dev/null || fail "CDI: no specification was made" "there is no nvidia-ctk" \
  "install NVIDIA Container Toolkit: run deploys/container_toolkit.py"
for spec in "$@" $(outdated); do
  [ -e "$spec" ] || continue
  mv -f "$spec" "$spec.gpu-hosts.bak" || give_up "CDI: an outdated specification cannot be put aside" "$spec" "look at its folder"
  aside="$aside $spec"
done

if systemctl cat "$service" >/dev/null 2>&1; then
  timeout 120 systemctl restart "$service" >"$log" 2>&1 || give_up "CDI: $service failed" \
    "$(journalctl -u "$service" -n 4 --no-pager -o cat 2>/dev/null | tr -s ' \n' ' ')" "journalctl -u $service on the host says why"
fi
# Its conditions skip the service where nvidia-smi is not in its places: on WSL 2 before 1.19.1.
if ! is_listed; then
  timeout 120 nvidia-ctk cdi generate --output="$RUN/nvidia.yaml" >"$log" 2>&1 || give_up \
    "CDI: nvidia-ctk cannot make a specification" "$(short "$log")" "run nvidia-ctk cdi generate on the host; nvidia-smi must work first"
  mkdir -p "${file%/*}" && cp "$RUN/nvidia.yaml" "$file.gpu-hosts.new" && mv -f "$file.gpu-hosts.new" "$file" || give_up \
    "CDI: the specification cannot be written" "$file" "see df ${file%/*} on the host"
fi
is_listed || give_up "CDI: there is no device nvidia.com/gpu=all" "nvidia-ctk cdi list: $(short "$log")" \
  "look at /etc/cdi and /var/run/cdi on the host"
left=$(outdated | tr '\n' ' ')
[ -z "$left" ] || give_up "CDI: the specification is not of the loaded driver" "no library of $version in $left" \
  "look at nvidia-smi and at journalctl -u $service on the host"

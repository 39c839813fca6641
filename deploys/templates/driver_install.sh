# shellcheck shell=sh
# Installs the NVIDIA driver. Arguments: SOURCE_PATH (or empty) RELEASE LEAD FIRST-PACKAGES PACKAGES.
source=$1 release=$2 lead=$3 first=$4 packages=$5
log=$RUN/log

[ -z "$source" ] || [ -e "$source" ] || fail "driver: its repository is not there" "$source was not added, see above" \
  "mend what is said above, then run this again"
audit_packages
# The pinning package must be there before apt chooses versions.
# shellcheck disable=SC2086
[ -z "$first" ] || install_packages "$log" $first || fail "driver: $release cannot be pinned" \
  "apt-get install $first: $(short "$log")" "check the driver's repository"
candidate=$(apt-cache policy "$lead" | sed -n 's/^  Candidate: //p')
case ${candidate#*:} in
  "$release" | "$release"[.-]*) ;;
  *) fail "driver: $release is not what apt would install" "candidate of $lead is ${candidate:-none}" \
    "apt-cache policy $lead on the host shows where it comes from" ;;
esac
# shellcheck disable=SC2086
if ! install_packages "$log" $packages; then
  quote "$log"
  fail "driver: its packages cannot be installed" "apt-get install $packages: $(short "$log")" \
    "run that command on the host and mend what it says"
fi
# dkms exits 0 when a module was not built (open-gpu-kernel-modules issue 805): only the module itself is proof.
kernel=$(next_kernel)
version=$(modinfo -k "$kernel" -F version nvidia 2>/dev/null | head -n 1)
case $version in
  "$release" | "$release".*) ;;
  *)
    find /var/lib/dkms -name make.log -exec cat {} + 2>/dev/null | grep -iE 'error|differs|GPL-incompatible' >"$RUN/make.log"
    quote "$log"
    quote "$RUN/make.log"
    fail "driver: the packages are installed, but kernel $kernel has no nvidia module of $release" \
      "modinfo says ${version:-nothing}" \
      "dkms status and the make.log under /var/lib/dkms say why; headers and compiler must fit the kernel"
    ;;
esac

# nouveau, and nova_core of Linux 6.15 and later, would take the GPU at the next boot, out of the initramfs already
# (ansible-role-nvidia-driver issue 44, Olares issue 3963). Only now: without the module above nothing would drive it.
blacklist=/etc/modprobe.d/gpu-hosts-nouveau.conf
lines='# Written by pyinfra-gpu-hosts, with the NVIDIA driver.
blacklist nouveau
blacklist nova_core
blacklist nova_drm
options nouveau modeset=0'
if [ "$(cat "$blacklist" 2>/dev/null)" != "$lines" ]; then
  printf '%s\n' "$lines" >"$blacklist"
  if command -v update-initramfs >/dev/null; then
    update-initramfs -u -k all >"$log" 2>&1
  elif command -v dracut >/dev/null; then
    dracut --force --regenerate-all >"$log" 2>&1
  fi || {
    quote "$log"
    fail "driver: it is installed, but the initramfs cannot be rebuilt without nouveau" "$(short "$log")" \
      "look at free space in /boot, then rebuild it on the host: update-initramfs -u -k all (or dracut)"
  }
fi
if [ ! -d /sys/module/nvidia ] && [ ! -d /sys/module/nouveau ] && [ ! -d /sys/module/nova_core ]; then
  modprobe nvidia 2>/dev/null || true
fi
printf 'driver %s installed for kernel %s\n' "$version" "$kernel"

# shellcheck shell=sh
# Put before the scripts that install or remove the NVIDIA driver, whatever the package manager: their arguments, the
# proof that a module is there, nouveau and the initramfs, services. Arguments: KEY=VALUE; a list is words with blanks between.
source='' release='' lead='' first='' packages='' remove='' allowed='' hold='' unhold='' services='' same_version=''
preferences='' stream=''
for word in "$@"; do
  case ${word%%=*} in
    source | release | lead | first | packages | remove | allowed | hold | unhold | services | same_version | preferences | stream)
      eval "${word%%=*}=\${word#*=}"
      ;;
  esac
done
log=$RUN/log
blacklist=/etc/modprobe.d/gpu-hosts-nouveau.conf
# nova_core: Linux 6.15 and later (Olares issue 3963).
blacklist_lines='# Written by pyinfra-gpu-hosts, with the NVIDIA driver.
blacklist nouveau
blacklist nova_core
blacklist nova_drm
options nouveau modeset=0'
# nouveau last: nvidia-boot-update of NVIDIA's rpms cuts "rd.driver.blacklist=nouveau" out of the line wherever it stands, and
# a rest of ",nova_core" would become part of the option before it.
blacklist_arguments='rd.driver.blacklist=nova_core,nouveau modprobe.blacklist=nova_core,nouveau'

# begin_change, end_change: between them stands a mark. The next run finds it and does everything again: a driver that is
# there already is kept otherwise, without holds or with what a removal left behind.
unfinished=$state/driver/unfinished
begin_change() {
  mkdir -p "${unfinished%/*}" && : >"$unfinished" && return 0
  fail "driver: nothing was changed, because the host's disk cannot be written" "$unfinished cannot be made" \
    "df -h /var on the host; then run this again"
}

end_change() {
  rm -f "$unfinished"
}

need_source() {
  [ -z "$source" ] || [ -e "$source" ] || fail "driver: its repository is not there" "$source was not added, see above" \
    "mend what is said above, then run this again"
}

# build_modules: the packages build for the running kernel only, whatever boots next, and only when they come in.
build_modules() {
  command -v dkms >/dev/null || return 0
  dkms autoinstall -k "$(next_kernel)" >"$RUN/dkms" 2>&1 || true
}

# prove_module: $version of the nvidia module for the $kernel that boots next, which must be of the release.
# dkms exits 0 when a module was not built (open-gpu-kernel-modules issue 805): only the module itself is proof.
prove_module() {
  kernel=$(next_kernel)
  version=$(module_version "$kernel")
  case $version in
    "$release" | "$release".*) return 0 ;;
  esac
  find /var/lib/dkms -name make.log -exec cat {} + 2>/dev/null | grep -iE 'error|differs|GPL-incompatible' >"$RUN/make.log"
  quote "$log"
  quote "$RUN/make.log"
  quote "$RUN/dkms"
  fail "driver: the packages are installed, but kernel $kernel has no nvidia module of $release" \
    "modinfo says ${version:-nothing}" \
    "dkms status and the make.log under /var/lib/dkms say why; headers and compiler must fit the kernel"
}

rebuild_initramfs() {
  if command -v update-initramfs >/dev/null; then
    update-initramfs -u -k all >"$log" 2>&1
  elif command -v dracut >/dev/null; then
    dracut --force --regenerate-all >"$log" 2>&1
  fi
}

# tell_boot_loader OPTION: dracut's kernel command line, which counts before any file of the root does. OPTION is
# --args or --remove-args.
tell_boot_loader() {
  command -v dracut >/dev/null && command -v grubby >/dev/null || return 0
  grubby --update-kernel=ALL "$1=$blacklist_arguments" >"$log" 2>&1
}

# keep_nouveau_away: nouveau and nova_core would take the GPU at the next boot, out of the initramfs already
# (ansible-role-nvidia-driver issue 44). Not before the module is proved: nothing else would drive the GPU.
keep_nouveau_away() {
  [ "$(cat "$blacklist" 2>/dev/null)" != "$blacklist_lines" ] || return 0
  printf '%s\n' "$blacklist_lines" >"$blacklist"
  tell_boot_loader --args && rebuild_initramfs && return 0
  # The next run must find this undone.
  rm -f "$blacklist"
  quote "$log"
  fail "driver: it is installed, but the initramfs cannot be rebuilt without nouveau" "$(short "$log")" \
    "look at free space in /boot, then rebuild it on the host: update-initramfs -u -k all (or dracut)"
}

# let_nouveau_back: the contrary, once no NVIDIA driver is there any more.
let_nouveau_back() {
  [ -e "$blacklist" ] || return 0
  mv "$blacklist" "$RUN/blacklist" || exit 1
  tell_boot_loader --remove-args && rebuild_initramfs && return 0
  cp "$RUN/blacklist" "$blacklist"
  quote "$log"
  fail "driver: it is removed, but the initramfs cannot be rebuilt" "$(short "$log")" \
    "look at free space in /boot, then rebuild it on the host: update-initramfs -u -k all (or dracut)"
}

load_module() {
  if [ ! -d /sys/module/nvidia ] && [ ! -d /sys/module/nouveau ] && [ ! -d /sys/module/nova_core ]; then
    modprobe nvidia 2>/dev/null || true
  fi
}

# start_services: at every boot from now on; and now, where the module that is loaded is the one that is installed.
start_services() {
  for unit in $services; do
    systemctl enable "$unit" >"$log" 2>&1 || fail "driver: it is installed, but $unit is not enabled" \
      "systemctl enable $unit: $(short "$log")" "look at systemctl status $unit on the host"
    [ "$(cat /sys/module/nvidia/version 2>/dev/null)" = "$version" ] || continue
    systemctl start "$unit" >"$log" 2>&1 || fail "driver: it is installed, but $unit does not start" \
      "$(journalctl -u "$unit" -n 4 --no-pager -o cat 2>/dev/null | tr -s ' \n' ' ')" "look at journalctl -u $unit on the host"
  done
}

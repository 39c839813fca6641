#!/bin/sh
# What is true of this machine, for facts/parse. Changes nothing, needs no privilege (and says what it could not
# read), never fails. Every file is read below $ROOT; commands come from PATH. Its arguments are the name of the
# user who logged in and their SSH_CONNECTION, which a probe that runs through sudo cannot see.
#
# The answer is ASCII lines: "@@ gpu-host-probe 1", then sections "@@ NAME" of KEY=VALUE lines, then "@@ end".
# A key may repeat. Whole files travel in base64, because their content is anybody's; every other byte that is not
# printable ASCII becomes "?". Only full-line comments here: facts/host.py leaves them out when it sends the text.

LC_ALL=C
DOCKER_CONTEXT=default
export LC_ALL DOCKER_CONTEXT
unset DOCKER_HOST
PATH=$PATH:${ROOT-}/usr/local/sbin:${ROOT-}/usr/sbin:${ROOT-}/sbin:${ROOT-}/snap/bin
exec </dev/null
cd "${ROOT:-/}" || exit 0

has() { command -v "$1" >/dev/null; }
say() { printf '%s=%s\n' "$1" "$2"; }
section() { printf '@@ %s\n' "$1"; }
# A machine that is emulated and busy takes eleven seconds for `docker info`.
limited() { "$@"; }
if has timeout; then limited() { timeout 30 "$@"; }; fi

# line FILE: its first line into $line. Builtins only: there are hundreds of these.
line() {
    line=
    [ -r "$1" ] && [ ! -d "$1" ] || return 1
    IFS= read -r line <"$1" || [ -n "$line" ]
}

# tell KEY FILE
tell() { if line "$2"; then say "$1" "$line"; fi; }

# each KEY: one KEY=… for every line of standard input
each() { while IFS= read -r each || [ -n "$each" ]; do say "$1" "$each"; done; }

# text FILE: all of it
text() {
    [ -f "$1" ] || return 0
    if [ -r "$1" ] && has base64; then
        say file "$(base64 <"$1" | tr -d '\n') /$1"
    else
        say unread "/$1: not readable"
    fi
}

# host USER
host() {
    section host
    say user "$1"
    release=$(uname -r)
    say machine "$(uname -m)"
    say release "$release"
    say time "$(date +%s)"
    identity=$(id)
    say id "$identity"
    tell name proc/sys/kernel/hostname
    tell boot_id proc/sys/kernel/random/boot_id
    if line proc/1/stat; then say pid1_stat "${line##*) }"; fi
    tell init proc/1/comm
    tell cpus sys/devices/system/cpu/online
    # Its first line is MemTotal.
    tell memory proc/meminfo
    text etc/os-release
    [ -f etc/os-release ] || text usr/lib/os-release
    text etc/nv_tegra_release
    text etc/nv_boot_control.conf
    if has ip; then
        limited ip -o addr show scope global | each address
    else
        say hostname_addresses "$(limited hostname -I)"
    fi
}

marks() {
    section marks
    for path in .dockerenv run/.containerenv run/systemd/system init run/WSL dev/dxg \
        proc/sys/fs/binfmt_misc/WSLInterop proc/sys/fs/binfmt_misc/WSLInterop-late \
        usr/lib/wsl/lib/libcuda.so.1 sys/firmware/acpi etc/dgx-release \
        usr/bin/nvidia-installer usr/bin/nvidia-uninstall var/lib/nvidia/log \
        sys/module/nouveau sys/module/nova_core \
        sys/fs/cgroup/cgroup.controllers sys/fs/cgroup/devices tmp/argus_socket \
        usr/bin/docker usr/bin/dockerd usr/local/bin/dockerd usr/sbin/dockerd snap/bin/docker \
        var/lib/gpu-hosts/daemon-json/pending var/lib/gpu-hosts/sshd/pending \
        var/lib/gpu-hosts/driver/unfinished; do
        if [ -e "$path" ] || [ -L "$path" ]; then say mark "/$path"; fi
    done
    if [ -d var/lib/gpu-hosts ] && [ ! -x var/lib/gpu-hosts ]; then
        say unread "/var/lib/gpu-hosts: not readable"
    fi
    text var/lib/gpu-hosts/proof
    text var/lib/gpu-hosts/daemon-json/ledger
}

board() {
    section board
    tree=sys/firmware/devicetree/base
    [ -r "$tree/compatible" ] || tree=proc/device-tree
    for property in model compatible nvidia,boardids; do
        if [ -r "$tree/$property" ]; then
            tr '\0' '\n' <"$tree/$property" | each "tree_${property#nvidia,}"
        fi
    done
    tell soc_family sys/devices/soc0/family
    tell chip_id sys/module/tegra_fuse/parameters/tegra_chip_id
    for field in sys_vendor product_name product_family; do
        tell "dmi_$field" "sys/class/dmi/id/$field"
    done
}

gpus() {
    section gpus
    if [ -d sys/bus/pci/devices ]; then say bus pci; fi
    for device in sys/bus/pci/devices/*; do
        line "$device/vendor"
        [ "$line" = 0x10de ] || continue
        line "$device/class"
        case $line in
            0x0300* | 0x0302* | 0x0380*) kind=gpu ;;
            0x0680*) kind=nvswitch ;;
            *) continue ;;
        esac
        line "$device/device"
        ids=$line
        line "$device/subsystem_vendor"
        ids="$ids $line"
        line "$device/subsystem_device"
        say "$kind" "${device##*/} $ids:$line $(readlink "$device/driver")"
    done
    # NVLink 5 shows itself by network functions of its own (gpu-driver-container, nvlink5 detection).
    grep -l SW_MNG sys/class/infiniband/*/device/vpd | each nvlink5
    variable=sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
    # Four bytes of attributes come first, then 0 or 1.
    if [ -r "$variable" ]; then
        say secure_boot "$(od -An -t u1 -j4 -N1 "$variable" | tr -d ' \n')"
    elif [ ! -e "$variable" ] && [ -e "sys/firmware/efi/efivars/BootOrder-${variable#*-}" ]; then
        # Firmware that knows no Secure Boot, as many virtual machines have it.
        say secure_boot none
    elif [ -d sys/firmware/efi ]; then
        say unread "Secure Boot: its EFI variable is not readable"
    else
        say secure_boot none
    fi
    # What DKMS signs modules with: Ubuntu's place, everybody else's.
    for key in var/lib/shim-signed/mok/MOK.der var/lib/dkms/mok.pub; do
        [ ! -e "$key" ] || say module_key "/$key $(limited mokutil --test-key "$key" | tr '\n' ' ')"
    done
}

# Processes that have the GPU open, in containers too.
gpu_users() {
    [ -d sys/module/nvidia ] || return 0
    last=
    limited find proc/[0-9]*/fd -lname '/dev/nvidia*' | while IFS=/ read -r _ pid _; do
        [ "$pid" != "$last" ] || continue
        last=$pid
        line "proc/$pid/comm"
        say gpu_user "$pid $line"
    done
}

# service KEY UNIT: its state, where there is such a unit
service() {
    [ -e run/systemd/system ] || return 0
    for folder in etc/systemd/system usr/lib/systemd/system lib/systemd/system; do
        if [ -e "$folder/$2.service" ]; then
            say "$1" "$2 $(limited systemctl is-active "$2")"
            break
        fi
    done
}

driver() {
    section driver
    tell loaded sys/module/nvidia/version
    tell nvrm proc/driver/nvidia/version
    for image in boot/vmlinuz-*; do
        if [ -e "$image" ]; then say vmlinuz "${image#boot/vmlinuz-}"; fi
    done
    for modules in lib/modules/*; do
        [ -d "$modules" ] || continue
        kernel=${modules##*/}
        say modules "$kernel"
        if [ -e "$modules/build" ]; then say headers "$kernel"; fi
        # Debian's own packages give the module names of theirs and hide `nvidia` from modinfo.
        limited modinfo -k "$kernel" nvidia nvidia-current nvidia-current-open \
            nvidia-tesla-535 nvidia-tesla-470 | while read -r field value; do
            case $field in version: | license:) say "disk_${field%:}" "$kernel $value" ;; esac
        done
    done
    if has dmesg; then
        limited dmesg 2>/dev/null | grep -E 'NVRM|nvidia|nova_core' | tail -n 20 | each kernel_log
    fi
    gpu_users
    service service nvidia-persistenced
    service service nvidia-fabricmanager
    for instance in proc/driver/nvidia/capabilities/gpu*/mig/gi*; do
        if [ -d "$instance" ]; then say mig "$instance"; fi
    done
    stat -c '%Y %n' var/lib/dpkg/info/*nvidia*.list | each changed
    for folder in usr/lib usr/lib64 usr/lib/*-linux-gnu* usr/lib/*-linux-gnu*/nvidia \
        usr/lib/*-linux-gnu*/nvidia/current; do
        for library in "$folder"/libnvidia-ml.so.*.* "$folder"/libcuda.so.*.*; do
            if [ -e "$library" ]; then say library "/$library"; fi
        done
        if [ -L "$folder/libnvidia-ml.so.1" ]; then
            say linked "$(readlink "$folder/libnvidia-ml.so.1")"
        fi
    done
}

display() {
    section display
    for unit in etc/systemd/system usr/lib/systemd/system lib/systemd/system; do
        if [ -L "$unit/default.target" ]; then
            say default_target "$(readlink "$unit/default.target") $unit"
            break
        fi
    done
    if [ -L etc/systemd/system/display-manager.service ]; then
        say display_manager "$(readlink etc/systemd/system/display-manager.service)"
    fi
    for status in sys/class/drm/card*-*/status; do
        line "$status"
        [ "$line" = connected ] || continue
        connector=${status%/status}
        connector=${connector##*/}
        line "sys/class/drm/${connector%%-*}/device/vendor"
        say connected "$connector $line"
    done
    # Beside each session's file is a FIFO, NAME.ref.
    for session in run/systemd/sessions/*; do
        [ -f "$session" ] || continue
        say session "$(grep -E '^(USER|TYPE|CLASS|STATE)=' "$session" | tr '\n' ' ')"
    done
}

# What `sshd -T` says with the given words. From 7.7 to 8.0 it says nothing without -C where the files have a Match block
# (github.com/CISOfy/lynis/issues/548).
sshd_says() {
    key=$1
    shift
    limited "$sshd" -T "$@" | grep -E "^($keys) " | each "$key"
}

# add_sshd_files FILE...: to $files, those that there are, and what they include. A path that is not absolute is below
# /etc/ssh (sshd_config(5), Include).
add_sshd_files() {
    for file in "$@"; do
        case "$files " in *" $file "*) continue ;; esac
        [ -f "$file" ] || continue
        files="$files $file"
        includes=$(grep -i -E '^[[:space:]]*include[[:space:]=]' "$file" | tr '="\r' '   ')
        patterns=
        set -f
        for word in $includes; do
            case $word in
                /*) patterns="$patterns ${word#/}" ;;
                *) patterns="$patterns etc/ssh/$word" ;;
            esac
        done
        set +f
        # The shell looks for what they match.
        # shellcheck disable=SC2086
        add_sshd_files $patterns
    done
}

# sshd_units FILE...: files that changed after sshd read them wait for the next reload; ssh.socket may listen in sshd's
# place. What a link leads to changes without the link.
sshd_units() {
    { stat -c '%Z %n' "$@"; stat -L -c '%Z %n' "$@"; } | each changed
    for path in usr/lib/systemd/system-generators/sshd-socket-generator \
        lib/systemd/system-generators/sshd-socket-generator; do
        if [ -e "$path" ]; then say generator "/$path"; fi
    done
    [ -e run/systemd/system ] || return 0
    # A time zone's short name, such as CST, may mean several.
    limited env TZ=UTC systemctl show ssh.service sshd.service ssh.socket sshd.socket \
        --property=Id,ActiveState,StateChangeTimestamp,StateChangeTimestampMonotonic,Listen | each unit
    tell uptime proc/uptime
}

# sshd_settings USER CONNECTION: the session's SSH_CONNECTION, "client port server port"
sshd_settings() {
    section sshd
    keys='x11forwarding|x11displayoffset|printmotd|printlastlog|tcpkeepalive|addressfamily|disableforwarding'
    if [ -r etc/ssh/sshd_config ]; then
        say main "$(sha256sum <etc/ssh/sshd_config)"
    elif [ -e etc/ssh/sshd_config ]; then
        say unread "/etc/ssh/sshd_config: not readable"
    fi
    files=
    add_sshd_files etc/ssh/sshd_config etc/ssh/sshd_config.d/*.conf
    # shellcheck disable=SC2086
    grep -n -i -E "^[[:space:]]*(include|match|listenaddress|$keys)([[:space:]=]|\$)|^# (BEGIN|END) pyinfra-gpu-hosts" \
        $files /dev/null | tr -d '\r' | each config
    for path in usr/bin/xauth usr/local/bin/xauth; do
        if [ -e "$path" ]; then say xauth "/$path"; fi
    done
    if grep -q '^0\{31\}1 .* lo$' proc/net/if_inet6; then
        say ipv6 loopback
    elif [ -e proc/net/if_inet6 ]; then
        say ipv6 'no loopback'
    fi
    say connection "$2"
    # shellcheck disable=SC2086
    sshd_units $files
    # Some versions of sshd insist on being called by their full path.
    sshd=$(command -v sshd) || return 0
    limited "$sshd" -V 2>&1 | each version
    nobody=user=-,host=-,addr=0.0.0.0,laddr=0.0.0.0,lport=22
    # -T wants host keys and /run/sshd, which is not there before the first connection to ssh.socket; -G, which there is
    # from 9.3 on, does not.
    { sshd_says effective | grep . || sshd_says effective -C "$nobody" | grep . || sshd_says effective -G | grep .; } ||
        limited "$sshd" -t 2>&1 | tr -d '\r' | each complaint
    user=$1
    # shellcheck disable=SC2086
    set -- $2
    [ $# -ne 4 ] || sshd_says login -C "user=$user,host=$1,addr=$1,laddr=$3,lport=$4"
}

# camera NODE: what sysfs has of it, and what it can do, which udev has asked it once (systemd, v4l_id.c)
camera() {
    about=sys/class/video4linux/${1##*/}
    line "$about/dev"
    abilities=-
    case $udev in
        *"c$line:E:ID_V4L_CAPABILITIES="*)
            abilities=${udev#*"c$line:E:ID_V4L_CAPABILITIES="}
            abilities=${abilities%%[!a-z_:]*}
            ;;
    esac
    line "$about/index"
    index=${line:--}
    line "$about/device/../idVendor"
    usb=${line:--}
    line "$about/device/../idProduct"
    usb=$usb:$line
    driver=$(readlink "$about/device/driver")
    driver=${driver##*/}
    line "$about/name"
    say camera "/$1 $index $abilities $usb ${driver:--} $line"
}

# camera_formats NODE: not of nodes that give no pictures
camera_formats() {
    case $abilities in *:capture:* | -) ;; *) return 0 ;; esac
    if [ ! -r "$1" ]; then
        say unread "/$1: not readable"
        return 0
    fi
    limited v4l2-ctl -d "/$1" --info --list-formats-ext |
        grep -oE "(Driver name|Device Caps|Size: ).*|(Pixel Format *|\[[0-9]+\]): '[^']*'" | while read -r each; do
        say camera_v4l "/$1 $each"
    done
}

cameras() {
    section cameras
    udev=$(grep '^E:ID_V4L_CAPABILITIES=' run/udev/data/c81:* /dev/null | tr '\n' ' ')
    nodes=
    for node in dev/video[0-9]*; do
        [ -e "$node" ] || continue
        nodes="$nodes $node"
        camera "$node"
        ! has v4l2-ctl || camera_formats "$node"
    done
    [ -n "$nodes" ] || return 0
    # shellcheck disable=SC2086
    stat -c '%t:%T %a %G /%n' $nodes | each camera_node
    for link in dev/v4l/by-id/* dev/v4l/by-path/*; do
        if [ -L "$link" ]; then say camera_link "$(readlink "$link") /$link"; fi
    done
    # By the device's number: in a container the node may have another name.
    case $identity in 'uid=0'[!0-9]*) ;; *) say unread "who has a camera open: only root may see that" ;; esac
    limited find proc/[0-9]*/fd -lname '/dev/*' ! -lname /dev/null ! -lname '/dev/pts/*' ! -lname '/dev/nvidia*' \
        -exec stat -L -c '%t:%T %n' {} + | grep '^51:' | while IFS=/ read -r number pid _; do
        line "proc/$pid/comm"
        say camera_user "${number% *} $pid $line"
    done
}

# Whether the running kernel has the driver of USB cameras. A kernel without a list of modules, as WSL's is, may tell
# its configuration.
uvcvideo() {
    modules=lib/modules/$release
    if [ -d sys/module/uvcvideo ]; then
        say uvcvideo yes
    elif [ -r "$modules/modules.dep" ]; then
        if grep -q '/uvcvideo\.ko' "$modules/modules.dep" "$modules/modules.builtin"; then
            say uvcvideo yes
        else
            say uvcvideo no
        fi
    elif [ -r proc/config.gz ] && has gzip && ! gzip -dc proc/config.gz | grep -q '^CONFIG_USB_VIDEO_CLASS='; then
        say uvcvideo no
    fi
}

devices() {
    section devices
    if [ -d sys/bus/usb/devices ]; then
        say bus usb
        {
            cd sys/bus/usb/devices || exit
            grep '' ./*/idVendor ./*/idProduct ./*/manufacturer ./*/product ./*/speed ./*/bDeviceClass \
                ./*/bInterfaceClass
            grep '^DRIVER=' ./*/uevent
        } | each usb
    fi
    if [ -r proc/asound/cards ]; then
        each sound_card <proc/asound/cards
        each sound_pcm <proc/asound/pcm
    fi
    grep -E '^(video|audio|render):' etc/group | each group
    uvcvideo
    service argus nvargus-daemon
    for node in dev/davinci[0-9]*; do
        if [ -e "$node" ]; then say ascend "/$node"; fi
    done
}

# What listens on TCP, with processes where ss is there and may see them.
listeners() {
    section listeners
    listening=$(limited ss -ltnp | grep '^LISTEN ')
    if [ -n "$listening" ]; then
        printf '%s\n' "$listening" | each listener
    else
        # 0A is TCP_LISTEN (Linux, include/net/tcp_states.h).
        grep -hE '^ *[0-9]+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:0000 0A ' proc/net/tcp proc/net/tcp6 | each tcp
    fi
}

# Packages of interest, and every package that is held or not in order ("iF", "iU", "..R").
dpkg_packages() {
    has dpkg-query || return 0
    say architecture "$(limited dpkg --print-architecture)"
    names='[^|]*nvidia|cuda-|libcuda|libnvcuvid|libnvoptix|libnvsdm|nvlsm|nvlink5'
    names="$names|docker|containerd|runc|moby-|podman-docker|linux-headers-|linux-image-|xauth|curl"
    names="$names|ca-certificates|gpg|gnupg|kmod|dkms|openssh-server"
    names="$names|linux-(generic|virtual|lowlatency|aws|azure|gcp|oracle|nvidia)"
    # shellcheck disable=SC2016
    limited dpkg-query -W -f='${db:Status-Abbrev}|${Package}|${Version}\n' |
        grep -E "^(h|.[HUFWt]|..R)|^.i.\\|($names)" | each dpkg
    say dpkg_read yes
}

rpm_packages() {
    has rpm || return 0
    limited rpm -qa --qf '%{NAME}|%{EPOCH}:%{VERSION}-%{RELEASE}|%{VENDOR}|%{INSTALLTIME}\n' '*nvidia*' 'cuda-*' 'libcuda*' 'libnvsdm*' 'nvlsm*' \
        'docker*' 'containerd*' 'runc' 'moby*' 'podman-docker' 'kernel-devel*' 'kernel-headers' 'xorg-x11-xauth' \
        'xauth' 'curl*' 'ca-certificates' 'gnupg2' 'kmod' 'dkms' 'openssh-server' 'epel-release' \
        '*versionlock*' 'dnf-plugins-core' | each rpm
    text etc/dnf/plugins/versionlock.list
    text etc/dnf/modules.d/nvidia-driver.module
    for file in etc/yum.repos.d/*.repo; do text "$file"; done
}

# Who holds the lock of dpkg or apt: the lock files' inodes, looked up in the kernel's table of locks. dnf's locks hold
# the process id of who made them, and stay behind where it was killed.
lock_holder() {
    for file in var/cache/dnf/metadata_lock.pid var/cache/dnf/download_lock.pid var/lib/dnf/rpmdb_lock.pid; do
        line "$file" || continue
        pid=$line
        line "proc/$pid/comm" && say lock "$pid $line"
    done
    inodes=$(stat -c %i var/lib/dpkg/lock-frontend var/lib/dpkg/lock var/lib/apt/lists/lock | tr '\n' ' ')
    if [ -z "$inodes" ] || [ ! -r proc/locks ]; then return 0; fi
    while read -r _ kind _ _ pid place _; do
        if [ "$kind" = '->' ]; then continue; fi
        case " $inodes" in
            *" ${place##*:} "*) line "proc/$pid/comm" && say lock "$pid $line" ;;
        esac
    done <proc/locks
}

packages() {
    section packages
    for command in apt-get dnf zypper; do
        if has "$command"; then say manager "$command"; fi
    done
    for command in curl gpg modinfo v4l2-ctl guvcview; do
        if has "$command"; then say tool "$command"; fi
    done
    dpkg_packages
    rpm_packages
    lock_holder
    text etc/apt/sources.list
    for file in etc/apt/sources.list.d/*.list etc/apt/sources.list.d/*.sources; do text "$file"; done
    sha256sum etc/apt/keyrings/* usr/share/keyrings/* | each keyring
}

# dockerd's process id into $daemon
dockerd_pid() { line run/docker.pid && daemon=$line && line "proc/$daemon/comm" && [ "$line" = dockerd ]; }

# Where images go, into $place, and whether containerd keeps them, into $store: from $info and $root.
images_place() {
    place=$root
    case $info in *'["driver-type","io.containerd.snapshotter.v1"]'*) store=yes ;; *) return 0 ;; esac
    case $info in
        # dockerd's own containerd (moby, libcontainerd/supervisor)
        *'/docker/containerd/containerd.sock"'*) place=$root/containerd/daemon ;;
        *)
            place=$(grep -m 1 '^root *= *["'"']/" etc/containerd/config.toml)
            place=${place#*[\"\']}
            place=${place%%[\"\']*}
            place=${place:-/var/lib/containerd}
            ;;
    esac
}

# The layers that are there, each by 16 digits of its digest: there can be a thousand.
layers() {
    driver=${info#*'"Driver":"'}
    folder=${root#/}/image/${driver%%'"'*}/layerdb
    [ -z "$store" ] || folder=${place#/}/io.containerd.content.v1.content/blobs
    [ -r "$folder" ] && [ -x "$folder" ] || return 0
    printf layers=
    for layer in "$folder"/sha256/*; do
        layer=${layer##*/}
        printf '%s ' "${layer%"${layer#????????????????}"}"
    done
    echo
}

# A pull of ours goes on while its lock is held. The lock of a shell is in the kernel's table by the process of flock(1),
# which is long gone, so whoever has the file open is who holds it.
pulling() {
    [ -e var/lib/gpu-hosts/images/lock ] || return 0
    limited find proc/[0-9]*/fd -lname /var/lib/gpu-hosts/images/lock | while IFS=/ read -r _ pid _; do
        line "proc/$pid/comm" && say pulling "$pid $line"
    done
}

# Never a key or a password: those are in files of other names.
registry_files() {
    for file in etc/docker/certs.d/*/hosts.toml etc/docker/certs.d/*/*.crt \
        etc/gpu-hosts/registry-cache/*.yml etc/gpu-hosts/registry-cache/ca.crt; do
        text "$file"
    done
    certificate=etc/gpu-hosts/registry-cache/server.crt
    if [ -r "$certificate" ]; then
        limited openssl x509 -noout -enddate -ext subjectAltName -in "$certificate" | each cache_certificate
    fi
}

# What we wrote for each container. Of files that others may not read, which may have secrets, the digest alone.
container_files() {
    [ -d etc/gpu-hosts/containers ] || return 0
    stat -c '%A %n' etc/gpu-hosts/containers/*/* etc/gpu-hosts/containers/*/*/* | while read -r mode file; do
        case $mode in
            -??????r*) text "$file" ;;
            -*)
                digest=$(sha256sum <"$file")
                say file "$(printf 'sha256:%s\n' "${digest%% *}" | base64 | tr -d '\n') /$file"
                ;;
        esac
    done
}

# Whether asking Docker is safe: where systemd holds the socket, a question would start a daemon that is stopped.
docker_listens() {
    has docker || return 1
    if dockerd_pid; then return 0; fi
    [ -e run/docker.sock ] || [ -e var/run/docker.sock ] || return 1
    if [ -e snap/bin/docker ] || [ ! -e run/systemd/system ]; then return 0; fi
    case $docker_link in */docker-desktop/*) return 0 ;; esac
    return 1
}

# Docker Compose: the plugin where there is one (docker/cli, cli-plugins/manager), else the older program in Python, which
# starts slowly: of Debian's package the version is known.
compose() {
    for folder in usr/libexec/docker usr/lib/docker usr/local/libexec/docker usr/local/lib/docker root/.docker \
        snap/docker/current/usr/libexec/docker; do
        [ -e "$folder/cli-plugins/docker-compose" ] || continue
        if version=$(limited docker compose version --short); then
            say compose "$version"
            return 0
        fi
        break
    done
    if [ ! -e var/lib/dpkg/info/docker-compose.list ] && has docker-compose; then
        say docker_compose "$(limited docker-compose version --short)"
    fi
}

docker_state() {
    info=$(limited docker info --format '{{json .}}')
    say info "$info"
    case $info in
        *'"ServerVersion":"'[0-9]*) ;;
        *)
            say unread "docker: the daemon did not answer $(id -un)"
            return 0
            ;;
    esac
    root=${info#*'"DockerRootDir":"'}
    root=${root%%'"'*}
    images_place
    layers
    if containers=$(limited docker ps -aq --no-trunc); then
        # Labels are anybody's text, so they come last and as JSON. An image without a health check has no Health.
        about='{{.ID}} {{.Name}} {{.HostConfig.Runtime}} {{.Config.Image}} {{.State.Running}} {{.Image}}'
        about="$about {{.State.Status}} {{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{end}}"
        about="$about "'[{{json (index .Config.Labels "com.docker.compose.project")}}'
        about="$about,"'{{json (index .Config.Labels "com.docker.compose.service")}}'
        about="$about,"'{{json (index .Config.Labels "com.docker.compose.oneoff")}}]'
        # shellcheck disable=SC2086
        [ -z "$containers" ] || containers=$(limited docker inspect --type container --format "$about" $containers)
        # Any other failure but timeout's is a container that has gone meanwhile.
        if [ $? = 124 ]; then
            say unread "docker: its containers were not described in time"
        else
            say listed containers
            [ -z "$containers" ] || printf '%s\n' "$containers" | each container
        fi
    fi
    compose
    if images=$(limited docker image ls --digests --no-trunc \
        --format '{{.ID}} {{.Repository}} {{.Tag}} {{.Digest}}'); then
        say listed images
        [ -z "$images" ] || printf '%s\n' "$images" | each image
    fi
}

# The user that a rootless dockerd runs as: process, name or number
rootless() {
    grep -q dockerd "proc/$1/cmdline" || return 0
    while read -r field uid _ && [ "$field" != Uid: ]; do :; done <"proc/$1/status"
    user=$(grep "^[^:]*:[^:]*:$uid:" etc/passwd)
    user=${user%%:*}
    say rootless "$1 ${user:-$uid}"
}

# Who else keeps containers. The shims of Docker, rootless too, serve containerd's namespaces moby and plugins.moby.
other_engines() {
    shims=
    for process in proc/[0-9]*; do
        line "$process/comm"
        case $line in
            conmon*) say shim "${process#proc/} $line" ;;
            containerd-shim*) shims="$shims $process/cmdline" ;;
            rootlesskit) rootless "${process#proc/}" ;;
        esac
    done
    # shellcheck disable=SC2086
    [ -z "$shims" ] || grep -LzE '^(plugins\.)?moby' $shims | while IFS=/ read -r _ pid _; do
        line "proc/$pid/comm" && say shim "$pid $line"
    done
}

# CDI specifications of GPUs, each with the first library in it whose name tells the driver's version.
cdi_specs() {
    for spec in etc/cdi/*.yaml etc/cdi/*.json var/run/cdi/*.yaml var/run/cdi/*.json; do
        [ -e "$spec" ] || continue
        [ -r "$spec" ] || say unread "/$spec: not readable"
        grep -qE '(^|")kind"?: *.?nvidia\.com/gpu([^-._a-zA-Z0-9]|$)' "$spec" || continue
        library=$(grep -oE -m1 'lib(cuda|nvidia-ml)\.so\.[0-9]{3,}(\.[0-9]+)+' "$spec")
        say cdi "${library%%[!a-z.0-9-]*} /$spec"
    done
}

# Docker Desktop's images are in a virtual machine of its own.
images_space() {
    case $docker_link in */docker-desktop/*) return 0 ;; esac
    say images_root "$place"
    for folder in "${place#/}" var/lib/docker var/lib; do
        [ -d "$folder" ] || continue
        limited df -Pk "$folder" | each free
        limited df -Pi "$folder" | each free_inodes
        break
    done
}

docker_engine() {
    section docker
    place=/var/lib/docker
    store=
    docker_link=$(readlink usr/bin/docker)
    say link "$docker_link"
    text etc/docker/daemon.json
    text var/snap/docker/current/config/daemon.json
    text etc/default/docker
    for unit in etc/systemd/system lib/systemd/system usr/lib/systemd/system; do
        if [ -e "$unit/docker.service" ] && [ -e run/systemd/system ]; then
            say unit "$(limited systemctl show -p ExecStart docker.service)"
            break
        fi
    done
    if dockerd_pid && line "proc/$daemon/stat"; then
        say dockerd "$(grep '^btime ' proc/stat) ${line##*) }"
    fi
    grep '^docker:' etc/group | each group
    other_engines
    if docker_listens; then
        say running yes
        docker_state
    elif has docker; then
        limited docker --version | each client
    fi
    images_space
    pulling
    registry_files
    container_files
    for path in usr/bin usr/local/bin usr/local/nvidia/toolkit; do
        path=$path/nvidia-container-runtime
        if [ -e "$path" ]; then say runtime "/$path"; fi
    done
    text etc/nvidia-container-runtime/config.toml
    # The last of these is the hook's older name.
    stat -c %Z usr/bin/nvidia-container-runtime-hook usr/bin/nvidia-cdi-hook usr/bin/nvidia-container-toolkit |
        each hook
    cdi_specs
}

{
    section 'gpu-host-probe 1'
    host "${1-}"
    marks
    board
    gpus
    driver
    display
    sshd_settings "${1-}" "${2-}"
    cameras
    devices
    listeners
    packages
    docker_engine
    section end
} 2>/dev/null | tr -c '\11\12\40-\176' '?'
exit 0

# shellcheck shell=sh
# What runs in a ModelBox container of ours, under Docker's init or as a service of systemd. GPU_HOSTS_START has those of
# "ssh" and "editor" that are wished for. What is in /opt/gpu-hosts are the project's files on the host, mounted read-only.
set -u
export HOME=/root
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# gateway: the address in the container's network that connections through a published port come from. The kernel writes
# it as a number in hexadecimal digits, its first byte last.
gateway() {
  while read -r _ destination address _; do
    [ "$destination" = 00000000 ] || continue
    # shellcheck disable=SC2046,SC2183
    printf '%d.%d.%d.%d\n' $(echo "$address" | sed 's/\(..\)\(..\)\(..\)\(..\)/0x\4 0x\3 0x\2 0x\1/')
    return
  done </proc/net/route
}

# start_editor: ModelBox' developer mode, which lets loopback in, and the address of SSH_CLIENT where that is set (modelbox,
# src/modelbox/server/bin/develop). Its network can be another one each time that the container is made.
start_editor() {
  service=$HOME/modelbox-service
  conf=$service/conf/modelbox.conf
  host=$(gateway)
  if [ ! -e "$conf" ]; then
    SSH_CLIENT="$host 0 0" modelbox-tool develop -s
    return
  fi
  grep -qF "\"$host\"" "$conf" || sed -i "s|^allow = \[|&\n    \"$host\",|" "$conf"
  # Process ids from before the container was stopped are other processes' now, and `stop` would end those.
  rm -f "$service"/run/*
  "$service/modelbox" start && "$service/modelbox-manager" start
}

# start_sshd: with a host key of this container's own. The image's came with it, and so everybody has them.
start_sshd() {
  key=/var/lib/gpu-hosts/ssh/ssh_host_ed25519_key
  if [ ! -s "$key" ]; then
    rm -f "$key.new" "$key.new.pub"
    ssh-keygen -q -t ed25519 -N '' -C "$(hostname)" -f "$key.new" && mv "$key.new.pub" "$key.pub" &&
      mv "$key.new" "$key" || exit 1
  fi
  mkdir -p /run/sshd
  # Without PAM nobody logs in whose password begins with "!" (sshd_config(5), UsePAM); "*" is no password either.
  sed -i 's/^root:!/root:*/' /etc/shadow
  exec /usr/sbin/sshd -D -e -f /opt/gpu-hosts/sshd_config
}

case " $GPU_HOSTS_START " in *' editor '*) start_editor || echo "the editor did not start" >&2 ;; esac
case " $GPU_HOSTS_START " in *' ssh '*) start_sshd ;; esac
exec sleep infinity

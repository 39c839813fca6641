"""What stands in the way of every area alike: hopeless hosts, and package managers that cannot be used."""

from __future__ import annotations

from deploys.planning.records import Area, Refusal
from facts.model import Host, PlatformKind

# What draws a display manager's login screen; the kernel knows the first 15 letters of a name.
LOGIN_SCREENS = (
    *("Xorg", "Xwayland", "gnome-shell", "sddm-greeter", "kwin_wayland"),
    *("lightdm-gtk-gre", "slick-greeter", "unity-greeter"),
)


# What Docker, the toolkit and the driver can be installed with.
MANAGERS = ("apt", "dnf")


def processes_at_work(host: Host) -> tuple[str, ...]:
    """Those that use the GPU, without a login screen at which nobody has logged in."""
    if host.display.sessions or not host.display.display_manager:
        return host.driver.users
    return tuple(user for user in host.driver.users if user.partition(" ")[0] not in LOGIN_SCREENS)


def refuse_host(host: Host) -> Refusal | None:
    """Why nothing at all can be done on this host, if so."""
    if host.probe == 0:
        return Refusal(
            Area.HOST,
            "the host gave no usable answer to the probe",
            "no probe output of a known format",
            "look at the connection errors above; try `pyinfra INVENTORY fact facts.host.HostProbe`",
        )
    if not host.elevated:
        return Refusal(
            Area.HOST,
            "root rights are needed, and this user does not get them",
            f"user {host.user or '?'} is not root, and sudo asks for a password it was not given or did not accept",
            "set sudo_password_env or sudo_password_file in the inventory, allow passwordless sudo, or connect as root",
        )
    return _refuse_platform(host)


def _refuse_platform(host: Host) -> Refusal | None:
    kind = host.platform.kind
    seen = "; ".join(host.platform.evidence) or f"architecture {host.platform.architecture}"
    if kind is PlatformKind.WSL1:
        return Refusal(
            Area.HOST,
            "WSL 1 has neither a GPU nor a Linux kernel for Docker",
            seen,
            "in Windows, run: wsl --set-version <distribution> 2",
        )
    if kind is PlatformKind.CONTAINER:
        return Refusal(
            Area.HOST, "this is a container, not a host", seen, "point the inventory at the machine that runs it"
        )
    if kind is PlatformKind.OTHER:
        return Refusal(
            Area.HOST,
            "this kind of machine cannot be a GPU host",
            seen,
            "supported are x86_64, arm64 servers, Jetson boards and WSL 2",
        )
    return None


def refuse_packages(host: Host, area: Area, managers: tuple[str, ...] = ("apt",)) -> Refusal | None:
    """Why no package can be installed for ``area`` on this host, if so. ``managers``: those that the area can use."""
    if host.packages.manager not in managers:
        return Refusal(
            area,
            f"packages are only installed with {' or '.join(managers)} so far",
            f"{host.os.pretty_name or 'unknown system'}, package manager {host.packages.manager or 'unknown'}",
            "install what is missing by hand (a later run keeps it), or use a system that the README lists",
        )
    if host.packages.half_configured:
        return Refusal(
            area,
            "packages are half configured, and apt would trip over them",
            "dpkg --audit names " + ", ".join(host.packages.half_configured),
            "repair them first: dpkg --configure -a, then apt-get -f install",
        )
    return refuse_init(host, area)


def refuse_init(host: Host, area: Area) -> Refusal | None:
    """Why no service can be started for ``area`` on this host, if so."""
    if host.init != "systemd":
        return Refusal(
            area,
            "services cannot be started here",
            f"PID 1 is {host.init or 'unknown'}, not systemd",
            "boot the host with systemd; on WSL, write [boot] systemd=true into /etc/wsl.conf, then wsl --shutdown",
        )
    return None

"""Your machines. Copy this to ./inventory.py, put your own in, and run

    .venv/bin/pyinfra inventory.py deploys/gpu_host.py --dry

A list is a group; a host is its name, or (name, data). Data are pyinfra's own (ssh_*) and the settings of the README.
"""

servers = [
    # Reached as root. Nothing reboots, unless you allow it here.
    ("gpu-server-1.example.org", {"ssh_user": "root", "reboot": "when-needed"}),
]

jetsons = [
    # An ordinary user whose sudo asks for a password: it comes from a variable of yours, or a file only you can read.
    # A wish for an image gets the one for this board's L4T.
    (
        "jetson-1.example.org",
        {"ssh_user": "nvidia", "sudo_password_env": "JETSON_SUDO_PASSWORD", "images": ["l4t-pytorch"]},
    ),
]

wsl = [
    # A WSL 2 distribution with sshd; sudo without a password.
    ("windows-pc.example.org", {"ssh_user": "me", "ssh_port": 2222}),
]

# Settings of a whole group: a pair of hosts and data.
# lab = (["lab-1", "lab-2"], {"images": ["nvidia/cuda:12.6.3-base-ubuntu24.04"], "sshd_x11": False})

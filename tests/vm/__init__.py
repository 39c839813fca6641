"""A virtual machine for what containers cannot show: a kernel of its own, its modules, a camera, a real reboot."""

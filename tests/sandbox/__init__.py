"""A simulated fleet: containers that boot systemd and are reached over real SSH, and the vendors' servers.

What is simulated is the hardware and the internet, never the product: see ``python -m tests.sandbox --help``.
"""

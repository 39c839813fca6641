"""What is true of a host: the probe that runs there, the records it fills, and pyinfra's view of them."""

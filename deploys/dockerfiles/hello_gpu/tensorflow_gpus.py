"""Prints the GPUs that TensorFlow finds, and fails where there are fewer than the first argument says."""

# Runs in Python 3.6 as well: that is what the images for L4T r32 have.
import sys

import tensorflow  # type: ignore[import-untyped]

wanted = int(sys.argv[1])
devices = tensorflow.config.list_physical_devices("GPU")
print(f"TensorFlow {tensorflow.__version__}")
for device in devices:
    print(f"{device.device_type} {device.name}")
print(f"{len(devices)} GPUs seen, {wanted} wanted")
sys.exit(len(devices) < wanted)

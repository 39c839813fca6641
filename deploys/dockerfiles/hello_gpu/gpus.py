"""Prints the GPUs that CUDA's driver finds, and fails where there are fewer than the first argument says."""

import ctypes
import sys

# CUDA driver API, cuda.h: CUdevice_attribute.
CAPABILITY = (75, 76)


def open_driver() -> ctypes.CDLL:
    """The driver's library, initialised. Ends the program with why there is none."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        sys.exit(f"libcuda: {error}: nothing gave this container the GPU")
    code = cuda.cuInit(0)
    if code:
        sys.exit(f"cuInit {code}: the driver's library is here, and finds no GPU that works")
    return cuda


def describe(cuda: ctypes.CDLL, index: int) -> str:
    """A GPU's name, its memory in GiB and its compute capability."""
    device, name, size = ctypes.c_int(), ctypes.create_string_buffer(100), ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, 100, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    numbers = []
    for attribute in CAPABILITY:
        number = ctypes.c_int()
        cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        numbers.append(str(number.value))
    return f"{name.value.decode()}, {size.value / 2**30:.1f} GiB, compute capability {'.'.join(numbers)}"


def main() -> None:
    """Print them all, then judge."""
    wanted = int(sys.argv[1])
    cuda, count = open_driver(), ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    for index in range(count.value):
        print(f"GPU {index}: {describe(cuda, index)}")
    print(f"{count.value} GPUs seen, {wanted} wanted")
    sys.exit(count.value < wanted)


main()

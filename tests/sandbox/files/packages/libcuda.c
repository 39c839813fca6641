/* Stand-in of the driver's libcuda.so.1: just enough to be initialised and asked what it is. No libc: it must load in any
   container. The answers are compiled in: RESULT is what cuInit returns, NAME, MAJOR and MINOR describe the device. */
typedef int CUresult;
typedef int CUdevice;

static const char name[] = NAME;

CUresult cuInit(unsigned int flags) { (void)flags; return RESULT; }
CUresult cuDriverGetVersion(int *version) { *version = 13000; return 0; }
CUresult cuDeviceGetCount(int *count) { *count = RESULT == 0; return RESULT; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) { *device = ordinal; return ordinal == 0 ? RESULT : 101; }
CUresult cuDeviceGetName(char *text, int size, CUdevice device) {
    int i = 0;
    (void)device;
    for (; i < size - 1 && name[i]; i++) text[i] = name[i];
    text[i] = 0;
    return RESULT;
}
CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
    (void)device;
    *major = MAJOR;
    *minor = MINOR;
    return RESULT;
}
CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
    (void)device; /* 75 and 76 are the compute capability's major and minor number */
    *value = attribute == 75 ? MAJOR : attribute == 76 ? MINOR : 0;
    return RESULT;
}
CUresult cuDeviceTotalMem_v2(unsigned long *bytes, CUdevice device) { (void)device; *bytes = 8UL << 30; return RESULT; }
CUresult cuGetErrorName(CUresult error, const char **text) { (void)error; *text = "CUDA_ERROR_SIMULATED"; return 0; }

/* What the three parts of the stand-in share: the two tables (functions and
 * values), the script as it is in memory, and a call in progress.
 * README.md tells how a script is written. */

#ifndef STANDIN_H
#define STANDIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    VERSION_MISMATCH = 25,
};

/* Every function that a rule can name. nvmlInit is all its versions, as a
 * caller cannot choose which one its binding takes. */
#define FUNCTIONS(X) \
    X(nvmlInit) X(nvmlShutdown) \
    X(nvmlSystemGetDriverVersion) X(nvmlSystemGetNVMLVersion) \
    X(nvmlSystemGetCudaDriverVersion) X(nvmlSystemGetCudaDriverVersion_v2) \
    X(nvmlDeviceGetCount_v2) X(nvmlDeviceGetHandleByIndex_v2) \
    X(nvmlDeviceGetHandleByPciBusId_v2) X(nvmlDeviceGetHandleByUUID) \
    X(nvmlDeviceGetIndex) X(nvmlDeviceGetName) X(nvmlDeviceGetUUID) X(nvmlDeviceGetSerial) \
    X(nvmlDeviceGetMinorNumber) X(nvmlDeviceGetPciInfo_v3) X(nvmlDeviceGetPciInfoExt) \
    X(nvmlDeviceGetMemoryInfo) X(nvmlDeviceGetMemoryInfo_v2) X(nvmlDeviceGetBAR1MemoryInfo) \
    X(nvmlDeviceGetUtilizationRates) \
    X(nvmlDeviceGetEncoderUtilization) X(nvmlDeviceGetDecoderUtilization) \
    X(nvmlDeviceGetTemperature) X(nvmlDeviceGetTemperatureV) \
    X(nvmlDeviceGetTemperatureThreshold) \
    X(nvmlDeviceGetPowerUsage) X(nvmlDeviceGetEnforcedPowerLimit) \
    X(nvmlDeviceGetPowerManagementLimit) X(nvmlDeviceGetTotalEnergyConsumption) \
    X(nvmlDeviceGetFieldValues) \
    X(nvmlDeviceGetClockInfo) X(nvmlDeviceGetMaxClockInfo) X(nvmlDeviceGetClock) \
    X(nvmlDeviceGetCurrentClocksEventReasons) X(nvmlDeviceGetCurrentClocksThrottleReasons) \
    X(nvmlDeviceGetFanSpeed) X(nvmlDeviceGetFanSpeed_v2) X(nvmlDeviceGetNumFans) \
    X(nvmlDeviceGetPerformanceState) X(nvmlDeviceGetPersistenceMode) \
    X(nvmlDeviceGetComputeMode) X(nvmlDeviceGetDisplayActive) X(nvmlDeviceGetDisplayMode) \
    X(nvmlDeviceGetDriverModel) X(nvmlDeviceGetDriverModel_v2) \
    X(nvmlDeviceGetEccMode) X(nvmlDeviceGetTotalEccErrors) X(nvmlDeviceGetMemoryErrorCounter) \
    X(nvmlDeviceGetComputeRunningProcesses) X(nvmlDeviceGetComputeRunningProcesses_v2) \
    X(nvmlDeviceGetComputeRunningProcesses_v3) \
    X(nvmlDeviceGetGraphicsRunningProcesses) X(nvmlDeviceGetGraphicsRunningProcesses_v2) \
    X(nvmlDeviceGetGraphicsRunningProcesses_v3) X(nvmlDeviceGetMPSComputeRunningProcesses_v3) \
    X(nvmlDeviceGetProcessUtilization) X(nvmlDeviceGetMemoryBusWidth) \
    X(nvmlDeviceGetCudaComputeCapability) X(nvmlDeviceGetArchitecture) X(nvmlDeviceGetBrand) \
    X(nvmlDeviceGetPcieThroughput) \
    X(nvmlDeviceGetCurrPcieLinkGeneration) X(nvmlDeviceGetCurrPcieLinkWidth) \
    X(nvmlDeviceGetMaxPcieLinkGeneration) X(nvmlDeviceGetMaxPcieLinkWidth) \
    X(nvmlDeviceGetMigMode) X(nvmlDeviceGetMaxMigDeviceCount) \
    X(nvmlDeviceGetMigDeviceHandleByIndex) X(nvmlDeviceGetDeviceHandleFromMigDeviceHandle) \
    X(nvmlDeviceIsMigDeviceHandle) X(nvmlDeviceGetGpuInstanceId) \
    X(nvmlDeviceGetComputeInstanceId) X(nvmlDeviceGetAttributes_v2)

/* key, kind, default. */
#define MACHINE_KEYS(X) \
    X(driver_version, TEXT, "580.65.06") \
    X(nvml_version, TEXT, "13.580.65.06") \
    X(cuda_version, NUMBER, "13000")

#define GENERATED NULL /* from the GPU's place: see script.c */
#define OF_PARENT NULL /* a MIG instance answers what its GPU answers */

/* key, kind, a GPU's default, a MIG instance's default; units are NVML's own.
 * Each row of four that an enumeration of NVML's picks from is in its order. */
#define DEVICE_KEYS(X) \
    X(name, TEXT, "NVIDIA RTX 6000 Ada Generation", GENERATED) \
    X(uuid, TEXT, GENERATED, GENERATED) \
    X(serial, TEXT, "unsupported", OF_PARENT) \
    X(pci, TEXT, GENERATED, OF_PARENT) \
    X(pci_device_id, NUMBER, "0x26B110DE", OF_PARENT) \
    X(pci_subsystem_id, NUMBER, "0x16A110DE", OF_PARENT) \
    X(minor_number, NUMBER, GENERATED, OF_PARENT) \
    X(brand, NUMBER, "13", OF_PARENT) \
    X(architecture, NUMBER, "8", OF_PARENT) \
    X(compute_capability, TEXT, "8.9", OF_PARENT) \
    X(memory_total, NUMBER, "51527024640", "10200547328") \
    X(memory_used, NUMBER, "2147483648", "1073741824") \
    X(memory_reserved, NUMBER, "629145600", "0") \
    X(memory_free, NUMBER, "derived", "derived") \
    X(bar1_total, NUMBER, "68719476736", "17179869184") \
    X(bar1_used, NUMBER, "16777216", "1048576") \
    X(memory_bus_width, NUMBER, "384", OF_PARENT) \
    X(utilization, NUMBER, "25", "unsupported") \
    X(memory_utilization, NUMBER, "10", "unsupported") \
    X(encoder_utilization, NUMBER, "0", "unsupported") \
    X(decoder_utilization, NUMBER, "0", "unsupported") \
    X(temperature, NUMBER, "45", OF_PARENT) \
    X(memory_temperature, NUMBER, "50", OF_PARENT) \
    X(temperature_shutdown, NUMBER, "98", OF_PARENT) \
    X(temperature_slowdown, NUMBER, "95", OF_PARENT) \
    X(temperature_memory_max, NUMBER, "105", OF_PARENT) \
    X(temperature_gpu_max, NUMBER, "92", OF_PARENT) \
    X(power, NUMBER, "75000", OF_PARENT) \
    X(power_average, NUMBER, "75000", OF_PARENT) \
    X(power_instant, NUMBER, "76000", OF_PARENT) \
    X(power_limit, NUMBER, "300000", OF_PARENT) \
    X(power_limit_min, NUMBER, "100000", OF_PARENT) \
    X(power_limit_max, NUMBER, "300000", OF_PARENT) \
    X(power_limit_default, NUMBER, "300000", OF_PARENT) \
    X(power_limit_requested, NUMBER, "300000", OF_PARENT) \
    X(energy, NUMBER, "123456789", OF_PARENT) \
    X(clock_graphics, NUMBER, "1800", OF_PARENT) \
    X(clock_sm, NUMBER, "1800", OF_PARENT) \
    X(clock_memory, NUMBER, "10001", OF_PARENT) \
    X(clock_video, NUMBER, "1560", OF_PARENT) \
    X(max_clock_graphics, NUMBER, "3105", OF_PARENT) \
    X(max_clock_sm, NUMBER, "3105", OF_PARENT) \
    X(max_clock_memory, NUMBER, "10001", OF_PARENT) \
    X(max_clock_video, NUMBER, "2415", OF_PARENT) \
    X(throttle_reasons, NUMBER, "0", OF_PARENT) \
    X(fan_speed, NUMBER, "30", OF_PARENT) \
    X(fan_count, NUMBER, "1", OF_PARENT) \
    X(performance_state, NUMBER, "2", OF_PARENT) \
    X(persistence_mode, NUMBER, "1", OF_PARENT) \
    X(compute_mode, NUMBER, "0", OF_PARENT) \
    X(display_active, NUMBER, "0", OF_PARENT) \
    X(display_mode, NUMBER, "0", OF_PARENT) \
    X(driver_model, NUMBER, "unsupported", OF_PARENT) \
    X(ecc_mode, NUMBER, "1", OF_PARENT) \
    X(ecc_errors, NUMBER, "0", OF_PARENT) \
    X(pcie_tx, NUMBER, "1000", OF_PARENT) \
    X(pcie_rx, NUMBER, "2000", OF_PARENT) \
    X(pcie_generation, NUMBER, "4", OF_PARENT) \
    X(pcie_width, NUMBER, "16", OF_PARENT) \
    X(max_pcie_generation, NUMBER, "4", OF_PARENT) \
    X(max_pcie_width, NUMBER, "16", OF_PARENT) \
    X(mig_mode, NUMBER, "unsupported", "unsupported") \
    X(max_migs, NUMBER, "0", "0") \
    X(gpu_instance_id, NUMBER, "unsupported", GENERATED) \
    X(compute_instance_id, NUMBER, "unsupported", "0") \
    X(multiprocessors, NUMBER, "unsupported", "16") \
    X(gpu_slices, NUMBER, "unsupported", "1") \
    X(compute_slices, NUMBER, "unsupported", "1")

#define AS_FUNCTION(name) FN_##name,
typedef enum { FUNCTIONS(AS_FUNCTION) FUNCTION_COUNT } Function;

#define AS_KEY(key, ...) KEY_##key,
typedef enum { MACHINE_KEYS(AS_KEY) MACHINE_KEY_COUNT } MachineKey;
typedef enum { KEY_machine_end = MACHINE_KEY_COUNT - 1, DEVICE_KEYS(AS_KEY) KEY_COUNT } Key;

enum { DERIVED = -1, MAX_GPUS = 64, MAX_MIGS = 16 };

/* One value, from the call after the first `after` ones on. The list of a key
 * begins with its latest value and ends with one that has no `after`. */
typedef struct Value {
    struct Value *next;
    uint64_t after;
    int code; /* SUCCESS, DERIVED, or the error to answer instead */
    uint64_t number;
    const char *text;
} Value;

typedef enum { COMPUTE, GRAPHICS, MPS, PROCESS_KINDS } ProcessKind;

typedef struct Process {
    struct Process *next;
    ProcessKind kind;
    uint64_t pid, memory, after, until;
} Process;

/* A GPU, a MIG instance (which has a parent), or the machine itself. */
typedef struct Device {
    struct Device *parent;
    struct Device *migs[MAX_MIGS];
    int mig_count;
    Value *values[KEY_COUNT];
    Process *processes;
    atomic_uint_fast64_t calls[FUNCTION_COUNT];
} Device;

enum { ANY = -1 };

typedef struct Rule {
    struct Rule *next;
    bool functions[FUNCTION_COUNT];
    int gpu; /* or ANY */
    int error;
    uint64_t delay_us, after, until;
    bool busy, hang;
    atomic_uint_fast64_t calls;
} Rule;

/* One reading of the script. None is ever freed: a hung call may hold it. */
typedef struct {
    struct stat file;
    bool watch, mutex;
    int log; /* a file descriptor, or -1 */
    Device machine;
    Device *gpus;
    int gpu_count;
    Rule *rules;
    bool ruled[FUNCTION_COUNT];
    atomic_uint_fast64_t calls[FUNCTION_COUNT];
} Script;

/* Whom a call asks: a GPU, one of its MIG instances, or (gpu ANY) the machine. */
typedef struct {
    int gpu, mig, code;
} Target;

#define THE_MACHINE ((Target){.gpu = ANY, .mig = ANY})

typedef struct {
    Function function;
    Target target;
    Script *script;
    Device *device;
    uint64_t count; /* of this function on this device, this call included */
    bool locked;
} Call;

typedef void *Handle;

/* script.c */
extern const char *const FUNCTION_NAMES[FUNCTION_COUNT];
/* Read a script into *result. Returns NULL, or what is wrong with it. */
const char *read_script(const char *path, Script **result);

/* calls.c */
Script *present_script(void);
int begin(Call *call, Function function, Target target);
int finish(Call *call, int code);
int open_session(void);
int close_session(void);
Handle handle_of(Target target);
Target target_of(Handle handle);

#endif

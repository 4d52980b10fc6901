/* What is there: sessions, handles, identity, MIG instances, processes.
 * The layouts of the structs are those of nvidia-ml-py's pynvml.py. */

#include "answers.h"

#include <stdio.h>

typedef struct {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char id[32];
} PciInfo;
typedef struct {
    unsigned version, domain, bus, device, device_id, subsystem_id, base_class, sub_class;
    char id[32];
} PciInfoExt;
typedef struct {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpegs, ofas;
    unsigned gpu_slices, compute_slices;
    unsigned long long memory_mb;
} Attributes;
typedef struct { unsigned pid; unsigned long long memory; } ProcessV1;
typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
} ProcessV2;

_Static_assert(VERSION(PciInfoExt, 1) == 0x01000040, "nvmlPciInfoExt_v1");
_Static_assert(sizeof(PciInfo) == 68 && sizeof(Attributes) == 40, "layouts");
_Static_assert(sizeof(ProcessV1) == 16 && sizeof(ProcessV2) == 24, "layouts");

/* ---- identity ---- */

#define TEXT_VALUE(function, key) \
    ASK(function, (char *buffer, unsigned length), tell_text(&call, KEY_##key, buffer, length))

TEXT_VALUE(nvmlDeviceGetName, name)
TEXT_VALUE(nvmlDeviceGetUUID, uuid)
TEXT_VALUE(nvmlDeviceGetSerial, serial)

typedef struct { unsigned domain, bus, device; } PciAddress;

/* As NVML takes them: domain:bus:device.function, the domain and the function optional. */
static bool parse_pci(const char *text, PciAddress *address)
{
    *address = (PciAddress){0};
    return sscanf(text, "%x:%x:%x", &address->domain, &address->bus, &address->device) == 3
        || (address->domain = 0, sscanf(text, "%x:%x", &address->bus, &address->device) == 2);
}

static int pci_info_ext(const Call *call, PciInfoExt *answer)
{
    PciAddress address;
    const Value *value = value_of(call, KEY_pci);
    if (value->code || !parse_pci(value->text, &address))
        return value->code ? value->code : NOT_SUPPORTED;
    *answer = (PciInfoExt){.version = answer->version, .base_class = 3, .sub_class = 2};
    answer->domain = address.domain;
    answer->bus = address.bus;
    answer->device = address.device;
    snprintf(answer->id, sizeof answer->id, "%08X:%02X:%02X.0",
             address.domain, address.bus, address.device);
    return tell_uint(call, KEY_pci_device_id, &answer->device_id)
        ?: tell_uint(call, KEY_pci_subsystem_id, &answer->subsystem_id);
}

static int pci_info(const Call *call, PciInfo *answer)
{
    PciInfoExt full = {0};
    int code = answer ? pci_info_ext(call, &full) : INVALID_ARGUMENT;
    if (code)
        return code;
    *answer = (PciInfo){.domain = full.domain, .bus = full.bus, .device = full.device,
                        .device_id = full.device_id, .subsystem_id = full.subsystem_id};
    snprintf(answer->legacy_id, sizeof answer->legacy_id, "%04X:%02X:%02X.0",
             full.domain & 0xFFFF, full.bus & 0xFF, full.device & 0xFF);
    memcpy(answer->id, full.id, sizeof answer->id);
    return SUCCESS;
}

static int pci_info_versioned(const Call *call, PciInfoExt *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    if (answer->version != VERSION(PciInfoExt, 1))
        return VERSION_MISMATCH;
    return pci_info_ext(call, answer);
}

ASK(nvmlDeviceGetPciInfo_v3, (PciInfo *answer), pci_info(&call, answer))
ASK(nvmlDeviceGetPciInfoExt, (PciInfoExt *answer), pci_info_versioned(&call, answer))
static int store(unsigned number, unsigned *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    *answer = number;
    return SUCCESS;
}

static int store_handle(Target target, Handle *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    *answer = handle_of(target);
    return SUCCESS;
}

API nvmlDeviceGetIndex(Handle handle, unsigned *index)
{
    Target target = target_of(handle);
    int place = target.mig == ANY ? target.gpu : target.mig;
    ANSWER(nvmlDeviceGetIndex, target, store((unsigned)place, index))
}

API nvmlDeviceGetCount_v2(unsigned *count)
{
    ANSWER(nvmlDeviceGetCount_v2, THE_MACHINE, store((unsigned)call.script->gpu_count, count))
}

API nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle *handle)
{
    Target target = {.gpu = index < MAX_GPUS ? (int)index : MAX_GPUS, .mig = ANY};
    ANSWER(nvmlDeviceGetHandleByIndex_v2, target, store_handle(target, handle))
}

static bool has_text(const Device *device, Key key, const char *text)
{
    const Value *value = device->values[key];
    return !value->code && !strcmp(value->text, text);
}

static Target find_uuid(const char *uuid)
{
    const Script *script = present_script();
    for (int gpu = 0; uuid && gpu < script->gpu_count; gpu++) {
        const Device *device = &script->gpus[gpu];
        if (has_text(device, KEY_uuid, uuid))
            return (Target){.gpu = gpu, .mig = ANY};
        for (int mig = 0; mig < MAX_MIGS; mig++)
            if (device->migs[mig] && has_text(device->migs[mig], KEY_uuid, uuid))
                return (Target){.gpu = gpu, .mig = mig};
    }
    return (Target){.gpu = ANY, .mig = ANY, .code = uuid ? NOT_FOUND : INVALID_ARGUMENT};
}

static Target find_pci(const char *id)
{
    const Script *script = present_script();
    PciAddress wanted, address;
    bool valid = id && parse_pci(id, &wanted);
    for (int gpu = 0; valid && gpu < script->gpu_count; gpu++) {
        const Value *value = script->gpus[gpu].values[KEY_pci];
        if (!value->code && parse_pci(value->text, &address)
            && !memcmp(&address, &wanted, sizeof address))
            return (Target){.gpu = gpu, .mig = ANY};
    }
    return (Target){.gpu = ANY, .mig = ANY, .code = valid ? NOT_FOUND : INVALID_ARGUMENT};
}

API nvmlDeviceGetHandleByUUID(const char *uuid, Handle *handle)
{
    Target target = find_uuid(uuid);
    ANSWER(nvmlDeviceGetHandleByUUID, target, store_handle(target, handle))
}

API nvmlDeviceGetHandleByPciBusId_v2(const char *id, Handle *handle)
{
    Target target = find_pci(id);
    ANSWER(nvmlDeviceGetHandleByPciBusId_v2, target, store_handle(target, handle))
}

static int capability(const Call *call, int *major, int *minor)
{
    const Value *value = value_of(call, KEY_compute_capability);
    if (!major || !minor)
        return INVALID_ARGUMENT;
    if (value->code)
        return value->code;
    return sscanf(value->text, "%d.%d", major, minor) == 2 ? SUCCESS : NOT_SUPPORTED;
}

ASK(nvmlDeviceGetCudaComputeCapability, (int *major, int *minor),
    capability(&call, major, minor))

/* ---- MIG ---- */

static int mig_by_index(const Call *call, unsigned index, Handle *handle)
{
    unsigned enabled;
    int code = tell_uint(call, KEY_mig_mode, &enabled);
    if (code || !enabled)
        return NOT_SUPPORTED;
    if (call->target.mig != ANY || index >= MAX_MIGS)
        return INVALID_ARGUMENT;
    if (!call->device->migs[index])
        return NOT_FOUND;
    return store_handle((Target){.gpu = call->target.gpu, .mig = (int)index}, handle);
}

ASK(nvmlDeviceGetMigDeviceHandleByIndex, (unsigned index, Handle *mig),
    mig_by_index(&call, index, mig))
API nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Handle mig, Handle *handle)
{
    Target target = target_of(mig), gpu = {.gpu = target.gpu, .mig = ANY};
    ANSWER(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, target,
           target.mig == ANY ? INVALID_ARGUMENT : store_handle(gpu, handle))
}

API nvmlDeviceIsMigDeviceHandle(Handle handle, unsigned *is_mig)
{
    Target target = target_of(handle);
    ANSWER(nvmlDeviceIsMigDeviceHandle, target, store(target.mig != ANY, is_mig))
}

static int attributes(const Call *call, Attributes *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    *answer = (Attributes){.copy_engines = 1};
    int code = tell_uint(call, KEY_multiprocessors, &answer->multiprocessors)
        ?: tell_uint(call, KEY_gpu_slices, &answer->gpu_slices)
        ?: tell_uint(call, KEY_compute_slices, &answer->compute_slices)
        ?: tell_u64(call, KEY_memory_total, &answer->memory_mb);
    answer->memory_mb >>= 20;
    return code;
}

ASK(nvmlDeviceGetAttributes_v2, (Attributes *answer), attributes(&call, answer))
/* ---- processes ---- */

typedef struct { unsigned room, count; void *entries; bool old; } ProcessList;

static void list_process(ProcessList *list, ProcessV2 process)
{
    if (list->count < list->room && list->old)
        ((ProcessV1 *)list->entries)[list->count] = (ProcessV1){process.pid, process.memory};
    else if (list->count < list->room)
        ((ProcessV2 *)list->entries)[list->count] = process;
    list->count++;
}

static void list_device(const Call *call, Device *device, ProcessKind kind, ProcessList *list)
{
    Call of_device = {.device = device, .count = call->count};
    ProcessV2 entry = {.gpu_instance = ~0u, .compute_instance = ~0u};
    tell_uint(&of_device, KEY_gpu_instance_id, &entry.gpu_instance);
    tell_uint(&of_device, KEY_compute_instance_id, &entry.compute_instance);
    for (const Process *process = device->processes; process; process = process->next) {
        entry.pid = (unsigned)process->pid;
        entry.memory = process->memory;
        if (process->kind == kind && call->count > process->after && call->count <= process->until)
            list_process(list, entry);
    }
    for (int mig = 0; mig < MAX_MIGS; mig++)
        if (device->migs[mig])
            list_device(call, device->migs[mig], kind, list);
}

/* A first call with no room is told how much is needed. */
static int processes(const Call *call, ProcessKind kind, bool old, unsigned *count, void *entries)
{
    if (!count || (*count && !entries))
        return INVALID_ARGUMENT;
    ProcessList list = {.room = *count, .entries = entries, .old = old};
    list_device(call, call->device, kind, &list);
    *count = list.count;
    return list.count > list.room ? INSUFFICIENT_SIZE : SUCCESS;
}

#define PROCESSES(function, kind, old) \
    ASK(function, (unsigned *count, void *entries), processes(&call, kind, old, count, entries))

PROCESSES(nvmlDeviceGetComputeRunningProcesses, COMPUTE, true)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, COMPUTE, false)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, COMPUTE, false)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, GRAPHICS, true)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, GRAPHICS, false)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, GRAPHICS, false)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, MPS, false)

ASK(nvmlDeviceGetProcessUtilization,
    (__attribute__((unused)) void *samples, unsigned *count,
     __attribute__((unused)) unsigned long long since),
    count ? NOT_FOUND : INVALID_ARGUMENT)

/* ---- the machine ---- */

API nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    ANSWER(nvmlInit, THE_MACHINE, open_session())
}

API nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API nvmlInit(void) { return nvmlInitWithFlags(0); }

API nvmlShutdown(void) { ANSWER(nvmlShutdown, THE_MACHINE, close_session()) }

API nvmlSystemGetDriverVersion(char *buffer, unsigned length)
{
    ANSWER(nvmlSystemGetDriverVersion, THE_MACHINE,
           tell_text(&call, KEY_driver_version, buffer, length))
}

API nvmlSystemGetNVMLVersion(char *buffer, unsigned length)
{
    ANSWER(nvmlSystemGetNVMLVersion, THE_MACHINE,
           tell_text(&call, KEY_nvml_version, buffer, length))
}

API nvmlSystemGetCudaDriverVersion(unsigned *version)
{
    ANSWER(nvmlSystemGetCudaDriverVersion, THE_MACHINE,
           tell_uint(&call, KEY_cuda_version, version))
}

API nvmlSystemGetCudaDriverVersion_v2(unsigned *version)
{
    ANSWER(nvmlSystemGetCudaDriverVersion_v2, THE_MACHINE,
           tell_uint(&call, KEY_cuda_version, version))
}

/* Asks no driver, so no rule is about it and no session is needed. */
__attribute__((visibility("default"))) const char *nvmlErrorString(int code)
{
    static const char *const MESSAGES[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported",
        "Insufficient Permissions", "Already Initialized", "Not Found", "Insufficient Size",
        "Insufficient External Power", "Driver Not Loaded", "Timeout", "Interrupt Request Issue",
        "NVML Shared Library Not Found", "Function Not Found", "Corrupted infoROM",
        "GPU is lost", "GPU requires reset",
        "The operating system has blocked the request", "Driver/library version mismatch",
        "GPU in use", "Insufficient Memory", "No data", "ECC is not supported by this vGPU",
        "Insufficient resources", "Frequency not supported", "Argument version mismatch",
    };
    bool known = code >= 0 && code < (int)(sizeof MESSAGES / sizeof *MESSAGES);
    return known ? MESSAGES[code] : "Unknown Error";
}

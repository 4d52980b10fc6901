/* What NVML measures: the functions that tell a device's figures.
 * The layouts of the structs are those of nvidia-ml-py's pynvml.py. */

#include "answers.h"

typedef struct { unsigned long long total, free, used; } Memory; /* and of BAR1 */
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version, sensor; int celsius; } TemperatureV1;
typedef struct {
    uint32_t field, scope;
    int64_t timestamp, latency_us;
    uint32_t type, code;
    unsigned long long value;
} FieldValue;

_Static_assert(VERSION(MemoryV2, 2) == 0x02000028, "nvmlMemory_v2");
_Static_assert(VERSION(TemperatureV1, 1) == 0x0100000C, "nvmlTemperature_v1");
_Static_assert(sizeof(FieldValue) == 40, "nvmlFieldValue_t");

/* ---- one value each ---- */

#define UINT_VALUE(function, key) \
    ASK(function, (unsigned *number), tell_uint(&call, KEY_##key, number))
#define U64_VALUE(function, key) \
    ASK(function, (unsigned long long *number), tell_u64(&call, KEY_##key, number))
#define TWICE_VALUE(function, key) \
    ASK(function, (unsigned *now, unsigned *pending), \
        tell_uint(&call, KEY_##key, now) ?: tell_uint(&call, KEY_##key, pending))

UINT_VALUE(nvmlDeviceGetMinorNumber, minor_number)
UINT_VALUE(nvmlDeviceGetBrand, brand)
UINT_VALUE(nvmlDeviceGetArchitecture, architecture)
UINT_VALUE(nvmlDeviceGetMemoryBusWidth, memory_bus_width)
UINT_VALUE(nvmlDeviceGetPowerUsage, power)
UINT_VALUE(nvmlDeviceGetEnforcedPowerLimit, power_limit)
UINT_VALUE(nvmlDeviceGetPowerManagementLimit, power_limit)
U64_VALUE(nvmlDeviceGetTotalEnergyConsumption, energy)
U64_VALUE(nvmlDeviceGetCurrentClocksEventReasons, throttle_reasons)
U64_VALUE(nvmlDeviceGetCurrentClocksThrottleReasons, throttle_reasons)
UINT_VALUE(nvmlDeviceGetFanSpeed, fan_speed)
UINT_VALUE(nvmlDeviceGetNumFans, fan_count)
UINT_VALUE(nvmlDeviceGetPerformanceState, performance_state)
UINT_VALUE(nvmlDeviceGetPersistenceMode, persistence_mode)
UINT_VALUE(nvmlDeviceGetComputeMode, compute_mode)
UINT_VALUE(nvmlDeviceGetDisplayActive, display_active)
UINT_VALUE(nvmlDeviceGetDisplayMode, display_mode)
TWICE_VALUE(nvmlDeviceGetDriverModel, driver_model)
TWICE_VALUE(nvmlDeviceGetDriverModel_v2, driver_model)
TWICE_VALUE(nvmlDeviceGetEccMode, ecc_mode)
UINT_VALUE(nvmlDeviceGetCurrPcieLinkGeneration, pcie_generation)
UINT_VALUE(nvmlDeviceGetCurrPcieLinkWidth, pcie_width)
UINT_VALUE(nvmlDeviceGetMaxPcieLinkGeneration, max_pcie_generation)
UINT_VALUE(nvmlDeviceGetMaxPcieLinkWidth, max_pcie_width)
TWICE_VALUE(nvmlDeviceGetMigMode, mig_mode)
UINT_VALUE(nvmlDeviceGetMaxMigDeviceCount, max_migs)
UINT_VALUE(nvmlDeviceGetGpuInstanceId, gpu_instance_id)
UINT_VALUE(nvmlDeviceGetComputeInstanceId, compute_instance_id)

/* ---- one of several, picked by an enumeration of NVML's ---- */

static int tell_pick(const Call *call, int first, unsigned pick, unsigned count, unsigned *number)
{
    return pick < count ? tell_uint(call, first + (int)pick, number) : INVALID_ARGUMENT;
}

static int clock_by_id(const Call *call, unsigned type, unsigned id, unsigned *mhz)
{
    enum { NOW, TARGET, DEFAULT, BOOST_MAX, COUNT };
    if (id == TARGET || id == DEFAULT)
        return NOT_SUPPORTED;
    int first = id == NOW ? KEY_clock_graphics : KEY_max_clock_graphics;
    return id < COUNT ? tell_pick(call, first, type, 4, mhz) : INVALID_ARGUMENT;
}

static int fan_speed(const Call *call, unsigned fan, unsigned *percent)
{
    unsigned count;
    int code = tell_uint(call, KEY_fan_count, &count);
    if (!code && fan >= count)
        return INVALID_ARGUMENT;
    return code ?: tell_uint(call, KEY_fan_speed, percent);
}

static int temperature_v1(const Call *call, TemperatureV1 *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    if (answer->version != VERSION(TemperatureV1, 1))
        return VERSION_MISMATCH;
    return tell_pick(call, KEY_temperature, answer->sensor, 1, (unsigned *)&answer->celsius);
}

static int threshold(const Call *call, unsigned which, unsigned *celsius)
{
    bool acoustic = which >= 4 && which < 8;
    return acoustic ? NOT_SUPPORTED : tell_pick(call, KEY_temperature_shutdown, which, 4, celsius);
}

static int coder_utilization(const Call *call, int key, unsigned *percent, unsigned *period_us)
{
    if (!period_us)
        return INVALID_ARGUMENT;
    *period_us = 167000;
    return tell_uint(call, key, percent);
}

ASK(nvmlDeviceGetClockInfo, (unsigned type, unsigned *mhz),
    tell_pick(&call, KEY_clock_graphics, type, 4, mhz))
ASK(nvmlDeviceGetMaxClockInfo, (unsigned type, unsigned *mhz),
    tell_pick(&call, KEY_max_clock_graphics, type, 4, mhz))
ASK(nvmlDeviceGetClock, (unsigned type, unsigned id, unsigned *mhz),
    clock_by_id(&call, type, id, mhz))
ASK(nvmlDeviceGetFanSpeed_v2, (unsigned fan, unsigned *percent), fan_speed(&call, fan, percent))
ASK(nvmlDeviceGetTemperature, (unsigned sensor, unsigned *celsius),
    tell_pick(&call, KEY_temperature, sensor, 1, celsius))
ASK(nvmlDeviceGetTemperatureV, (TemperatureV1 *answer), temperature_v1(&call, answer))
ASK(nvmlDeviceGetTemperatureThreshold, (unsigned which, unsigned *celsius),
    threshold(&call, which, celsius))
ASK(nvmlDeviceGetPcieThroughput, (unsigned counter, unsigned *kb_per_second),
    tell_pick(&call, KEY_pcie_tx, counter, 2, kb_per_second))
ASK(nvmlDeviceGetEncoderUtilization, (unsigned *percent, unsigned *period_us),
    coder_utilization(&call, KEY_encoder_utilization, percent, period_us))
ASK(nvmlDeviceGetDecoderUtilization, (unsigned *percent, unsigned *period_us),
    coder_utilization(&call, KEY_decoder_utilization, percent, period_us))
ASK(nvmlDeviceGetTotalEccErrors, (unsigned type, unsigned counter, unsigned long long *count),
    type < 2 && counter < 2 ? tell_u64(&call, KEY_ecc_errors, count) : INVALID_ARGUMENT)
ASK(nvmlDeviceGetMemoryErrorCounter,
    (unsigned type, unsigned counter, unsigned location, unsigned long long *count),
    type < 2 && counter < 2 && location < 8 ? tell_u64(&call, KEY_ecc_errors, count)
                                            : INVALID_ARGUMENT)

/* ---- structs ---- */

static int memory(const Call *call, MemoryV2 *answer)
{
    answer->used = answer->reserved = 0;
    int code = tell_u64(call, KEY_memory_total, &answer->total)
        ?: tell_u64(call, KEY_memory_reserved, &answer->reserved)
        ?: tell_u64(call, KEY_memory_used, &answer->used)
        ?: tell_u64(call, KEY_memory_free, &answer->free);
    unsigned long long taken = answer->used + answer->reserved;
    if (code == DERIVED)
        answer->free = taken < answer->total ? answer->total - taken : 0;
    return code == DERIVED ? SUCCESS : code;
}

static int memory_v1(const Call *call, Memory *answer)
{
    MemoryV2 apart;
    int code = answer ? memory(call, &apart) : INVALID_ARGUMENT;
    if (!code)
        *answer = (Memory){apart.total, apart.free, apart.used + apart.reserved};
    return code;
}

static int memory_v2(const Call *call, MemoryV2 *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    return answer->version == VERSION(MemoryV2, 2) ? memory(call, answer) : VERSION_MISMATCH;
}

static int bar1_memory(const Call *call, Memory *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    *answer = (Memory){0};
    int code = tell_u64(call, KEY_bar1_total, &answer->total)
        ?: tell_u64(call, KEY_bar1_used, &answer->used);
    answer->free = answer->total - answer->used;
    return code;
}

static int utilization(const Call *call, Utilization *answer)
{
    if (!answer)
        return INVALID_ARGUMENT;
    return tell_uint(call, KEY_utilization, &answer->gpu)
        ?: tell_uint(call, KEY_memory_utilization, &answer->memory);
}

ASK(nvmlDeviceGetMemoryInfo, (Memory *answer), memory_v1(&call, answer))
ASK(nvmlDeviceGetMemoryInfo_v2, (MemoryV2 *answer), memory_v2(&call, answer))
ASK(nvmlDeviceGetBAR1MemoryInfo, (Memory *answer), bar1_memory(&call, answer))
ASK(nvmlDeviceGetUtilizationRates, (Utilization *answer), utilization(&call, answer))

/* ---- fields: NVML_FI_DEV_... ---- */

enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3 };
static const struct { unsigned field, type; int key; } FIELDS[] = {
    {82, UNSIGNED_INT, KEY_memory_temperature},    {83, UNSIGNED_LONG_LONG, KEY_energy},
    {185, UNSIGNED_INT, KEY_power_average},        {186, UNSIGNED_INT, KEY_power_instant},
    {187, UNSIGNED_INT, KEY_power_limit_min},      {188, UNSIGNED_INT, KEY_power_limit_max},
    {189, UNSIGNED_INT, KEY_power_limit_default},  {190, UNSIGNED_INT, KEY_power_limit},
    {192, UNSIGNED_INT, KEY_power_limit_requested},
};

/* A scope other than the GPU's own (0) is not supported. */
static void tell_field(const Call *call, FieldValue *answer)
{
    answer->code = NOT_SUPPORTED;
    for (size_t row = 0; row < sizeof FIELDS / sizeof *FIELDS; row++) {
        if (answer->field != FIELDS[row].field || answer->scope)
            continue;
        answer->type = FIELDS[row].type;
        answer->code = (uint32_t)tell_u64(call, FIELDS[row].key, &answer->value);
    }
}

static int field_values(const Call *call, int count, FieldValue *answers)
{
    if (!answers || count <= 0)
        return INVALID_ARGUMENT;
    for (int place = 0; place < count; place++)
        tell_field(call, &answers[place]);
    return SUCCESS;
}

ASK(nvmlDeviceGetFieldValues, (int count, FieldValue *answers), field_values(&call, count, answers))

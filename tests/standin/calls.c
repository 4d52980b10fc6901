/* What every call goes through: which script, whose turn, which rules, which device. */

#define _GNU_SOURCE
#include "standin.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONTROL __attribute__((visibility("default")))

enum { HANG_POLL_US = 2000 };

static _Atomic(Script *) current;
static atomic_int initialised;  /* nvmlInit's reference count */
static atomic_uint session = 1; /* part of each handle */
static atomic_uint released;    /* how often hung calls were let go */
static atomic_int hanging;
static pthread_mutex_t driver = PTHREAD_MUTEX_INITIALIZER; /* `mutex`: left as it is by a fork */
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;
static char *path;

/* Unlike `driver`, this one must be usable in a child that was forked during a reading. */
static void lock_reading(void) { pthread_mutex_lock(&reading); }
static void unlock_reading(void) { pthread_mutex_unlock(&reading); }

__attribute__((constructor)) static void survive_forks(void)
{
    pthread_atfork(lock_reading, unlock_reading, unlock_reading);
}

/* ---- the script ---- */

static const char *read_now(void)
{
    Script *script;
    const char *problem = read_script(path, &script);
    if (!problem)
        atomic_store(&current, script);
    return problem;
}

static void die(const char *problem)
{
    fprintf(stderr, "stand-in NVML: %s: %s\n", path ? path : "STANDIN_NVML", problem);
    abort();
}

static void read_first(void)
{
    const char *problem = NULL;
    lock_reading();
    if (!atomic_load(&current)) {
        const char *given = getenv("STANDIN_NVML");
        path = given ? strdup(given) : NULL;
        problem = path ? read_now() : "not set, and it must name a script";
    }
    unlock_reading();
    if (problem)
        die(problem);
}

static bool is_changed(const struct stat *old)
{
    struct stat new;
    return !stat(path, &new) /* one that is gone is no change */
        && (new.st_ino != old->st_ino || new.st_size != old->st_size
            || new.st_mtim.tv_sec != old->st_mtim.tv_sec
            || new.st_mtim.tv_nsec != old->st_mtim.tv_nsec);
}

static void read_if_changed(void)
{
    lock_reading();
    const char *problem = is_changed(&atomic_load(&current)->file) ? read_now() : NULL;
    unlock_reading();
    if (problem)
        die(problem);
}

Script *present_script(void)
{
    if (!atomic_load(&current))
        read_first();
    if (atomic_load(&current)->watch)
        read_if_changed();
    return atomic_load(&current);
}

/* ---- handles ---- */

Handle handle_of(Target target)
{
    uintptr_t place = (uintptr_t)(target.gpu + 1) << 8 | (uintptr_t)(target.mig + 1);
    return (Handle)(((uintptr_t)atomic_load(&session) << 16 | place) << 4);
}

Target target_of(Handle handle)
{
    uintptr_t bits = (uintptr_t)handle >> 4;
    Target target = {.gpu = (int)(bits >> 8 & 0xFF) - 1, .mig = (int)(bits & 0xFF) - 1};
    if (bits >> 16 != atomic_load(&session) || target.gpu < 0)
        target.code = INVALID_ARGUMENT;
    return target;
}

static int find_device(Call *call)
{
    Target target = call->target;
    call->device = &call->script->machine;
    if (target.code || target.gpu >= call->script->gpu_count || target.mig >= MAX_MIGS)
        return target.code ? target.code : INVALID_ARGUMENT;
    if (target.gpu == ANY)
        return SUCCESS;
    Device *gpu = &call->script->gpus[target.gpu];
    call->device = target.mig == ANY ? gpu : gpu->migs[target.mig];
    return call->device ? SUCCESS : INVALID_ARGUMENT;
}

/* ---- rules ---- */

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void wait_us(uint64_t duration, bool busy)
{
    uint64_t end = now_us() + duration;
    struct timespec rest = {(time_t)(duration / 1000000), (long)(duration % 1000000) * 1000};
    if (!busy)
        while (nanosleep(&rest, &rest)) /* go on after a signal */
            ;
    while (now_us() < end)
        ;
}

/* Every rule that is about this call counts it; those in force are put together. */
static Rule judge(const Call *call)
{
    Rule verdict = {.gpu = ANY};
    for (Rule *rule = call->script->rules; rule; rule = rule->next) {
        if (!rule->functions[call->function] || (rule->gpu != ANY && rule->gpu != call->target.gpu))
            continue;
        uint64_t count = atomic_fetch_add(&rule->calls, 1) + 1;
        if (count <= rule->after || count > rule->until)
            continue;
        verdict.error = verdict.error ? verdict.error : rule->error;
        verdict.delay_us += rule->delay_us;
        verdict.busy |= rule->busy;
        verdict.hang |= rule->hang;
    }
    return verdict;
}

/* Hang until let go. Tells whether that was by another script, which is then the call's. */
static bool hang(Call *call)
{
    unsigned before = atomic_load(&released);
    atomic_fetch_add(&hanging, 1);
    while (atomic_load(&current) == call->script && atomic_load(&released) == before) {
        wait_us(HANG_POLL_US, false);
        read_if_changed();
    }
    atomic_fetch_sub(&hanging, 1);
    bool another = atomic_load(&current) != call->script;
    call->script = atomic_load(&current);
    return another;
}

static int follow_rules(Call *call)
{
    Rule verdict = judge(call);
    while (verdict.hang && hang(call)) {
        int code = find_device(call);
        if (code)
            return code;
        verdict = judge(call);
    }
    if (verdict.delay_us)
        wait_us(verdict.delay_us, verdict.busy);
    return verdict.error;
}

/* ---- a call ---- */

static void log_call(const Call *call)
{
    char line[160];
    int length = sprintf(line, "%s", FUNCTION_NAMES[call->function]);
    if (call->target.gpu >= 0)
        length += sprintf(line + length, " gpu=%d", call->target.gpu);
    if (call->target.mig >= 0)
        length += sprintf(line + length, " mig=%d", call->target.mig);
    length += sprintf(line + length, " pid=%d\n", (int)getpid());
    if (write(call->script->log, line, (size_t)length) != length)
        die("the log cannot be written");
}

static uint64_t count_call(atomic_uint_fast64_t *calls, Function function)
{
    return atomic_fetch_add_explicit(&calls[function], 1, memory_order_relaxed);
}

/* Start a call: when it answers SUCCESS, call->device is there to be asked. */
int begin(Call *call, Function function, Target target)
{
    *call = (Call){.function = function, .target = target, .script = present_script()};
    if (function == FN_nvmlInit) {
        read_if_changed();
        call->script = atomic_load(&current);
    }
    count_call(call->script->calls, function);
    if (call->script->log >= 0)
        log_call(call);
    if (call->script->mutex) {
        pthread_mutex_lock(&driver);
        call->locked = true;
        call->script = atomic_load(&current);
    }
    if (function != FN_nvmlInit && !atomic_load(&initialised))
        return UNINITIALIZED;
    int code = find_device(call);
    if (!code && call->script->ruled[function])
        code = follow_rules(call);
    if (call->device)
        call->count = 1 + count_call(call->device->calls, function);
    return code;
}

int finish(Call *call, int code)
{
    if (call->locked)
        pthread_mutex_unlock(&driver);
    return code;
}

int open_session(void)
{
    atomic_fetch_add(&initialised, 1);
    return SUCCESS;
}

int close_session(void)
{
    int count = atomic_load(&initialised);
    while (count && !atomic_compare_exchange_weak(&initialised, &count, count - 1))
        ;
    if (count == 1)
        atomic_fetch_add(&session, 1);
    return count ? SUCCESS : UNINITIALIZED;
}

/* ---- for the process that has the library loaded: see StandIn in __init__.py ---- */

/* Read this script now, and from here on. Returns NULL, or what is wrong with it. */
CONTROL const char *standin_load(const char *script)
{
    lock_reading();
    char *before = path;
    path = strdup(script);
    const char *problem = read_now();
    if (problem)
        path = before;
    unlock_reading();
    return problem;
}

CONTROL long long standin_calls(const char *name)
{
    for (int function = 0; function < FUNCTION_COUNT; function++)
        if (!strcmp(name, FUNCTION_NAMES[function]))
            return (long long)atomic_load(&present_script()->calls[function]);
    return -1;
}

CONTROL void standin_release(void) { atomic_fetch_add(&released, 1); }
CONTROL int standin_initialised(void) { return atomic_load(&initialised); }
CONTROL int standin_hanging(void) { return atomic_load(&hanging); }
CONTROL void standin_end_sessions(void)
{
    while (!close_session())
        ;
}

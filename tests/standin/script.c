/* Reading a script: text in, a Script out. */

#define _GNU_SOURCE
#include "standin.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { TEXT, NUMBER } Kind;

#define NAME_OF(name) #name,
const char *const FUNCTION_NAMES[FUNCTION_COUNT] = {FUNCTIONS(NAME_OF)};

#define KEY_ROW(key, kind, ...) {#key, kind, {__VA_ARGS__}},
static const struct {
    const char *name;
    Kind kind;
    const char *defaults[2]; /* of a GPU (or the machine), of a MIG instance */
} KEYS[KEY_COUNT] = {MACHINE_KEYS(KEY_ROW) DEVICE_KEYS(KEY_ROW)};

/* What a GPU that is cut into MIG instances answers unless the script says. */
static const struct {
    Key key;
    const char *text;
} WITH_MIGS[] = {
    {KEY_mig_mode, "1"},
    {KEY_max_migs, "7"},
    {KEY_utilization, "unsupported"},
    {KEY_memory_utilization, "unsupported"},
    {KEY_encoder_utilization, "unsupported"},
    {KEY_decoder_utilization, "unsupported"},
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        abort();
    return memory;
}

/* ---- words ---- */

static char *trimmed(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

/* Cut the first word off *rest. NULL at the end. */
static char *next_word(char **rest)
{
    char *word = trimmed(*rest);
    char *end = word + strcspn(word, " \t");
    *rest = *end ? end + 1 : end;
    *end = '\0';
    return *word ? word : NULL;
}

static bool to_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 0);
    return *text && !*end && !errno;
}

/* Whether the word is NAME=NUMBER. */
static bool option(const char *word, const char *name, uint64_t *number)
{
    size_t length = strlen(name);
    return !strncmp(word, name, length) && word[length] == '='
        && to_number(word + length + 1, number);
}

/* A place below count, or ANY for a star. */
static bool to_place(const char *word, int count, int *place)
{
    uint64_t number;
    *place = ANY;
    if (word && !strcmp(word, "*"))
        return true;
    if (!word || !to_number(word, &number) || number >= (uint64_t)count)
        return false;
    *place = (int)number;
    return true;
}

/* ---- values ---- */

static const char *set_value(Device *device, int key, const char *text, uint64_t after)
{
    Value *value = allocate(sizeof *value);
    *value = (Value){.after = after, .text = strdup(text)};
    uint64_t code;
    if (!strcmp(text, "unsupported"))
        value->code = NOT_SUPPORTED;
    else if (!strcmp(text, "derived") && key == KEY_memory_free)
        value->code = DERIVED;
    else if (!strncmp(text, "error:", 6) && to_number(text + 6, &code) && code)
        value->code = (int)code;
    else if (!*text || (KEYS[key].kind == NUMBER && !to_number(text, &value->number)))
        return "not a value for this key";
    Value **place = &device->values[key];
    while (*place && (*place)->after > after)
        place = &(*place)->next;
    value->next = *place;
    *place = value;
    return NULL;
}

/* KEY VALUE [after=N], of the keys from first to before end. */
static const char *parse_value(Device *device, int first, int end, const char *word, char *rest)
{
    uint64_t after = 0;
    char *text = trimmed(rest);
    char *last = strrchr(text, ' ');
    if (last && option(last + 1, "after", &after))
        *last = '\0';
    for (int key = first; key < end; key++)
        if (!strcmp(word, KEYS[key].name))
            return set_value(device, key, trimmed(text), after);
    return "no such word here";
}

static bool needs_default(const Device *device, int key)
{
    const Value *value = device->values[key];
    while (value && value->next)
        value = value->next;
    return !value || value->after;
}

static void set_default(Device *device, int key, const char *text)
{
    if (text && needs_default(device, key))
        set_value(device, key, text, 0);
}

static void set_defaults(Device *device, int first, int end)
{
    for (int key = first; key < end; key++)
        set_default(device, key, KEYS[key].defaults[device->parent != NULL]);
}

static void generate(Device *device, Key key, const char *form, unsigned place, unsigned place2)
{
    char text[64];
    snprintf(text, sizeof text, form, place, place2);
    set_default(device, key, text);
}

static void complete_mig(Device *mig, unsigned gpu, unsigned place)
{
    const Value *name = mig->parent->values[KEY_name];
    char text[256];
    snprintf(text, sizeof text, "%s MIG 1g.10gb", name->code ? "NVIDIA" : name->text);
    set_default(mig, KEY_name, text);
    generate(mig, KEY_uuid, "MIG-00000000-0000-4000-8000-%08x%04x", gpu, place);
    generate(mig, KEY_gpu_instance_id, "%u", place + 1, 0);
    set_defaults(mig, MACHINE_KEY_COUNT, KEY_COUNT);
}

static void complete_gpu(Device *gpu, unsigned place)
{
    for (size_t row = 0; gpu->mig_count && row < sizeof WITH_MIGS / sizeof *WITH_MIGS; row++)
        set_default(gpu, WITH_MIGS[row].key, WITH_MIGS[row].text);
    generate(gpu, KEY_uuid, "GPU-00000000-0000-4000-8000-%012x", place, 0);
    generate(gpu, KEY_pci, "00000000:%02X:00.0", place + 1, 0);
    generate(gpu, KEY_minor_number, "%u", place, 0);
    set_defaults(gpu, MACHINE_KEY_COUNT, KEY_COUNT);
    for (int mig = 0; mig < MAX_MIGS; mig++)
        if (gpu->migs[mig])
            complete_mig(gpu->migs[mig], place, (unsigned)mig);
}

/* ---- lines ---- */

static const char *parse_process(Device *device, char *rest)
{
    static const char *const KINDS[PROCESS_KINDS] = {"compute", "graphics", "mps"};
    Process *process = allocate(sizeof *process);
    *process = (Process){.kind = PROCESS_KINDS, .memory = UINT64_MAX, .until = UINT64_MAX};
    char *word = next_word(&rest);
    for (int kind = 0; word && kind < PROCESS_KINDS; kind++)
        if (!strcmp(word, KINDS[kind]))
            process->kind = (ProcessKind)kind;
    if (process->kind == PROCESS_KINDS)
        return "a process is compute, graphics or mps";
    while ((word = next_word(&rest)))
        if (strcmp(word, "memory=none") && !option(word, "pid", &process->pid)
            && !option(word, "memory", &process->memory) && !option(word, "after", &process->after)
            && !option(word, "until", &process->until))
            return "no such option of a process";
    if (!process->pid)
        return "a process needs a pid";
    Process **last = &device->processes;
    while (*last)
        last = &(*last)->next;
    *last = process;
    return NULL;
}

static const char *parse_device(Device *device, char *rest);

static const char *parse_mig(Device *gpu, char *rest)
{
    int place;
    if (gpu->parent || !to_place(next_word(&rest), MAX_MIGS, &place) || place == ANY)
        return "no such MIG instance";
    if (!gpu->migs[place]) {
        gpu->migs[place] = allocate(sizeof(Device));
        gpu->migs[place]->parent = gpu;
        gpu->mig_count++;
    }
    return parse_device(gpu->migs[place], rest);
}

static const char *parse_device(Device *device, char *rest)
{
    char *word = next_word(&rest);
    if (!word)
        return NULL;
    if (!strcmp(word, "mig"))
        return parse_mig(device, rest);
    if (!strcmp(word, "process"))
        return parse_process(device, rest);
    return parse_value(device, MACHINE_KEY_COUNT, KEY_COUNT, word, rest);
}

static void make_gpus(Script *script, int count)
{
    script->gpus = allocate((size_t)(count ? count : 1) * sizeof(Device));
    script->gpu_count = count;
}

static const char *parse_gpus(Script *script, char *rest)
{
    int count;
    if (script->gpus)
        return "the number of GPUs must be told once, before anything of a GPU or of a rule";
    if (!to_place(next_word(&rest), MAX_GPUS + 1, &count) || count == ANY)
        return "not a number of GPUs";
    make_gpus(script, count);
    return NULL;
}

static const char *parse_gpu(Script *script, char *rest)
{
    int place;
    if (!script->gpus)
        make_gpus(script, 1);
    if (!to_place(next_word(&rest), script->gpu_count, &place))
        return "no such GPU";
    const char *problem = NULL;
    for (int gpu = 0; gpu < script->gpu_count && !problem; gpu++)
        if (place == ANY || place == gpu)
            problem = parse_device(&script->gpus[gpu], strdup(rest));
    return problem;
}

/* A star does not take in nvmlShutdown: what opened a session may let it go. */
static bool name_functions(Script *script, Rule *rule, const char *pattern)
{
    bool any = false;
    for (int function = 0; function < FUNCTION_COUNT; function++) {
        if (fnmatch(pattern, FUNCTION_NAMES[function], 0))
            continue;
        if (function == FN_nvmlShutdown && strcmp(pattern, "nvmlShutdown"))
            continue;
        rule->functions[function] = script->ruled[function] = any = true;
    }
    return any;
}

static const char *parse_rule_option(Script *script, Rule *rule, const char *word)
{
    uint64_t number;
    if (!strcmp(word, "hang"))
        rule->hang = true;
    else if (!strcmp(word, "busy"))
        rule->busy = true;
    else if (option(word, "gpu", &number) && number < (uint64_t)script->gpu_count)
        rule->gpu = (int)number;
    else if (option(word, "error", &number) && number)
        rule->error = (int)number;
    else if (!option(word, "delay_us", &rule->delay_us) && !option(word, "after", &rule->after)
             && !option(word, "until", &rule->until))
        return "no such option of a rule";
    return NULL;
}

static const char *parse_on(Script *script, char *rest)
{
    if (!script->gpus)
        make_gpus(script, 1);
    Rule *rule = allocate(sizeof *rule);
    rule->gpu = ANY;
    rule->until = UINT64_MAX;
    char *word = next_word(&rest);
    if (!word || !name_functions(script, rule, word))
        return "a rule needs the name of a function that the stand-in has";
    while ((word = next_word(&rest))) {
        const char *problem = parse_rule_option(script, rule, word);
        if (problem)
            return problem;
    }
    if (!rule->hang && !rule->error && !rule->delay_us)
        return "this rule does nothing: it needs error=, delay_us= or hang";
    Rule **last = &script->rules;
    while (*last)
        last = &(*last)->next;
    *last = rule;
    return NULL;
}

/* A path that is logged to again keeps its descriptor, as hung calls may use it. */
static const char *parse_log(Script *script, char *rest)
{
    static char *open_path;
    static int open_file = -1;
    char *path = trimmed(rest);
    if (!open_path || strcmp(path, open_path)) {
        open_file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        free(open_path);
        open_path = strdup(path);
    }
    script->log = open_file;
    return open_file < 0 ? "the log cannot be opened" : NULL;
}

static const char *parse_line(Script *script, char *line)
{
    char *word = next_word(&line);
    if (!word || *word == '#')
        return NULL;
    if (!strcmp(word, "gpus"))
        return parse_gpus(script, line);
    if (!strcmp(word, "gpu"))
        return parse_gpu(script, line);
    if (!strcmp(word, "on"))
        return parse_on(script, line);
    if (!strcmp(word, "log"))
        return parse_log(script, line);
    if (!strcmp(word, "watch") || !strcmp(word, "mutex")) {
        *(*word == 'w' ? &script->watch : &script->mutex) = true;
        return *trimmed(line) ? "nothing may follow here" : NULL;
    }
    return parse_value(&script->machine, 0, MACHINE_KEY_COUNT, word, line);
}

static void complete(Script *script)
{
    if (!script->gpus)
        make_gpus(script, 1);
    set_defaults(&script->machine, 0, MACHINE_KEY_COUNT);
    for (int gpu = 0; gpu < script->gpu_count; gpu++)
        complete_gpu(&script->gpus[gpu], (unsigned)gpu);
}

static const char *parse_file(Script *script, FILE *file)
{
    static char problem[512];
    char line[1024], original[sizeof line];
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        bool too_long = strlen(line) == sizeof line - 1;
        char *comment = strstr(line, " #");
        if (comment)
            *comment = '\0';
        strcpy(original, trimmed(line));
        const char *wrong = too_long ? "too long" : parse_line(script, line);
        if (!wrong)
            continue;
        snprintf(problem, sizeof problem, "line %d: %s: %.200s", number, wrong, original);
        return problem;
    }
    complete(script);
    return NULL;
}

const char *read_script(const char *path, Script **result)
{
    Script *script = allocate(sizeof *script);
    script->log = -1;
    FILE *file = fopen(path, "re");
    if (!file || fstat(fileno(file), &script->file))
        return "the script cannot be opened";
    const char *problem = parse_file(script, file);
    fclose(file);
    *result = script;
    return problem;
}

/* How an answer is told: a device's value, or the error that stands in its place. */

#ifndef ANSWERS_H
#define ANSWERS_H

#include "standin.h"

#include <string.h>

#define API __attribute__((visibility("default"))) int

/* A function's body. The expression, which may use `call`, is the answer unless a rule is. */
#define ANSWER(function, target, expression) \
    Call call; \
    int code = begin(&call, FN_##function, target); \
    return finish(&call, code ? code : (expression));

/* A function that asks a device, its parameters after the handle in parentheses. */
#define ASK(function, parameters, expression) \
    API function(Handle handle, REST parameters) { ANSWER(function, target_of(handle), expression) }
#define REST(...) __VA_ARGS__

/* A version word is the struct's size below its number. */
#define VERSION(type, number) ((unsigned)sizeof(type) | (number) << 24)

static inline const Value *value_of(const Call *call, int key)
{
    const Value *value = call->device->values[key];
    if (!value)
        value = call->device->parent->values[key];
    while (call->count <= value->after && value->next)
        value = value->next;
    return value;
}

static inline int tell_u64(const Call *call, int key, unsigned long long *number)
{
    const Value *value = value_of(call, key);
    if (number && !value->code)
        *number = value->number;
    return number ? value->code : INVALID_ARGUMENT;
}

static inline int tell_uint(const Call *call, int key, unsigned *number)
{
    const Value *value = value_of(call, key);
    if (number && !value->code)
        *number = (unsigned)value->number;
    return number ? value->code : INVALID_ARGUMENT;
}

static inline int tell_text(const Call *call, int key, char *buffer, unsigned length)
{
    const Value *value = value_of(call, key);
    if (!buffer || value->code)
        return buffer ? value->code : INVALID_ARGUMENT;
    if (strlen(value->text) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(buffer, value->text);
    return SUCCESS;
}

#endif

/* Checks and small builders for the C tests of the shim. A failed check prints its line and the shim's message, and exits. */
#ifndef SHIM_TESTS_CHECK_H
#define SHIM_TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torch_shim.h"

#define CHECK(condition)                                                                                            \
  do {                                                                                                              \
    if (!(condition)) {                                                                                             \
      fprintf(stderr, "%s:%d: failed: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, ts_error_message()); \
      exit(1);                                                                                                      \
    }                                                                                                               \
  } while (0)

#define OK(call) CHECK((call) == TS_OK)

/* The call must return `status`, with a message that contains `text`. */
#define FAILS(call, status, text)                                                                                      \
  do {                                                                                                                 \
    const ts_status status_ = (call);                                                                                  \
    if (status_ != (status) || strstr(ts_error_message(), (text)) == NULL) {                                           \
      fprintf(stderr, "%s:%d: %s\n  expected status %d and \"%s\",\n  got %d and \"%s\"\n", __FILE__, __LINE__, #call, \
              (int)(status), (text), (int)status_, ts_error_message());                                                \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

#define NEAR(a, b) CHECK(fabs((double)(a) - (double)(b)) <= 1e-6)
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static inline ts_value none(void) { return (ts_value){.kind = TS_NONE}; }
static inline ts_value boolean(bool v) { return (ts_value){.kind = TS_BOOL, .as.boolean = v}; }
static inline ts_value integer(int64_t v) { return (ts_value){.kind = TS_INT, .as.integer = v}; }
static inline ts_value real(double v) { return (ts_value){.kind = TS_DOUBLE, .as.real = v}; }
static inline ts_value tensor(ts_tensor v) { return (ts_value){.kind = TS_TENSOR, .as.tensor = v}; }
static inline ts_value dtype(int64_t v) { return (ts_value){.kind = TS_DTYPE, .as.integer = v}; }
static inline ts_value integers(const int64_t *v, size_t count) {
  return (ts_value){.kind = TS_INT_LIST, .count = count, .as.integers = v};
}

/* Makes a float tensor of one dimension. */
static inline ts_tensor vector(const float *data, int64_t count) {
  ts_tensor out = NULL;
  OK(ts_tensor_from_data(data, (size_t)count * sizeof(float), &count, 1, TS_FLOAT32, &out));
  return out;
}

static inline ts_operator operator_named(const char *name, const char *overload) {
  ts_operator out = NULL;
  OK(ts_operator_find(name, overload, &out));
  return out;
}

/* Calls an operator that returns one result. */
static inline ts_value call(const char *name, const char *overload, const ts_value *arguments, size_t count) {
  ts_value result = none();
  size_t produced = 99;
  OK(ts_operator_call(operator_named(name, overload), arguments, count, &result, 1, &produced));
  CHECK(produced == 1);
  return result;
}

#define CALL(name, overload, ...) call(name, overload, (ts_value[]){__VA_ARGS__}, LENGTH(((ts_value[]){__VA_ARGS__})))

/* The call must fail and must not change its outputs. */
#define CALL_FAILS(name, overload, status, text, ...)                                                                      \
  do {                                                                                                                     \
    ts_value result_ = integer(42);                                                                                        \
    size_t produced_ = 99;                                                                                                 \
    FAILS(ts_operator_call(operator_named(name, overload), (ts_value[]){__VA_ARGS__}, LENGTH(((ts_value[]){__VA_ARGS__})), \
                           &result_, 1, &produced_),                                                                       \
          status, text);                                                                                                   \
    CHECK(result_.kind == TS_INT && result_.as.integer == 42 && produced_ == 99);                                          \
  } while (0)

static inline void expect_floats(ts_tensor t, const float *expected, size_t count) {
  float data[64];
  CHECK(count <= LENGTH(data) && (size_t)ts_tensor_count(t) == count && ts_tensor_dtype(t) == TS_FLOAT32);
  OK(ts_tensor_copy_to_host(t, data, count * sizeof(float)));
  for (size_t i = 0; i < count; i++) NEAR(data[i], expected[i]);
}

#define EXPECT_FLOATS(t, ...) expect_floats(t, (float[]){__VA_ARGS__}, LENGTH(((float[]){__VA_ARGS__})))

/* Checks a result like EXPECT_FLOATS and releases it. */
#define EXPECT_RESULT(value, ...)                 \
  do {                                            \
    ts_value value_ = (value);                    \
    CHECK(value_.kind == TS_TENSOR);              \
    EXPECT_FLOATS(value_.as.tensor, __VA_ARGS__); \
    ts_value_free(&value_);                       \
  } while (0)

/* One function per group. No function may change the number of live handles. */
void test_tensors(void);
void test_operator_arguments(void);
void test_operator_results(void);
void test_autograd(void);
void test_random(void);
void test_system(void);
void test_script(void);
void test_process_groups(void);

#endif

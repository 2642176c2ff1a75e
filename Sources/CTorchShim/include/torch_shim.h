/*
 * torch_shim.h: a C11 ABI over libtorch. This is the only header of the ABI; shim/ implements it.
 *
 * Operators are data: ts_operator_find and ts_operator_call reach every ATen operator, so the ABI has no function per operator.
 * Everything that is not an operator has its own functions: handles, metadata, autograd, generators, devices, TorchScript and
 * process groups.
 *
 * Conventions
 *  - Every fallible function returns ts_status. It writes its outputs last, and only on success. After a failure,
 *    ts_error_message() returns the message on the same thread, until the next failure on that thread.
 *  - A function borrows its inputs. The caller owns the outputs and releases each with the *_free of its type. *_free accepts
 *    NULL. Views and in-place results are new handles.
 *  - A dtype, memory format or layout is the value of the c10 enum. static_assert in the shim checks the values.
 *  - The ABI has no callbacks, and no C++ exception leaves it.
 */
#ifndef TORCH_SHIM_H
#define TORCH_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define TS_NOEXCEPT noexcept
#else
#define TS_NOEXCEPT
#endif

#define TS_EXPORT __attribute__((visibility("default")))
#define TS_API TS_EXPORT __attribute__((warn_unused_result))

/* Increases whenever a declaration below changes its meaning. */
#define TS_ABI_VERSION 1

typedef int32_t ts_status;
enum {
  TS_OK = 0,
  TS_ERROR_RUNTIME = 1,
  TS_ERROR_INDEX = 2,
  TS_ERROR_OUT_OF_MEMORY = 3,
  TS_ERROR_VALUE = 4,
  TS_ERROR_TYPE = 5,
  TS_ERROR_NOT_IMPLEMENTED = 6,
  TS_ERROR_LINALG = 7,
  TS_ERROR_IO = 8
};

/* Opaque handles. Each has a dummy body, so that Swift imports distinct types and rejects a handle of the wrong type. */
/* clang-format off */
typedef struct ts_tensor_s { void *reserved_; } *ts_tensor;
typedef struct ts_generator_s { void *reserved_; } *ts_generator;
typedef struct ts_operator_s { void *reserved_; } *ts_operator; /* never freed; valid as long as the process */
typedef struct ts_script_s { void *reserved_; } *ts_script;
typedef struct ts_process_group_s { void *reserved_; } *ts_process_group;
/* clang-format on */

/* c10::ScalarType values of the common dtypes. The ABI also accepts and returns the other values below TS_DTYPE_COUNT. */
/* clang-format off */
enum {
  TS_UINT8 = 0, TS_INT8 = 1, TS_INT16 = 2, TS_INT32 = 3, TS_INT64 = 4, TS_FLOAT16 = 5, TS_FLOAT32 = 6, TS_FLOAT64 = 7,
  TS_BOOL_DTYPE = 11, TS_BFLOAT16 = 15, TS_DTYPE_COUNT = 46
};

/* c10::DeviceType values. Index -1 means the current device. */
enum { TS_CPU = 0, TS_CUDA = 1 };
typedef struct { int8_t type; int8_t index; } ts_device;

/* c10::MemoryFormat values. */
enum { TS_CONTIGUOUS = 0, TS_PRESERVE = 1, TS_CHANNELS_LAST = 2 };

/* The kinds of a ts_value. */
enum {
  TS_NONE = 0, TS_BOOL, TS_INT, TS_DOUBLE, TS_TENSOR, TS_GENERATOR, TS_DTYPE, TS_DEVICE, TS_LAYOUT, TS_MEMORY_FORMAT, TS_STRING,
  TS_INT_LIST, TS_DOUBLE_LIST, TS_BOOL_LIST, TS_TENSOR_LIST, TS_OPTIONAL_TENSOR_LIST
};
/* clang-format on */

/*
 * One argument or result of an operator. `count` is the length of a list or string. An argument borrows everything that it
 * points to. A result belongs to the caller, who passes it to ts_value_free. To keep a handle, the caller takes it out first and
 * sets its slot to NULL.
 */
typedef struct {
  int32_t kind;
  size_t count;
  union {
    bool boolean;
    int64_t integer; /* also dtype, layout, memory format */
    double real;
    ts_tensor tensor;
    ts_generator generator;
    ts_device device;
    const char *string;
    const int64_t *integers;
    const double *reals;
    const bool *booleans;
    ts_tensor *tensors; /* a slot may be NULL only in an optional tensor list */
  } as;
} ts_value;

TS_EXPORT void ts_value_free(ts_value *value) TS_NOEXCEPT;

/* ---- errors, versions, diagnosis -------------------------------------------------------------------------------------- */
TS_EXPORT const char *ts_error_message(void) TS_NOEXCEPT;
TS_EXPORT int32_t ts_abi_version(void) TS_NOEXCEPT;
TS_EXPORT const char *ts_torch_version(void) TS_NOEXCEPT;
TS_EXPORT const char *ts_build_configuration(void) TS_NOEXCEPT; /* at::show_config */
TS_EXPORT const char *ts_cpu_capability(void) TS_NOEXCEPT;      /* "AVX2", "AVX512", ... */
TS_EXPORT bool ts_has_onednn(void) TS_NOEXCEPT;
TS_EXPORT int64_t ts_live_handles(void) TS_NOEXCEPT; /* the number of handles of all types that are not freed yet */

/* ---- operators -------------------------------------------------------------------------------------------------------- */
/* Finds an operator. `name` includes the namespace ("aten::add"). `overload` has no dot ("Tensor" or ""). */
TS_API ts_status ts_operator_find(const char *name, const char *overload, ts_operator *out) TS_NOEXCEPT;
/*
 * Calls an operator. Arguments follow the order of the schema. Omitted trailing arguments take the schema's defaults. An int may
 * stand for a float or Scalar, and an empty list of any kind for an empty list of any other kind. Writes the results, and their
 * number to `produced`. Fails if the operator returns more than `capacity` results.
 */
TS_API ts_status ts_operator_call(ts_operator op, const ts_value *arguments, size_t count, ts_value *results, size_t capacity,
                                  size_t *produced) TS_NOEXCEPT;
/* Returns the schema as text, valid as long as the process. */
TS_EXPORT const char *ts_operator_schema(ts_operator op) TS_NOEXCEPT;

/* ---- tensors ---------------------------------------------------------------------------------------------------------- */
/* Copies `bytes` bytes of packed row-major data into a new CPU tensor. `bytes` must equal the size of that shape and dtype. */
TS_API ts_status ts_tensor_from_data(const void *data, size_t bytes, const int64_t *sizes, size_t ndim, int32_t dtype,
                                     ts_tensor *out) TS_NOEXCEPT;
/* Makes a second handle to the same tensor. */
TS_API ts_status ts_tensor_retain(ts_tensor tensor, ts_tensor *out) TS_NOEXCEPT;
TS_EXPORT void ts_tensor_free(ts_tensor tensor) TS_NOEXCEPT;
TS_EXPORT int64_t ts_tensor_ndim(ts_tensor tensor) TS_NOEXCEPT;
TS_EXPORT int64_t ts_tensor_count(ts_tensor tensor) TS_NOEXCEPT;
/* The next two functions write ndim values each. */
TS_EXPORT void ts_tensor_sizes(ts_tensor tensor, int64_t *out) TS_NOEXCEPT;
TS_EXPORT void ts_tensor_strides(ts_tensor tensor, int64_t *out) TS_NOEXCEPT;
TS_EXPORT int32_t ts_tensor_dtype(ts_tensor tensor) TS_NOEXCEPT;
TS_EXPORT ts_device ts_tensor_device(ts_tensor tensor) TS_NOEXCEPT;
TS_EXPORT bool ts_tensor_is_contiguous(ts_tensor tensor, int32_t memory_format) TS_NOEXCEPT;
/* Returns true if both handles refer to the same C++ tensor object. */
TS_EXPORT bool ts_tensor_is_same(ts_tensor a, ts_tensor b) TS_NOEXCEPT;
/* Returns a number that identifies the storage. Views of one storage have equal numbers; a tensor without storage has 0. */
TS_EXPORT uint64_t ts_tensor_storage_id(ts_tensor tensor) TS_NOEXCEPT;
/* Copies the elements to host memory in row-major order, from any device and with any strides. `bytes` must be count * element
 * size. A sparse tensor gives all its elements, and a quantized tensor its whole numbers. */
TS_API ts_status ts_tensor_copy_to_host(ts_tensor tensor, void *out, size_t bytes) TS_NOEXCEPT;
/* Writes the address of the data of a contiguous CPU tensor. The tensor still owns the data. */
TS_API ts_status ts_tensor_data(ts_tensor tensor, void **out) TS_NOEXCEPT;

/* ---- autograd --------------------------------------------------------------------------------------------------------- */
TS_EXPORT bool ts_tensor_requires_grad(ts_tensor tensor) TS_NOEXCEPT;
TS_EXPORT bool ts_tensor_is_leaf(ts_tensor tensor) TS_NOEXCEPT;
TS_API ts_status ts_tensor_set_requires_grad(ts_tensor tensor, bool requires_grad) TS_NOEXCEPT;
/* Writes the gradient of a tensor, or NULL if it has none. */
TS_API ts_status ts_tensor_grad(ts_tensor tensor, ts_tensor *out) TS_NOEXCEPT;
/* Sets the gradient of a tensor. NULL removes it. */
TS_API ts_status ts_tensor_set_grad(ts_tensor tensor, ts_tensor grad) TS_NOEXCEPT;
TS_EXPORT bool ts_grad_mode(void) TS_NOEXCEPT;
/* Sets the grad mode of this thread and returns the previous mode. */
TS_EXPORT bool ts_grad_mode_set(bool enabled) TS_NOEXCEPT;
/* `grad_outputs` has one handle per output; a NULL slot means ones. If all outputs are scalars, `grad_outputs` may be NULL. */
TS_API ts_status ts_backward(const ts_tensor *outputs, size_t count, const ts_tensor *grad_outputs, bool retain_graph,
                             bool create_graph) TS_NOEXCEPT;
/* Writes one handle per input. An unused input is an error; with `allow_unused` its handle is NULL instead. */
TS_API ts_status ts_gradient(const ts_tensor *outputs, size_t output_count, const ts_tensor *inputs, size_t input_count,
                             const ts_tensor *grad_outputs, bool retain_graph, bool create_graph, bool allow_unused,
                             ts_tensor *out) TS_NOEXCEPT;
/* Turns autocast to `dtype` on or off for a device type on this thread. Turning it off clears the cache of cast weights. */
TS_API ts_status ts_autocast_set(int8_t device_type, bool enabled, int32_t dtype) TS_NOEXCEPT;

/* ---- random numbers --------------------------------------------------------------------------------------------------- */
TS_API ts_status ts_generator_new(ts_device device, uint64_t seed, ts_generator *out) TS_NOEXCEPT;
TS_EXPORT void ts_generator_free(ts_generator generator) TS_NOEXCEPT;
TS_API ts_status ts_generator_set_seed(ts_generator generator, uint64_t seed) TS_NOEXCEPT;
/* Writes the state as a CPU uint8 tensor in PyTorch's layout. */
TS_API ts_status ts_generator_state(ts_generator generator, ts_tensor *out) TS_NOEXCEPT;
TS_API ts_status ts_generator_set_state(ts_generator generator, ts_tensor state) TS_NOEXCEPT;
/* Seeds libtorch's default generators of the CPU and of every device. Operators without a generator draw from these. */
TS_API ts_status ts_manual_seed(uint64_t seed) TS_NOEXCEPT;

/* ---- devices, threads, memory ----------------------------------------------------------------------------------------- */
TS_EXPORT int32_t ts_device_count(int8_t type) TS_NOEXCEPT;
/* Copies the name of a device ("NVIDIA ...") into a buffer of `capacity` bytes. Cuts a name that is too long, and always ends it
 * with a zero byte. */
TS_API ts_status ts_device_name(ts_device device, char *out, size_t capacity) TS_NOEXCEPT;
TS_API ts_status ts_device_synchronize(ts_device device) TS_NOEXCEPT;
/* Writes the bytes that libtorch's allocator holds on a CUDA device now, and the peak since the last reset. */
TS_API ts_status ts_device_memory(ts_device device, int64_t *allocated, int64_t *peak) TS_NOEXCEPT;
TS_API ts_status ts_device_memory_reset_peak(ts_device device) TS_NOEXCEPT;
TS_API ts_status ts_device_memory_empty_cache(void) TS_NOEXCEPT;
TS_EXPORT int32_t ts_threads(void) TS_NOEXCEPT;
TS_API ts_status ts_threads_set(int32_t count) TS_NOEXCEPT;
/* Turns the rounding of denormal floats to zero on or off for this thread. Returns false if the CPU cannot do this. */
TS_EXPORT bool ts_flush_denormals_set(bool enabled) TS_NOEXCEPT;
/*
 * Tells the C allocator to keep freed blocks for reuse. By default it returns every large block to the system, which costs a page
 * fault per 4 KiB of every activation in every step. The setting holds for the whole process, and no call can undo it. Returns
 * false if the C library has no such setting.
 */
TS_EXPORT bool ts_host_memory_keep(void) TS_NOEXCEPT;

/* ---- TorchScript ------------------------------------------------------------------------------------------------------ */
/* Loads a TorchScript archive from memory. */
TS_API ts_status ts_script_load(const void *data, size_t bytes, ts_device device, ts_script *out) TS_NOEXCEPT;
TS_EXPORT void ts_script_free(ts_script module) TS_NOEXCEPT;
/* Calls forward(input). Fails if forward returns anything other than one tensor. */
TS_API ts_status ts_script_forward(ts_script module, ts_tensor input, ts_tensor *out) TS_NOEXCEPT;
TS_EXPORT bool ts_script_is_training(ts_script module) TS_NOEXCEPT;
TS_API ts_status ts_script_set_training(ts_script module, bool training) TS_NOEXCEPT;
TS_API ts_status ts_script_to_device(ts_script module, ts_device device) TS_NOEXCEPT;
/* `index` counts the named parameters first, then the named buffers. `name` is valid as long as the module. */
TS_API ts_status ts_script_state_count(ts_script module, size_t *parameters, size_t *buffers) TS_NOEXCEPT;
TS_API ts_status ts_script_state(ts_script module, size_t index, const char **name, ts_tensor *out) TS_NOEXCEPT;
/* Makes a frozen copy of a module in evaluation mode, with its constants folded in. The copy supports only forward passes. */
TS_API ts_status ts_script_freeze(ts_script module, ts_script *out) TS_NOEXCEPT;

/* ---- process groups --------------------------------------------------------------------------------------------------- */
enum { TS_REDUCE_SUM = 0, TS_REDUCE_PRODUCT = 2, TS_REDUCE_MIN = 3, TS_REDUCE_MAX = 4 }; /* c10d::ReduceOp values */
/* The only backend is "gloo". The members of a group meet through the file `store_path`, which must not exist before. */
TS_API ts_status ts_process_group_new(const char *backend, const char *store_path, int32_t rank, int32_t size,
                                      int64_t timeout_milliseconds, ts_process_group *out) TS_NOEXCEPT;
TS_EXPORT void ts_process_group_free(ts_process_group group) TS_NOEXCEPT;
/* The next three functions wait for the whole group, and change their tensor in place. */
TS_API ts_status ts_process_group_all_reduce(ts_process_group group, ts_tensor tensor, int32_t reduction) TS_NOEXCEPT;
TS_API ts_status ts_process_group_broadcast(ts_process_group group, ts_tensor tensor, int32_t root) TS_NOEXCEPT;
TS_API ts_status ts_process_group_barrier(ts_process_group group) TS_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif

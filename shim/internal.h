// Code that all files of the shim share: the error boundary, and the conversions between handles and libtorch objects. Private:
// only files in shim/ include it.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include <atomic>
#include <exception>
#include <string>
#include <utility>

#include "torch_shim.h"

namespace shim {

// An error that the shim itself raises, with its status.
class Failure final : public std::exception {
 public:
  Failure(ts_status status, std::string message) : status_(status), message_(std::move(message)) {}
  ts_status status() const noexcept { return status_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ts_status status_;
  std::string message_;
};

template <typename... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail(ts_status status, const Parts&... parts) {
  throw Failure(status, c10::str(parts...));
}

// Stores the message of the current exception and returns its status. Valid only inside a catch block.
ts_status record_current_exception() noexcept;

// Runs a body and converts every exception to a status, because no exception may leave the ABI.
template <typename Body>
inline ts_status guard(Body&& body) noexcept {
  try {
    body();
    return TS_OK;
  } catch (...) {
    return record_current_exception();
  }
}

inline void require(const void* pointer, const char* name) {
  if (C10_UNLIKELY(pointer == nullptr)) fail(TS_ERROR_VALUE, name, " is NULL");
}

extern std::atomic<int64_t> live_handles;

inline void count_handle() noexcept { live_handles.fetch_add(1, std::memory_order_relaxed); }
inline void uncount_handle() noexcept { live_handles.fetch_sub(1, std::memory_order_relaxed); }

// A tensor handle is a pointer to the TensorImpl and holds one reference. Therefore a new handle allocates nothing, and two
// handles to one tensor are equal pointers.
inline at::TensorImpl* impl(ts_tensor handle) noexcept { return reinterpret_cast<at::TensorImpl*>(handle); }

// Takes over the tensor's reference. An undefined tensor has no handle and becomes NULL.
inline ts_tensor wrap(at::Tensor&& tensor) noexcept {
  if (!tensor.defined()) return nullptr;
  count_handle();
  return reinterpret_cast<ts_tensor>(tensor.unsafeReleaseTensorImpl());
}

inline at::Tensor unwrap_unchecked(ts_tensor handle) noexcept {
  using Pointer = c10::intrusive_ptr<at::TensorImpl, c10::UndefinedTensorImpl>;
  return at::Tensor(Pointer::reclaim_copy(impl(handle)));
}

inline at::Tensor unwrap(ts_tensor handle, const char* name = "the tensor handle") {
  require(handle, name);
  return unwrap_unchecked(handle);
}

// A generator handle is a pointer to the GeneratorImpl and holds one reference.
inline at::Generator unwrap(ts_generator handle) {
  require(handle, "the generator handle");
  return at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(reinterpret_cast<c10::GeneratorImpl*>(handle)));
}

// Returns the device. Fails with the number of devices if there is no such device.
c10::Device checked_device(ts_device device);

// Returns the dtype. Fails if libtorch has no dtype with this number.
at::ScalarType checked_dtype(int32_t dtype);

}  // namespace shim

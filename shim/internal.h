// What the shim's translation units share: the error boundary and the conversions between handles and libtorch objects.
// Private: nothing outside shim/ includes it.
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

// An error of the shim's own, with the code it is reported under.
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

// Stores the message of the exception being handled and answers its status. Only valid inside a catch block.
ts_status record_current_exception() noexcept;

// The one boundary: nothing that a body throws gets past it.
template <typename Body>
inline ts_status guard(Body&& body) noexcept {
  try {
    body();
    return TS_OK;
  } catch (...) {
    return record_current_exception();
  }
}

inline void require(const void* pointer, const char* what) {
  if (C10_UNLIKELY(pointer == nullptr)) fail(TS_ERROR_VALUE, what, " is NULL");
}

extern std::atomic<int64_t> live_handles;

inline void count_handle() noexcept { live_handles.fetch_add(1, std::memory_order_relaxed); }
inline void uncount_handle() noexcept { live_handles.fetch_sub(1, std::memory_order_relaxed); }

// A tensor handle is the TensorImpl itself, holding one reference: making one allocates nothing, and two handles on one tensor
// are equal pointers.
inline at::TensorImpl* impl(ts_tensor handle) noexcept { return reinterpret_cast<at::TensorImpl*>(handle); }

// Takes the tensor's reference over; an undefined tensor has no handle and becomes NULL.
inline ts_tensor wrap(at::Tensor&& tensor) noexcept {
  if (!tensor.defined()) return nullptr;
  count_handle();
  return reinterpret_cast<ts_tensor>(tensor.unsafeReleaseTensorImpl());
}

inline at::Tensor unwrap_unchecked(ts_tensor handle) noexcept {
  using Pointer = c10::intrusive_ptr<at::TensorImpl, c10::UndefinedTensorImpl>;
  return at::Tensor(Pointer::reclaim_copy(impl(handle)));
}

inline at::Tensor unwrap(ts_tensor handle, const char* what = "the tensor handle") {
  require(handle, what);
  return unwrap_unchecked(handle);
}

// Likewise a generator handle is the GeneratorImpl.
inline at::Generator unwrap(ts_generator handle) {
  require(handle, "the generator handle");
  return at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(reinterpret_cast<c10::GeneratorImpl*>(handle)));
}

// The device, or a failure that says which devices there are.
c10::Device checked_device(ts_device device);

// The dtype, or a failure when libtorch has none of this number.
at::ScalarType checked_dtype(int32_t dtype);

}  // namespace shim

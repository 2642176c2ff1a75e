// Tensors: life cycle, metadata, and copies from and to host memory.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>

#include "internal.h"

static_assert(TS_UINT8 == static_cast<int>(at::kByte) && TS_INT8 == static_cast<int>(at::kChar));
static_assert(TS_INT16 == static_cast<int>(at::kShort) && TS_INT32 == static_cast<int>(at::kInt));
static_assert(TS_INT64 == static_cast<int>(at::kLong) && TS_FLOAT16 == static_cast<int>(at::kHalf));
static_assert(TS_FLOAT32 == static_cast<int>(at::kFloat) && TS_FLOAT64 == static_cast<int>(at::kDouble));
static_assert(TS_BOOL_DTYPE == static_cast<int>(at::kBool) && TS_BFLOAT16 == static_cast<int>(at::kBFloat16));
// SwiftTorch's DType has these values, and turns each number that a tensor may report into a case.
static_assert(static_cast<int>(at::ScalarType::Undefined) <= TS_DTYPE_COUNT);
static_assert(TS_CONTIGUOUS == static_cast<int>(at::MemoryFormat::Contiguous));
static_assert(TS_PRESERVE == static_cast<int>(at::MemoryFormat::Preserve));
static_assert(TS_CHANNELS_LAST == static_cast<int>(at::MemoryFormat::ChannelsLast));

namespace shim {

at::ScalarType checked_dtype(int32_t dtype) {
  if (dtype < 0 || dtype >= static_cast<int32_t>(at::ScalarType::Undefined))
    fail(TS_ERROR_VALUE, "libtorch has no dtype number ", dtype);
  return static_cast<at::ScalarType>(dtype);
}

namespace {

// Returns the bytes of a packed tensor. Callers check them before an allocation, because a damaged file may hold absurd sizes.
size_t packed_bytes(const int64_t* sizes, size_t ndim, at::ScalarType dtype) {
  size_t bytes = c10::elementSize(dtype);
  for (size_t i = 0; i < ndim; i++) {
    if (sizes[i] < 0) fail(TS_ERROR_VALUE, "the size of dimension ", i, " is negative: ", sizes[i]);
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(sizes[i]), &bytes)) {
      fail(TS_ERROR_VALUE, "a tensor of shape ", at::IntArrayRef(sizes, ndim), " is too large to address");
    }
  }
  return bytes;
}

// Returns a dense tensor of a plain type with the same bytes. Copies of the other types and layouts do not exist in all kernels.
at::Tensor plain(at::Tensor tensor) {
  const auto type = tensor.scalar_type();
  const bool is_number = at::isIntegralType(type, true) || at::isFloatingType(type) || at::isComplexType(type);
  if (is_number && tensor.layout() == at::kStrided) return tensor;
  if (tensor.layout() != at::kStrided) tensor = tensor.to_dense();
  if (tensor.is_quantized()) tensor = tensor.int_repr();
  tensor = tensor.resolve_conj().resolve_neg();
  switch (tensor.element_size()) {
    case 1: return tensor.view(at::kByte);
    case 2: return tensor.view(at::kShort);
    case 4: return tensor.view(at::kInt);
    case 8: return tensor.view(at::kLong);
    default: return tensor;
  }
}

}  // namespace
}  // namespace shim

using namespace shim;

ts_status ts_tensor_from_data(const void* data, size_t bytes, const int64_t* sizes, size_t ndim, int32_t dtype,
                              ts_tensor* out) noexcept {
  return guard([&] {
    require(out, "out");
    if (ndim > 0) require(sizes, "sizes");
    const auto type = checked_dtype(dtype);
    const size_t wanted = packed_bytes(sizes, ndim, type);
    if (bytes != wanted) {
      fail(TS_ERROR_VALUE, "a ", c10::toString(type), " tensor of shape ", at::IntArrayRef(sizes, ndim), " needs ", wanted,
           " bytes, got ", bytes);
    }
    auto tensor = at::empty(at::IntArrayRef(sizes, ndim), at::TensorOptions().dtype(type));
    if (bytes > 0) {
      require(data, "data");
      std::memcpy(tensor.data_ptr(), data, bytes);
    }
    *out = wrap(std::move(tensor));
  });
}

ts_status ts_tensor_retain(ts_tensor tensor, ts_tensor* out) noexcept {
  return guard([&] {
    require(out, "out");
    *out = wrap(unwrap(tensor));
  });
}

void ts_tensor_free(ts_tensor tensor) noexcept {
  if (tensor == nullptr) return;
  uncount_handle();
  c10::intrusive_ptr<at::TensorImpl, c10::UndefinedTensorImpl>::reclaim(impl(tensor));
}

int64_t ts_tensor_ndim(ts_tensor tensor) noexcept { return impl(tensor)->dim(); }

int64_t ts_tensor_count(ts_tensor tensor) noexcept { return impl(tensor)->numel(); }

void ts_tensor_sizes(ts_tensor tensor, int64_t* out) noexcept {
  const auto sizes = impl(tensor)->sizes();
  std::copy(sizes.begin(), sizes.end(), out);
}

void ts_tensor_strides(ts_tensor tensor, int64_t* out) noexcept {
  try {
    const auto strides = impl(tensor)->strides();
    std::copy(strides.begin(), strides.end(), out);
  } catch (...) {  // a layout without strides, such as sparse
    std::fill_n(out, impl(tensor)->dim(), 0);
  }
}

int32_t ts_tensor_dtype(ts_tensor tensor) noexcept {
  return static_cast<int32_t>(c10::typeMetaToScalarType(impl(tensor)->dtype()));
}

ts_device ts_tensor_device(ts_tensor tensor) noexcept {
  const auto device = impl(tensor)->device();
  return {static_cast<int8_t>(device.type()), static_cast<int8_t>(device.index())};
}

bool ts_tensor_is_contiguous(ts_tensor tensor, int32_t memory_format) noexcept {
  try {
    return impl(tensor)->is_contiguous(static_cast<at::MemoryFormat>(memory_format));
  } catch (...) {
    return false;
  }
}

bool ts_tensor_is_same(ts_tensor a, ts_tensor b) noexcept { return a == b; }

uint64_t ts_tensor_storage_id(ts_tensor tensor) noexcept {
  if (!impl(tensor)->has_storage()) return 0;
  return reinterpret_cast<uintptr_t>(impl(tensor)->unsafe_storage().unsafeGetStorageImpl());
}

ts_status ts_tensor_copy_to_host(ts_tensor tensor, void* out, size_t bytes) noexcept {
  return guard([&] {
    const auto source = unwrap(tensor);
    const size_t wanted = static_cast<size_t>(source.numel()) * source.element_size();
    if (bytes != wanted) fail(TS_ERROR_VALUE, "the tensor's data has ", wanted, " bytes, but the buffer has ", bytes);
    if (bytes == 0) return;
    require(out, "out");
    c10::NoGradGuard no_grad;
    const auto dense = plain(source);
    at::from_blob(out, dense.sizes(), at::TensorOptions().dtype(dense.scalar_type())).copy_(dense);
  });
}

ts_status ts_tensor_data(ts_tensor tensor, void** out) noexcept {
  return guard([&] {
    require(out, "out");
    const auto source = unwrap(tensor);
    if (!source.device().is_cpu()) fail(TS_ERROR_VALUE, "the tensor is on ", source.device(), "; only CPU data has a host address");
    if (!source.is_contiguous() || source.is_conj() || source.is_neg()) {
      fail(TS_ERROR_VALUE, "the tensor of shape ", source.sizes(), " and strides ", source.strides(), " is not contiguous");
    }
    *out = source.data_ptr();
  });
}

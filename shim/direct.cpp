#include "direct.h"

#include <array>
#include <tuple>
#include <utility>

namespace shim {
namespace {

// One argument of a direct call. It checks a value and stores it during the call.
template <typename Argument>
class Slot;

// Borrows the tensor of a handle. It adds no reference, so its destructor must not release one.
class TensorSlot {
 public:
  static constexpr Want want = Want::Tensor;
  TensorSlot() = default;
  TensorSlot(const TensorSlot&) = delete;
  TensorSlot& operator=(const TensorSlot&) = delete;
  ~TensorSlot() { tensor_.unsafeReleaseTensorImpl(); }

  bool load(const ts_value& value) {
    if (value.kind != TS_TENSOR || value.as.tensor == nullptr) return false;
    tensor_ = at::Tensor(c10::intrusive_ptr<at::TensorImpl, c10::UndefinedTensorImpl>::reclaim(impl(value.as.tensor)));
    return true;
  }
  at::Tensor& get() { return tensor_; }

 private:
  at::Tensor tensor_;
};

template <>
class Slot<const at::Tensor&> : public TensorSlot {};

template <>
class Slot<at::Tensor&> : public TensorSlot {};

template <>
class Slot<const at::Scalar&> {
 public:
  static constexpr Want want = Want::Scalar;

  bool load(const ts_value& value) {
    if (value.kind == TS_DOUBLE) scalar_ = value.as.real;
    else if (value.kind == TS_INT) scalar_ = value.as.integer;
    else return false;
    return true;
  }
  const at::Scalar& get() { return scalar_; }

 private:
  at::Scalar scalar_;
};

// Returns the default as a value that a caller could pass. Without a default it returns none, which no slot accepts.
ts_value default_of(const Parameter& parameter) {
  ts_value value = {};
  if (!parameter.has_default) return value;
  if (parameter.default_value.isInt()) {
    value.kind = TS_INT;
    value.as.integer = parameter.default_value.toInt();
  } else if (parameter.default_value.isDouble()) {
    value.kind = TS_DOUBLE;
    value.as.real = parameter.default_value.toDouble();
  }
  return value;
}

template <typename Signature>
class DirectCallOf;

template <typename Result, typename... Arguments>
class DirectCallOf<Result(Arguments...)> final : public DirectCall {
 public:
  static constexpr size_t arity = sizeof...(Arguments);

  static bool matches(const std::vector<Parameter>& parameters) {
    constexpr std::array<Want, arity> wanted{Slot<Arguments>::want...};
    if (parameters.size() != arity) return false;
    for (size_t i = 0; i < arity; i++) {
      if (parameters[i].want != wanted[i] || parameters[i].optional) return false;
    }
    return true;
  }

  // Throws if the operator has another C++ signature.
  DirectCallOf(const c10::OperatorHandle& handle, const std::vector<Parameter>& parameters)
      : handle_(handle.typed<Result(Arguments...)>()) {
    for (size_t i = 0; i < arity; i++) defaults_[i] = default_of(parameters[i]);
  }

  bool call(const ts_value* arguments, size_t count, ts_value& result) const override {
    return count <= arity && call(arguments, count, result, std::index_sequence_for<Arguments...>());
  }

 private:
  template <size_t... Index>
  bool call(const ts_value* arguments, size_t count, ts_value& result, std::index_sequence<Index...>) const {
    std::tuple<Slot<Arguments>...> slots;
    if (!(std::get<Index>(slots).load(Index < count ? arguments[Index] : defaults_[Index]) && ...)) return false;
    result = tensor_result(at::Tensor(handle_.call(std::get<Index>(slots).get()...)));
    return true;
  }

  c10::TypedOperatorHandle<Result(Arguments...)> handle_;
  std::array<ts_value, arity> defaults_;
};

template <typename Signature>
std::unique_ptr<DirectCall> make(const c10::OperatorHandle& handle, const std::vector<Parameter>& parameters) {
  if (!DirectCallOf<Signature>::matches(parameters)) return nullptr;
  try {
    return std::make_unique<DirectCallOf<Signature>>(handle, parameters);
  } catch (const c10::Error&) {
    return nullptr;
  }
}

template <typename... Signatures>
std::unique_ptr<DirectCall> first_of(const c10::OperatorHandle& handle, const std::vector<Parameter>& parameters) {
  std::unique_ptr<DirectCall> found;
  (void)((found = make<Signatures>(handle, parameters)) || ...);
  return found;
}

}  // namespace

std::unique_ptr<DirectCall> find_direct_call(const c10::OperatorHandle& handle, const std::vector<Parameter>& parameters) {
  using T = const at::Tensor&;
  using S = const at::Scalar&;
  const auto& schema = handle.schema();
  if (schema.returns().size() != 1 || schema.returns()[0].real_type()->kind() != c10::TypeKind::TensorType) return nullptr;
  if (schema.is_mutable()) {
    using InPlace = at::Tensor&;
    return first_of<at::Tensor&(InPlace), at::Tensor&(InPlace, T), at::Tensor&(InPlace, S), at::Tensor&(InPlace, T, S)>(handle,
                                                                                                                        parameters);
  }
  return first_of<at::Tensor(T), at::Tensor(T, T), at::Tensor(T, S), at::Tensor(T, T, S), at::Tensor(T, T, T)>(handle, parameters);
}

}  // namespace shim

// Conversion between ts_value and the values on an operator's stack. Private to operators.cpp and conversion.cpp.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <string>

#include "internal.h"

namespace shim {

// What an argument's schema type accepts, worked out once per operator.
enum class Want : uint8_t {
  Tensor,
  Scalar,
  Int,
  Float,
  Bool,
  DType,
  Layout,
  MemoryFormat,
  Device,
  Generator,
  String,
  IntList,
  FloatList,
  BoolList,
  ScalarList,
  TensorList,
  OptionalTensorList,
  Unsupported
};

struct Parameter {
  Want want;
  bool optional;
  bool has_default;
  int32_t expanded_length;  // of int[2] and the like, for which one number stands; 0 for others
  c10::IValue default_value;
  std::string name;
  std::string type;

  explicit Parameter(const c10::Argument& argument);
};

// Writes the argument for `value` to `out`. False when the kind does not fit; the caller, who knows the operator, says so.
bool convert_argument(const Parameter& parameter, const ts_value& value, c10::IValue& out);

// The kind of a value as words for a message: "int", "Tensor[]".
const char* kind_name(int32_t kind);

// TS_INT, or the kind that an int result of this schema type stands for.
int32_t int_result_kind(const c10::Argument& result);

// An undefined tensor is none.
inline ts_value tensor_result(at::Tensor&& tensor) noexcept {
  ts_value out = {};
  out.as.tensor = wrap(std::move(tensor));
  out.kind = out.as.tensor == nullptr ? TS_NONE : TS_TENSOR;
  return out;
}

// The caller owns what it returns. `int_kind` as above.
ts_value convert_result(c10::IValue&& value, int32_t int_kind);

}  // namespace shim

// Converts between ts_value and the values on an operator's stack. Private to conversion.cpp, direct.cpp and operators.cpp.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <string>

#include "internal.h"

namespace shim {

// The values that an argument's schema type accepts. Each operator computes them once.
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
  int32_t expanded_length;  // the length of int[2] and similar types, which also accept one number; else 0
  c10::IValue default_value;
  std::string name;
  std::string type;

  explicit Parameter(const c10::Argument& argument);
};

// Converts `value` to an argument and writes it to `out`. Returns false if the kind does not fit. The caller reports this error,
// because it knows the operator.
bool convert_argument(const Parameter& parameter, const ts_value& value, c10::IValue& out);

// Returns the name of a kind for a message, such as "int" or "Tensor[]".
const char* kind_name(int32_t kind);

// Returns the kind of an int result: the kind of its enum, such as TS_DTYPE, or TS_INT for a number.
int32_t int_result_kind(const c10::Argument& result);

// Makes a result of a tensor. An undefined tensor becomes TS_NONE.
inline ts_value tensor_result(at::Tensor&& tensor) noexcept {
  ts_value out = {};
  out.as.tensor = wrap(std::move(tensor));
  out.kind = out.as.tensor == nullptr ? TS_NONE : TS_TENSOR;
  return out;
}

// Converts a result. The caller owns the returned value. `int_kind` comes from int_result_kind.
ts_value convert_result(c10::IValue&& value, int32_t int_kind);

}  // namespace shim

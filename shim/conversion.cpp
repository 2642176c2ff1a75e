#include "conversion.h"

#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>

#include <memory>
#include <vector>

namespace shim {
namespace {

Want want_of_element(const c10::Type& element) {
  switch (element.kind()) {
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Want::IntList;
    case c10::TypeKind::FloatType: return Want::FloatList;
    case c10::TypeKind::BoolType: return Want::BoolList;
    case c10::TypeKind::NumberType: return Want::ScalarList;
    case c10::TypeKind::TensorType: return Want::TensorList;
    case c10::TypeKind::OptionalType:
      return element.expectRef<c10::OptionalType>().getElementType()->kind() == c10::TypeKind::TensorType ? Want::OptionalTensorList
                                                                                                          : Want::Unsupported;
    default: return Want::Unsupported;
  }
}

Want want_of(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType: return Want::Tensor;
    case c10::TypeKind::NumberType: return Want::Scalar;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Want::Int;
    case c10::TypeKind::FloatType: return Want::Float;
    case c10::TypeKind::BoolType: return Want::Bool;
    case c10::TypeKind::ScalarTypeType: return Want::DType;
    case c10::TypeKind::LayoutType: return Want::Layout;
    case c10::TypeKind::MemoryFormatType: return Want::MemoryFormat;
    case c10::TypeKind::DeviceObjType: return Want::Device;
    case c10::TypeKind::GeneratorType: return Want::Generator;
    case c10::TypeKind::StringType: return Want::String;
    case c10::TypeKind::ListType: return want_of_element(*type.expectRef<c10::ListType>().getElementType());
    default: return Want::Unsupported;
  }
}

bool is_list_kind(int32_t kind) { return kind >= TS_INT_LIST && kind <= TS_OPTIONAL_TENSOR_LIST; }

// Makes an empty list of the element type, because libtorch accepts no other empty list.
c10::IValue empty_list(Want want) {
  switch (want) {
    case Want::IntList: return c10::List<int64_t>();
    case Want::FloatList: return c10::List<double>();
    case Want::BoolList: return c10::List<bool>();
    case Want::ScalarList: return std::vector<at::Scalar>();
    case Want::TensorList: return c10::List<at::Tensor>();
    default: return c10::List<std::optional<at::Tensor>>();
  }
}

template <typename Element, typename Source>
c10::IValue list_of(const Source* source, size_t count) {
  require(source, "the data of a list");
  c10::List<Element> list;
  list.reserve(count);
  for (size_t i = 0; i < count; i++) list.push_back(static_cast<Element>(source[i]));
  return list;
}

template <typename Source>
c10::IValue scalar_list_of(const Source* source, size_t count) {
  require(source, "the data of a list");
  return std::vector<at::Scalar>(source, source + count);
}

template <typename Element>
c10::IValue repeated(Element element, int32_t count) {
  c10::List<Element> list;
  list.reserve(count);
  for (int32_t i = 0; i < count; i++) list.push_back(element);
  return list;
}

c10::IValue tensor_list(const ts_value& value) {
  require(value.as.tensors, "the data of a tensor list");
  c10::List<at::Tensor> list;
  list.reserve(value.count);
  for (size_t i = 0; i < value.count; i++) list.push_back(unwrap(value.as.tensors[i], "a slot of the tensor list"));
  return list;
}

c10::IValue optional_tensor_list(const ts_value& value) {
  require(value.as.tensors, "the data of a tensor list");
  c10::List<std::optional<at::Tensor>> list;
  list.reserve(value.count);
  for (size_t i = 0; i < value.count; i++) {
    const ts_tensor slot = value.as.tensors[i];
    list.push_back(slot == nullptr ? std::optional<at::Tensor>() : unwrap_unchecked(slot));
  }
  return list;
}

bool convert_list(const Parameter& parameter, const ts_value& value, c10::IValue& out) {
  const int32_t kind = value.kind;
  if (is_list_kind(kind) && value.count == 0) {
    out = empty_list(parameter.want);
    return true;
  }
  const int32_t length = parameter.expanded_length;
  switch (parameter.want) {
    case Want::IntList:
      if (kind == TS_INT_LIST) out = list_of<int64_t>(value.as.integers, value.count);
      else if (kind == TS_INT && length > 0) out = repeated<int64_t>(value.as.integer, length);
      else return false;
      return true;
    case Want::FloatList:
      if (kind == TS_DOUBLE_LIST) out = list_of<double>(value.as.reals, value.count);
      else if (kind == TS_INT_LIST) out = list_of<double>(value.as.integers, value.count);
      else if (kind == TS_DOUBLE && length > 0) out = repeated<double>(value.as.real, length);
      else if (kind == TS_INT && length > 0) out = repeated<double>(static_cast<double>(value.as.integer), length);
      else return false;
      return true;
    case Want::BoolList:
      if (kind == TS_BOOL_LIST) out = list_of<bool>(value.as.booleans, value.count);
      else if (kind == TS_BOOL && length > 0) out = repeated<bool>(value.as.boolean, length);
      else return false;
      return true;
    case Want::ScalarList:
      if (kind == TS_DOUBLE_LIST) out = scalar_list_of(value.as.reals, value.count);
      else if (kind == TS_INT_LIST) out = scalar_list_of(value.as.integers, value.count);
      else if (kind == TS_BOOL_LIST) out = scalar_list_of(value.as.booleans, value.count);
      else return false;
      return true;
    case Want::TensorList:
      if (kind != TS_TENSOR_LIST) return false;
      out = tensor_list(value);
      return true;
    case Want::OptionalTensorList:
      if (kind != TS_TENSOR_LIST && kind != TS_OPTIONAL_TENSOR_LIST) return false;
      out = optional_tensor_list(value);
      return true;
    default: return false;
  }
}

}  // namespace

Parameter::Parameter(const c10::Argument& argument)
    : optional(false),
      has_default(argument.default_value().has_value()),
      expanded_length(argument.N().value_or(0)),
      name(argument.name()),
      type(argument.real_type()->str()) {
  const c10::Type* wanted = argument.real_type().get();
  if (wanted->kind() == c10::TypeKind::OptionalType) {
    optional = true;
    wanted = wanted->expectRef<c10::OptionalType>().getElementType().get();
  }
  want = want_of(*wanted);
  if (has_default) default_value = *argument.default_value();
}

bool convert_argument(const Parameter& parameter, const ts_value& value, c10::IValue& out) {
  const int32_t kind = value.kind;
  if (kind == TS_NONE) return parameter.optional;  // `out` already is none
  switch (parameter.want) {
    case Want::Tensor:
      if (kind != TS_TENSOR) return false;
      if (value.as.tensor == nullptr) return parameter.optional;
      out = unwrap_unchecked(value.as.tensor);
      return true;
    case Want::Scalar:
      if (kind == TS_DOUBLE) out = value.as.real;
      else if (kind == TS_INT) out = value.as.integer;
      else if (kind == TS_BOOL) out = value.as.boolean;
      else return false;
      return true;
    case Want::Int:
      if (kind != TS_INT) return false;
      out = value.as.integer;
      return true;
    case Want::Float:
      if (kind == TS_DOUBLE) out = value.as.real;
      else if (kind == TS_INT) out = static_cast<double>(value.as.integer);
      else return false;
      return true;
    case Want::Bool:
      if (kind != TS_BOOL) return false;
      out = value.as.boolean;
      return true;
    case Want::DType:
      if (kind != TS_DTYPE) return false;
      out = static_cast<int64_t>(checked_dtype(static_cast<int32_t>(value.as.integer)));
      return true;
    case Want::Layout:
      if (kind != TS_LAYOUT) return false;
      out = value.as.integer;
      return true;
    case Want::MemoryFormat:
      if (kind != TS_MEMORY_FORMAT) return false;
      out = value.as.integer;
      return true;
    case Want::Device:
      if (kind != TS_DEVICE) return false;
      out = checked_device(value.as.device);
      return true;
    case Want::Generator:
      if (kind != TS_GENERATOR) return false;
      if (value.as.generator == nullptr) return parameter.optional;
      out = unwrap(value.as.generator);
      return true;
    case Want::String:
      if (kind != TS_STRING) return false;
      if (value.count > 0) require(value.as.string, "the data of a string");
      out = std::string(value.as.string, value.count);
      return true;
    default: return convert_list(parameter, value, out);
  }
}

const char* kind_name(int32_t kind) {
  static constexpr const char* names[] = {"none",       "bool",   "int",      "float",        "Tensor", "Generator",
                                          "ScalarType", "Device", "Layout",   "MemoryFormat", "str",    "int[]",
                                          "float[]",    "bool[]", "Tensor[]", "Tensor?[]"};
  static_assert(std::size(names) == TS_OPTIONAL_TENSOR_LIST + 1);
  return kind >= 0 && kind <= TS_OPTIONAL_TENSOR_LIST ? names[kind] : "a value of unknown kind";
}

int32_t int_result_kind(const c10::Argument& result) {
  switch (result.real_type()->kind()) {
    case c10::TypeKind::ScalarTypeType: return TS_DTYPE;
    case c10::TypeKind::LayoutType: return TS_LAYOUT;
    case c10::TypeKind::MemoryFormatType: return TS_MEMORY_FORMAT;
    default: return TS_INT;
  }
}

ts_value convert_result(c10::IValue&& value, int32_t int_kind) {
  if (value.isTensor()) return tensor_result(std::move(value).toTensor());
  ts_value out = {};
  if (value.isNone()) {
    out.kind = TS_NONE;
  } else if (value.isDouble()) {
    out.kind = TS_DOUBLE;
    out.as.real = value.toDouble();
  } else if (value.isBool()) {
    out.kind = TS_BOOL;
    out.as.boolean = value.toBool();
  } else if (value.isInt() || value.isSymInt()) {
    out.kind = int_kind;
    out.as.integer = value.isInt() ? value.toInt() : value.toSymInt().guard_int(__FILE__, __LINE__);
  } else if (value.isTensorList()) {
    const auto list = std::move(value).toTensorList();
    auto handles = std::make_unique<ts_tensor[]>(list.size());
    for (size_t i = 0; i < list.size(); i++) handles[i] = wrap(at::Tensor(list.get(i)));
    out.kind = TS_TENSOR_LIST;
    out.count = list.size();
    out.as.tensors = handles.release();
  } else {
    fail(TS_ERROR_TYPE, "this ABI does not support a result of type ", value.type()->repr_str());
  }
  return out;
}

}  // namespace shim

void ts_value_free(ts_value* value) noexcept {
  if (value == nullptr) return;
  if (value->kind == TS_TENSOR) ts_tensor_free(value->as.tensor);
  if (value->kind == TS_TENSOR_LIST) {
    for (size_t i = 0; i < value->count; i++) ts_tensor_free(value->as.tensors[i]);
    delete[] value->as.tensors;
  }
  *value = {};
}

// Operators as data: one function finds any operator of the dispatcher, and one calls it.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <array>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "conversion.h"
#include "direct.h"

namespace shim {
namespace {

struct Operator {
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
  std::vector<int32_t> int_kinds;  // one per result
  std::string schema;
  std::string display_name;  // "aten::add.Tensor"
  std::unique_ptr<DirectCall> direct;

  explicit Operator(c10::OperatorHandle found) : handle(std::move(found)), schema(c10::toString(handle.schema())) {
    const auto& source = handle.schema();
    for (const auto& argument : source.arguments()) parameters.emplace_back(argument);
    for (const auto& result : source.returns()) int_kinds.push_back(int_result_kind(result));
    display_name = c10::toString(source.operator_name());
    direct = find_direct_call(handle, parameters);
  }
};

// Lists the overloads of an operator, for the error about a missing overload.
std::string overloads_of(const std::string& name) {
  std::string list;
  for (const auto& candidate : c10::Dispatcher::singleton().getAllOpNames()) {
    if (candidate.name != name) continue;
    list += (list.empty() ? "" : ", ") + (candidate.overload_name.empty() ? "\"\"" : candidate.overload_name);
  }
  return list;
}

std::unique_ptr<Operator> look_up(const std::string& name, const std::string& overload) {
  auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (handle) return std::make_unique<Operator>(std::move(*handle));
  const auto overloads = overloads_of(name);
  const std::string full_name = overload.empty() ? name : name + "." + overload;
  if (overloads.empty()) fail(TS_ERROR_NOT_IMPLEMENTED, "libtorch ", ts_torch_version(), " has no operator ", full_name);
  fail(TS_ERROR_NOT_IMPLEMENTED, "libtorch ", ts_torch_version(), " has no operator ", full_name, "; overloads of ", name, ": ",
       overloads);
}

// Returns the same handle for the same operator, because no function frees a handle.
Operator* find(const std::string& name, const std::string& overload) {
  static std::mutex mutex;
  static auto& known = *new std::unordered_map<std::string, std::unique_ptr<Operator>>();
  std::lock_guard<std::mutex> lock(mutex);
  auto& slot = known[name + "." + overload];
  if (!slot) slot = look_up(name, overload);
  return slot.get();
}

[[noreturn, gnu::cold, gnu::noinline]] void fail_count(const Operator& op, size_t count) {
  fail(TS_ERROR_TYPE, op.display_name, ": expected at most ", op.parameters.size(), " arguments, got ", count,
       "; schema: ", op.schema);
}

[[noreturn, gnu::cold, gnu::noinline]] void fail_missing(const Operator& op, size_t index) {
  fail(TS_ERROR_TYPE, op.display_name, ": argument ", index + 1, " '", op.parameters[index].name,
       "' is missing; schema: ", op.schema);
}

[[noreturn, gnu::cold, gnu::noinline]] void fail_kind(const Operator& op, size_t index, const ts_value& value) {
  const auto& parameter = op.parameters[index];
  if (parameter.want == Want::Unsupported) {
    fail(TS_ERROR_NOT_IMPLEMENTED, op.display_name, ": argument ", index + 1, " '", parameter.name, "' has type ", parameter.type,
         ", which this ABI does not support; schema: ", op.schema);
  }
  const bool is_null = (value.kind == TS_TENSOR || value.kind == TS_GENERATOR) && value.as.tensor == nullptr;
  fail(TS_ERROR_TYPE, op.display_name, ": argument ", index + 1, " '", parameter.name, "' must be ", parameter.type, ", got ",
       is_null ? "NULL" : kind_name(value.kind), "; schema: ", op.schema);
}

// Borrows the stack of this thread, so that a call allocates none. The destructor empties it, also after an exception.
class BorrowedStack {
 public:
  BorrowedStack() : stack_(shared()) { stack_.clear(); }
  ~BorrowedStack() { stack_.clear(); }
  BorrowedStack(const BorrowedStack&) = delete;
  BorrowedStack& operator=(const BorrowedStack&) = delete;
  c10::Stack& operator*() { return stack_; }

 private:
  static c10::Stack& shared() {
    thread_local c10::Stack stack = [] {
      c10::Stack fresh;
      fresh.reserve(64);
      return fresh;
    }();
    return stack;
  }
  c10::Stack& stack_;
};

void push_arguments(const Operator& op, const ts_value* arguments, size_t count, c10::Stack& stack) {
  const size_t wanted = op.parameters.size();
  if (C10_UNLIKELY(count > wanted)) fail_count(op, count);
  for (size_t i = 0; i < count; i++) {
    const bool fits = convert_argument(op.parameters[i], arguments[i], stack.emplace_back());
    if (C10_UNLIKELY(!fits)) fail_kind(op, i, arguments[i]);
  }
  for (size_t i = count; i < wanted; i++) {
    const auto& parameter = op.parameters[i];
    if (C10_UNLIKELY(!parameter.has_default)) fail_missing(op, i);
    stack.push_back(parameter.default_value);
  }
}

// Holds converted results. Releases them if a later conversion fails.
class Results {
 public:
  ~Results() {
    for (auto& value : values_) ts_value_free(&value);
  }
  void append(ts_value value) { values_.push_back(value); }
  void move_to(ts_value* out) noexcept {
    std::copy(values_.begin(), values_.end(), out);
    values_.clear();
  }
  void reserve(size_t count) { values_.reserve(count); }

 private:
  std::vector<ts_value> values_;
};

void take_results(const Operator& op, c10::Stack& stack, ts_value* results, size_t* produced) {
  const size_t count = stack.size();
  if (count == 1) {  // if this conversion fails, there is nothing to release
    *results = convert_result(std::move(stack[0]), op.int_kinds[0]);
  } else {
    Results converted;
    converted.reserve(count);
    for (size_t i = 0; i < count; i++) converted.append(convert_result(std::move(stack[i]), op.int_kinds[i]));
    converted.move_to(results);
  }
  *produced = count;
}

// Not inlined, because its registers and stack variables would cost the direct call 10 ns.
[[gnu::noinline]] void call_boxed(const Operator& op, const ts_value* arguments, size_t count, ts_value* results, size_t capacity,
                                  size_t* produced) {
  const size_t wanted = op.int_kinds.size();
  if (wanted > 0) require(results, "results");
  if (C10_UNLIKELY(wanted > capacity)) {
    fail(TS_ERROR_VALUE, op.display_name, ": returns ", wanted, " results, but the capacity is ", capacity,
         "; schema: ", op.schema);
  }
  BorrowedStack stack;
  push_arguments(op, arguments, count, *stack);
  op.handle.callBoxed(*stack);
  take_results(op, *stack, results, produced);
}

}  // namespace
}  // namespace shim

using namespace shim;

ts_status ts_operator_find(const char* name, const char* overload, ts_operator* out) noexcept {
  return guard([&] {
    require(name, "name");
    require(overload, "overload");
    require(out, "out");
    *out = reinterpret_cast<ts_operator>(find(name, overload));
  });
}

ts_status ts_operator_call(ts_operator op, const ts_value* arguments, size_t count, ts_value* results, size_t capacity,
                           size_t* produced) noexcept {
  return guard([&] {
    require(op, "the operator handle");
    require(produced, "produced");
    if (count > 0) require(arguments, "arguments");
    const auto& target = *reinterpret_cast<const Operator*>(op);
    const bool has_room = results != nullptr && capacity > 0;
    if (target.direct && has_room && target.direct->call(arguments, count, *results)) {
      *produced = 1;
    } else {
      call_boxed(target, arguments, count, results, capacity, produced);
    }
  });
}

const char* ts_operator_schema(ts_operator op) noexcept {
  return op == nullptr ? "" : reinterpret_cast<const Operator*>(op)->schema.c_str();
}

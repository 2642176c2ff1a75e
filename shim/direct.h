// Direct calls of the commonest signatures. Private to operators.cpp and direct.cpp.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <memory>
#include <vector>

#include "conversion.h"

namespace shim {

// A call without the interpreter's stack. On an 8-element add the stack costs about 70 ns of 530, which is most of what this
// interface adds to C++.
class DirectCall {
 public:
  virtual ~DirectCall() = default;

  // False, with nothing done, when the values are not exactly what the signature takes; the general call then converts them or
  // says what is wrong.
  virtual bool call(const ts_value* arguments, size_t count, ts_value& result) const = 0;
};

// The direct call of an operator, or NULL when its signature is none of the common ones.
std::unique_ptr<DirectCall> find_direct_call(const c10::OperatorHandle& handle, const std::vector<Parameter>& parameters);

}  // namespace shim

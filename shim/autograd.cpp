// Gradients, grad mode and autocast.
#include <torch/csrc/autograd/autograd.h>

#include <ATen/autocast_mode.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "internal.h"

namespace shim {
namespace {

using Variables = torch::autograd::variable_list;

Variables unwrap_all(const ts_tensor* handles, size_t count, const char* name) {
  if (count == 0) fail(TS_ERROR_VALUE, "no ", name, " given");
  require(handles, name);
  Variables variables;
  variables.reserve(count);
  for (size_t i = 0; i < count; i++) variables.push_back(unwrap(handles[i], name));
  return variables;
}

// Replaces missing gradients by ones, because libtorch does so only for scalar outputs.
Variables unwrap_gradients(const ts_tensor* handles, const Variables& outputs) {
  Variables gradients;
  if (handles == nullptr) return gradients;
  gradients.reserve(outputs.size());
  for (size_t i = 0; i < outputs.size(); i++) {
    gradients.push_back(handles[i] == nullptr ? at::ones_like(outputs[i]) : unwrap_unchecked(handles[i]));
  }
  return gradients;
}

}  // namespace
}  // namespace shim

using namespace shim;

bool ts_tensor_requires_grad(ts_tensor tensor) noexcept { return impl(tensor)->requires_grad(); }

bool ts_tensor_is_leaf(ts_tensor tensor) noexcept {
  try {
    return unwrap_unchecked(tensor).is_leaf();
  } catch (...) {
    return false;
  }
}

ts_status ts_tensor_set_requires_grad(ts_tensor tensor, bool requires_grad) noexcept {
  return guard([&] { unwrap(tensor).requires_grad_(requires_grad); });
}

ts_status ts_tensor_grad(ts_tensor tensor, ts_tensor* out) noexcept {
  return guard([&] {
    require(out, "out");
    const auto variable = unwrap(tensor);
    // Reads the gradient only if the tensor keeps one, because libtorch prints a warning otherwise.
    const bool keeps_gradient = variable.is_leaf() || variable.retains_grad();
    *out = keeps_gradient ? wrap(at::Tensor(variable.grad())) : nullptr;
  });
}

ts_status ts_tensor_set_grad(ts_tensor tensor, ts_tensor grad) noexcept {
  return guard([&] {
    auto variable = unwrap(tensor);
    if (grad == nullptr) {
      variable.mutable_grad() = at::Tensor();
      return;
    }
    auto gradient = unwrap_unchecked(grad);
    if (gradient.sizes() != variable.sizes() || gradient.scalar_type() != variable.scalar_type() ||
        gradient.device() != variable.device()) {
      fail(TS_ERROR_VALUE, "the gradient is ", gradient.toString(), " ", gradient.sizes(), " on ", gradient.device(),
           ", but its tensor is ", variable.toString(), " ", variable.sizes(), " on ", variable.device());
    }
    variable.mutable_grad() = std::move(gradient);
  });
}

bool ts_grad_mode(void) noexcept { return c10::GradMode::is_enabled(); }

bool ts_grad_mode_set(bool enabled) noexcept {
  const bool previous = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(enabled);
  return previous;
}

ts_status ts_backward(const ts_tensor* outputs, size_t count, const ts_tensor* grad_outputs, bool retain_graph,
                      bool create_graph) noexcept {
  return guard([&] {
    const auto variables = unwrap_all(outputs, count, "outputs");
    torch::autograd::backward(variables, unwrap_gradients(grad_outputs, variables), retain_graph, create_graph);
  });
}

ts_status ts_gradient(const ts_tensor* outputs, size_t output_count, const ts_tensor* inputs, size_t input_count,
                      const ts_tensor* grad_outputs, bool retain_graph, bool create_graph, bool allow_unused,
                      ts_tensor* out) noexcept {
  return guard([&] {
    require(out, "out");
    const auto variables = unwrap_all(outputs, output_count, "outputs");
    auto gradients = torch::autograd::grad(variables, unwrap_all(inputs, input_count, "inputs"),
                                           unwrap_gradients(grad_outputs, variables), retain_graph, create_graph, allow_unused);
    for (size_t i = 0; i < input_count; i++) out[i] = wrap(std::move(gradients[i]));
  });
}

ts_status ts_autocast_set(int8_t device_type, bool enabled, int32_t dtype) noexcept {
  return guard([&] {
    const auto type = checked_device({device_type, -1}).type();
    const auto precision = checked_dtype(dtype);
    at::autocast::set_autocast_dtype(type, precision);
    at::autocast::set_autocast_enabled(type, enabled);
    if (!enabled) at::autocast::clear_cache();
  });
}

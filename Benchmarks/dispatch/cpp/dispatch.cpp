// The C++ half of the dispatch benchmark. It makes the same calls as Sources/dispatch/main.swift, with libtorch alone. See `run`.
#include <torch/csrc/autograd/autograd.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

namespace {

// Returns the processor time of this process in nanoseconds. Other programs on the same core do not lengthen it.
double now() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// Returns the nanoseconds of one call: the median over `blocks` blocks of `calls` calls each.
template <typename Body>
double measure(int blocks, int calls, Body&& body) {
  for (int i = 0; i < 2 * calls; i++) body();
  std::vector<double> times;
  for (int block = 0; block < blocks; block++) {
    const double start = now();
    for (int i = 0; i < calls; i++) body();
    times.push_back((now() - start) / calls);
  }
  std::sort(times.begin(), times.end());
  return times[blocks / 2];
}

// Makes the same numbers as the Swift program: wave(k)[i] = sin(0.37 i + k). Clones them, because libtorch is slower on views.
at::Tensor wave(at::IntArrayRef shape, int k, double scale) {
  const auto count = c10::multiply_integers(shape);
  return ((at::arange(count, at::kDouble) * 0.37 + k).sin() * scale).to(at::kFloat).reshape(shape).clone();
}

using Layer = std::pair<at::Tensor, at::Tensor>;

at::Tensor input_gradient(const std::vector<Layer>& layers, const at::Tensor& input) {
  const auto x = input.detach().requires_grad_();
  auto y = x;
  for (const auto& [weight, bias] : layers) y = at::relu(at::linear(y, weight, bias));
  return torch::autograd::grad({y.sum()}, {x})[0];
}

}  // namespace

int main() {
  at::set_num_threads(1);
  const auto a = wave({8}, 1, 1), b = wave({8}, 2, 1);
  double add;
  {
    c10::NoGradGuard no_grad;
    add = measure(31, 20000, [&] { at::add(a, b); });
  }
  std::vector<Layer> layers;
  for (int k = 0; k < 10; k++) layers.emplace_back(wave({64, 64}, k, 0.2).requires_grad_(), wave({64}, k, 0.1).requires_grad_());
  const auto input = wave({1, 64}, 3, 1);
  const double gradient = measure(31, 200, [&] { input_gradient(layers, input); });
  const double checksum = at::add(a, b).abs().sum().item<double>() + input_gradient(layers, input).abs().sum().item<double>();
  std::printf("%.17g %.17g %.17g\n", add, gradient, checksum);
}

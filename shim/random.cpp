// Random number generators. Every access locks the generator, as libtorch's operators do.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>

#include <mutex>

#include "internal.h"

namespace shim {
namespace {

at::Generator make_generator(c10::Device device) {
  if (device.is_cpu()) return at::make_generator<at::CPUGeneratorImpl>();
  at::globalContext().lazyInitDevice(device.type());
  return at::globalContext().getAcceleratorHooksInterface(device.type()).getNewGenerator(device.index());
}

}  // namespace
}  // namespace shim

using namespace shim;

ts_status ts_generator_new(ts_device device, uint64_t seed, ts_generator* out) noexcept {
  return guard([&] {
    require(out, "out");
    auto generator = make_generator(checked_device(device));
    generator.set_current_seed(seed);
    *out = reinterpret_cast<ts_generator>(generator.unsafeReleaseGeneratorImpl());
    count_handle();
  });
}

void ts_generator_free(ts_generator generator) noexcept {
  if (generator == nullptr) return;
  uncount_handle();
  c10::intrusive_ptr<c10::GeneratorImpl>::reclaim(reinterpret_cast<c10::GeneratorImpl*>(generator));
}

ts_status ts_generator_set_seed(ts_generator generator, uint64_t seed) noexcept {
  return guard([&] {
    auto source = unwrap(generator);
    std::lock_guard<std::mutex> lock(source.mutex());
    source.set_current_seed(seed);
  });
}

ts_status ts_generator_state(ts_generator generator, ts_tensor* out) noexcept {
  return guard([&] {
    require(out, "out");
    auto source = unwrap(generator);
    std::lock_guard<std::mutex> lock(source.mutex());
    *out = wrap(source.get_state());
  });
}

ts_status ts_generator_set_state(ts_generator generator, ts_tensor state) noexcept {
  return guard([&] {
    auto source = unwrap(generator);
    const auto bytes = unwrap(state, "the state");
    std::lock_guard<std::mutex> lock(source.mutex());
    source.set_state(bytes);
  });
}

ts_status ts_manual_seed(uint64_t seed) noexcept {
  return guard([&] { at::manual_seed(seed); });
}

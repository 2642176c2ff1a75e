// Devices, threads and memory.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <dlfcn.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cstring>
#include <limits>

#include "internal.h"

static_assert(TS_CPU == static_cast<int>(c10::DeviceType::CPU) && TS_CUDA == static_cast<int>(c10::DeviceType::CUDA));

namespace shim {
namespace {

int device_count(c10::DeviceType type) {
  if (type == c10::DeviceType::CPU) return 1;
  if (!c10::impl::hasDeviceGuardImpl(type)) return 0;
  return c10::impl::VirtualGuardImpl(type).deviceCount();
}

// Starts the runtime of an accelerator and returns the device with its index. Fails for the CPU, which has no `feature`.
c10::Device started_accelerator(ts_device device, const char* feature) {
  auto target = checked_device(device);
  if (target.is_cpu()) fail(TS_ERROR_VALUE, "the CPU has no ", feature);
  at::globalContext().lazyInitDevice(target.type());
  return target.has_index() ? target : c10::impl::VirtualGuardImpl(target.type()).getDevice();
}

// Returns the CUDA driver's name of a device. Loads the driver library at run time, because the shim compiles without CUDA's
// headers.
std::string cuda_device_name(int index) {
  static void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) fail(TS_ERROR_RUNTIME, "the CUDA driver library libcuda.so.1 cannot be loaded");
  const auto initialize = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto get_device = reinterpret_cast<int (*)(int*, int)>(dlsym(driver, "cuDeviceGet"));
  const auto get_name = reinterpret_cast<int (*)(char*, int, int)>(dlsym(driver, "cuDeviceGetName"));
  char name[256] = {};
  int handle = 0;
  const bool known = initialize && get_device && get_name && initialize(0) == 0 && get_device(&handle, index) == 0 &&
                     get_name(name, sizeof name, handle) == 0;
  if (!known) fail(TS_ERROR_RUNTIME, "the CUDA driver returned no name for device ", index);
  return name;
}

}  // namespace

c10::Device checked_device(ts_device device) {
  if (device.type != TS_CPU && device.type != TS_CUDA) {
    fail(TS_ERROR_VALUE, "device type ", static_cast<int>(device.type), " is neither CPU (0) nor CUDA (1)");
  }
  const auto type = static_cast<c10::DeviceType>(device.type);
  const int count = device_count(type);
  if (count == 0) fail(TS_ERROR_VALUE, "this machine or this libtorch has no CUDA device");
  if (device.index < -1 || device.index >= count) {
    fail(TS_ERROR_VALUE, "there is no device ", c10::DeviceTypeName(type, true), ":", static_cast<int>(device.index),
         "; the number of devices of this type is ", count);
  }
  return c10::Device(type, device.index);
}

}  // namespace shim

using namespace shim;

int32_t ts_device_count(int8_t type) noexcept {
  if (type != TS_CPU && type != TS_CUDA) return 0;
  try {
    return device_count(static_cast<c10::DeviceType>(type));
  } catch (...) {
    return 0;
  }
}

ts_status ts_device_name(ts_device device, char* out, size_t capacity) noexcept {
  return guard([&] {
    require(out, "out");
    if (capacity == 0) fail(TS_ERROR_VALUE, "the capacity for a name must be at least 1, got 0");
    const std::string name =
        checked_device(device).is_cpu() ? "CPU" : cuda_device_name(started_accelerator(device, "name").index());
    const size_t length = std::min(name.size(), capacity - 1);
    std::memcpy(out, name.data(), length);
    out[length] = '\0';
  });
}

ts_status ts_device_synchronize(ts_device device) noexcept {
  return guard([&] {
    if (checked_device(device).is_cpu()) return;
    const auto target = started_accelerator(device, "queue");
    c10::impl::VirtualGuardImpl(target.type()).synchronizeDevice(target.index());
  });
}

ts_status ts_device_memory(ts_device device, int64_t* allocated, int64_t* peak) noexcept {
  return guard([&] {
    require(allocated, "allocated");
    require(peak, "peak");
    const auto target = started_accelerator(device, "memory statistics");
    const auto statistics = c10::getDeviceAllocator(target.type())->getDeviceStats(target.index());
    const auto& bytes = statistics.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
    *allocated = bytes.current;
    *peak = bytes.peak;
  });
}

ts_status ts_device_memory_reset_peak(ts_device device) noexcept {
  return guard([&] {
    const auto target = started_accelerator(device, "memory statistics");
    c10::getDeviceAllocator(target.type())->resetPeakStats(target.index());
  });
}

ts_status ts_device_memory_empty_cache(void) noexcept {
  return guard([&] {
    if (device_count(c10::DeviceType::CUDA) == 0) return;
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    c10::getDeviceAllocator(c10::DeviceType::CUDA)->emptyCache();
  });
}

int32_t ts_threads(void) noexcept { return at::get_num_threads(); }

ts_status ts_threads_set(int32_t count) noexcept {
  return guard([&] {
    if (count < 1) fail(TS_ERROR_VALUE, "the number of threads must be at least 1, got ", count);
    at::set_num_threads(count);
  });
}

bool ts_flush_denormals_set(bool enabled) noexcept { return at::globalContext().setFlushDenormal(enabled); }

bool ts_host_memory_keep(void) noexcept {
#ifdef __GLIBC__
  // With these settings, the allocator never maps a block separately, so it never unmaps one. The heap grows in steps of 64 MiB
  // and never shrinks.
  constexpr int top_pad = 64 << 20;
  return mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max()) == 1 &&
         mallopt(M_TOP_PAD, top_pad) == 1;
#else
  return false;
#endif
}

#include "check.h"

static void test_versions(void) {
  CHECK(ts_abi_version() == TS_ABI_VERSION);
  int major = 0, minor = 0;
  CHECK(sscanf(ts_torch_version(), "%d.%d", &major, &minor) == 2 && major == 2 && minor >= 11 && minor <= 13);
  CHECK(strstr(ts_build_configuration(), "PyTorch built with") != NULL);
  CHECK(strlen(ts_cpu_capability()) > 0);
  CHECK(ts_has_onednn() ==
        (strstr(ts_build_configuration(), "USE_MKLDNN=ON") != NULL || strstr(ts_build_configuration(), "USE_MKLDNN=1") != NULL));
}

static void test_devices(void) {
  const ts_device cpu = {TS_CPU, -1};
  char name[4];
  int64_t allocated = 0, peak = 0;
  CHECK(ts_device_count(TS_CPU) == 1 && ts_device_count(99) == 0);
  OK(ts_device_name(cpu, name, sizeof name));
  CHECK(strcmp(name, "CPU") == 0);
  OK(ts_device_name(cpu, name, 2));
  CHECK(strcmp(name, "C") == 0);
  OK(ts_device_synchronize(cpu));
  OK(ts_device_memory_empty_cache());
  FAILS(ts_device_memory(cpu, &allocated, &peak), TS_ERROR_VALUE, "the CPU has no memory statistics");
  FAILS(ts_device_memory_reset_peak(cpu), TS_ERROR_VALUE, "the CPU has no memory statistics");
  FAILS(ts_device_synchronize((ts_device){5, 0}), TS_ERROR_VALUE, "device type 5 is neither");
  const ts_device beyond = {TS_CUDA, (int8_t)ts_device_count(TS_CUDA)};
  FAILS(ts_device_synchronize(beyond), TS_ERROR_VALUE, ts_device_count(TS_CUDA) == 0 ? "no CUDA device" : "the number of devices");
  if (ts_device_count(TS_CUDA) > 0) {
    const ts_device cuda = {TS_CUDA, 0};
    char model[128];
    OK(ts_device_name(cuda, model, sizeof model));
    CHECK(strlen(model) > 0);
    const ts_value place = {.kind = TS_DEVICE, .as.device = cuda};
    OK(ts_device_memory_reset_peak(cuda));
    ts_value block = CALL("aten::zeros", "", integers((int64_t[]){1 << 20}, 1), dtype(TS_FLOAT32), none(), place);
    OK(ts_device_synchronize(cuda));
    OK(ts_device_memory(cuda, &allocated, &peak));
    CHECK(allocated >= 4 << 20 && peak >= allocated);
    ts_value_free(&block);
    OK(ts_device_memory(cuda, &allocated, &peak));
    CHECK(allocated < 4 << 20 && peak >= 4 << 20);
    OK(ts_device_memory_empty_cache());
  }
}

static void test_threads(void) {
  const int32_t before = ts_threads();
  OK(ts_threads_set(1));
  CHECK(ts_threads() == 1);
  OK(ts_threads_set(before));
  FAILS(ts_threads_set(0), TS_ERROR_VALUE, "at least 1, got 0");
}

/* The product 1e-40 is below the smallest normal float. */
static void test_denormals(void) {
  OK(ts_threads_set(1));
  ts_tensor small = vector((float[]){1e-20f}, 1), factor = vector((float[]){1e-20f}, 1);
  float product = -1;
  if (ts_flush_denormals_set(true)) {
    ts_value flushed = CALL("aten::mul", "Tensor", tensor(small), tensor(factor));
    OK(ts_tensor_copy_to_host(flushed.as.tensor, &product, 4));
    CHECK(product == 0);
    ts_value_free(&flushed);
    CHECK(ts_flush_denormals_set(false));
  }
  ts_value kept = CALL("aten::mul", "Tensor", tensor(small), tensor(factor));
  OK(ts_tensor_copy_to_host(kept.as.tensor, &product, 4));
  CHECK(product > 0);
  ts_value_free(&kept);
  ts_tensor_free(small);
  ts_tensor_free(factor);
}

void test_system(void) {
  test_versions();
  test_devices();
  test_threads();
  test_denormals();
  const bool keeps = ts_host_memory_keep();
#if defined(__GLIBC__) && !defined(SANITIZED) /* AddressSanitizer has its own allocator */
  CHECK(keeps);
#else
  CHECK(!keeps);
#endif
}

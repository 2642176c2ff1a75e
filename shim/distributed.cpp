// Process groups over gloo. If libtorch has no gloo (TS_HAVE_GLOO, see CMakeLists.txt), every function fails.
#include "internal.h"

#ifdef TS_HAVE_GLOO
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>
#include <string_view>
#include <vector>

static_assert(TS_REDUCE_SUM == static_cast<int>(c10d::ReduceOp::SUM) &&
              TS_REDUCE_PRODUCT == static_cast<int>(c10d::ReduceOp::PRODUCT));
static_assert(TS_REDUCE_MIN == static_cast<int>(c10d::ReduceOp::MIN) && TS_REDUCE_MAX == static_cast<int>(c10d::ReduceOp::MAX));

namespace shim {
namespace {

using Group = c10d::ProcessGroupGloo;

Group& unwrap(ts_process_group handle) {
  require(handle, "the process group handle");
  return *reinterpret_cast<Group*>(handle);
}

c10d::ReduceOp::RedOpType checked_reduction(int32_t reduction) {
  switch (reduction) {
    case TS_REDUCE_SUM:
    case TS_REDUCE_PRODUCT:
    case TS_REDUCE_MIN:
    case TS_REDUCE_MAX: return static_cast<c10d::ReduceOp::RedOpType>(reduction);
    default: fail(TS_ERROR_VALUE, "there is no reduction number ", reduction);
  }
}

// Waits for the other members at the store. Adds details to the error, because libtorch says only "Wait timeout".
c10::intrusive_ptr<Group> meet(const char* path, int rank, int size, std::chrono::milliseconds timeout) {
  try {
    auto store = c10::make_intrusive<c10d::FileStore>(path, size);
    store->setTimeout(timeout);
    return c10::make_intrusive<Group>(store, rank, size, Group::Options::create_default(timeout));
  } catch (const c10::Error& error) {
    fail(TS_ERROR_RUNTIME, "rank ", rank, " did not meet the other members of a group of ", size, " at ", path, " within ",
         timeout.count(), " ms: ", error.what_without_backtrace());
  }
}

}  // namespace
}  // namespace shim

using namespace shim;

ts_status ts_process_group_new(const char* backend, const char* store_path, int32_t rank, int32_t size,
                               int64_t timeout_milliseconds, ts_process_group* out) noexcept {
  return guard([&] {
    require(backend, "backend");
    require(store_path, "store_path");
    require(out, "out");
    if (std::string_view(backend) != "gloo") fail(TS_ERROR_VALUE, "unknown process group backend '", backend, "'; expected gloo");
    if (size < 1 || rank < 0 || rank >= size) {
      fail(TS_ERROR_VALUE, "there is no rank ", rank, " in a group of ", size, " processes; expected 0 <= rank < size");
    }
    if (timeout_milliseconds < 1) fail(TS_ERROR_VALUE, "the timeout must be positive, got ", timeout_milliseconds, " ms");
    auto group = meet(store_path, rank, size, std::chrono::milliseconds(timeout_milliseconds));
    count_handle();
    *out = reinterpret_cast<ts_process_group>(group.release());
  });
}

void ts_process_group_free(ts_process_group group) noexcept {
  if (group == nullptr) return;
  uncount_handle();
  c10::intrusive_ptr<Group>::reclaim(reinterpret_cast<Group*>(group));
}

ts_status ts_process_group_all_reduce(ts_process_group group, ts_tensor tensor, int32_t reduction) noexcept {
  return guard([&] {
    std::vector<at::Tensor> tensors{shim::unwrap(tensor)};
    c10d::AllreduceOptions options;
    options.reduceOp = checked_reduction(reduction);
    unwrap(group).allreduce(tensors, options)->wait();
  });
}

ts_status ts_process_group_broadcast(ts_process_group group, ts_tensor tensor, int32_t root) noexcept {
  return guard([&] {
    std::vector<at::Tensor> tensors{shim::unwrap(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    unwrap(group).broadcast(tensors, options)->wait();
  });
}

ts_status ts_process_group_barrier(ts_process_group group) noexcept {
  return guard([&] { unwrap(group).barrier()->wait(); });
}

#else

namespace {
ts_status not_available() noexcept {
  return shim::guard(
      [] { shim::fail(TS_ERROR_NOT_IMPLEMENTED, "this libtorch was built without gloo, so it has no process groups"); });
}
}  // namespace

ts_status ts_process_group_new(const char*, const char*, int32_t, int32_t, int64_t, ts_process_group*) noexcept {
  return not_available();
}
void ts_process_group_free(ts_process_group) noexcept {}
ts_status ts_process_group_all_reduce(ts_process_group, ts_tensor, int32_t) noexcept { return not_available(); }
ts_status ts_process_group_broadcast(ts_process_group, ts_tensor, int32_t) noexcept { return not_available(); }
ts_status ts_process_group_barrier(ts_process_group) noexcept { return not_available(); }

#endif

// The error boundary, versions and the live-handle count.
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <torch/headeronly/version.h>

#include <ios>
#include <new>
#include <stdexcept>
#include <string_view>

#include "internal.h"

namespace shim {

std::atomic<int64_t> live_handles{0};

namespace {

thread_local std::string last_message;

// Removes the C++ backtrace that libtorch appends to a message, because it does not help the user.
std::string_view without_backtrace(std::string_view text) {
  for (std::string_view marker : {"\nException raised from ", "Exception raised from ", "\nC++ CapturedTraceback:"}) {
    if (auto at = text.find(marker); at != std::string_view::npos && at > 0) text = text.substr(0, at);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

ts_status record(ts_status status, std::string_view text) noexcept {
  try {
    last_message = without_backtrace(text);
  } catch (...) {
    last_message.clear();  // there is no memory for the message, so only the status reports the error
  }
  return status;
}

ts_status record(ts_status status, const c10::Error& error) noexcept { return record(status, error.what_without_backtrace()); }

// Returns the status of a plain c10::Error. Reads its text, because the CPU allocator reports exhausted memory as a c10::Error.
ts_status status_of(const c10::Error& error) noexcept {
  std::string_view text = error.what_without_backtrace();
  return text.find("DefaultCPUAllocator:") != std::string_view::npos ? TS_ERROR_OUT_OF_MEMORY : TS_ERROR_RUNTIME;
}

}  // namespace

ts_status record_current_exception() noexcept {
  try {
    throw;
  } catch (const Failure& error) {
    return record(error.status(), error.what());
  } catch (const c10::IndexError& error) {
    return record(TS_ERROR_INDEX, error);
  } catch (const c10::ValueError& error) {
    return record(TS_ERROR_VALUE, error);
  } catch (const c10::TypeError& error) {
    return record(TS_ERROR_TYPE, error);
  } catch (const c10::NotImplementedError& error) {
    return record(TS_ERROR_NOT_IMPLEMENTED, error);
  } catch (const c10::OutOfMemoryError& error) {
    return record(TS_ERROR_OUT_OF_MEMORY, error);
  } catch (const c10::LinAlgError& error) {
    return record(TS_ERROR_LINALG, error);
  } catch (const c10::Error& error) {
    return record(status_of(error), error);
  } catch (const std::bad_alloc&) {
    return record(TS_ERROR_OUT_OF_MEMORY, "out of memory");
  } catch (const std::ios_base::failure& error) {
    return record(TS_ERROR_IO, error.what());
  } catch (const std::out_of_range& error) {
    return record(TS_ERROR_INDEX, error.what());
  } catch (const std::invalid_argument& error) {
    return record(TS_ERROR_VALUE, error.what());
  } catch (const std::exception& error) {
    return record(TS_ERROR_RUNTIME, error.what());
  } catch (...) {
    return record(TS_ERROR_RUNTIME, "an exception of unknown type");
  }
}

namespace {

// Returns the version of the loaded library, which may differ from the version of the headers.
std::string loaded_torch_version() {
  const std::string configuration = at::show_config();
  constexpr std::string_view key = "TORCH_VERSION=";
  auto begin = configuration.find(key);
  if (begin == std::string::npos) return TORCH_VERSION;
  begin += key.size();
  return configuration.substr(begin, configuration.find_first_of(", \n", begin) - begin);
}

// Returns a computed text, or an empty text on failure, because the functions that use it cannot report an error.
template <typename Compute>
std::string text_or_empty(Compute&& compute) noexcept {
  try {
    return compute();
  } catch (...) {
    return {};
  }
}

}  // namespace
}  // namespace shim

const char* ts_error_message(void) noexcept { return shim::last_message.c_str(); }

int32_t ts_abi_version(void) noexcept { return TS_ABI_VERSION; }

const char* ts_torch_version(void) noexcept {
  static const std::string text = shim::text_or_empty(shim::loaded_torch_version);
  return text.c_str();
}

const char* ts_build_configuration(void) noexcept {
  static const std::string text = shim::text_or_empty(at::show_config);
  return text.c_str();
}

const char* ts_cpu_capability(void) noexcept {
  static const std::string text = shim::text_or_empty(at::get_cpu_capability);
  return text.c_str();
}

bool ts_has_onednn(void) noexcept { return at::hasMKLDNN(); }

int64_t ts_live_handles(void) noexcept { return shim::live_handles.load(std::memory_order_relaxed); }

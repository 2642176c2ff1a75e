// TorchScript modules. Only this file includes torch/script.h, which is slow to compile.
#include <torch/script.h>

#include <caffe2/serialize/read_adapter_interface.h>

#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "internal.h"

namespace shim {
namespace {

struct Script {
  torch::jit::Module module;
  // Stored, because a returned name must stay valid as long as the module.
  std::vector<std::string> names;
  size_t parameter_count = 0;

  explicit Script(torch::jit::Module loaded) : module(std::move(loaded)) {
    for (const auto& parameter : module.named_parameters()) names.push_back(parameter.name);
    parameter_count = names.size();
    for (const auto& buffer : module.named_buffers()) names.push_back(buffer.name);
  }

  at::Tensor state(size_t index) const {
    size_t position = 0;
    if (index < parameter_count) {
      for (const auto& parameter : module.named_parameters()) {
        if (position++ == index) return parameter.value;
      }
    }
    position = parameter_count;
    for (const auto& buffer : module.named_buffers()) {
      if (position++ == index) return buffer.value;
    }
    fail(TS_ERROR_INDEX, "there is no state ", index, " in a module with ", names.size(), " parameters and buffers");
  }
};

Script& unwrap(ts_script handle) {
  require(handle, "the module handle");
  return *reinterpret_cast<Script*>(handle);
}

ts_script wrap(std::unique_ptr<Script> script) noexcept {
  count_handle();
  return reinterpret_cast<ts_script>(script.release());
}

// Reads the caller's bytes without a copy.
class MemoryReader final : public caffe2::serialize::ReadAdapterInterface {
 public:
  MemoryReader(const void* data, size_t bytes) : data_(static_cast<const char*>(data)), bytes_(bytes) {}
  size_t size() const override { return bytes_; }
  size_t read(uint64_t position, void* buffer, size_t count, const char*) const override {
    if (position >= bytes_) return 0;
    const size_t length = std::min(count, bytes_ - static_cast<size_t>(position));
    std::memcpy(buffer, data_ + position, length);
    return length;
  }

 private:
  const char* data_;
  size_t bytes_;
};

// Returns the first line of libtorch's message about an archive. The other lines quote source code of the archive and of libtorch.
std::string first_line(const char* message) {
  std::istringstream lines(message);
  std::string line;
  while (line.empty() && std::getline(lines, line)) {
  }
  while (!line.empty() && (line.back() == ':' || line.back() == ' ')) line.pop_back();
  return line;
}

torch::jit::Module load(const void* data, size_t bytes, c10::Device device) {
  static constexpr char zip_signature[] = {'P', 'K', 3, 4};
  if (bytes < sizeof zip_signature || std::memcmp(data, zip_signature, sizeof zip_signature) != 0) {
    fail(TS_ERROR_IO, "not a TorchScript module: the data is not a zip archive");
  }
  try {
    return torch::jit::load(std::make_shared<MemoryReader>(data, bytes), device);
  } catch (const c10::Error& error) {
    fail(TS_ERROR_IO, "not a TorchScript module: ", first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    fail(TS_ERROR_IO, "not a TorchScript module: ", first_line(error.what()));
  }
}

}  // namespace
}  // namespace shim

using namespace shim;

ts_status ts_script_load(const void* data, size_t bytes, ts_device device, ts_script* out) noexcept {
  return guard([&] {
    require(out, "out");
    require(data, "data");
    *out = wrap(std::make_unique<Script>(load(data, bytes, checked_device(device))));
  });
}

void ts_script_free(ts_script module) noexcept {
  if (module == nullptr) return;
  uncount_handle();
  delete reinterpret_cast<Script*>(module);
}

ts_status ts_script_forward(ts_script module, ts_tensor input, ts_tensor* out) noexcept {
  return guard([&] {
    require(out, "out");
    auto& script = unwrap(module);
    if (!script.module.find_method("forward")) fail(TS_ERROR_NOT_IMPLEMENTED, "the module has no forward method");
    auto result = script.module.forward({unwrap(input, "the input")});
    if (!result.isTensor()) fail(TS_ERROR_TYPE, "forward returned ", result.type()->repr_str(), "; expected one tensor");
    *out = wrap(std::move(result).toTensor());
  });
}

bool ts_script_is_training(ts_script module) noexcept {
  try {
    return unwrap(module).module.is_training();
  } catch (...) {
    return false;
  }
}

ts_status ts_script_set_training(ts_script module, bool training) noexcept {
  return guard([&] { unwrap(module).module.train(training); });
}

ts_status ts_script_to_device(ts_script module, ts_device device) noexcept {
  return guard([&] { unwrap(module).module.to(checked_device(device)); });
}

ts_status ts_script_state_count(ts_script module, size_t* parameters, size_t* buffers) noexcept {
  return guard([&] {
    require(parameters, "parameters");
    require(buffers, "buffers");
    const auto& script = unwrap(module);
    *parameters = script.parameter_count;
    *buffers = script.names.size() - script.parameter_count;
  });
}

ts_status ts_script_state(ts_script module, size_t index, const char** name, ts_tensor* out) noexcept {
  return guard([&] {
    require(name, "name");
    require(out, "out");
    const auto& script = unwrap(module);
    auto tensor = script.state(index);
    *name = script.names[index].c_str();
    *out = shim::wrap(std::move(tensor));
  });
}

ts_status ts_script_freeze(ts_script module, ts_script* out) noexcept {
  return guard([&] {
    require(out, "out");
    const auto& script = unwrap(module);
    if (script.module.is_training()) fail(TS_ERROR_VALUE, "only a module in evaluation mode can be frozen");
    *out = wrap(std::make_unique<Script>(torch::jit::freeze(script.module)));
  });
}

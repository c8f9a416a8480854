#include "checkpoint_tensors.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace defense {

namespace {

struct element {
  app::dtype file;
  torch::ScalarType here;
};
constexpr element elements[] = {{app::dtype::f32, torch::kFloat32},
                                {app::dtype::f64, torch::kFloat64},
                                {app::dtype::i64, torch::kInt64},
                                {app::dtype::u8, torch::kUInt8}};

app::dtype file_type(const torch::Tensor& tensor) {
  const auto* const found = std::ranges::find(elements, tensor.scalar_type(), &element::here);
  if (found != std::end(elements)) return found->file;
  throw std::runtime_error("only float32, float64, int64 and uint8 tensors can be saved");
}

torch::ScalarType torch_type(const app::tensor& tensor) {
  const auto* const found = std::ranges::find(elements, tensor.dtype, &element::file);
  return found != std::end(elements) ? found->here : torch::kFloat32;
}

}  // namespace

void add_module(named_tensors& to, const std::string& prefix, const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) {
    to.emplace_back(prefix + "." + item.key(), item.value());
  }
  for (const auto& item : module.named_buffers()) {
    to.emplace_back(prefix + "." + item.key(), item.value());
  }
}

app::safetensors pack(const named_tensors& tensors) {
  app::safetensors file;
  for (const auto& [name, value] : tensors) {
    const torch::Tensor here = value.detach().to(torch::kCPU).contiguous();
    app::tensor out{name, file_type(here), here.sizes().vec(), {}};
    out.bytes.resize(here.nbytes());
    if (here.nbytes() > 0) std::memcpy(out.bytes.data(), here.data_ptr(), here.nbytes());
    file.tensors.push_back(std::move(out));
  }
  return file;
}

torch::Tensor to_torch(const app::tensor& from) {
  torch::Tensor to = torch::empty(from.shape, torch_type(from));
  if (to.scalar_type() == torch::kFloat32) {
    std::ranges::copy(from.values<float>(), to.data_ptr<float>());
  } else if (to.nbytes() > 0) {
    std::memcpy(to.data_ptr(), from.bytes.data(), to.nbytes());
  }
  return to;
}

void unpack(const app::safetensors& file, const named_tensors& tensors) {
  for (const auto& [name, value] : tensors) {
    file.at(name).require_shape(value.sizes().vec());
    file.at(name).require_dtype(file_type(value));
  }
  const torch::NoGradGuard no_gradient;
  for (const auto& [name, value] : tensors) {
    torch::Tensor target = value;  // shares its memory
    target.copy_(to_torch(file.at(name)));
  }
}

}  // namespace defense

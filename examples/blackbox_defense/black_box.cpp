#include "black_box.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace defense {

black_box::black_box(model answer, std::int64_t batch) : answer_(std::move(answer)), batch_(batch) {
  if (batch < 1) throw std::invalid_argument("black_box: batch must be at least 1");
}

torch::Tensor black_box::answers(const torch::Tensor& images) {
  const torch::NoGradGuard no_gradient;
  const torch::Tensor questions = images.detach();
  std::vector<torch::Tensor> found;
  for (std::int64_t first = 0; first < questions.size(0); first += batch_) {
    const torch::Tensor part =
        questions.slice(0, first, std::min(first + batch_, questions.size(0)));
    found.push_back(answer_(part).detach());
    queries_ += part.size(0);
    if (found.back().dim() != 2 || found.back().size(0) != part.size(0)) {
      throw std::runtime_error("the black box must answer " + std::to_string(part.size(0)) +
                               " images with one row of numbers each");
    }
  }
  return found.size() == 1 ? found.front() : torch::cat(found);
}

torch::Tensor black_box::classes(const torch::Tensor& images) {
  const torch::Tensor logits = answers(images);
  if (!logits.isfinite().all().item<bool>()) {
    throw std::runtime_error(
        "the classifier's answers are not numbers; give a lower --rate or less --noise");
  }
  return logits.argmax(1);
}

torch::Tensor cross_entropy_of_rows(const torch::Tensor& logits, const torch::Tensor& targets) {
  return torch::nn::functional::cross_entropy(
      logits, targets, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
}

}  // namespace defense

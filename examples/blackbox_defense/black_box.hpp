// A network that only answers queries.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>

namespace defense {

/// The only way to the network for every query-only method: images in, numbers out (of a classifier
/// its logits), each image counted. Whatever answers - a network here, a service elsewhere - runs
/// without recording gradients, and what comes back is detached, so none can pass.
class black_box {
 public:
  /// (B, C, H, W) in [0, 1] -> (B, numbers)
  using model = std::function<torch::Tensor(const torch::Tensor& images)>;

  /// Asks `answer` at most `batch` images at a time.
  explicit black_box(model answer, std::int64_t batch = 1024);

  /// Throws std::runtime_error unless every image got a row of numbers.
  torch::Tensor answers(const torch::Tensor& images);

  /// The class of each image, where the answers are logits: (B), int64. Throws std::runtime_error
  /// when an answer is not a number: then there is none.
  torch::Tensor classes(const torch::Tensor& images);

  /// Images that are asked at most at a time.
  std::int64_t batch() const { return batch_; }
  /// Images answered so far.
  std::int64_t queries() const { return queries_; }

 private:
  model answer_;
  std::int64_t batch_;
  std::int64_t queries_ = 0;
};

/// Cross entropy of each row: logits (B, classes), targets (B) -> (B).
torch::Tensor cross_entropy_of_rows(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace defense

#include "images.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <zo/coordinate.hpp>

#include "common/cifar.hpp"
#include "common/fashion_mnist.hpp"
#include "common/resume.hpp"

namespace deepzero {

namespace {

constexpr int classes = 10;

struct scale {
  float mean, deviation;
};

// Of the training images. CIFAR-10: as in the reference implementation of DeepZero.
scale scale_of(std::int64_t channels, std::int64_t channel) {
  constexpr std::array<scale, 3> cifar = {
      {{0.4914F, 0.2471F}, {0.4822F, 0.2435F}, {0.4465F, 0.2616F}}};
  constexpr scale fashion = {0.2860F, 0.3530F};
  return channels == 3 ? cifar[static_cast<std::size_t>(channel)] : fashion;
}

// How an image is moved: shifted by whole pixels, then mirrored.
struct movement {
  std::int64_t down = 0, right = 0;
  bool mirrored = false;
};

constexpr std::int64_t padding = 4;

movement random_movement(std::uint64_t seed, std::int64_t epoch, std::int64_t image) {
  const zo::stream from{seed, static_cast<std::uint64_t>(epoch), static_cast<std::uint32_t>(image)};
  const auto words = from.words(0);
  // 2^32 is a multiple of 9 but for a part in 10^9.
  const auto shift = [](std::uint32_t word) { return std::int64_t{word % (2 * padding + 1)}; };
  return {shift(words.w0) - padding, shift(words.w1) - padding, words.w2 % 2 == 1};
}

void append(const app::image_set& images, std::int64_t i, const movement& how, minibatch& to) {
  const auto pixels = images.image(i);
  for (std::int64_t c = 0; c < images.channels; ++c) {
    const scale s = scale_of(images.channels, c);
    for (std::int64_t y = 0; y < images.rows; ++y) {
      for (std::int64_t x = 0; x < images.columns; ++x) {
        const std::int64_t row = y + how.down;
        const std::int64_t column = (how.mirrored ? images.columns - 1 - x : x) + how.right;
        const bool inside = row >= 0 && row < images.rows && column >= 0 && column < images.columns;
        const std::int64_t at = (c * images.rows + row) * images.columns + column;
        const float value = inside ? static_cast<float>(pixels[static_cast<std::size_t>(at)]) : 0;
        to.inputs.push_back((value / 255 - s.mean) / s.deviation);
      }
    }
  }
}

minibatch gathered(const app::image_set& images, std::span<const std::int64_t> rows,
                   const auto& movement_of) {
  std::vector<zo::index_t> labels;
  for (const std::int64_t i : rows) labels.push_back(images.labels[static_cast<std::size_t>(i)]);
  minibatch out{{}, static_cast<zo::index_t>(rows.size()), zo::nn::cross_entropy(labels, classes)};
  out.inputs.reserve(rows.size() * static_cast<std::size_t>(images.image_size()));
  for (const std::int64_t i : rows) append(images, i, movement_of(i), out);
  return out;
}

void keep_first(app::image_set& images, std::optional<std::int64_t> count, const char* option) {
  if (!count) return;
  if (*count > images.count) {
    throw app::usage_error(std::string(option) + " must be at most " +
                           std::to_string(images.count) + ", the images there are, got " +
                           std::to_string(*count));
  }
  images.count = *count;
  images.pixels.resize(static_cast<std::size_t>(*count * images.image_size()));
  images.labels.resize(static_cast<std::size_t>(*count));
}

}  // namespace

problem load_problem(const settings& s) {
  const auto load = s.dataset == "cifar10" ? app::load_cifar10 : app::load_fashion_mnist;
  problem p{load(app::split::train, s.data), load(app::split::test, s.data)};
  keep_first(p.train, s.images, "--images");
  keep_first(p.test, s.test_images, "--test-images");
  return p;
}

minibatch scaled(const app::image_set& images, std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), first);
  return gathered(images, rows, [](std::int64_t) { return movement{}; });
}

minibatch balanced(const app::image_set& images, std::int64_t per_class, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(images.count));
  std::iota(order.begin(), order.end(), 0);
  zo::shuffle(order, {seed});
  std::vector<std::int64_t> rows;
  for (int label = 0; label < classes; ++label) {
    std::int64_t found = 0;
    for (const std::int64_t i : order) {
      if (images.labels[static_cast<std::size_t>(i)] != label) continue;
      rows.push_back(i);
      if (++found == per_class) break;
    }
    if (found < per_class) {
      throw app::usage_error("class " + std::to_string(label) + " has " + std::to_string(found) +
                             " training images and ZO-GraSP needs " + std::to_string(per_class) +
                             "; give more --images");
    }
  }
  return gathered(images, rows, [](std::int64_t) { return movement{}; });
}

batches::batches(const app::image_set& images, std::int64_t batch, bool moved, std::uint64_t seed)
    : images_(images), batch_(batch), moved_(moved), seed_(seed) {
  if (images.count < batch) {
    throw app::usage_error("--batch is " + std::to_string(batch) + ", and there are only " +
                           std::to_string(images.count) +
                           " training images; give a smaller --batch or more --images");
  }
}

void batches::shuffle(std::int64_t epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  order_.resize(static_cast<std::size_t>(images_.count));
  std::iota(order_.begin(), order_.end(), 0);
  zo::shuffle(order_, {app::seed_for(seed_, "order of images"), static_cast<std::uint64_t>(epoch)});
}

minibatch batches::at(std::int64_t step) {
  const std::int64_t epoch = step / per_epoch(), position = step % per_epoch() * batch_;
  shuffle(epoch);
  const auto rows = std::span(order_).subspan(static_cast<std::size_t>(position),
                                              static_cast<std::size_t>(batch_));
  const std::uint64_t movements = app::seed_for(seed_, "movements of images");
  return gathered(images_, rows, [&](std::int64_t i) {
    return moved_ ? random_movement(movements, epoch, i) : movement{};
  });
}

}  // namespace deepzero

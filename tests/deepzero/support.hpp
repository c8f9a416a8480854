// Small problems for the tests of DeepZero: no data set needed, milliseconds to train on.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "images.hpp"
#include "settings.hpp"

namespace deepzero::test {

/// Images of 1 x 8 x 8 in ten classes that are easily told apart: a bright row or column, and
/// noise.
inline app::image_set striped_images(std::int64_t count, std::uint32_t seed) {
  app::image_set images{count, 1, 8, 8, {}, {}};
  std::uint32_t noise = seed;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t label = i * 7 % 10;
    for (std::int64_t y = 0; y < 8; ++y) {
      for (std::int64_t x = 0; x < 8; ++x) {
        noise = noise * 1664525U + 1013904223U;
        const bool bright = label < 5 ? y == label + 1 : x == label - 4;
        images.pixels.push_back(static_cast<std::uint8_t>((bright ? 180U : 20U) + (noise >> 26)));
      }
    }
    images.labels.push_back(static_cast<std::uint8_t>(label));
  }
  return images;
}

inline problem striped_problem() { return {striped_images(320, 1), striped_images(100, 2)}; }

inline settings small_settings() {
  settings s = defaults_for("fashion-mnist", comparison::estimators);
  s.network = "mlp";
  s.channels = 8;
  s.depth = 1;
  s.batch = 32;
  s.epochs = 4;
  s.evaluations = 2;
  s.quiet = true;
  return s;
}

/// An empty folder that goes away with the object.
class scratch_folder {
 public:
  scratch_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "zo_deepzero_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace deepzero::test

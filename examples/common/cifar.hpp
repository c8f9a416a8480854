// CIFAR-10 (Krizhevsky 2009), the official binary version.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "common/dataset.hpp"

namespace app {

inline constexpr const char* cifar10_classes[] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};

/// Appends the records of one batch file (1 label byte, then 3 x 32 x 32 pixel bytes) to `images`.
/// Throws std::runtime_error, leaving `images` unchanged, unless there are exactly
/// `expected` records with labels 0..9. `name` is used in messages.
void append_cifar10_batch(std::span<const std::uint8_t> file, std::int64_t expected,
                          std::string_view name, image_set& images);

/// The 50,000 training images, or the test images: all 10,000 of test_batch.bin, or where that is
/// absent the 1,000 of test_batch_first1000.bin. `data` is the program's --data option; empty means
/// $ZO_DATA_DIR. Subdirectories cifar10 and cifar-10-batches-bin are looked into. Throws
/// std::runtime_error that says what is missing and where to get it.
image_set load_cifar10(split which, const std::filesystem::path& data = {});

}  // namespace app

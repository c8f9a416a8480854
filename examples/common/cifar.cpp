#include "common/cifar.hpp"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/file.hpp"
#include "common/text.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t pixels_per_image = 3 * 32 * 32;
constexpr std::size_t record_size = 1 + pixels_per_image;
constexpr std::int64_t full_batch = 10'000;

[[noreturn]] void refuse(std::string_view name, const std::string& why) {
  throw std::runtime_error("Cannot use " + in_quotes(name) + " as a CIFAR-10 batch: " + why +
                           "; replace it with an undamaged copy.");
}

std::optional<fs::path> find_file(const std::string& name, const fs::path& data) {
  return find_data(data, {}, {"cifar10", "cifar-10-batches-bin"}, {name});
}

[[noreturn]] void report_missing(const std::string& name, const fs::path& data) {
  const std::string where =
      data.empty() ? "" : " in " + in_quotes(data.string()) + ", " + contents_of(data);
  throw std::runtime_error(
      "CIFAR-10 is missing: there is no " + name + where +
      ". Get the binary version (cifar-10-binary.tar.gz) from "
      "https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, and name its directory with --data "
      "or in ZO_DATA_DIR.");
}

void append_file(const fs::path& path, std::int64_t expected, image_set& images) {
  const auto limit = static_cast<std::uint64_t>(full_batch) * record_size;
  append_cifar10_batch(read_file(path, limit), expected, path.string(), images);
}

}  // namespace

void append_cifar10_batch(std::span<const std::uint8_t> file, std::int64_t expected,
                          std::string_view name, image_set& images) {
  if (file.size() != static_cast<std::size_t>(expected) * record_size) {
    refuse(name, "it has " + std::to_string(file.size()) + " bytes instead of " +
                     std::to_string(expected) + " records of " + std::to_string(record_size));
  }
  for (std::size_t at = 0; at < file.size(); at += record_size) {
    if (file[at] > 9) {
      refuse(name, "record " + std::to_string(at / record_size) + " has the label " +
                       std::to_string(file[at]) + " instead of 0 to 9");
    }
  }
  images.channels = 3;
  images.rows = images.columns = 32;
  images.pixels.reserve(images.pixels.size() + file.size());
  for (; !file.empty(); file = file.subspan(record_size)) {
    const auto pixels = file.subspan(1, pixels_per_image);
    images.labels.push_back(file[0]);
    images.pixels.insert(images.pixels.end(), pixels.begin(), pixels.end());
    ++images.count;
  }
}

image_set load_cifar10(split which, const fs::path& data) {
  image_set images;
  if (which == split::test) {
    if (const auto all = find_file("test_batch.bin", data)) {
      append_file(*all, full_batch, images);
    } else if (const auto part = find_file("test_batch_first1000.bin", data)) {
      append_file(*part, 1000, images);
    } else {
      report_missing("test_batch.bin", data);
    }
    return images;
  }
  std::vector<fs::path> batches;  // all found before the first is read
  for (int batch = 1; batch <= 5; ++batch) {
    const std::string name = "data_batch_" + std::to_string(batch) + ".bin";
    const auto path = find_file(name, data);
    if (!path) report_missing(name, data);
    batches.push_back(*path);
  }
  images.pixels.reserve(batches.size() * static_cast<std::size_t>(full_batch) * pixels_per_image);
  for (const fs::path& path : batches) append_file(path, full_batch, images);
  return images;
}

}  // namespace app

#include "common/fashion_mnist.hpp"

#include <stdexcept>
#include <string>
#include <utility>

#include "common/idx.hpp"
#include "common/text.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;

fs::path locate(const std::string& file, const fs::path& data) {
  for (const char* const suffix : {".gz", ""}) {
    const std::string name = file + suffix;
    if (const auto directory = find_data(data, fashion_mnist_default, {"fashion-mnist"}, name)) {
      return *directory / name;
    }
  }
  const std::string where = data.empty() ? std::string(fashion_mnist_default) : data.string();
  throw std::runtime_error("Fashion-MNIST is missing: there is no " + file + ".gz in " +
                           in_quotes(where) +
                           ". Install the Debian package dataset-fashion-mnist, or name the "
                           "directory that holds it with --data.");
}

}  // namespace

image_set load_fashion_mnist(split which, const fs::path& data) {
  const std::string prefix = which == split::train ? "train" : "t10k";
  const fs::path image_file = locate(prefix + "-images-idx3-ubyte", data);
  const fs::path label_file = locate(prefix + "-labels-idx1-ubyte", data);
  idx_array images = read_idx_images(image_file);
  idx_array labels = read_idx_labels(label_file, 10);
  if (images.shape[1] != 28 || images.shape[2] != 28) {
    throw std::runtime_error("Cannot use " + in_quotes(image_file.string()) + ": its images are " +
                             std::to_string(images.shape[1]) + " x " +
                             std::to_string(images.shape[2]) +
                             " instead of 28 x 28; name the Fashion-MNIST files with --data.");
  }
  if (images.shape[0] != labels.shape[0]) {
    throw std::runtime_error(
        "Cannot use " + in_quotes(image_file.string()) + " with " + in_quotes(label_file.string()) +
        ": " + std::to_string(images.shape[0]) + " images but " + std::to_string(labels.shape[0]) +
        " labels; take both files from the same place.");
  }
  return {images.shape[0], 1, 28, 28, std::move(images.values), std::move(labels.values)};
}

}  // namespace app

#include "common/fashion_mnist.hpp"

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/idx.hpp"
#include "common/text.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;

// "train-images-idx3-ubyte" as it is published, and as some unpack it.
std::vector<std::string> names_of(std::string file) {
  std::vector<std::string> names = {file + ".gz", file};
  file[file.rfind("-idx")] = '.';
  names.insert(names.end(), {file + ".gz", file});
  return names;
}

[[noreturn]] void report_missing(const std::string& file, const fs::path& folder) {
  throw std::runtime_error("Fashion-MNIST is missing: there is no " + file + ".gz in " +
                           in_quotes(folder.string()) + ", " + contents_of(folder) +
                           ". Install the Debian package dataset-fashion-mnist, or name the "
                           "directory that holds it with --data.");
}

}  // namespace

image_set load_fashion_mnist(split which, const fs::path& data) {
  const std::string prefix = which == split::train ? "train" : "t10k";
  const std::string images_name = prefix + "-images-idx3-ubyte";
  const std::string labels_name = prefix + "-labels-idx1-ubyte";
  const auto image_file =
      find_data(data, fashion_mnist_default, {"fashion-mnist", "FashionMNIST/raw", "raw"},
                names_of(images_name));
  if (!image_file) report_missing(images_name, data.empty() ? fashion_mnist_default : data);
  // From the same folder: labels of other images would fit as well.
  const fs::path folder = image_file->parent_path();
  const auto label_file = find_data(folder, {}, {}, names_of(labels_name));
  if (!label_file) report_missing(labels_name, folder);
  idx_array images = read_idx_images(*image_file);
  idx_array labels = read_idx_labels(*label_file, 10);
  if (images.shape[1] != 28 || images.shape[2] != 28) {
    throw std::runtime_error("Cannot use " + in_quotes(image_file->string()) + ": its images are " +
                             std::to_string(images.shape[1]) + " x " +
                             std::to_string(images.shape[2]) +
                             " instead of 28 x 28; name the Fashion-MNIST files with --data.");
  }
  if (images.shape[0] != labels.shape[0]) {
    throw std::runtime_error(
        "Cannot use " + in_quotes(image_file->string()) + " with " +
        in_quotes(label_file->string()) + ": " + std::to_string(images.shape[0]) + " images but " +
        std::to_string(labels.shape[0]) + " labels; take both files from the same place.");
  }
  return {images.shape[0], 1, 28, 28, std::move(images.values), std::move(labels.values)};
}

}  // namespace app

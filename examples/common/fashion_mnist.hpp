// Fashion-MNIST (Xiao et al. 2017) as Debian's package dataset-fashion-mnist installs it.
#pragma once

#include <filesystem>

#include "common/dataset.hpp"

namespace app {

inline constexpr const char* fashion_mnist_default = "/usr/share/datasets/fashion-mnist";
inline constexpr const char* fashion_mnist_classes[] = {
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",  "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

/// 60,000 training or 10,000 test images of 1 x 28 x 28, labels 0..9. `data` is the program's
/// --data option; empty means $ZO_DATA_DIR, then Debian's directory. Subdirectories fashion-mnist,
/// FashionMNIST/raw (torchvision's) and raw are looked into. The files may be gzipped or not, and
/// have a dot before "idx". Throws std::runtime_error that says what is missing and where to get
/// it.
image_set load_fashion_mnist(split which, const std::filesystem::path& data = {});

}  // namespace app

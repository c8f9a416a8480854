// How alike two images look: the structural similarity index of Wang et al. 2004.
#pragma once

#include <cstdint>
#include <span>

namespace app {

/// The mean structural similarity of two grey images of rows x columns numbers in [0, 1], row after
/// row: 1 for the same image, near 0 for unrelated ones, negative for opposite ones. As in the
/// paper: a Gaussian window of 11 x 11 with standard deviation 1.5, K1 = 0.01, K2 = 0.03, the mean
/// over the windows that lie inside the image. Throws std::invalid_argument for images of other
/// sizes, or smaller than a window.
double ssim(std::span<const float> first, std::span<const float> second, std::int64_t rows,
            std::int64_t columns);

}  // namespace app

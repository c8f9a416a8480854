// A classifier that is somewhere else: behind an address, or in a program.
#pragma once

#include "black_box.hpp"
#include "settings.hpp"

namespace defense {

/// The black box that --classifier names. An address is asked by zo::service, all images of a call
/// in a request; "command …" by zo::process, an image a question, --threads programs at a time, in
/// JSON. An image is asked as its numbers in [0, 1], channel by channel and row by row, and
/// answered with a logit for each class. Throws std::invalid_argument for a bad address,
/// std::runtime_error where the program cannot be started, and, when asked, for an image without an
/// answer.
black_box::model remote_classifier(const settings& s);

}  // namespace defense

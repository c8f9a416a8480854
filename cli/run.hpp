// From settings to a run of zo.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "settings.hpp"
#include "zo/ask.hpp"
#include "zo/journal.hpp"
#include "zo/run.hpp"
#include "zo/space.hpp"

namespace cli {

using objective = std::function<double(std::span<const double>)>;

/// Minimizes an objective of the user's values from the x of the space, which is moved.
zo::minimize_result minimize(const settings& how, const zo::space& space, const objective& f,
                             std::vector<double>& x, const zo::minimize_options& options,
                             int workers);

/// The same run, its questions handed out.
std::unique_ptr<zo::ask<double>> asked(const settings& how, const zo::space& space,
                                       const zo::minimize_options& options);

/// What a log says of its points, and the budget and seed of its run.
zo::journal_options log_options(const settings& how, const zo::space& space);
zo::minimize_options options_of(const settings& how);

}  // namespace cli

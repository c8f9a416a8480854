// The map between x and values. Compiled here without contraction, so that a program's own flags
// change no bit of it.
#include "zo/space.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/integers.hpp"

namespace zo {

namespace {

// Checks a parameter, moves the bounds of a whole one to whole numbers and sets its start.
void complete(parameter& one) {
  const std::string who = "zo::space: parameter \"" + one.name + "\"";
  const auto require = [&](bool holds, const auto&... parts) {
    detail::require(holds, who, parts...);
  };
  require(!detail::is_nan(one.lower) && !detail::is_nan(one.upper) && one.lower <= one.upper,
          ": lower must be at most upper, got ", one.lower, " and ", one.upper);
  const bool linear = one.scale == scale::linear;
  require(linear || (one.lower > 0 && detail::is_finite(one.upper)),
          ": a log scale needs bounds above 0 and below infinity, got ", one.lower, " and ",
          one.upper);
  require(linear || !one.unit, ": a unit is for a linear scale; on a log scale x is 0 … 1");
  require(!one.unit || (*one.unit > 0 && detail::is_finite(*one.unit)),
          ": unit must be a number above 0, got ", one.unit.value_or(0));
  if (one.whole) {
    const double low = std::ceil(one.lower), high = std::floor(one.upper);
    require(low <= high, ": there is no whole number between ", one.lower, " and ", one.upper);
    one.lower = low;
    one.upper = high;
  }
  require(detail::is_finite(one.lower) || one.lower < one.upper, ": both bounds are ", one.lower,
          ", which is no number");
  if (one.start) {
    require(*one.start >= one.lower && *one.start <= one.upper && detail::is_finite(*one.start),
            ": start must be between ", one.lower, " and ", one.upper, ", got ", *one.start);
    require(!one.whole || *one.start == std::round(*one.start),
            ": start must be a whole number, got ", *one.start);
  } else {
    require(detail::is_finite(one.lower) && detail::is_finite(one.upper),
            " needs a start, because it has no two bounds");
    const double middle =
        linear ? one.lower / 2 + one.upper / 2 : std::sqrt(one.lower) * std::sqrt(one.upper);
    one.start = std::clamp(one.whole ? std::round(middle) : middle, one.lower, one.upper);
  }
}

}  // namespace

space::space(std::vector<parameter> parameters, std::uint64_t seed)
    : parameters_(std::move(parameters)), seed_(seed) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    parameter& one = parameters_[i];
    detail::require(!one.name.empty(), "zo::space: parameter ", i, " needs a name");
    const auto before = parameters_.begin() + static_cast<std::ptrdiff_t>(i);
    detail::require(
        std::ranges::find(parameters_.begin(), before, one.name, &parameter::name) == before,
        "zo::space: two parameters are named \"", one.name, "\"");
    complete(one);
    if (one.lower == one.upper) continue;
    const bool below = detail::is_finite(one.lower), above = detail::is_finite(one.upper);
    free_parameter moved{i, 0, 1, one.lower, one.upper};
    if (one.scale == scale::log) {
      moved.origin = std::log(one.lower);
      moved.unit = std::log(one.upper) - moved.origin;
    } else {
      moved.origin = below ? one.lower : above ? one.upper : 0;
      moved.unit = one.unit.value_or(below && above ? one.upper - one.lower : 1);
      detail::require(detail::is_finite(moved.unit), "zo::space: the range of parameter \"",
                      one.name, "\" is beyond the numbers; set its unit");
    }
    if (below) moved.low = 0;
    if (above) moved.high = !below ? 0 : one.unit ? (one.upper - one.lower) / moved.unit : 1;
    free_.push_back(moved);
  }
  detail::require(!free_.empty(),
                  "zo::space: there must be a parameter whose bounds are not equal; with none "
                  "there is nothing to find");
}

std::vector<std::string> space::names() const {
  std::vector<std::string> all;
  for (const parameter& one : parameters_) all.push_back(one.name);
  return all;
}

std::vector<double> space::checked_x_of(std::span<const double> values) const {
  detail::require(values.size() == parameters_.size(), "zo::space: there are ", parameters_.size(),
                  " parameters, got ", values.size(), " values");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const parameter& one = parameters_[i];
    detail::require(values[i] >= one.lower && values[i] <= one.upper, "zo::space: parameter \"",
                    one.name, "\" must be between ", one.lower, " and ", one.upper, ", got ",
                    values[i]);
  }
  std::vector<double> x;
  for (const free_parameter& moved : free_) {
    const double value = values[moved.at];
    const parameter& one = parameters_[moved.at];
    const double along = one.scale == scale::log ? std::log(value) : value;
    x.push_back(value == one.upper
                    ? moved.high
                    : std::clamp((along - moved.origin) / moved.unit, moved.low, moved.high));
  }
  return x;
}

box space::bounds() const {
  std::vector<double> low, high;
  for (const free_parameter& moved : free_) {
    low.push_back(moved.low);
    high.push_back(moved.high);
  }
  return {std::move(low), std::move(high)};
}

template <scalar T>
void space::write_values(std::span<const T> x, std::optional<sample_id> sample,
                         double* values) const {
  detail::require(x.size() == free_.size(), "zo::space: ", free_.size(),
                  " parameters are free, got x of ", x.size(), " numbers");
  for (std::size_t i = 0; i < parameters_.size(); ++i) values[i] = parameters_[i].lower;
  for (std::size_t k = 0; k < free_.size(); ++k) {
    const free_parameter& moved = free_[k];
    const parameter& one = parameters_[moved.at];
    detail::require(!detail::is_nan(x[k]), "zo::space: parameter \"", one.name,
                    "\" has no value where x is NaN");
    double value = 0;
    // Compared as bounds are rounded to T, so that x at one of them is the bound itself.
    if (x[k] <= static_cast<T>(moved.low)) {
      value = one.lower;
    } else if (x[k] >= static_cast<T>(moved.high)) {
      value = one.upper;
    } else {
      const double along = moved.origin + static_cast<double>(x[k]) * moved.unit;
      value = std::clamp(one.scale == scale::log ? std::exp(along) : along, one.lower, one.upper);
    }
    if (one.whole) {
      value = sample
                  ? detail::rounded_at_random(value, static_cast<index_t>(moved.at), *sample, seed_)
                  : std::round(value);
      value = std::clamp(value, one.lower, one.upper);  // of large numbers a sum rounds up
    }
    values[moved.at] = value;
  }
}
template void space::write_values<float>(std::span<const float>, std::optional<sample_id>,
                                         double*) const;
template void space::write_values<double>(std::span<const double>, std::optional<sample_id>,
                                          double*) const;

void space::describe(detail::fingerprint& print) const {
  print.add(parameters_.size()).add(seed_);
  for (const parameter& one : parameters_) {
    print.add(std::string_view(one.name)).add(one.lower).add(one.upper);
    print.add(one.scale).add(one.whole).add(one.unit.value_or(0));
  }
}

}  // namespace zo

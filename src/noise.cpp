// The searches for noise and for the step that balances it, along a line. Only exactly rounded
// operations, so that what is chosen has the same bits everywhere.
#include "zo/noise.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "zo/finite.hpp"

namespace zo {

double smoothing_choice::gradient_error(index_t numbers, index_t averaged) const {
  detail::require(numbers >= 1 && averaged >= 1,
                  "zo::smoothing_choice: gradient_error takes at least 1 number and 1 slope, got ",
                  numbers, " and ", averaged);
  return error * std::sqrt(static_cast<double>(numbers) / static_cast<double>(averaged));
}

namespace detail {
namespace {

constexpr double root_of_two = 1.4142135623730951;

// The distance from the largest number that moves to the next: smaller steps do not move it.
int least_exponent(const answered_line& line) { return std::ilogb(line.epsilon * line.size); }

enum class table_says { level, nothing, equal, too_close, too_wide };

// Moré and Wild's table of differences; takes the answers apart.
table_says read_table(std::vector<double>& answers, double& level) {
  const std::size_t points = answers.size();
  std::vector<double> levels;
  std::vector<bool> changes_sign;
  double gamma = 1;  // (k!)^2 / (2k)!
  for (std::size_t order = 1; order < points; ++order) {
    const std::size_t left = points - order;
    double squares = 0;
    std::size_t zeros = 0, positive = 0, negative = 0;
    for (std::size_t i = 0; i < left; ++i) {
      const double difference = answers[i] = answers[i + 1] - answers[i];
      squares += difference * difference;
      zeros += difference == 0 ? 1 : 0;
      positive += difference > 0 ? 1 : 0;
      negative += difference < 0 ? 1 : 0;
    }
    if (zeros == left) return order == 1 ? table_says::equal : table_says::nothing;
    if (order == 1 && 2 * zeros >= points) return table_says::too_close;
    const auto k = static_cast<double>(order);
    gamma *= k / (2 * (2 * k - 1));
    levels.push_back(std::sqrt(gamma * squares / static_cast<double>(left)));
    changes_sign.push_back(positive > 0 && negative > 0);
  }
  for (std::size_t k = 0; k + 2 < levels.size(); ++k) {
    const auto [least, most] = std::minmax({levels[k], levels[k + 1], levels[k + 2]});
    if (!changes_sign[k] || !(most <= 4 * least)) continue;
    level = levels[k];
    return table_says::level;
  }
  return table_says::too_wide;
}

noise_end end_of(table_says said) {
  switch (said) {
    case table_says::level:
      return noise_end::found;
    case table_says::nothing:
      return noise_end::none;
    case table_says::equal:
    case table_says::too_close:
      return noise_end::too_close;
    case table_says::too_wide:
      return noise_end::too_wide;
  }
  return noise_end::too_wide;
}

// An exponent between bounds that have been found to be too small and too large, or further by
// `stride` towards the one that has not.
class exponent_search {
 public:
  exponent_search(int least, int most, int start)
      : too_small_(least - 1), too_large_(most + 1), at_(std::clamp(start, least, most)) {}

  int at() const { return at_; }
  bool bracketed() const { return has_small_ && has_large_; }
  // False: there is nothing between, or nothing beyond.
  bool go_up(int stride) {
    has_small_ = true;
    too_small_ = at_;
    return go_to(has_large_ ? middle() : std::min(at_ + stride, too_large_ - 1));
  }
  bool go_down(int stride) {
    has_large_ = true;
    too_large_ = at_;
    return go_to(has_small_ ? middle() : std::max(at_ - stride, too_small_ + 1));
  }

 private:
  int middle() const { return too_small_ + (too_large_ - too_small_) / 2; }
  bool go_to(int next) {
    at_ = next;
    return too_small_ < next && next < too_large_;
  }

  int too_small_, too_large_, at_;
  bool has_small_ = false, has_large_ = false;
};

// Which points show a derivative. Their divided difference is f^(order)/order!, whatever rounding
// makes of the points; `scale` h^order times f^(order) is the sum over 8 of the paper, which is
// compared with the noise.
struct derivative_rule {
  int order;
  std::array<double, 4> at;  // in steps
  bool asks_base;            // the last of them is x itself, which is asked once
  double scale;
  double best;  // r at the step of least error
};
constexpr derivative_rule of_forward{2, {1, 4, 0}, true, 6, 2.1213203435596424};
constexpr derivative_rule of_central{3, {3, 1, -1, -3}, false, 8, 3};
constexpr double lower = 3, upper = 12;  // bounds of r

// The root of order 2 or 3 of a number up to 1.
double root_of(double value, int order) {
  if (order == 2) return std::sqrt(value);
  double root = 1;
  for (int i = 0; i < 100; ++i) root -= (root - value / (root * root)) / 3;
  return root;
}

struct bend {
  double step = 0;
  double ratio = 0;       // r
  double derivative = 0;  // its magnitude
  double noise = 0;       // that it was compared with
};

class bend_meter {
 public:
  bend_meter(answered_line& line, const derivative_rule& rule, double noise)
      : line_(line), rule_(rule), noise_(noise) {}

  // False: a query failed.
  bool measure(double step, bend& found) {
    const std::size_t points = static_cast<std::size_t>(rule_.order) + 1;
    const std::size_t asked = points - (rule_.asks_base && base_known_ ? 1 : 0);
    std::array<double, 4> steps{};
    for (std::size_t k = 0; k < asked; ++k) steps[k] = rule_.at[k] * step;
    if (!line_.ask(std::span(steps).first(asked), std::span(answers_).first(asked))) return false;
    base_known_ = true;
    double most = 0, divided = 0, power = 1, factorial = 1;
    for (std::size_t k = 0; k < points; ++k) {
      double product = 1;
      for (std::size_t i = 0; i < points; ++i) {
        if (i != k) product *= (line_.made(steps[k]) - line_.made(steps[i])) / step;
      }
      divided += answers_[k] / product;
      most = std::max(most, std::abs(answers_[k]));
    }
    for (int k = 1; k <= rule_.order; ++k) {
      power *= step;
      factorial *= k;
    }
    const double rise =
        is_finite(divided) ? std::abs(divided) * factorial : detail::largest<double>();
    // No answer is better than its rounding.
    const double noise = std::max({noise_, most * 0x1p-54, std::numeric_limits<double>::min()});
    found = {step, rule_.scale * rise / (8 * noise), rise / power, noise};
    return true;
  }

 private:
  answered_line& line_;
  const derivative_rule& rule_;
  double noise_;
  bool base_known_ = false;
  std::array<double, 4> answers_{};
};

smoothing_choice choice_of(const bend& at, double smoothing, bool central, smoothing_end why) {
  smoothing_choice choice;
  choice.smoothing = smoothing;
  choice.noise = at.noise;
  choice.derivative = at.derivative;
  choice.noise_error = at.noise / smoothing * (central ? 1 / root_of_two : root_of_two);
  choice.truncation_error = at.derivative * smoothing * (central ? smoothing / 6 : 0.5);
  choice.error = std::sqrt(choice.noise_error * choice.noise_error +
                           choice.truncation_error * choice.truncation_error);
  choice.ok = true;
  choice.why = why;
  return choice;
}

smoothing_choice failed_choice(smoothing_end why) {
  smoothing_choice choice;
  choice.why = why;
  return choice;
}

}  // namespace

noise_estimate find_noise(answered_line& line, const noise_options& how) {
  const auto points = static_cast<std::size_t>(how.points);
  const int start =
      how.spacing ? std::ilogb(*how.spacing) : std::ilogb(line.epsilon) / 2 + std::ilogb(line.size);
  // All points within the size of x.
  const int widest = std::ilogb(line.size / static_cast<double>(how.points));
  const int least = least_exponent(line);
  exponent_search search(std::min(start, least), std::max(start, widest), start);
  noise_estimate found;
  std::vector<double> steps(points), answers(points);
  for (index_t tries = 0; tries < how.tries; ++tries) {
    const double spacing = found.spacing = std::ldexp(1.0, search.at());
    // A coordinate at multiples of a power of two is not rounded.
    const double offset = std::nearbyint(line.at / spacing) * spacing - line.at;
    for (std::size_t j = 0; j < points; ++j) {
      steps[j] = (static_cast<double>(j) - static_cast<double>(points / 2)) * spacing + offset;
    }
    if (!line.ask(steps, answers)) {
      found.why = noise_end::query_failed;
      break;
    }
    const table_says said = read_table(answers, found.level);
    found.why = end_of(said);
    found.found = found.why == noise_end::found || found.why == noise_end::none;
    if (found.found) break;
    constexpr int stride = 7;
    if (said == table_says::too_wide ? search.go_down(stride) : search.go_up(stride)) continue;
    // Equal as far as was allowed.
    found.found = said == table_says::equal && !search.bracketed();
    if (found.found) found.why = noise_end::none;
    break;
  }
  return found;
}

smoothing_choice find_smoothing(answered_line& line, bool central, double noise, double largest) {
  const derivative_rule& rule = central ? of_central : of_forward;
  // Steps are powers of the root of two.
  const int most = 2 * std::ilogb(largest);
  const int least = std::min(2 * least_exponent(line), most);
  // Well below the step of a derivative of 1 at an x of size 1: far steps see other bends of f.
  const int start =
      2 * (std::ilogb(std::max(noise, 0x1p-53)) / rule.order + std::ilogb(line.size) - 2);
  exponent_search search(least, most, start);
  bend_meter meter(line, rule, noise);
  bend now, bent;
  const auto balanced = [&](const bend& at) {
    const double smoothing = at.step * root_of(rule.best / at.ratio, rule.order);
    // Where r jumps over its bounds, the step is not far below the one that bends.
    return choice_of(at, std::max(smoothing, at.step / 4), central, smoothing_end::balanced);
  };
  for (;;) {
    const int exponent = search.at();
    const double step = std::ldexp(exponent % 2 != 0 ? root_of_two : 1, exponent >> 1);
    if (!meter.measure(step, now)) return failed_choice(smoothing_end::query_failed);
    if (now.ratio >= lower && now.ratio <= upper) {
      // Noise gets there by chance once, not twice. At the same points rounding would be the same.
      if (!meter.measure(step * 0.9375, now)) return failed_choice(smoothing_end::query_failed);
      if (now.ratio >= lower) return balanced(now);
    }
    if (now.ratio < lower) {
      if (search.go_up(2)) continue;
      return search.bracketed() ? balanced(bent)
                                : choice_of(now, largest, central, smoothing_end::largest);
    }
    bent = now;
    if (search.go_down(4)) continue;
    return search.bracketed() ? balanced(bent)
                              : choice_of(now, now.step, central, smoothing_end::smallest);
  }
}

smoothing_choice median_of(std::vector<smoothing_choice> lines) {
  if (lines.empty()) return failed_choice(smoothing_end::no_noise);
  std::ranges::sort(
      lines, {}, [](const smoothing_choice& line) { return std::pair(line.ok, line.smoothing); });
  if (!lines.front().ok) return lines.front();
  return lines[(lines.size() - 1) / 2];
}

void check(const char* who, const noise_options& how, index_t dimension) {
  require(how.points >= 6 && how.points <= 1024, who,
          ": points must be at least 6 and at most 1024, got ", how.points);
  require(how.tries >= 1, who, ": tries must be at least 1, got ", how.tries);
  require(!how.spacing || (*how.spacing > 0 && is_finite(*how.spacing)), who,
          ": spacing must be a positive number, got ", how.spacing.value_or(0));
  require(!how.coordinate || (*how.coordinate >= 0 && *how.coordinate < dimension), who,
          ": coordinate must be one of 0 … ", dimension - 1, ", got ", how.coordinate.value_or(0));
}

void check(const char* who, const smoothing_options& how) {
  require(!how.noise || (*how.noise >= 0 && is_finite(*how.noise)), who,
          ": noise must be at least 0, got ", how.noise.value_or(0));
  require(how.directions >= 1 && how.directions < (index_t{1} << 32), who,
          ": directions must be at least 1 and below 2^32, got ", how.directions);
  require(!how.largest || (*how.largest > 0 && is_finite(*how.largest)), who,
          ": largest must be a positive number, got ", how.largest.value_or(0));
  require(how.points >= 6 && how.points <= 1024, who,
          ": points must be at least 6 and at most 1024, got ", how.points);
}

}  // namespace detail
}  // namespace zo

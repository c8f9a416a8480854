// The searches for noise and for the step that balances it, along lines. Only exactly rounded
// operations, so that what is chosen has the same bits everywhere.
#include "zo/smoothing.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
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

void smoothing_parameter::check(const char* who) const {
  using detail::is_finite, detail::require;
  if (!is_automatic()) {
    require(number_ > 0 && is_finite(number_), who, ": smoothing must be a positive number, got ",
            number_);
    return;
  }
  const auto positive = [&](const std::optional<double>& number, const char* name) {
    require(!number || (*number > 0 && is_finite(*number)), who, ": ", name,
            " of zo::automatic must be a positive number, got ", number.value_or(0));
  };
  positive(how_->start, "start");
  positive(how_->largest, "largest");
  require(!how_->noise || (*how_->noise >= 0 && is_finite(*how_->noise)), who,
          ": noise of zo::automatic must be at least 0, got ", how_->noise.value_or(0));
  require(how_->max_queries >= 1, who, ": max_queries of zo::automatic must be at least 1, got ",
          how_->max_queries);
}

void smoothing_parameter::describe(detail::fingerprint& print) const {
  print.add(is_automatic()).add(number_);
  if (!is_automatic()) return;
  print.add(how_->every).add(how_->start.value_or(-1)).add(how_->noise.value_or(-1));
  print.add(how_->largest.value_or(-1)).add(how_->max_queries);
}

namespace detail {
namespace {

constexpr double root_of_two = 1.4142135623730951;

// The distance from the largest number that moves to the next: smaller steps do not move it.
int least_exponent(const search_line& line) { return std::ilogb(line.epsilon * line.size); }

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

const derivative_rule& rule_of(bool central) { return central ? of_central : of_forward; }

smoothing_choice failed_choice(smoothing_end why) {
  smoothing_choice choice;
  choice.why = why;
  return choice;
}

exponent_search search_of(const search_line& line, const noise_search::plan& how) {
  const auto points = static_cast<double>(how.points);
  const int start =
      how.spacing ? std::ilogb(*how.spacing) : std::ilogb(line.epsilon) / 2 + std::ilogb(line.size);
  const int least = least_exponent(line);
  // All points within the size of x, and within reach: the furthest is half of them from x, and
  // coordinates half a spacing more.
  int most = std::max(start, std::ilogb(line.size / points));
  if (how.reach) most = std::min(most, std::ilogb(*how.reach / (points / 2 + 1)));
  return {std::min({start, least, most}), most, start};
}

exponent_search search_of(const search_line& line, bool central, double noise, double largest) {
  // Steps are powers of the root of two.
  const int most = 2 * std::ilogb(largest);
  const int least = std::min(2 * least_exponent(line), most);
  // Well below the step of a derivative of 1 at an x of size 1: far steps see other bends of f.
  const int start = 2 * (std::ilogb(std::max(noise, 0x1p-53)) / rule_of(central).order +
                         std::ilogb(line.size) - 2);
  return {least, most, start};
}

// The line whose step is in the middle, of those that ended well.
smoothing_choice median_of(std::vector<smoothing_choice> lines) {
  const smoothing_choice failed = lines.front();
  std::erase_if(lines, [](const smoothing_choice& line) { return !line.ok; });
  if (lines.empty()) return failed;
  std::ranges::sort(lines, {}, &smoothing_choice::smoothing);
  return lines[(lines.size() - 1) / 2];
}

}  // namespace

noise_search::noise_search(const search_line& line, const plan& how)
    : line_(line),
      tries_left_(how.tries),
      search_(search_of(line, how)),
      steps_(static_cast<std::size_t>(how.points)) {
  pose();
}

void noise_search::pose() {
  --tries_left_;
  const double spacing = found_.spacing = std::ldexp(1.0, search_.at());
  // A coordinate at multiples of a power of two is not rounded.
  const double offset = std::nearbyint(line_.at / spacing) * spacing - line_.at;
  const auto half = static_cast<double>(steps_.size() / 2);
  for (std::size_t j = 0; j < steps_.size(); ++j) {
    steps_[j] = (static_cast<double>(j) - half) * spacing + offset;
  }
}

void noise_search::take(std::span<const double> answers) {
  if (!std::ranges::all_of(answers, [](double answer) { return is_finite(answer); })) {
    found_.why = noise_end::query_failed;
    steps_.clear();
    return;
  }
  std::vector<double> table(answers.begin(), answers.end());
  const table_says said = read_table(table, found_.level);
  found_.why = end_of(said);
  found_.found = found_.why == noise_end::found || found_.why == noise_end::none;
  if (!found_.found) {
    constexpr int stride = 7;
    const bool goes_on =
        said == table_says::too_wide ? search_.go_down(stride) : search_.go_up(stride);
    if (goes_on && tries_left_ > 0) {
      pose();
      return;
    }
    // Equal as far as was allowed.
    found_.found = !goes_on && said == table_says::equal && !search_.bracketed();
    if (found_.found) found_.why = noise_end::none;
  }
  steps_.clear();
}

step_search::step_search(const search_line& line, bool central, double noise, double largest)
    : line_(line),
      central_(central),
      noise_(noise),
      largest_(largest),
      search_(search_of(line, central, noise, largest)) {
  pose_next();
}

void step_search::pose(double step) {
  step_ = step;
  const derivative_rule& rule = rule_of(central_);
  const std::size_t points = static_cast<std::size_t>(rule.order) + 1;
  asked_ = points - (rule.asks_base && base_known_ ? 1 : 0);
  for (std::size_t k = 0; k < points; ++k) steps_[k] = rule.at[k] * step;
}

void step_search::pose_next() {
  const int exponent = search_.at();
  pose(std::ldexp(exponent % 2 != 0 ? root_of_two : 1, exponent >> 1));
}

step_search::bend step_search::measured() const {
  const derivative_rule& rule = rule_of(central_);
  const std::size_t points = static_cast<std::size_t>(rule.order) + 1;
  double most = 0, divided = 0, power = 1, factorial = 1;
  for (std::size_t k = 0; k < points; ++k) {
    double product = 1;
    for (std::size_t i = 0; i < points; ++i) {
      if (i != k) product *= (made_[k] - made_[i]) / step_;
    }
    divided += answers_[k] / product;
    most = std::max(most, std::abs(answers_[k]));
  }
  for (int k = 1; k <= rule.order; ++k) {
    power *= step_;
    factorial *= k;
  }
  const double rise =
      is_finite(divided) ? std::abs(divided) * factorial : detail::largest<double>();
  // No answer is better than its rounding.
  const double noise = std::max({noise_, most * 0x1p-54, std::numeric_limits<double>::min()});
  return {step_, rule.scale * rise / (8 * noise), rise / power, noise};
}

void step_search::take(std::span<const double> made, std::span<const double> answers) {
  std::ranges::copy(made, made_.begin());
  std::ranges::copy(answers, answers_.begin());
  base_known_ = true;
  if (!std::ranges::all_of(answers, [](double answer) { return is_finite(answer); })) {
    choice_ = failed_choice(smoothing_end::query_failed);
    asked_ = 0;
    return;
  }
  const bend now = measured();
  const bool confirmed = std::exchange(confirms_, false);
  if (now.ratio >= lower && (confirmed || now.ratio <= upper)) {
    if (confirmed) return end_balanced(now);
    // Noise gets there by chance once, not twice. At the same points rounding would be the same.
    confirms_ = true;
    return pose(step_ * 0.9375);
  }
  if (now.ratio < lower) {
    if (search_.go_up(2)) return pose_next();
    return search_.bracketed() ? end_balanced(bent_) : end(now, largest_, smoothing_end::largest);
  }
  bent_ = now;
  if (search_.go_down(4)) return pose_next();
  return search_.bracketed() ? end_balanced(bent_) : end(now, now.step, smoothing_end::smallest);
}

void step_search::end_balanced(const bend& at) {
  const derivative_rule& rule = rule_of(central_);
  const double step = at.step * root_of(rule.best / at.ratio, rule.order);
  // Where r jumps over its bounds, the step is not far below the one that bends.
  end(at, std::max(step, at.step / 4), smoothing_end::balanced);
}

void step_search::end(const bend& at, double step, smoothing_end why) {
  asked_ = 0;
  choice_.smoothing = step / line_.unit;
  choice_.noise = at.noise;
  choice_.derivative = at.derivative;
  choice_.noise_error = at.noise / step * (central_ ? 1 / root_of_two : root_of_two);
  choice_.truncation_error = at.derivative * step * (central_ ? step / 6 : 0.5);
  choice_.error = std::sqrt(choice_.noise_error * choice_.noise_error +
                            choice_.truncation_error * choice_.truncation_error);
  choice_.ok = true;
  choice_.why = why;
}

smoothing_search::smoothing_search(std::vector<search_line> lines, const plan& how)
    : lines_(std::move(lines)), how_(how) {
  if (how_.noise) {
    search_steps(*how_.noise);
  } else {
    search_noise(0);
  }
  pose();
}

void smoothing_search::search_noise(std::size_t line) {
  noise_line_ = line;
  noise_search::plan how{.points = how_.points};
  if (how_.largest) how.reach = reach_of_search(how_.central) * *how_.largest * lines_[line].unit;
  noise_.emplace(lines_[line], how);
}

void smoothing_search::search_steps(double noise) {
  for (const search_line& line : lines_) {
    const double largest = how_.largest ? *how_.largest * line.unit : line.size;
    steps_.emplace_back(line, how_.central, noise, largest);
  }
}

void smoothing_search::pose() {
  points_.clear();
  if (noise_) {
    for (const double step : noise_->steps()) points_.push_back({noise_line_, step});
  }
  for (std::size_t k = 0; k < steps_.size(); ++k) {
    for (const double step : steps_[k].steps()) points_.push_back({k, step});
  }
  cut_ = static_cast<index_t>(points_.size()) > how_.most - asked_;
  if (cut_) points_.clear();
  if (points_.empty()) end();
}

void smoothing_search::take(std::span<const double> made, std::span<const double> answers) {
  asked_ += static_cast<index_t>(answers.size());
  if (noise_) {
    noise_->take(answers);
    if (noise_->steps().empty()) {
      const noise_search::outcome found = noise_->found();
      noise_.reset();
      choice_.noise_why = found.why;
      if (found.found) {
        search_steps(found.level);
      } else if (found.why == noise_end::query_failed && noise_line_ + 1 < lines_.size()) {
        search_noise(noise_line_ + 1);
      }
    }
  } else {
    for (step_search& line : steps_) {
      const std::size_t here = line.steps().size();
      if (here == 0) continue;
      line.take(made.first(here), answers.first(here));
      made = made.subspan(here);
      answers = answers.subspan(here);
    }
  }
  pose();
}

void smoothing_search::end() {
  std::vector<smoothing_choice> lines;
  for (const step_search& line : steps_) {
    if (line.steps().empty()) lines.push_back(line.choice());
  }
  const noise_end noise_why = noise_ ? noise_->found().why : choice_.noise_why;
  choice_ = lines.empty() ? failed_choice(smoothing_end::no_noise) : median_of(std::move(lines));
  if (cut_ && !choice_.ok) choice_.why = smoothing_end::unfinished;
  choice_.noise_why = noise_why;
}

}  // namespace detail
}  // namespace zo

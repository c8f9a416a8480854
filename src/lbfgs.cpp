#include "zo/lbfgs.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/optimizer.hpp"

namespace zo {

namespace {

constexpr double armijo = 1e-4;     // share of the decrease along a straight line that is enough
constexpr double straight = 0.9;    // share above which a step looks like one on a straight line
constexpr double pair_noise = 1.5;  // how far a pair must stand out of the error of its gradients

template <class A, class B>
double dot(const A& a, const B& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum = std::fma(static_cast<double>(a[i]), static_cast<double>(b[i]), sum);
  }
  return sum;
}
template <class A>
double length_of(const A& a) {
  return std::sqrt(dot(a, a));
}

}  // namespace

lbfgs::lbfgs(const lbfgs_options& options) : options_(options) {
  constexpr const char* who = "zo::lbfgs";
  detail::require(options.memory >= 1 && options.memory <= 1000, who,
                  ": memory must be 1 … 1000, got ", options.memory);
  detail::require(!options.noise || (*options.noise >= 0 && detail::is_finite(*options.noise)), who,
                  ": noise must be a number of at least 0, got ", options.noise.value_or(0));
  detail::require(options.first_length > 0 && detail::is_finite(options.first_length), who,
                  ": first_length must be a positive number, got ", options.first_length);
  detail::require(options.trials >= 1, who, ": trials must be at least 1, got ", options.trials);
}

template <scalar T>
lbfgs_search<T>::lbfgs_search(const lbfgs_options& options, index_t dimension)
    : options_(lbfgs(options).options()), dimension_(dimension) {
  detail::check_dimension("zo::lbfgs", dimension);
  if (options.bounds) options.bounds->template check<T>(dimension);
  const auto d = static_cast<std::size_t>(dimension);
  s_.assign(static_cast<std::size_t>(options.memory), std::vector<T>(d));
  y_ = s_;
  for (auto* one : {&last_x_, &last_gradient_, &x_, &gradient_, &point_, &best_}) one->resize(d);
  direction_.resize(d);
  counts_.resize(4);
}

template <scalar T>
auto lbfgs_search<T>::begin(const search_start<T>& from) -> next {
  std::ranges::copy(from.x, x_.begin());
  std::ranges::copy(from.gradient, gradient_.begin());
  value_ = from.value;
  noise_ = options_.noise.value_or(from.noise);
  slope_error_ = from.gradient_error;
  has_new_ = false;
  is_whole_ = from.whole;
  if (counts_[2] != 0 && counts_[3] != 0 && is_whole_) {
    double ss = 0, sy = 0, yy = 0;
    for (std::size_t i = 0; i < x_.size(); ++i) {
      const double s = static_cast<double>(x_[i]) - static_cast<double>(last_x_[i]);
      const double y = static_cast<double>(gradient_[i]) - static_cast<double>(last_gradient_[i]);
      ss = std::fma(s, s, ss);
      sy = std::fma(s, y, sy);
      yy = std::fma(y, y, yy);
    }
    has_new_ = sy > 1e-10 * std::sqrt(ss * yy) &&
               sy > pair_noise * 2 * slope_error_ * std::sqrt(ss) && detail::is_finite(yy);
  }
  return along(true);
}

// The search along a direction of the memory, or of the gradient alone.
template <scalar T>
auto lbfgs_search<T>::along(bool remembers) -> next {
  remembers_ = remembers && (has_new_ || counts_[0] > 0);
  find_direction(remembers_);
  const double length = length_of(direction_);
  if (!(length > 0) || !detail::is_finite(length)) {
    return remembers_ ? along(false) : next::stuck;
  }
  has_best_ = false;
  tried_ = lengthened_ = 0;
  longest_ = 0;
  go_to(remembers_ ? 1 : std::min(1.0, options_.first_length / length));
  return next::ask;
}

template <scalar T>
void lbfgs_search<T>::find_direction(bool remembers) {
  std::vector<double>& p = direction_;
  const std::size_t d = p.size();
  std::vector<bool> held(options_.bounds ? d : 0);
  if (options_.bounds) {
    const auto bounds = options_.bounds->element_of(x_.data());
    for (std::size_t i = 0; i < d; ++i) {
      const auto k = static_cast<index_t>(i);
      held[i] = (x_[i] <= bounds.low(k) && gradient_[i] > T(0)) ||
                (x_[i] >= bounds.high(k) && gradient_[i] < T(0));
    }
  }
  const auto release = [&] {
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (held[i]) p[i] = 0;
    }
  };
  for (std::size_t i = 0; i < d; ++i) p[i] = -static_cast<double>(gradient_[i]);
  release();
  if (!remembers) return;

  // Newest first: the one that begin() has just found, if it is one, and those that are kept.
  const auto pairs = static_cast<int>(counts_[0]), head = static_cast<int>(counts_[1]);
  const int memory = options_.memory;
  const int kept = std::min(pairs, memory - (has_new_ ? 1 : 0));
  const int count = kept + (has_new_ ? 1 : 0);
  std::vector<double> s(d), y(d), along_s(static_cast<std::size_t>(count)),
      sy(static_cast<std::size_t>(count));
  const auto read = [&](int k) {
    if (has_new_ && k == 0) {
      for (std::size_t i = 0; i < d; ++i) {
        s[i] = static_cast<double>(x_[i]) - static_cast<double>(last_x_[i]);
        y[i] = static_cast<double>(gradient_[i]) - static_cast<double>(last_gradient_[i]);
      }
    } else {
      const int back = k - (has_new_ ? 1 : 0);
      const auto at = static_cast<std::size_t>((head + pairs - 1 - back) % memory);
      std::ranges::copy(s_[at], s.begin());
      std::ranges::copy(y_[at], y.begin());
    }
  };
  double scale = 1;
  for (int k = 0; k < count; ++k) {
    read(k);
    const auto at = static_cast<std::size_t>(k);
    sy[at] = dot(s, y);
    if (k == 0) scale = sy[at] / dot(y, y);
    along_s[at] = dot(s, p) / sy[at];
    for (std::size_t i = 0; i < d; ++i) p[i] = std::fma(-along_s[at], y[i], p[i]);
  }
  for (double& one : p) one *= scale;
  for (int k = count - 1; k >= 0; --k) {
    read(k);
    const auto at = static_cast<std::size_t>(k);
    const double by = along_s[at] - dot(y, p) / sy[at];
    for (std::size_t i = 0; i < d; ++i) p[i] = std::fma(by, s[i], p[i]);
  }
  release();
  if (dot(p, gradient_) >= 0) find_direction(false);  // no way down: what is held has changed
}

template <scalar T>
void lbfgs_search<T>::go_to(double length) {
  length_ = length;
  for (std::size_t i = 0; i < x_.size(); ++i) {
    point_[i] = static_cast<T>(std::fma(length, direction_[i], static_cast<double>(x_[i])));
  }
  if (options_.bounds) options_.bounds->project(seq, std::span<T>(point_));
  slope_ = slope_to(point_) / length;
}

template <scalar T>
double lbfgs_search<T>::slope_to(std::span<const T> point) const {
  double sum = 0;
  for (std::size_t i = 0; i < point.size(); ++i) {
    const double move = static_cast<double>(point[i]) - static_cast<double>(x_[i]);
    sum = std::fma(move, static_cast<double>(gradient_[i]), sum);
  }
  return sum;
}

template <scalar T>
void lbfgs_search<T>::write(index_t, index_t at, index_t count, T* to) const {
  std::copy_n(point_.begin() + at, count, to);
}

template <scalar T>
auto lbfgs_search<T>::shorten(double by) -> next {
  longest_ = length_;
  if (has_best_) return next::step;
  const bool moves = point_ != x_;
  if (tried_ >= options_.trials || !moves) return remembers_ ? along(false) : next::stuck;
  go_to(length_ * by);
  return next::ask;
}

template <scalar T>
auto lbfgs_search<T>::take(std::span<const double> answers) -> next {
  const double f = answers[0];
  ++tried_;
  if (!detail::is_finite(f)) return shorten(0.1);
  // Within its error a slope says nothing: then any decrease will do.
  const bool sure = -slope_ > slope_error_ * length_of(direction_);
  const double enough = sure ? armijo * length_ * slope_ : 0;
  const double rise = f - value_;
  const double bend = rise - slope_ * length_;  // above the straight line
  const double allowed = tried_ > 1 ? 2 * noise_ : 0;
  const bool lower = sure ? rise <= enough + allowed : rise < 0;
  if (!lower) {
    const double best = bend > 0 ? -slope_ * length_ / (2 * bend) : 0.5;
    return shorten(std::clamp(best, 0.1, 0.5));
  }
  if (!has_best_ || f < best_value_) {
    has_best_ = true;
    best_value_ = f;
    best_ = point_;
    best_length_ = length_;
  } else {
    return next::step;  // longer is not better
  }
  const bool falls = sure && rise < 0.5 * (1 + straight) * slope_ * length_;
  if (!falls || longest_ > 0 || ++lengthened_ > 10 || tried_ >= options_.trials) return next::step;
  const double best = bend > 0 ? -slope_ * length_ / (2 * bend) : 10;
  go_to(length_ * std::clamp(best, 2.0, 10.0));
  if (point_ == best_) return next::step;  // bounds hold it
  return next::ask;
}

template <scalar T>
void lbfgs_search<T>::accept() {
  const int memory = options_.memory;
  if (!remembers_) counts_[0] = 0;
  if (has_new_ && remembers_) {
    auto pairs = static_cast<int>(counts_[0]), head = static_cast<int>(counts_[1]);
    const auto at = static_cast<std::size_t>((head + pairs) % memory);
    for (std::size_t i = 0; i < x_.size(); ++i) {
      s_[at][i] = x_[i] - last_x_[i];
      y_[at][i] = gradient_[i] - last_gradient_[i];
    }
    if (pairs == memory) {
      head = (head + 1) % memory;
    } else {
      ++pairs;
    }
    counts_[0] = static_cast<T>(pairs);
    counts_[1] = static_cast<T>(head);
  }
  last_x_ = x_;
  last_gradient_ = gradient_;
  counts_[2] = 1;
  counts_[3] = is_whole_ ? T(1) : T(0);
  ++steps_;
}

template <scalar T>
std::vector<std::span<T>> lbfgs_search<T>::state() {
  std::vector<std::span<T>> all{s_.begin(), s_.end()};
  all.insert(all.end(), y_.begin(), y_.end());
  all.insert(all.end(),
             {std::span<T>(last_x_), std::span<T>(last_gradient_), std::span<T>(counts_)});
  return all;
}

template <scalar T>
void lbfgs_search<T>::resume_at(std::uint64_t steps) {
  detail::check_steps(steps);
  steps_ = steps;
}

template class lbfgs_search<float>;
template class lbfgs_search<double>;

}  // namespace zo

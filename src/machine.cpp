// The machine of the host, compiled once for each scalar type.
#include "zo/machine.hpp"

namespace zo {

template <class T>
void machine<T>::open(const row_problem<T>& problem, const estimate_options& options,
                      const failure_policy& failures) {
  failures.check();
  problem_ = problem;
  options_ = options;
  failures_ = failures;
  dropped_ = false;
  missing_ = 0;
  memory_.base.assign(static_cast<std::size_t>(problem.rows), detail::failed_query);
  std::ranges::copy(options_.known_values, memory_.base.begin());
  detail::cleared(memory_.survivors, problem.rows);
  detail::cleared(memory_.faults, problem.rows);
  detail::cleared(memory_.sums, problem.rows);
  detail::cleared(memory_.small_sums, problem.rows);
  detail::cleared(memory_.counts, problem.rows);
  failed_before_ = result_.failed;
  answerer_->begin(options_, failures);
}

template <class T>
bool machine<T>::find_faults(const detail::step_check<T>& check) {
  detail::parallel_tiles(
      threads(), problem_.rows, problem_.dimension, detail::worth_a_thread<rademacher>(),
      [&](index_t b, index_t first, index_t count) {
        add_fault(b,
                  detail::step_faults(check, count, problem_.x + b * problem_.dimension + first));
      });
  const auto sound = [](unsigned faults) { return faults == 0; };
  return drops() ? std::ranges::any_of(memory_.faults, sound)
                 : std::ranges::all_of(memory_.faults, sound);
}

template <class T>
void machine<T>::weigh(const listed_directions& along, index_t count, bool uses_base) {
  const index_t rows = problem_.rows;
  memory_.weights.resize(static_cast<std::size_t>(count * rows));
  for (index_t k = 0; k < count; ++k) {
    const double* const answers = this->answers() + k * along.sides() * rows;
    for (index_t b = 0; b < rows; ++b) {
      const auto row = static_cast<std::size_t>(b);
      for (int p = 0; p < along.sides(); ++p) add_to_mean(row, answers[p * rows + b]);
      const double lower = uses_base ? memory_.base[row] : answers[rows + b];
      const double slope =
          memory_.faults[row] == 0
              ? detail::slope_along(answers[b], lower, uses_base, along.smoothing())
              : detail::failed_query;
      bool good = false;
      memory_.weights[static_cast<std::size_t>(b * count + k)] =
          detail::weight_of<T>(along.weight(k), slope, 1, good);
      memory_.survivors[row] += good ? 1 : 0;
    }
  }
}

template <class T>
void machine<T>::combine(const listed_directions& along, index_t count) {
  detail::parallel_tiles(threads(), problem_.rows, problem_.dimension, index_t{1} << 14,
                         [&](index_t b, index_t first, index_t length) {
                           T* const to = problem_.gradients + b * problem_.dimension + first;
                           detail::table_sum(count, memory_.weights.data() + b * count,
                                             along.numbers(0) + first, problem_.dimension, length,
                                             static_cast<const T*>(to), to);
                           if (!detail::all_finite(length, to)) add_fault(b, detail::beyond_range);
                         });
}

template <class T>
void machine<T>::write_slopes(const coordinates& along, index_t count, bool uses_base,
                              double scale) {
  const index_t rows = problem_.rows;
  const int sides = along.sides();
  for (index_t k = 0; k < count; ++k) {
    const index_t i = along.coordinate(k);
    const double* const answers = this->answers() + k * sides * rows;
    for (index_t b = 0; b < rows; ++b) {
      const auto row = static_cast<std::size_t>(b);
      for (int p = 0; p < sides; ++p) add_to_mean(row, answers[p * rows + b]);
      const double lower = uses_base ? memory_.base[row] : answers[rows + b];
      const T lower_x = uses_base ? problem_.x[b * problem_.dimension + i] : along.moved(b, i, 1);
      write_slope(b, i, scale,
                  detail::quotient(answers[b], lower, static_cast<double>(along.moved(b, i, 0)),
                                   static_cast<double>(lower_x)));
    }
  }
}

template <class T>
void machine<T>::pose_probes(const coordinates& along, index_t count) {
  const auto probes = static_cast<std::size_t>(count * along.sides());
  memory_.rows.resize(probes);
  memory_.weights.resize(probes);
  for (std::size_t j = 0; j < probes; ++j) {
    const index_t i = along.coordinate(static_cast<index_t>(j) % count);
    const int side = static_cast<int>(static_cast<index_t>(j) / count);
    memory_.rows[j] = i;
    memory_.weights[j] = along.moved(0, i, side) - problem_.x[i];
  }
  kind_ = kind::probes;
}

template <class T>
void machine<T>::write_rises(const coordinates& along, index_t count, double scale) {
  const bool central = along.sides() == 2;
  for (index_t k = 0; k < count; ++k) {
    const auto upper = static_cast<std::size_t>(k), lower = static_cast<std::size_t>(count + k);
    write_slope(0, memory_.rows[upper], scale,
                detail::quotient(memory_.answers[upper], central ? memory_.answers[lower] : 0,
                                 static_cast<double>(memory_.weights[upper]),
                                 central ? static_cast<double>(memory_.weights[lower]) : 0));
  }
}

template <class T>
void machine<T>::close(index_t slopes, bool uses_base, bool rescale, bool complete) {
  unsigned faults = 0;
  double first_loss = 0;
  index_t enough = 0;
  for (index_t b = 0; b < problem_.rows; ++b) {
    if (complete) end_row(b, slopes, rescale);
    const auto row = static_cast<std::size_t>(b);
    const double loss = uses_base ? memory_.base[row]
                                  : detail::mean_of(memory_.sums[row], memory_.small_sums[row],
                                                    memory_.counts[row]);
    if (problem_.losses != nullptr) problem_.losses[b] = loss;
    if (b == 0) first_loss = loss;
    faults |= memory_.faults[row];
    enough += memory_.survivors[row] >= (drops() ? 1 : slopes) ? 1 : 0;
  }
  const bool ok = complete && (drops() ? enough > 0 : enough == problem_.rows);
  if (!ok) {
    clear_gradients();
    if (result_.ok) {
      result_.why = detail::flaw_of((faults & detail::step_is_lost) != 0,
                                    (faults & detail::beyond_range) != 0,
                                    result_.failed - failed_before_ + missing_);
    }
  }
  result_.ok = result_.ok && ok;
  if (parts_++ == 0) result_.value = first_loss;
}

template <class T>
void machine<T>::ask() {
  answerer_->thrown.clear();
  switch (kind_) {
    case kind::points:
      ask_points();
      break;
    case kind::prepare:
      ask_prepare();
      break;
    case kind::probes:
      ask_probes();
      break;
  }
}

template <class T>
void machine<T>::ask_points() {
  const index_t count = round_.count(), before = answerer_->queries;
  memory_.answers.assign(static_cast<std::size_t>(count), detail::failed_query);
  // Each process asks again within a share of what is left for that, and all count what was made.
  const bool shares_spare = others_ != nullptr && failures_.options().retries > 0;
  const index_t spare = answerer_->spare.left();
  try {
    detail::ask_all(others_, memory_.answers, [&](index_t first, std::span<double> mine) {
      const auto own = static_cast<index_t>(mine.size());
      if (shares_spare) answerer_->spare.set(spare / count * own + spare % count * own / count);
      answerer_->ask(round_, first, mine);
    });
  } catch (...) {
    if (others_ == nullptr) take_base();  // else not all processes know it
    throw;
  }
  answerer_->end_round(count);
  const index_t mine = answerer_->queries - before;
  const index_t made = shares_spare         ? detail::sum_of_all(others_, mine)
                       : others_ == nullptr ? mine
                                            : count;
  if (shares_spare) answerer_->spare.set(spare - (made - count));
  result_.queries += made;
  take_answers();
}

template <class T>
void machine<T>::take_answers() {
  std::vector<double>& all = memory_.answers;
  for (std::size_t j = 0; j < all.size(); ++j) {
    if (detail::is_finite(all[j])) continue;
    if (!dropped_ || !detail::is_nan(all[j]))
      note_failure(static_cast<index_t>(j), all[j]);
    else
      ++missing_;
    all[j] = failures_ == on_failure::penalise ? failures_.options().penalty : detail::failed_query;
  }
  take_base();
}

template <class T>
void machine<T>::take_base() {
  for (index_t b = 0; b < round_.base; ++b) {
    const double f = memory_.answers[static_cast<std::size_t>(b)];
    memory_.base[static_cast<std::size_t>(b)] = detail::is_finite(f) ? f : detail::failed_query;
  }
}

template <class T>
void machine<T>::ask_prepare() {
  const std::span<const T> x(problem_.x, static_cast<std::size_t>(problem_.dimension));
  double value = detail::ask_everywhere(others_, options_.step, [&] {
    const double asked = answerer_->prepare(x);
    return detail::is_finite(asked) ? asked : detail::failed_query;
  });
  ++result_.queries;
  round_ = {problem_.x, problem_.dimension, 1, 1, 1, 0, nullptr};
  if (detail::is_nan(value)) note_failure(0, value);
  memory_.base[0] = value;
}

template <class T>
void machine<T>::ask_probes() {
  memory_.answers.assign(memory_.rows.size(), detail::failed_query);
  result_.queries += detail::probe_all<T>(
      others_, memory_.rows, memory_.weights, memory_.answers,
      [&](index_t i) { return answerer_->cost(i); },
      [&](std::span<const index_t> these, std::span<const T> steps, std::span<double> differences) {
        return answerer_->probe(these, steps, differences);
      });
  for (std::size_t k = 0; k < memory_.answers.size(); ++k) {
    if (!detail::is_finite(memory_.answers[k])) note_failed_probe(k);
  }
}

template <class T>
void machine<T>::note_failure(index_t question, double answer) {
  ++result_.failed;
  if (result_.failure != nullptr) return;
  auto failure = std::make_shared<query_failure>();
  describe_failure(*failure, question, answer);
  if (problem_.dimension <= detail::most_reported) {
    std::vector<T> point(static_cast<std::size_t>(problem_.dimension));
    round_.write_whole(question, point.data());
    failure->point.assign(point.begin(), point.end());
  }
  failure->row = round_.row(question);
  result_.failure = std::move(failure);
}

template <class T>
void machine<T>::note_failed_probe(std::size_t k) {
  ++result_.failed;
  if (result_.failure != nullptr) return;
  auto failure = std::make_shared<query_failure>();
  describe_failure(*failure, 0, memory_.answers[k]);
  if (problem_.dimension <= detail::most_reported) {
    failure->point.assign(problem_.x, problem_.x + problem_.dimension);
    failure->point[static_cast<std::size_t>(memory_.rows[k])] +=
        static_cast<double>(memory_.weights[k]);
  }
  result_.failure = std::move(failure);
}

template <class T>
void machine<T>::describe_failure(query_failure& failure, index_t question, double answer) const {
  failure.step = options_.step;
  failure.why = answerer_->thrown.of(question);
  if (failure.why.empty()) failure.why = "the answer is " + detail::text_of(answer);
}

template <class T>
void machine<T>::end_row(index_t b, index_t slopes, bool rescale) {
  index_t& good = memory_.survivors[static_cast<std::size_t>(b)];
  unsigned& faults = memory_.faults[static_cast<std::size_t>(b)];
  T* const g = problem_.gradients + b * problem_.dimension;
  if (rescale && faults == 0 && good > 0 && good < slopes) {
    const T factor = detail::rescaling<T>(slopes, good);
    for (index_t i = 0; i < problem_.dimension; ++i) g[i] *= factor;
    if (!detail::all_finite(problem_.dimension, g)) faults = detail::beyond_range;
  }
  if (faults == 0) return;
  good = 0;
  std::fill_n(g, problem_.dimension, T(0));
}

template <class T>
std::uint64_t machine<T>::print(const T* x, index_t count) const {
  return detail::fingerprint().add(std::span<const T>(x, static_cast<std::size_t>(count))).value();
}

template <class T>
void machine<T>::answer(std::span<const double> answers) {
  memory_.answers.assign(answers.begin(), answers.end());
  take_answers();
}

template class machine<float>;
template class machine<double>;

}  // namespace zo

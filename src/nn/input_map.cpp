// Rows of inputs by differences: candidates of several rows are asked together, each where its row
// is in the base pass.
#include "zo/nn/input_map.hpp"

#include <algorithm>
#include <vector>

#include "nn/lanes.hpp"
#include "zo/black_box.hpp"
#include "zo/nn/difference_pass.hpp"
#include "zo/nn/forward.hpp"

namespace zo::nn {

namespace {

using zo::detail::require;

constexpr const char* who = "zo::nn::input_map";

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

// Candidates [first, end) that lie in slots of their rows, in ascending order.
struct part {
  index_t first, end, slots;
};

}  // namespace

template <class T>
struct input_map<T>::state {
  std::vector<T> parameters, statistics;
  forward_pass<T> pass;
  std::vector<difference_pass<T>> makers{};  // one a thread
  std::vector<std::vector<T>> moved{};       // of each
  std::span<const T> x{};
  index_t count = 0, slots = 0;

  void check_sizes(const points<T>& inputs, std::span<const T> answers) const;
  std::vector<part> parts_of(std::span<const index_t> rows, std::vector<index_t>& slot_of) const;
  void ask(const part& now, const points<T>& candidates, std::span<const index_t> rows,
           std::span<const index_t> slot_of, std::size_t worker, std::span<T> dys);
};

template <class T>
void input_map<T>::state::check_sizes(const points<T>& inputs, std::span<const T> answers) const {
  const shape in = pass.net().nodes().front().out, out = pass.net().output();
  require(inputs.count >= 1, who, ": there are no rows; give at least 1");
  require(inputs.dimension == in.size(), who, ": an input of the network, ", text_of(in), ", has ",
          in.size(), " numbers, and a row of x ", inputs.dimension);
  require(static_cast<index_t>(answers.size()) == inputs.count * out.size(), who,
          ": the network answers ", out.size(), " numbers a row; ", inputs.count,
          " rows need room for ", inputs.count * out.size(), ", got ", answers.size());
}

template <class T>
std::vector<part> input_map<T>::state::parts_of(std::span<const index_t> rows,
                                                std::vector<index_t>& slot_of) const {
  std::vector<part> parts;
  for (index_t j = 0, slot = slots; j < static_cast<index_t>(rows.size()); ++j) {
    const index_t row = rows[at(j)];
    require(row >= 0 && row < count, who, ": row ", row, " is not in 0 … ", count - 1);
    slot += (row + count - slot % count) % count;
    if (slot >= slots) {
      parts.push_back({j, j, 0});
      slot = row;
    }
    slot_of[at(j)] = slot;
    parts.back().end = j + 1;
    parts.back().slots = ++slot;
  }
  return parts;
}

template <class T>
void input_map<T>::state::ask(const part& now, const points<T>& candidates,
                              std::span<const index_t> rows, std::span<const index_t> slot_of,
                              std::size_t worker, std::span<T> dys) {
  const index_t numbers = candidates.dimension, outputs = pass.net().output().size();
  std::vector<T>& by = moved[worker];
  by.assign(at(now.slots * numbers), T(0));
  for (index_t j = now.first; j < now.end; ++j) {
    const T* const there = candidates.data.data() + j * numbers;
    const T* const from = x.data() + rows[at(j)] * numbers;
    T* const to = by.data() + slot_of[at(j)] * numbers;
    for (index_t i = 0; i < numbers; ++i) to[i] = there[i] - from[i];
  }
  const std::span<const T> changed = makers[worker].from(0, by, coupling::batch);
  for (index_t j = now.first; j < now.end; ++j) {
    std::ranges::copy(changed.subspan(at(slot_of[at(j)] * outputs), at(outputs)),
                      dys.begin() + j * outputs);
  }
}

template <class T>
input_map<T>::input_map(const network& net, std::span<const T> parameters,
                        std::span<const T> statistics)
    : state_(new state{{parameters.begin(), parameters.end()},
                       {statistics.begin(), statistics.end()},
                       forward_pass<T>(net)}) {
  require(static_cast<index_t>(parameters.size()) == net.parameter_count(), who,
          ": the network has ", net.parameter_count(), " parameters, got ", parameters.size());
  require(static_cast<index_t>(statistics.size()) == net.statistic_count(), who,
          ": each row is an input of its own, and batch norms have no statistics of a batch; hand "
          "in the ",
          net.statistic_count(), " running ones of the network, got ", statistics.size());
}

template <class T>
input_map<T>::input_map(input_map&&) noexcept = default;
template <class T>
input_map<T>& input_map<T>::operator=(input_map&&) noexcept = default;
template <class T>
input_map<T>::~input_map() = default;

template <class T>
void input_map<T>::prepare_with(int threads, points<T> x, std::span<T> ys) {
  state& s = *state_;
  s.count = 0;
  s.check_sizes(x, ys);
  // Samples are evaluated by groups: a few rows are taken as often as a group has room.
  const index_t slots = x.count * std::max(index_t{1}, detail::lanes / x.count);
  if (slots != s.slots) s.makers.clear();
  s.slots = slots;
  std::vector<T> inputs;
  inputs.reserve(at(slots * x.dimension));
  for (index_t first = 0; first < slots; first += x.count) {
    inputs.insert(inputs.end(), x.data.begin(), x.data.end());
  }
  s.pass.run(zo::detail::thread_count{threads}, s.parameters, s.statistics, inputs, slots,
             norm_mode::eval);
  s.pass.prepare_differences();
  for (difference_pass<T>& maker : s.makers) maker.begin();
  std::ranges::copy(s.pass.outputs().first(ys.size()), ys.begin());
  s.x = x.data;
  s.count = x.count;
}

template <class T>
void input_map<T>::differences_with(int threads, points<T> candidates,
                                    std::span<const index_t> rows, std::span<T> dys) {
  state& s = *state_;
  require(s.count > 0, who, ": prepare comes before differences");
  s.check_sizes(candidates, dys);
  require(static_cast<index_t>(rows.size()) == candidates.count, who, ": ", candidates.count,
          " candidates need as many rows, got ", rows.size());
  std::vector<index_t> slot_of(rows.size());
  const std::vector<part> parts = s.parts_of(rows, slot_of);
  const std::size_t workers = std::min(parts.size(), static_cast<std::size_t>(threads));
  s.makers.reserve(workers);
  while (s.makers.size() < workers) s.makers.emplace_back(s.pass);
  s.moved.resize(std::max(s.moved.size(), workers));
  auto one = [&](index_t k, int worker) {
    s.ask(parts[at(k)], candidates, rows, slot_of, static_cast<std::size_t>(worker), dys);
  };
  zo::detail::run_loop(static_cast<int>(workers), static_cast<index_t>(parts.size()),
                       zo::detail::loop_body(one));
}

template <class T>
index_t input_map<T>::multiplications() const {
  index_t sum = 0;
  for (const difference_pass<T>& maker : state_->makers) sum += maker.multiplications();
  return sum;
}

template class input_map<float>;
template class input_map<double>;

}  // namespace zo::nn

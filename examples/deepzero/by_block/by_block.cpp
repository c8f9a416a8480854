#include "by_block.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <zo/direction.hpp>

namespace deepzero {

using zo::index_t;
using zo::detail::require;
using zo::nn::difference_pass;
using zo::nn::forward_pass;
using zo::nn::minibatch;
using zo::nn::network;
using zo::nn::network_part;
using zo::nn::node;
using zo::nn::norm_mode;
using zo::nn::operation;
using zo::nn::paired_outputs;
using zo::nn::shape;
using zo::nn::window;

namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

template <class V>
auto stretch_of(V& all, index_t first, index_t count) {
  return std::span(all).subspan(at(first), at(count));
}

// How often each value is read.
std::vector<int> readers_of(const network& net) {
  std::vector<int> readers(net.nodes().size(), 0);
  for (const node& n : net.nodes()) {
    for (const index_t read : {n.first, n.second}) {
      if (read >= 0) ++readers[at(read)];
    }
  }
  return readers;
}

// Values in a row of which each is made of the one before and of nothing else, cut into blocks.
void add_blocks(const network& net, index_t first, index_t last, std::vector<block_range>& all) {
  const auto& nodes = net.nodes();
  const auto add = [&](index_t end) {
    all.push_back({nodes[at(first)].first, first, end});
    first = end + 1;
  };
  index_t smallest = -1;  // since the last block
  bool spread = true;     // still by position: behind a mean over the image no inputs are apart
  for (index_t id = first; id <= last; ++id) {
    const operation what = nodes[at(id)].what;
    spread = spread && what != operation::global_average_pool;
    if (mixes(what)) {
      if (smallest >= 0) add(smallest);
      add(id);
      smallest = -1;
      spread = true;
    } else if (spread &&
               (smallest < 0 || nodes[at(id)].out.size() <= nodes[at(smallest)].out.size())) {
      smallest = id;
    }
  }
  if (first <= last) add(last);
}

}  // namespace

std::vector<block_range> blocks_of(const network& net) {
  const auto& nodes = net.nodes();
  const std::vector<int> readers = readers_of(net);
  std::vector<block_range> all;
  const auto count = static_cast<index_t>(nodes.size());
  for (index_t first = 1; first < count;) {
    index_t last = first;
    if (nodes[at(first)].what != operation::add) {
      while (last + 1 < count && nodes[at(last + 1)].what != operation::add &&
             nodes[at(last + 1)].first == last && readers[at(last)] == 1) {
        ++last;
      }
      add_blocks(net, first, last, all);
    }
    first = last + 1;
  }
  return all;
}

// A block, what is kept of it, and questions about its inputs.
template <class T>
class block_estimator<T>::block {
 public:
  block(const network& net, const block_range& of)
      : part_(net.part(of.input, of.first, of.last)),
        statistics_(at(part_.net.statistic_count())),
        range_(of) {
    objective_ = std::make_unique<block_objective<T>>(
        part_.net, [this](zo::sample_id) { return *batch_; }, std::span<const T>(statistics_));
    if (of.input == 0) return;
    targets_.push_back({-1, reach_of(part_.net)});
    for (index_t id = 1; id < static_cast<index_t>(part_.net.nodes().size()); ++id) {
      const node& n = part_.net.nodes()[at(id)];
      if (n.what != operation::batch_norm) continue;
      if (n.first == 0) {
        norms_of_input_.push_back(id);
      } else {
        const network up_to = part_.net.part(0, 1, n.first).net;
        targets_.push_back({id, reach_of(up_to), forward_pass<T>(up_to)});
      }
    }
    for (const target& t : targets_) {
      rows_ = std::max(rows_, period_of(t.reached.of_row));
      columns_ = std::max(columns_, period_of(t.reached.of_column));
    }
  }

  const block_range& range() const { return range_; }
  index_t parameter_count() const { return part_.net.parameter_count(); }
  index_t multiplications() const {
    index_t sum = objective_->multiplications();
    for (const target& t : targets_) {
      for (const auto& maker : t.makers) sum += maker->multiplications();
    }
    return sum;
  }
  /// Of the passes that the questions start from.
  index_t multiplications_of_passes() const {
    index_t sum = part_.net.multiplications();
    for (const target& t : targets_) {
      if (t.beginning) sum += t.beginning->net().multiplications();
    }
    return sum;
  }

  zo::estimate_result ask_weights(std::vector<T> inputs, index_t count, std::vector<T> cotangent,
                                  std::span<const T> parameters, std::span<const T> statistics,
                                  std::span<T> gradient, const by_block_calls<T>& calls) {
    batch_.emplace(minibatch<T, paired_outputs<T>>{std::move(inputs), count,
                                                   paired_outputs<T>(std::move(cotangent))});
    std::ranges::copy(statistics.subspan(at(part_.first_statistic), statistics_.size()),
                      statistics_.begin());
    parameters_ = parameters.subspan(at(part_.first_parameter), at(parameter_count()));
    gradient_ = gradient.subspan(at(part_.first_parameter), at(parameter_count()));
    if (!parameters_.empty()) return calls.weights(*objective_, parameters_, gradient_);
    objective_->prepare(zo::seq, parameters_, 0);
    return {};
  }

  /// The cotangent of the block's inputs, samples x inputs, after ask_weights.
  std::vector<T> ask_inputs(int threads, T step, const by_block_calls<T>& calls,
                            std::int64_t& queries);

 private:
  // What inputs are asked about: the outputs, or the input of a batch norm.
  struct target {
    index_t norm;  // -1: the outputs
    reach reached;
    std::optional<forward_pass<T>> beginning{};  // of the block, up to the norm; else all of it
    std::vector<std::unique_ptr<difference_pass<T>>> makers{};
  };

  std::vector<T> cotangent_of(index_t norm) const;
  void prepare(target& t, int threads);
  struct questions;
  void answer(const questions& all, index_t number, int worker, std::span<double> slopes);

  network_part part_;
  std::vector<T> statistics_;
  block_range range_;
  std::unique_ptr<block_objective<T>> objective_;
  std::optional<minibatch<T, paired_outputs<T>>> batch_;
  std::span<const T> parameters_;
  std::span<T> gradient_;
  std::vector<target> targets_;
  std::vector<index_t> norms_of_input_;
  index_t rows_ = 1, columns_ = 1;  // periods
};

// Each moves, in one channel, every number of a row and column of the period.
template <class T>
struct block_estimator<T>::block::questions {
  shape in;
  index_t rows, columns;  // periods, at most the size
  T step;

  // By channel, row and column of the period.
  index_t size() const { return in.channels * rows * columns; }

  index_t slots() const {
    return ((in.height + rows - 1) / rows) * ((in.width + columns - 1) / columns);
  }
  index_t channel(index_t number) const { return number / (rows * columns); }
  // body(slot, row, column) of each number that moves.
  template <class Body>
  void each_moved(index_t number, const Body& body) const {
    index_t slot = 0;
    const index_t place = number % (rows * columns);
    for (index_t y = place / columns; y < in.height; y += rows) {
      for (index_t x = place % columns; x < in.width; x += columns) body(slot++, y, x);
    }
  }
};

// What a number of a batch norm's input is worth for its mean and variance alone.
template <class T>
std::vector<T> block_estimator<T>::block::cotangent_of(index_t norm) const {
  const node& n = part_.net.nodes()[at(norm)];
  const forward_pass<T>& pass = objective_->pass();
  const auto offset = [&](index_t parameter) {
    return part_.net.parameters()[at(parameter)].offset;
  };
  const auto means = pass.means(norm), roots = pass.roots(norm);
  std::vector<T> cotangent = pass.value(n.first);
  const index_t area = n.in.area();
  const auto numbers = static_cast<double>(batch_->count * area);
  for (index_t c = 0; c < n.in.channels; ++c) {
    const double scale =
        static_cast<double>(parameters_[at(offset(n.weight) + c)]) / (roots[at(c)] * numbers);
    const double of_mean = -scale * static_cast<double>(gradient_[at(offset(n.bias) + c)]);
    const double of_variance =
        -scale / (2 * roots[at(c)]) * static_cast<double>(gradient_[at(offset(n.weight) + c)]);
    for (index_t b = 0; b < batch_->count; ++b) {
      for (index_t p = 0; p < area; ++p) {
        T& x = cotangent[at((b * n.in.channels + c) * area + p)];
        x = static_cast<T>(of_mean + 2 * of_variance * (static_cast<double>(x) - means[at(c)]));
      }
    }
  }
  return cotangent;
}

template <class T>
void block_estimator<T>::block::prepare(target& t, int threads) {
  if (t.beginning) {
    const network& net = t.beginning->net();
    t.beginning->run(zo::par.with_threads(threads),
                     stretch_of(parameters_, 0, net.parameter_count()),
                     stretch_of(std::as_const(statistics_), 0, net.statistic_count()),
                     batch_->inputs, batch_->count, norm_mode::train);
    t.beginning->prepare_differences();
    t.beginning->pair_with(cotangent_of(t.norm));
  }
  while (static_cast<int>(t.makers.size()) < threads) {
    t.makers.push_back(
        std::make_unique<difference_pass<T>>(t.beginning ? *t.beginning : objective_->pass()));
  }
  for (const auto& maker : t.makers) maker->begin();
}

// slots x samples.
template <class T>
void block_estimator<T>::block::answer(const questions& all, index_t number, int worker,
                                       std::span<double> slopes) {
  const index_t area = all.in.area(), count = batch_->count;
  std::vector<T> moved(at(count * area), T(0));
  index_t some = 0;
  all.each_moved(number, [&](index_t, index_t y, index_t x) {
    for (index_t b = 0; b < count; ++b) moved[at(b * area + y * all.in.width + x)] = all.step;
    ++some;
  });
  std::ranges::fill(slopes, 0.0);
  std::vector<window> windows(at(some));
  std::vector<double> sums(at(some * count));
  for (target& t : targets_) {
    all.each_moved(number, [&](index_t slot, index_t y, index_t x) {
      windows[at(slot)] = t.reached.window(y, x);
    });
    t.makers[static_cast<std::size_t>(worker)]->paired(0, all.channel(number), moved,
                                                       zo::nn::coupling::frozen, windows, sums);
    for (std::size_t k = 0; k < sums.size(); ++k) slopes[k] += sums[k];
  }
}

template <class T>
std::vector<T> block_estimator<T>::block::ask_inputs(int threads, T step,
                                                     const by_block_calls<T>& calls,
                                                     std::int64_t& queries) {
  for (target& t : targets_) prepare(t, threads);
  const questions all{part_.net.nodes().front().out, rows_, columns_, step};
  const index_t count = batch_->count, piece = all.slots() * count;
  std::vector<double> slopes(at(all.size() * piece));
  const auto some = [&](index_t first, std::span<double> mine) {
    auto one = [&](index_t k, int worker) {
      answer(all, first / piece + k, worker, mine.subspan(at(k * piece), at(piece)));
    };
    zo::detail::run_loop(threads, static_cast<index_t>(mine.size()) / piece,
                         zo::detail::loop_body(one));
  };
  calls.shared ? calls.shared(slopes, piece, some) : some(0, slopes);
  queries += all.size();

  std::vector<T> cotangent(at(count * all.in.size()), T(0));
  for (index_t k = 0; k < all.size(); ++k) {
    all.each_moved(k, [&](index_t slot, index_t y, index_t x) {
      for (index_t b = 0; b < count; ++b) {
        cotangent[at(((b * all.in.channels + all.channel(k)) * all.in.height + y) * all.in.width +
                     x)] =
            static_cast<T>(slopes[at(k * piece + slot * count + b)] / static_cast<double>(step));
      }
    });
  }
  for (const index_t norm : norms_of_input_) {
    const std::vector<T> own = cotangent_of(norm);
    for (std::size_t i = 0; i < cotangent.size(); ++i) cotangent[i] += own[i];
  }
  return cotangent;
}

template <class T>
block_estimator<T>::block_estimator(const network& net) : pass_(net) {
  for (const block_range& of : blocks_of(net)) blocks_.push_back(std::make_unique<block>(net, of));
}
template <class T>
block_estimator<T>::~block_estimator() = default;

namespace {

// Of the mean loss, by central differences of single outputs: samples x outputs.
template <class T>
std::vector<T> cotangent_of(const zo::nn::cross_entropy& loss, index_t outputs, double step) {
  std::vector<index_t> samples(at(loss.samples()));
  std::iota(samples.begin(), samples.end(), index_t{0});
  std::vector<T> cotangent(samples.size() * at(outputs)), changes(cotangent.size());
  std::vector<double> above(samples.size()), below(samples.size());
  for (index_t k = 0; k < outputs; ++k) {
    const auto ask = [&](double by, std::vector<double>& parts) {
      std::ranges::fill(changes, T(0));
      for (std::size_t b = 0; b < samples.size(); ++b) {
        changes[b * at(outputs) + at(k)] = static_cast<T>(by);
      }
      loss.differences<T>(samples, changes, parts);
    };
    ask(step, above);
    ask(-step, below);
    for (std::size_t b = 0; b < samples.size(); ++b) {
      cotangent[b * at(outputs) + at(k)] = static_cast<T>((above[b] - below[b]) / (2 * step));
    }
  }
  return cotangent;
}

}  // namespace

template <class T>
std::vector<T> block_estimator<T>::dithered(const std::vector<T>& inputs, double deviation) {
  if (noise_.size() < inputs.size()) {
    noise_.resize(inputs.size());
    zo::fill_direction(zo::gaussian{}, {}, std::span<T>(noise_));
  }
  std::vector<T> moved = inputs;
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<T>(deviation) * noise_[i];
  return moved;
}

template <class T>
by_block_result block_estimator<T>::estimate(int threads, const minibatch<T>& batch,
                                             std::span<const T> parameters,
                                             std::span<const T> statistics,
                                             const by_block_options& options, std::span<T> gradient,
                                             const by_block_calls<T>& calls) {
  constexpr const char* who = "deepzero::block_estimator";
  const T step = static_cast<T>(options.smoothing);
  require(step > T(0) && std::isfinite(step), who, ": smoothing must be a number above 0, got ",
          options.smoothing);
  require(options.dither >= 0 && std::isfinite(options.dither), who,
          ": dither must be a number from 0 on, got ", options.dither);
  require(static_cast<index_t>(gradient.size()) == pass_.net().parameter_count(), who,
          ": the network has ", pass_.net().parameter_count(), " parameters, and gradient ",
          gradient.size());
  const std::vector<T> inputs = dithered(batch.inputs, options.dither);
  pass_.run(zo::par.with_threads(threads), parameters, statistics, inputs, batch.count,
            norm_mode::train);
  const index_t outputs = pass_.net().output().size();
  zo::nn::cross_entropy loss = batch.loss;
  by_block_result result{.value = loss.prepare<T>(pass_.outputs()), .passes = 1};
  const auto whole = static_cast<double>(pass_.net().multiplications());
  result.ok = std::isfinite(result.value);
  if (!result.ok) return result;
  const auto& nodes = pass_.net().nodes();
  std::vector<std::vector<T>> cotangents(nodes.size());  // of each value, samples x numbers
  const auto add_to = [&](index_t value, std::vector<T> more) {
    std::vector<T>& sum = cotangents[at(value)];
    if (sum.empty()) {
      sum = std::move(more);
    } else {
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
    }
  };
  cotangents.back() = cotangent_of<T>(loss, outputs, options.smoothing);
  result.queries = 1 + 2 * outputs;
  std::ranges::fill(gradient, T(0));
  auto own = blocks_.rbegin();
  for (index_t id = static_cast<index_t>(nodes.size()) - 1; id > 0; --id) {
    const node& n = nodes[at(id)];
    const bool ends = own != blocks_.rend() && (*own)->range().last == id;
    if (cotangents[at(id)].empty()) {  // inside of a block, or nobody reads it
      if (ends) ++own;
    } else if (n.what == operation::add) {
      for (const index_t read : {n.first, n.second}) {
        if (read != 0) add_to(read, cotangents[at(id)]);
      }
    } else if (ends) {
      block& asked = **own++;
      const index_t input = asked.range().input;
      const auto weights =
          asked.ask_weights(input == 0 ? inputs : pass_.value(input), batch.count,
                            std::move(cotangents[at(id)]), parameters, statistics, gradient, calls);
      result.queries += weights.queries;
      result.ok = result.ok && weights.ok;
      if (input != 0 && result.ok) {
        add_to(input, asked.ask_inputs(threads, step, calls, result.queries));
      }
      result.multiplications += asked.multiplications();
      result.passes += static_cast<double>(asked.multiplications_of_passes()) / whole;
      if (!result.ok) return result;
    }
  }
  return result;
}

template class block_estimator<float>;
template class block_estimator<double>;

}  // namespace deepzero

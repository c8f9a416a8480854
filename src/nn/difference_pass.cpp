// Differences of values, unit by unit of a path.
#include "zo/nn/difference_pass.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "nn/layer/batch_norm.hpp"
#include "nn/pass_values.hpp"

namespace zo::nn {

namespace {

using detail::change;
using detail::extent;
using detail::fit;
using detail::lane_change;
using detail::lanes;
using detail::reached;
using zo::detail::require;

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

// A path, and in which buffer each difference is.
struct way {
  detail::path path;
  std::vector<index_t> buffer_of{};  // by node, while it is needed
  std::vector<index_t> written{};    // by unit of the path: the buffer of its output
  std::vector<char> leaves{};        // … whether the next one writes it, as it reads it
  index_t first = 0, buffers = 0;
};

// Buffers are taken by one difference after another.
class buffer_list {
 public:
  index_t take() {
    if (free_.empty()) return count_++;
    const index_t last = free_.back();
    free_.pop_back();
    return last;
  }
  void give_back(index_t buffer) { free_.push_back(buffer); }
  /// Still read while the next one is written.
  void give_back_later(index_t buffer) { later_.push_back(buffer); }
  void give_back_late_ones() {
    free_.insert(free_.end(), later_.begin(), later_.end());
    later_.clear();
  }
  index_t count() const { return count_; }

 private:
  std::vector<index_t> free_{}, later_{};
  index_t count_ = 0;
};

}  // namespace

template <class T>
class difference_pass<T>::state {
 public:
  // Through the base pass's own pointer, so that an assignment to it is seen.
  explicit state(const std::unique_ptr<detail::pass_values<T>>& base)
      : base_(base), net_(base->base.net) {
    begin();
  }

  void begin();
  std::span<const T> of_parameter(index_t coordinate, T step);
  std::span<const T> from(index_t node, std::span<const T> moved, coupling how);
  double paired(index_t coordinate, T step);
  void paired(index_t node, index_t channel, std::span<const T> moved, coupling how,
              std::span<const window> windows, std::span<double> sums);
  std::span<const norm_sums> sums() const { return sample_sums_; }
  index_t multiplications() const { return multiplications_; }

 private:
  const shape& shape_of(index_t node) const;
  index_t samples_of(index_t node, index_t numbers, std::size_t moved, coupling how) const;
  const way& way_from(index_t node, extent how);
  way lay_out(index_t node, extent how) const;
  void check_base() const;
  T* room(index_t buffer, const shape& s, extent how);
  // The change of the outputs, when the first one of the way is there.
  lane_change<T> carry(const way& w, index_t channel, coupling how);
  lane_change<T> carry_parameter(index_t coordinate, T step);
  std::span<const T> rows_of(lane_change<T> found);
  void check_cotangent() const;
  bool pair_directly(index_t coordinate, T step, double& sum);
  void add_products(const lane_change<T>& found, index_t group, const window& where,
                    double* sums) const;
  void follow(const way& w, std::size_t step, index_t channel, coupling how);

  const std::unique_ptr<detail::pass_values<T>>& base_;
  std::shared_ptr<const network> net_;  // the base pass's, which may be copied over
  std::uint64_t run_ = 0;               // of the base pass
  std::optional<way> way_;
  std::vector<detail::lane_vector<T>> buffers_;
  std::vector<detail::change_sums<T>> sums_;  // by unit
  detail::scratch_memory scratch_, norm_scratch_;
  detail::position_writer left_to_do_;
  std::vector<T> outputs_;
  std::vector<norm_sums> sample_sums_;
  index_t samples_ = 0;  // of the last question
  index_t multiplications_ = 0;
};

template <class T>
void difference_pass<T>::state::begin() {
  require(base_ != nullptr && base_->has_run && base_->differences.has_value(),
          "zo::nn::difference_pass: run and prepare_differences of the base pass come first");
  run_ = base_->runs;
  multiplications_ = 0;
}

template <class T>
void difference_pass<T>::state::check_base() const {
  require(base_ != nullptr && run_ == base_->runs && net_ == base_->base.net,
          "zo::nn::difference_pass: the base pass has run since; its prepare_differences and begin "
          "come before the next question");
}

template <class T>
const way& difference_pass<T>::state::way_from(index_t node, extent how) {
  // The last one alone is kept: questions come node by node.
  if (!way_ || way_->path.from != node || way_->path.begin.how != how) way_ = lay_out(node, how);
  return *way_;
}

template <class T>
way difference_pass<T>::state::lay_out(index_t node, extent how) const {
  const detail::plan& plan = *base_->base.how;
  way w{.path = detail::path(*net_, plan, node, how)};
  w.buffer_of.assign(net_->nodes().size(), -1);
  buffer_list buffers;
  w.first = w.buffer_of[at(node)] = buffers.take();
  for (const reached& r : w.path.units) {
    const detail::unit& u = plan.units[at(r.unit)];
    const bool twice = u.other == r.main_node && r.other.how != extent::none;
    const bool takes_over = base_->layers[at(r.unit)]->in_place() && !twice &&
                            r.main.how == r.out.how &&
                            std::ranges::count(r.released, r.main_node) > 0;
    const index_t out = takes_over ? w.buffer_of[at(r.main_node)] : buffers.take();
    w.buffer_of[at(u.last)] = out;
    w.written.push_back(out);
    // This keeps what the sum adds for one unit longer: the buffer that taking over saved.
    const bool leaves =
        plan.product_next[at(r.unit)] != 0 && (takes_over || r.main.how == extent::none);
    w.leaves.push_back(leaves ? 1 : 0);
    buffers.give_back_late_ones();
    for (const index_t gone : r.released) {
      if (takes_over && gone == r.main_node) continue;
      leaves ? buffers.give_back_later(w.buffer_of[at(gone)])
             : buffers.give_back(w.buffer_of[at(gone)]);
    }
  }
  w.buffers = buffers.count();
  return w;
}

template <class T>
T* difference_pass<T>::state::room(index_t buffer, const shape& s, extent how) {
  if (static_cast<index_t>(buffers_.size()) <= buffer) buffers_.resize(at(buffer + 1));
  const index_t numbers = how == extent::channel ? s.area() : s.size();
  detail::lane_vector<T>& own = buffers_[at(buffer)];
  fit(own,
      std::max(detail::groups_of(samples_) * numbers * lanes, static_cast<index_t>(own.size())));
  return own.data();
}

template <class T>
lane_change<T> difference_pass<T>::state::carry_parameter(index_t coordinate, T step) {
  check_base();
  const view& moved = net_->parameter_of(coordinate);
  const index_t element = coordinate - moved.offset;
  samples_ = base_->base.samples;
  const way& w = way_from(moved.node, extent::channel);
  const detail::layer<T>& own = *base_->layers[at(base_->base.how->unit_of[at(moved.node)])];
  const index_t channel = own.channel_of(moved, element);
  T* const data = room(w.first, base_->base.at(moved.node).out, extent::channel);
  own.start(base_->base, moved, element, step, {extent::channel, channel, data});
  return carry(w, channel, coupling::batch);
}

template <class T>
std::span<const T> difference_pass<T>::state::of_parameter(index_t coordinate, T step) {
  return rows_of(carry_parameter(coordinate, step));
}

template <class T>
index_t difference_pass<T>::state::samples_of(index_t node, index_t numbers, std::size_t moved,
                                              coupling how) const {
  check_base();
  const detail::batch<T>& base = base_->base;
  const index_t count = static_cast<index_t>(moved) / numbers;
  require(
      count * numbers == static_cast<index_t>(moved) &&
          (count == base.samples || ((how == coupling::frozen || base.mode == norm_mode::eval) &&
                                     count >= 1 && count < base.samples)),
      "zo::nn::difference_pass: a change of value ", node, " has ", numbers,
      " numbers for each of ", base.samples,
      " samples (or fewer samples, where statistics are frozen), got ", moved);
  return count;
}

template <class T>
const shape& difference_pass<T>::state::shape_of(index_t node) const {
  require(node >= 0 && node < static_cast<index_t>(net_->nodes().size()),
          "zo::nn::difference_pass: value ", node, " is not in 0 … ", net_->nodes().size() - 1);
  return net_->nodes()[at(node)].out;
}

template <class T>
std::span<const T> difference_pass<T>::state::from(index_t node, std::span<const T> moved,
                                                   coupling how) {
  const shape& s = shape_of(node);
  samples_ = samples_of(node, s.size(), moved.size(), how);
  const way& w = way_from(node, extent::full);
  detail::to_lanes(s, samples_, moved.data(), room(w.first, s, extent::full));
  return rows_of(carry(w, 0, how));
}

template <class T>
lane_change<T> difference_pass<T>::state::carry(const way& w, index_t channel, coupling how) {
  sample_sums_.clear();
  sums_.resize(base_->layers.size());
  for (std::size_t step = 0; step < w.path.units.size(); ++step) follow(w, step, channel, how);
  multiplications_ += samples_ * w.path.multiplications;
  const change& end = w.path.end;
  if (end.how == extent::none) return {};
  return {end.how, channel + end.shift, buffers_[at(w.buffer_of.back())].data()};
}

template <class T>
std::span<const T> difference_pass<T>::state::rows_of(lane_change<T> found) {
  const shape& s = net_->output();
  outputs_.assign(at(samples_ * s.size()), T(0));
  if (found.how == extent::none) return outputs_;
  detail::lane_vector<T> all;
  if (found.how == extent::channel) {
    fit(all, detail::groups_of(samples_) * s.size() * lanes);
    detail::widen(s, detail::groups_of(samples_), found, all.data());
    found.data = all.data();
  }
  detail::from_lanes(s, samples_, found.data, outputs_.data());
  return outputs_;
}

template <class T>
void difference_pass<T>::state::check_cotangent() const {
  check_base();
  require(!base_->cotangent.empty(),
          "zo::nn::difference_pass: pair_with of the base pass comes before paired questions");
}

// To the sums of 16 samples.
template <class T>
void difference_pass<T>::state::add_products(const lane_change<T>& found, index_t group,
                                             const window& where, double* sums) const {
  const shape& s = net_->output();
  const bool single = found.how == extent::channel;
  const index_t channels = found.channels(s.channels);
  const index_t first = single ? found.channel * detail::groups_of(base_->base.samples) : 0;
  const index_t begin = where.top * s.width + where.left;
  const auto from = [&](const T* data, index_t plane) {
    const index_t before = (plane * s.area() + begin) * channels * lanes;
    return detail::plane_rows<T>{data + before, channels, s.width * channels};
  };
  const auto& cotangent = single ? base_->cotangent_planes : base_->cotangent;
  detail::best_loops<T>().pair({where.bottom - where.top, where.right - where.left, channels, T(1),
                                from(found.data, group), from(cotangent.data(), first + group),
                                sums});
}

// Where nothing lies between a parameter's channel and the outputs.
template <class T>
bool difference_pass<T>::state::pair_directly(index_t coordinate, T step, double& sum) {
  const view& moved = net_->parameter_of(coordinate);
  if (!way_from(moved.node, extent::channel).path.units.empty()) return false;
  sample_sums_.clear();
  samples_ = base_->base.samples;
  const detail::layer<T>& own = *base_->layers[at(base_->base.how->unit_of[at(moved.node)])];
  const index_t element = coordinate - moved.offset, groups = detail::groups_of(samples_);
  const T* const planes = base_->cotangent_planes.data() +
                          own.channel_of(moved, element) * groups * net_->output().area() * lanes;
  for (index_t g = 0; g < groups; ++g) {
    double sums[lanes] = {};
    const T* const plane = planes + g * net_->output().area() * lanes;
    if (!own.pair(base_->base, moved, element, step, g, plane, sums)) return false;
    for (index_t b = 0; b < std::min(lanes, samples_ - g * lanes); ++b) sum += sums[b];
  }
  return true;
}

template <class T>
double difference_pass<T>::state::paired(index_t coordinate, T step) {
  check_cotangent();
  double sum = 0;
  if (pair_directly(coordinate, step, sum)) return sum;
  const lane_change<T> found = carry_parameter(coordinate, step);
  if (found.how == extent::none) return sum;
  const shape& s = net_->output();
  for (index_t g = 0; g < detail::groups_of(samples_); ++g) {
    double sums[lanes] = {};
    add_products(found, g, {0, s.height, 0, s.width}, sums);
    for (index_t b = 0; b < std::min(lanes, samples_ - g * lanes); ++b) sum += sums[b];
  }
  return sum;
}

template <class T>
void difference_pass<T>::state::paired(index_t node, index_t channel, std::span<const T> moved,
                                       coupling how, std::span<const window> windows,
                                       std::span<double> sums) {
  check_cotangent();
  const shape& s = shape_of(node);
  require(channel >= 0 && channel < s.channels, "zo::nn::difference_pass: channel ", channel,
          " of value ", node, " is not in 0 … ", s.channels - 1);
  samples_ = samples_of(node, s.area(), moved.size(), how);
  require(sums.size() == windows.size() * at(samples_), "zo::nn::difference_pass: ", windows.size(),
          " windows and ", samples_, " samples need as many sums, got ", sums.size());
  for (const window& w : windows) {
    require(w.top >= 0 && w.left >= 0 && w.bottom <= net_->output().height &&
                w.right <= net_->output().width,
            "zo::nn::difference_pass: a window reaches beyond the outputs, ",
            text_of(net_->output()));
  }
  const way& w = way_from(node, extent::channel);
  detail::to_lanes({1, s.height, s.width}, samples_, moved.data(),
                   room(w.first, s, extent::channel));
  const lane_change<T> found = carry(w, channel, how);
  std::ranges::fill(sums, 0.0);
  if (found.how == extent::none) return;
  for (index_t g = 0; g < detail::groups_of(samples_); ++g) {
    for (std::size_t k = 0; k < windows.size(); ++k) {
      double of_group[lanes] = {};
      add_products(found, g, windows[k], of_group);
      std::copy_n(of_group, std::min(lanes, samples_ - g * lanes),
                  sums.data() + k * at(samples_) + g * lanes);
    }
  }
}

template <class T>
void difference_pass<T>::state::follow(const way& w, std::size_t step, index_t channel,
                                       coupling how) {
  const reached& r = w.path.units[step];
  const detail::unit& u = base_->base.how->units[at(r.unit)];
  const auto placed = [&](const change& c, index_t buffer) {
    return c.how == extent::none
               ? lane_change<T>{}
               : lane_change<T>{c.how, channel + c.shift, buffers_[at(buffer)].data()};
  };
  detail::question<T> q{
      .base = base_->base,
      .where = r,
      .samples = samples_,
      .follows_batch = how == coupling::batch && base_->base.mode == norm_mode::train,
      .by_sample = how == coupling::frozen};
  T* const out = room(w.written[step], net_->nodes()[at(u.last)].out, r.out.how);
  q.main = placed(r.main, w.buffer_of[at(r.main_node)]);
  if (r.other.how != extent::none) q.other = placed(r.other, w.buffer_of[at(u.other)]);
  q.out = {r.out.how, channel + r.out.shift, out};
  q.sums_of_main = &sums_[at(r.unit)];
  if (q.follows_batch && r.sums_for >= 0) {
    q.sums_of_out = &sums_[at(r.sums_for)];
    q.norm_after = base_->layers[at(r.sums_for)]->norm();
  }
  q.sample_sums = &sample_sums_;
  q.scratch = u.norm >= 0 ? &norm_scratch_ : &scratch_;
  if (w.leaves[step] != 0 || (step > 0 && w.leaves[step - 1] != 0)) q.left_to_do = &left_to_do_;
  base_->layers[at(r.unit)]->follow(q);
}

// Every buffer grows to the largest difference that it ever held.
template <class T>
index_t difference_bytes(const network& net, index_t count) {
  require(count >= 1, "zo::nn::difference_bytes: a batch needs at least one sample, got ", count);
  const detail::plan how(net);
  const auto nodes = static_cast<index_t>(net.nodes().size());
  std::vector<index_t> more(at(nodes + 1), 0);  // differences from here on, less those gone
  index_t largest = net.nodes().front().out.size(), of_norms = 0, scratch = 0, norm_scratch = 0;
  more[0] = 1;
  more[at(how.last_use[0] + 1)] -= 1;
  for (const detail::unit& u : how.units) {
    more[at(u.last)] += 1;
    more[at(std::max(u.last, how.last_use[at(u.last)]) + 1)] -= 1;
    largest = std::max(largest, net.nodes()[at(u.last)].out.size());
    const auto one = detail::make_layer<T>(net, how, u);
    index_t& room = u.norm >= 0 ? norm_scratch : scratch;
    room = std::max(room, one->scratch_bytes());
    if (u.norm >= 0) of_norms += net.nodes()[at(u.norm)].out.channels;
  }
  index_t live = 0, most = 0;
  for (const index_t change : more) most = std::max(most, live += change);
  constexpr auto number = static_cast<index_t>(sizeof(T)),
                 wide = static_cast<index_t>(sizeof(double));
  index_t bytes = scratch + norm_scratch + of_norms * (4 * lanes * wide + number);
  for (const index_t part :
       {detail::product_of({most, largest, number, lanes, detail::groups_of(count)}),
        detail::product_of({count, net.output().size(), number})}) {
    if (__builtin_add_overflow(bytes, part, &bytes)) return std::numeric_limits<index_t>::max();
  }
  return bytes;
}

std::vector<double> probe_costs(const network& net) {
  const detail::plan how(net);
  std::vector<double> costs(net.nodes().size(), 0);
  for (const view& v : net.parameters()) {
    double& cost = costs[at(v.node)];
    if (cost > 0) continue;
    const detail::path way(net, how, v.node, extent::channel);
    cost = way.numbers + static_cast<double>(way.multiplications);
  }
  return costs;
}

template index_t difference_bytes<float>(const network&, index_t);
template index_t difference_bytes<double>(const network&, index_t);

template <class T>
difference_pass<T>::difference_pass(const forward_pass<T>& base)
    : state_(std::make_unique<state>(base.values_)) {}

template <class T>
difference_pass<T>::difference_pass(const difference_pass& other)
    : state_(std::make_unique<state>(*other.state_)) {}
template <class T>
difference_pass<T>::difference_pass(difference_pass&&) noexcept = default;
template <class T>
difference_pass<T>::~difference_pass() = default;

template <class T>
void difference_pass<T>::begin() {
  state_->begin();
}

template <class T>
std::span<const T> difference_pass<T>::operator()(index_t coordinate, T step) {
  return state_->of_parameter(coordinate, step);
}

template <class T>
std::span<const T> difference_pass<T>::from(index_t node, std::span<const T> moved, coupling how) {
  return state_->from(node, moved, how);
}

template <class T>
double difference_pass<T>::paired(index_t coordinate, T step) {
  return state_->paired(coordinate, step);
}

template <class T>
void difference_pass<T>::paired(index_t node, index_t channel, std::span<const T> moved,
                                coupling how, std::span<const window> windows,
                                std::span<double> sums) {
  state_->paired(node, channel, moved, how, windows, sums);
}

template <class T>
std::span<const norm_sums> difference_pass<T>::sums() const {
  return state_->sums();
}

template <class T>
index_t difference_pass<T>::multiplications() const {
  return state_->multiplications();
}

template class difference_pass<float>;
template class difference_pass<double>;

}  // namespace zo::nn

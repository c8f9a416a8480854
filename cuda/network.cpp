// Networks on the device, on the host's side: which launches make a pass, which make a group of
// probes, and where their numbers lie.
#include "zo/cuda/network.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "cuda/network_kernels.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/error.hpp"

namespace zo::cuda {

namespace detail::network_plan {

constexpr index_t alignment = 256;  // of everything in a buffer, in bytes
inline index_t aligned(index_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// Places in a piece of memory, given out and taken back while a path is planned.
class places {
 public:
  index_t take(index_t bytes) {
    bytes = aligned(bytes);
    const auto fits = std::ranges::find_if(free_, [&](const auto& f) { return f.second >= bytes; });
    index_t from = end_;
    if (fits != free_.end()) {
      from = fits->first;
      const index_t left = fits->second - bytes;
      free_.erase(fits);
      if (left > 0) free_[from + bytes] = left;
    } else if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == end_) {
      from = free_.rbegin()->first;  // the last free place grows
      free_.erase(from);
    }
    end_ = std::max(end_, from + bytes);
    return from;
  }
  void give_back(index_t from, index_t bytes) {
    auto place = free_.emplace(from, aligned(bytes)).first;
    const auto join = [&](auto low, auto high) {
      if (low->first + low->second != high->first) return low;
      low->second += high->second;
      free_.erase(high);
      return low;
    };
    if (std::next(place) != free_.end()) join(place, std::next(place));
    if (place != free_.begin()) join(std::prev(place), place);
  }
  index_t bytes() const { return end_; }

 private:
  std::map<index_t, index_t> free_;
  index_t end_ = 0;
};

// Nodes whose differences are made together, at the last of them: a batch norm, a sum and a ReLU,
// each with the next as its only user; or one node of any kind.
struct unit {
  index_t last = -1;
  index_t norm = -1, sum = -1, relu = -1;
  index_t main = -1, other = -1;  // what is read
};

// The difference of one value on its way, and where it lies: bytes of one probe, times their
// number.
struct planned {
  extent how = extent::none;
  index_t shift = 0;     // of the channel
  bool rounded = false;  // kept in bfloat16
  index_t place = -1, bytes = 0;
  index_t sums = -1, sums_bytes = 0;  // that its product makes for the batch norm that reads it
};

struct planned_unit {
  const unit* what;
  planned main{}, other{}, out{};
  bool normed = false;                // the batch norm is yet to be applied
  bool tensor = false;                // products on tensor cores
  index_t norm_after = -1;            // that wants sums of this product
  index_t sums = -1, responses = -1;  // of a batch norm whose statistics follow, while it is made
};

// What follows where one node has changed.
struct path {
  planned begin, end;  // of the node, and of the outputs
  index_t channels = -1, parts = -1;
  std::vector<planned_unit> units;
  index_t bytes = 0;  // a probe
};

}  // namespace detail::network_plan

namespace {

using namespace detail::network_plan;
using detail::change;
using detail::extent;
using detail::window;
using nn::node;
using nn::operation;
using zo::detail::require;

constexpr const char* who = "zo::cuda::network_objective";
std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

window window_of(const node& n) {
  window w{};
  w.in_height = static_cast<int>(n.in.height);
  w.in_width = static_cast<int>(n.in.width);
  w.in_channels = static_cast<int>(n.in.channels);
  w.out_height = static_cast<int>(n.out.height);
  w.out_width = static_cast<int>(n.out.width);
  w.out_channels = static_cast<int>(n.out.channels);
  const bool whole = n.what == operation::linear || n.what == operation::global_average_pool;
  w.height = whole ? w.in_height : static_cast<int>(n.kernel);
  w.width = whole ? w.in_width : static_cast<int>(n.kernel);
  w.stride = whole ? 1 : static_cast<int>(n.stride);
  w.padding = whole ? 0 : static_cast<int>(n.padding);
  return w;
}

std::vector<unit> units_of(const std::vector<node>& nodes) {
  std::vector<std::vector<index_t>> users(nodes.size());
  for (index_t id = 0; id < static_cast<index_t>(nodes.size()); ++id) {
    for (const index_t from : {nodes[at(id)].first, nodes[at(id)].second}) {
      if (from >= 0) users[at(from)].push_back(id);
    }
  }
  std::vector<char> taken(nodes.size(), 0);
  const auto next = [&](index_t id, operation what) -> index_t {
    const std::vector<index_t>& all = users[at(id)];
    const bool fits = all.size() == 1 && nodes[at(all[0])].what == what && taken[at(all[0])] == 0;
    if (fits) taken[at(all[0])] = 1;
    return fits ? all[0] : -1;
  };
  std::vector<unit> units;
  for (index_t id = 0; id < static_cast<index_t>(nodes.size()); ++id) {
    const node& n = nodes[at(id)];
    if (n.what == operation::input || taken[at(id)] != 0) continue;
    unit u{.last = id, .main = n.first, .other = n.second};
    if (n.what == operation::batch_norm) {
      u.norm = id;
      u.sum = next(id, operation::add);
    }
    if (n.what == operation::add) u.sum = id;
    if (u.sum > id) {
      const node& sum = nodes[at(u.sum)];
      u.other = sum.first == id ? sum.second : sum.first;
      u.last = u.sum;
    }
    if (n.what == operation::relu) u.relu = id;
    if (u.norm >= 0 || u.sum >= 0) {
      u.relu = next(u.last, operation::relu);
      u.last = std::max(u.last, u.relu);
    }
    units.push_back(u);
  }
  std::ranges::sort(units, {}, &unit::last);
  return units;
}

}  // namespace

template <class T>
struct network_objective<T>::state {
  policy on;
  nn::network net;
  std::function<network_batch<T>(sample_id)> batch_of;
  span<const T> running;
  network_options options;

  std::vector<unit> units{};
  std::vector<window> windows{};    // by node
  std::map<index_t, path> paths{};  // by node; of `samples`

  // Of the last pass.
  index_t samples = 0;
  network_batch<T> batch{};
  const T* x = nullptr;
  bool prepared = false;
  index_t multiplications = 0;  // of probes since then
  detail::buffer kept{}, scratch{};
  std::vector<T*> values{};                   // by node
  std::vector<T*> arranged{};                 // weights, by node
  std::vector<bfloat16*> rounded{};           // by node
  std::vector<detail::norm_base<T>> norms{};  // by node
  T* partial = nullptr;                       // sums of a batch norm
  double *loss_kept = nullptr, *parts = nullptr;

  const std::vector<node>& nodes() const { return net.nodes(); }
  bool trains() const { return options.mode == nn::norm_mode::train; }
  cudaStream_t stream() const { return on.stream(); }
  const T* parameter(index_t number) const {
    return number < 0 ? nullptr : x + net.parameters()[at(number)].offset;
  }
  index_t rows(index_t id) const { return samples * nodes()[at(id)].out.area(); }
  index_t numbers(index_t id) const { return samples * nodes()[at(id)].out.size(); }
  bool on_tensor_cores(index_t id) const {
    return options.products == nn::products::bfloat16 && nn::mixes(nodes()[at(id)].what) &&
           detail::has_tensor_form(windows[at(id)]);
  }

  void check_call(index_t dimension, cudaStream_t given) const {
    require(given == on.stream(), who,
            ": the stream is not that of the objective's policy; make one objective a stream");
    require(dimension == net.parameter_count(), who, ": the network has ", net.parameter_count(),
            " parameters, got ", dimension);
  }

  void set_up(const network_batch<T>& next);
  void lay_out();
  void run(const T* at);
  void run_norm(index_t id);
  void run_loss(double* loss);
  const path& path_from(index_t id);
  path plan(index_t id) const;
  void follow(const path& way, const nn::view& moved, const index_t* order,
              span<const index_t> coordinates, span<const T> steps, index_t count,
              span<double> differences, char* memory);
  void probe(std::span<const index_t> known, span<const index_t> coordinates, span<const T> steps,
             span<double> differences);
  void follow_unit(const planned_unit& u, index_t count, char* memory, const int* channels);
  change<T> change_of(const planned& p, index_t id, index_t count, const char* memory,
                      const int* channels) const;
  index_t take_room(const std::vector<std::pair<const path*, index_t>>& asked, index_t order_bytes);
  detail::loss_targets targets() const;
};

// ---- a pass ----

namespace {

template <class T>
const void* target_data(const network_batch<T>& batch) {
  return std::visit([](const auto& those) { return static_cast<const void*>(those.data()); },
                    batch.targets);
}

}  // namespace

template <class T>
detail::loss_targets network_objective<T>::state::targets() const {
  if (const auto* classes = std::get_if<span<const index_t>>(&batch.targets)) {
    return {classes->data(), nullptr};
  }
  return {nullptr, std::get<span<const double>>(batch.targets).data()};
}

template <class T>
void network_objective<T>::state::set_up(const network_batch<T>& next) {
  const nn::shape& sample = nodes().front().out;
  nn::detail::check_batch(who, net, next.count, options.mode);
  for (const node& n : nodes()) {
    const index_t numbers =
        nn::detail::product_of({next.count, std::max(n.in.size(), n.out.size())});
    require(numbers < std::numeric_limits<int>::max(), who, ": ", next.count, " samples of ",
            nn::text_of(n.out), " are more numbers than 31 bits count; use smaller batches");
  }
  require(next.inputs.size() == next.count * sample.size(), who, ": ", next.count, " samples of ",
          nn::text_of(sample), " need ", next.count * sample.size(), " numbers, got ",
          next.inputs.size());
  const bool classes = std::holds_alternative<span<const index_t>>(next.targets);
  const index_t wanted = classes ? next.count : next.count * net.output().size();
  const index_t got = classes ? std::get<span<const index_t>>(next.targets).size()
                              : std::get<span<const double>>(next.targets).size();
  require(got == wanted, who, ": ", next.count, " samples need ", wanted,
          classes ? " classes, got " : " wanted numbers, got ", got);
  detail::check_device_pointer(on, who, "inputs", next.inputs.data());
  detail::check_device_pointer(on, who, "targets", target_data(next));
  batch = next;
  if (next.count == samples) return;
  samples = next.count;
  paths.clear();
  try {
    lay_out();
  } catch (...) {
    samples = 0;
    throw;
  }
}

// Everything that a pass keeps, in one buffer.
template <class T>
void network_objective<T>::state::lay_out() {
  std::vector<std::pair<index_t, std::function<void(char*)>>> wanted;
  index_t total = 0;
  const auto keep = [&](auto*& pointer, index_t count) {
    using number = std::remove_reference_t<decltype(*pointer)>;
    wanted.emplace_back(total,
                        [&pointer](char* from) { pointer = reinterpret_cast<number*>(from); });
    total += aligned(count * static_cast<index_t>(sizeof(number)));
  };
  const std::size_t count = nodes().size();
  values.assign(count, nullptr);
  arranged.assign(count, nullptr);
  rounded.assign(count, nullptr);
  norms.assign(count, {});
  index_t sums = 1;
  for (index_t id = 0; id < static_cast<index_t>(count); ++id) {
    const node& n = nodes()[at(id)];
    keep(values[at(id)], numbers(id));
    if (nn::mixes(n.what)) {
      const index_t size = net.parameters()[at(n.weight)].size;
      keep(arranged[at(id)], size);
      if (on_tensor_cores(id)) keep(rounded[at(id)], size);
    }
    if (n.what != operation::batch_norm) continue;
    detail::norm_base<T>& norm = norms[at(id)];
    for (double** one : {&norm.mean, &norm.variance, &norm.root, &norm.rest})
      keep(*one, n.in.channels);
    keep(norm.centre, n.in.channels);
    keep(norm.kept, detail::response_planes * n.in.channels);
    sums = std::max(sums, 2 * n.in.channels * detail::tiles_of(rows(id)));
  }
  keep(partial, sums);
  keep(loss_kept, 2 * numbers(static_cast<index_t>(count) - 1));
  keep(parts, samples);
  require(total <= options.max_bytes, who, ": a pass of ", samples, " samples needs ", total,
          " bytes, more than max_bytes = ", options.max_bytes,
          "; use smaller batches or allow more");
  scratch = {};  // the bound is for both
  if (kept.bytes() < total) {
    kept = {};
    kept = detail::lasting(on, total);
  }
  for (const auto& [offset, place] : wanted) place(static_cast<char*>(kept.data()) + offset);
}

template <class T>
void network_objective<T>::state::run(const T* point) {
  x = point;
  const index_t count = static_cast<index_t>(nodes().size());
  for (index_t id = 0; id < count; ++id) {
    const node& n = nodes()[at(id)];
    const window& w = windows[at(id)];
    T* const out = values[at(id)];
    const T* const in = n.first < 0 ? nullptr : values[at(n.first)];
    change<T> whole;
    whole.how = extent::full;
    whole.exact = in;
    whole.all_channels = w.in_channels;
    whole.rows = samples * n.in.area();
    const detail::sink<T> to{out, nullptr};
    switch (n.what) {
      case operation::input:
        detail::to_channels_last(stream(), samples, w.out_channels, w.out_area(),
                                 batch.inputs.data(), out);
        break;
      case operation::convolution:
      case operation::linear:
        detail::arrange_weights(stream(), w, parameter(n.weight), arranged[at(id)]);
        detail::convolve(stream(), 1, samples, w, whole, static_cast<const T*>(arranged[at(id)]),
                         parameter(n.bias), to);
        break;
      case operation::batch_norm:
        run_norm(id);
        break;
      case operation::relu:
        detail::relu_values(stream(), numbers(id), in, out);
        break;
      case operation::add:
        detail::add_values(stream(), numbers(id), in, values[at(n.second)], out);
        break;
      case operation::max_pool:
        detail::max_pool_values(stream(), samples, w, in, out);
        break;
      case operation::average_pool:
      case operation::global_average_pool:
        detail::mean_pool_changes(stream(), 1, samples, w, whole, to);
        break;
      case operation::subsample:
        detail::subsample_changes(stream(), 1, samples, w, whole, to);
        break;
    }
  }
}

template <class T>
void network_objective<T>::state::run_norm(index_t id) {
  const node& n = nodes()[at(id)];
  const int channels = static_cast<int>(n.in.channels);
  const detail::norm_base<T>& norm = norms[at(id)];
  const T* const in = values[at(n.first)];
  if (trains()) {
    constexpr const T* zero = nullptr;
    detail::value_sums(stream(), rows(id), channels, in, zero, partial);
    detail::find_mean(stream(), rows(id), channels, partial, norm);
    detail::value_sums(stream(), rows(id), channels, in, static_cast<const T*>(norm.centre),
                       partial);
    detail::find_root(stream(), rows(id), channels, in, static_cast<const T*>(partial), n.epsilon,
                      norm);
  } else {
    const T* const mean = running.data() + net.statistics()[at(n.running_mean)].offset;
    const T* const variance = running.data() + net.statistics()[at(n.running_var)].offset;
    detail::use_running(stream(), channels, mean, variance, n.epsilon, norm);
    detail::keep_responses(stream(), channels, parameter(n.weight), norm);
  }
  detail::norm_values(stream(), rows(id), channels, norm, parameter(n.weight), parameter(n.bias),
                      in, values[at(id)]);
}

template <class T>
void network_objective<T>::state::run_loss(double* loss) {
  const nn::shape& s = net.output();
  detail::begin_loss(stream(), samples, static_cast<int>(s.channels), static_cast<int>(s.area()),
                     targets(), static_cast<const T*>(values.back()), loss_kept, parts);
  detail::mean_parts(stream(), 1, samples, parts, nullptr, loss);
}

// ---- probes ----

template <class T>
const path& network_objective<T>::state::path_from(index_t id) {
  const auto found = paths.find(id);
  return found != paths.end() ? found->second : paths.emplace(id, plan(id)).first->second;
}

template <class T>
path network_objective<T>::state::plan(index_t from) const {
  const auto count = static_cast<index_t>(nodes().size());
  std::vector<planned> known(at(count));
  std::vector<index_t> last_use(at(count), -1);
  for (const unit& u : units) {
    for (const index_t read : {u.main, u.other, u.norm}) {
      if (read >= 0) last_use[at(read)] = std::max(last_use[at(read)], u.last);
    }
  }
  last_use.back() = count;

  path way;
  places memory;
  const auto reader = [&](index_t id, const auto& wanted) -> const unit* {
    const auto reads = [&](const unit& u) { return (u.main == id || u.other == id) && wanted(u); };
    const auto found = std::ranges::find_if(units, reads);
    return found == units.end() ? nullptr : &*found;
  };
  const auto by_tensor_cores = [&](const unit& u) { return on_tensor_cores(u.last); };
  // Full differences of images, and those that tensor cores read, are kept in bfloat16.
  const auto place = [&](index_t id, planned& p) {
    const nn::shape& s = nodes()[at(id)].out;
    p.rounded = options.products == nn::products::bfloat16 && p.how == extent::full &&
                id != count - 1 && (s.area() > 1 || reader(id, by_tensor_cores) != nullptr);
    const index_t numbers_of_probe = samples * (p.how == extent::channel ? s.area() : s.size());
    p.bytes = numbers_of_probe * static_cast<index_t>(p.rounded ? sizeof(bfloat16) : sizeof(T));
    p.place = memory.take(p.bytes);
  };
  const auto sum_bytes = [&](index_t channels, index_t tiles) {
    return channels * 2 * tiles * static_cast<index_t>(sizeof(T));
  };
  const auto release = [&](index_t id, index_t user) {
    planned& p = known[at(id)];
    if (p.how == extent::none || last_use[at(id)] > user) return;
    memory.give_back(p.place, p.bytes);
    if (p.sums >= 0) memory.give_back(p.sums, p.sums_bytes);
    p = {};
  };

  known[at(from)].how = extent::channel;
  place(from, known[at(from)]);
  way.begin = known[at(from)];
  way.channels = memory.take(static_cast<index_t>(sizeof(int)));
  way.parts = memory.take(samples * static_cast<index_t>(sizeof(double)));
  for (const unit& u : units) {
    if (u.last <= from) continue;
    const node& n = nodes()[at(u.last)];
    const bool inside = u.norm == from;  // the change began behind the batch norm
    planned_unit made{.what = &u};
    made.main = known[at(inside ? from : u.main)];
    if (u.other >= 0) made.other = known[at(u.other)];
    const extent a = made.main.how, b = made.other.how;
    if (a == extent::none && b == extent::none) continue;
    made.normed = u.norm >= 0 && !inside && a != extent::none;
    made.tensor = a == extent::full && on_tensor_cores(u.last);
    made.out.shift = a == extent::channel ? made.main.shift : made.other.shift;
    if (n.what == operation::subsample) made.out.shift += (n.out.channels - n.in.channels) / 2;
    const bool same_channel =
        a == extent::none || b == extent::none || made.main.shift == made.other.shift;
    const bool single =
        a != extent::full && b != extent::full && same_channel && !nn::mixes(n.what);
    made.out.how = single ? extent::channel : extent::full;
    place(u.last, made.out);
    const unit* const norm =
        reader(u.last, [&](const unit& r) { return r.norm >= 0 && r.main == u.last; });
    if (made.tensor && trains() && norm != nullptr) {
      made.norm_after = norm->norm;
      made.out.sums_bytes = sum_bytes(
          n.out.channels, detail::tiles_of(rows(u.last), detail::tensor_rows(windows[at(u.last)])));
      made.out.sums = memory.take(made.out.sums_bytes);
    }
    known[at(u.last)] = made.out;
    if (made.normed && trains()) {
      const index_t channels = a == extent::channel ? 1 : n.in.channels;
      const index_t sums =
          made.main.sums >= 0 ? 0 : sum_bytes(channels, detail::tiles_of(rows(u.norm)));
      const index_t responses =
          channels * detail::response_planes * static_cast<index_t>(sizeof(T));
      made.sums = sums > 0 ? memory.take(sums) : made.main.sums;
      made.responses = memory.take(responses);
      if (sums > 0) memory.give_back(made.sums, sums);
      memory.give_back(made.responses, responses);
    }
    for (const index_t read : {inside ? from : u.main, u.other}) {
      if (read >= 0) release(read, u.last);
    }
    way.units.push_back(made);
  }
  way.end = known.back();
  way.bytes = memory.bytes();
  return way;
}

template <class T>
change<T> network_objective<T>::state::change_of(const planned& p, index_t id, index_t count,
                                                 const char* memory, const int* channels) const {
  change<T> c;
  c.how = p.how;
  const char* const place = memory + p.place * count;
  if (p.rounded) c.rounded = reinterpret_cast<const bfloat16*>(place);
  if (!p.rounded) c.exact = reinterpret_cast<const T*>(place);
  c.channels = channels;
  c.shift = static_cast<int>(p.shift);
  c.all_channels = static_cast<int>(nodes()[at(id)].out.channels);
  c.rows = rows(id);
  return c;
}

template <class T>
void network_objective<T>::state::follow_unit(const planned_unit& p, index_t count, char* memory,
                                              const int* channels) {
  const unit& u = *p.what;
  const node& n = nodes()[at(u.last)];
  const window& w = windows[at(u.last)];
  const bool inside = u.norm >= 0 && p.main.how != extent::none && !p.normed;
  const change<T> main = change_of(p.main, inside ? u.norm : u.main, count, memory, channels);
  char* const place = memory + p.out.place * count;
  if (nn::mixes(n.what)) {
    const index_t depth = net.parameters()[at(n.weight)].per_channel();
    const index_t read = p.main.how == extent::channel ? depth / n.in.channels : depth;
    multiplications += count * numbers(u.last) * read;
  }
  detail::sink<T> out;
  if (p.out.rounded) out.rounded = reinterpret_cast<bfloat16*>(place);
  if (!p.out.rounded) out.exact = reinterpret_cast<T*>(place);
  if constexpr (std::is_same_v<T, float>) {
    if (p.tensor) {
      detail::sums_after sums;
      if (p.norm_after >= 0) {
        sums = {values[at(u.last)], norms[at(p.norm_after)].centre,
                reinterpret_cast<float*>(memory + p.out.sums * count)};
      }
      detail::convolve_rounded(stream(), count, samples, w, main.rounded, rounded[at(u.last)], out,
                               sums);
      return;
    }
  }
  const auto value = [&](index_t id) { return static_cast<const T*>(values[at(id)]); };
  switch (n.what) {
    case operation::convolution:
    case operation::linear: {
      constexpr const T* no_bias = nullptr;
      detail::convolve(stream(), count, samples, w, main,
                       static_cast<const T*>(arranged[at(u.last)]), no_bias, out);
      return;
    }
    case operation::max_pool:
      detail::max_pool_changes(stream(), count, samples, w, main, value(n.first), value(u.last),
                               out);
      return;
    case operation::average_pool:
    case operation::global_average_pool:
      detail::mean_pool_changes(stream(), count, samples, w, main, out);
      return;
    case operation::subsample:
      detail::subsample_changes(stream(), count, samples, w, main, out);
      return;
    case operation::input:
      return;  // no unit
    case operation::batch_norm:
    case operation::relu:
    case operation::add:
      break;
  }
  detail::chain<T> c;
  c.main = main;
  if (u.other >= 0) c.other = change_of(p.other, u.other, count, memory, channels);
  c.normed = p.normed;
  if (p.normed) {
    const detail::norm_base<T>& norm = norms[at(u.norm)];
    c.x = value(u.main);
    c.centre = norm.centre;
    c.responses = {norm.kept, 0, main.all_channels, 1};
    if (trains()) {
      const bool single = p.main.how == extent::channel;
      auto* const sums = reinterpret_cast<T*>(memory + p.sums * count);
      auto* const responses = reinterpret_cast<T*>(memory + p.responses * count);
      index_t tiles = detail::tiles_of(main.rows);
      if (p.main.sums >= 0) {
        tiles = detail::tiles_of(main.rows, detail::tensor_rows(windows[at(u.main)]));
      } else {
        detail::find_pivots(stream(), count, main, responses);
        detail::change_sums(stream(), count, main, c.x, c.centre, static_cast<const T*>(responses),
                            sums);
      }
      const node& of = nodes()[at(u.norm)];
      detail::find_responses(stream(), count, main, c.x, static_cast<const T*>(sums), tiles,
                             p.main.sums < 0, parameter(of.weight), of.epsilon, norm, responses);
      const int planes = single ? 1 : main.all_channels;
      c.responses = {responses, index_t{detail::response_planes} * planes, planes, single ? 0 : 1};
    }
  }
  if (u.relu >= 0) c.before = value(nodes()[at(u.relu)].first);
  c.out = out;
  c.how = p.out.how;
  detail::follow_chain(stream(), count, c);
}

// Probes of one parameter tensor, as many as `count`.
template <class T>
void network_objective<T>::state::follow(const path& way, const nn::view& moved,
                                         const index_t* order, span<const index_t> coordinates,
                                         span<const T> steps, index_t count,
                                         span<double> differences, char* memory) {
  const node& n = nodes()[at(moved.node)];
  const bool is_bias = n.bias >= 0 && moved.offset == net.parameters()[at(n.bias)].offset;
  const bool is_norm = n.what == operation::batch_norm;
  const detail::tensor_of tensor{is_bias   ? detail::tensor_role::bias
                                 : is_norm ? detail::tensor_role::gamma
                                           : detail::tensor_role::weight,
                                 moved.offset, static_cast<int>(is_bias ? 1 : moved.per_channel())};
  auto* const channels = reinterpret_cast<int*>(memory + way.channels * count);
  auto* const parts_of_probes = reinterpret_cast<double*>(memory + way.parts * count);
  const detail::probe_group<T> group{order, coordinates.data(), steps.data(), count};
  detail::begin_changes(stream(), group, tensor, windows[at(moved.node)], samples,
                        static_cast<const T*>(values[at(n.first)]), norms[at(moved.node)], channels,
                        reinterpret_cast<T*>(memory + way.begin.place * count));
  for (const planned_unit& u : way.units) follow_unit(u, count, memory, channels);
  const index_t last = static_cast<index_t>(nodes().size()) - 1;
  detail::loss_changes(stream(), count, samples, static_cast<int>(net.output().area()), targets(),
                       change_of(way.end, last, count, memory, channels),
                       static_cast<const double*>(loss_kept), parts_of_probes);
  detail::mean_parts(stream(), count, samples, parts_of_probes, order, differences.data());
}

namespace {

// How many of `count` probes go together, in shares of about the same size.
index_t together(const path& way, index_t count, index_t room) {
  const index_t most = room / way.bytes, shares = (count + most - 1) / most;
  return (count + shares - 1) / shares;
}

}  // namespace

// Takes memory for the order of probes and for the groups of these tensors; how much of it groups
// have. Where the device has less than the limit allows, groups are smaller.
template <class T>
index_t network_objective<T>::state::take_room(
    const std::vector<std::pair<const path*, index_t>>& asked, index_t order_bytes) {
  index_t least = 0;
  for (const auto& [way, count] : asked) least = std::max(least, way->bytes);
  index_t room = options.max_bytes - kept.bytes() - order_bytes;
  require(room >= least, who, ": ", samples, " samples need ", kept.bytes(),
          " bytes for a pass and ", least + order_bytes,
          " for a probe, more than max_bytes = ", options.max_bytes,
          "; use smaller batches or allow more");
  for (;;) {
    index_t bytes = 0;
    for (const auto& [way, count] : asked) {
      bytes = std::max(bytes, way->bytes * together(*way, count, room));
    }
    if (scratch.bytes() >= order_bytes + bytes) return room;
    scratch = {};
    try {
      scratch = detail::lasting(on, order_bytes + bytes);
      return room;
    } catch (const error& full) {
      if (full.code() != cudaErrorMemoryAllocation || bytes <= least) throw;
      room = std::max(least, bytes / 2);
    }
  }
}

template <class T>
void network_objective<T>::state::probe(std::span<const index_t> known,
                                        span<const index_t> coordinates, span<const T> steps,
                                        span<double> differences) {
  // By parameter tensor, in the order of the call.
  const auto count = static_cast<index_t>(known.size());
  std::vector<std::vector<index_t>> of_tensor(net.parameters().size());
  for (index_t k = 0; k < count; ++k) {
    const nn::view& v = net.parameter_of(known[at(k)]);
    of_tensor[at(&v - net.parameters().data())].push_back(k);
  }
  const index_t order_bytes = aligned(count * static_cast<index_t>(sizeof(index_t)));
  std::vector<index_t> order;
  std::vector<std::pair<const path*, index_t>> asked;
  for (std::size_t v = 0; v < of_tensor.size(); ++v) {
    if (of_tensor[v].empty()) continue;
    order.insert(order.end(), of_tensor[v].begin(), of_tensor[v].end());
    asked.emplace_back(&path_from(net.parameters()[v].node),
                       static_cast<index_t>(of_tensor[v].size()));
  }
  const index_t room = take_room(asked, order_bytes);
  auto* const there = static_cast<index_t*>(scratch.data());
  detail::upload(on, order.data(), count, there);
  index_t done = 0;
  for (std::size_t v = 0; v < of_tensor.size(); ++v) {
    const auto all = static_cast<index_t>(of_tensor[v].size());
    if (all == 0) continue;
    const nn::view& moved = net.parameters()[v];
    const path& way = path_from(moved.node);
    const index_t most = together(way, all, room), end = done + all;
    for (; done < end; done += std::min(most, end - done)) {
      follow(way, moved, there + done, coordinates, steps, std::min(most, end - done), differences,
             static_cast<char*>(scratch.data()) + order_bytes);
    }
  }
}

// ---- what users call ----

template <class T>
network_objective<T>::network_objective(const policy& on, const nn::network& net,
                                        std::function<network_batch<T>(sample_id)> batch_of,
                                        span<const T> statistics, const network_options& options)
    : state_(new state{.on = on,
                       .net = net,
                       .batch_of = std::move(batch_of),
                       .running = statistics,
                       .options = options}) {
  require(state_->batch_of != nullptr, who, ": there is no function that makes batches");
  require(statistics.size() == net.statistic_count(), who, ": the network has ",
          net.statistic_count(), " statistics, got ", statistics.size());
  require(options.max_bytes >= 1, who, ": max_bytes must be at least 1, got ", options.max_bytes);
  require(options.products == nn::products::exact || sizeof(T) == sizeof(float), who,
          ": products in bfloat16 are for networks of float");
  for (const nn::view& v : net.parameters()) {
    require(v.size < std::numeric_limits<int>::max(), who, ": ", v.name, " has ", v.size,
            " numbers, more than 31 bits count");
  }
  for (const node& n : net.nodes()) {
    require(std::max(n.in.height, n.in.width) + 2 * n.padding < std::numeric_limits<int>::max(),
            who, ": ", n.name, ": a padding of ", n.padding, " is more than 31 bits count");
  }
  state_->units = units_of(net.nodes());
  for (const node& n : net.nodes()) state_->windows.push_back(window_of(n));
}

template <class T>
network_objective<T>::network_objective(network_objective&&) noexcept = default;
template <class T>
network_objective<T>& network_objective<T>::operator=(network_objective&&) noexcept = default;
template <class T>
network_objective<T>::~network_objective() = default;

template <class T>
void network_objective<T>::prepare(span<const T> x, span<double> loss, cudaStream_t stream,
                                   sample_id sample) {
  state& s = *state_;
  s.prepared = false;
  s.check_call(x.size(), stream);
  require(loss.size() == 1, who, ": prepare writes one loss, got room for ", loss.size());
  s.set_up(s.batch_of(sample));
  s.run(x.data());
  if constexpr (std::is_same_v<T, float>) {
    for (index_t id = 0; id < static_cast<index_t>(s.nodes().size()); ++id) {
      if (s.rounded[at(id)] == nullptr) continue;
      detail::round_weights(stream, s.windows[at(id)], s.parameter(s.nodes()[at(id)].weight),
                            s.rounded[at(id)]);
    }
  }
  s.run_loss(loss.data());
  s.prepared = true;
  s.multiplications = 0;
}

template <class T>
void network_objective<T>::probe(std::span<const index_t> known, span<const index_t> coordinates,
                                 span<const T> steps, span<double> differences,
                                 cudaStream_t stream) {
  state& s = *state_;
  require(s.prepared, who, ": prepare comes before probes");
  s.check_call(s.net.parameter_count(), stream);
  const auto count = static_cast<index_t>(known.size());
  require(coordinates.size() == count && steps.size() == count && differences.size() == count, who,
          ": ", count, " probes need as many coordinates, steps and differences, got ",
          coordinates.size(), ", ", steps.size(), " and ", differences.size());
  s.probe(known, coordinates, steps, differences);
}

template <class T>
void network_objective<T>::probe(span<const index_t> coordinates, span<const T> steps,
                                 span<double> differences, cudaStream_t stream) {
  std::vector<index_t> known(at(coordinates.size()));
  detail::copy_to_host(state_->on, coordinates.data(),
                       coordinates.size() * static_cast<index_t>(sizeof(index_t)), known.data());
  probe(known, coordinates, steps, differences, stream);
}

template <class T>
void network_objective<T>::operator()(points<T> points_to_ask, span<double> losses,
                                      cudaStream_t stream, sample_id sample) {
  state& s = *state_;
  s.prepared = false;
  s.check_call(points_to_ask.dimension, stream);
  require(losses.size() == points_to_ask.count, who, ": ", points_to_ask.count,
          " points need as many losses, got ", losses.size());
  s.set_up(s.batch_of(sample));
  for (index_t k = 0; k < points_to_ask.count; ++k) {
    s.run(points_to_ask[k].data());
    s.run_loss(losses.data() + k);
  }
}

template <class T>
void network_objective<T>::update_statistics(span<T> statistics, double momentum) {
  state& s = *state_;
  require(s.trains() && s.prepared, who, ": statistics are updated after prepare in train mode");
  require(statistics.size() == s.net.statistic_count(), who, ": the network has ",
          s.net.statistic_count(), " statistics, got ", statistics.size());
  require(momentum >= 0 && momentum <= 1, who, ": momentum must be 0 … 1, got ", momentum);
  for (index_t id = 0; id < static_cast<index_t>(s.nodes().size()); ++id) {
    const node& n = s.nodes()[at(id)];
    if (n.what != operation::batch_norm) continue;
    detail::move_statistics(s.stream(), s.rows(id), static_cast<int>(n.in.channels), momentum,
                            s.norms[at(id)],
                            statistics.data() + s.net.statistics()[at(n.running_mean)].offset,
                            statistics.data() + s.net.statistics()[at(n.running_var)].offset);
  }
}

template <class T>
index_t network_objective<T>::multiplications() const {
  return state_->multiplications;
}

template <class T>
index_t network_objective<T>::bytes() const {
  return state_->kept.bytes() + state_->scratch.bytes();
}

template class network_objective<float>;
template class network_objective<double>;

}  // namespace zo::cuda

// A forward pass, unit by unit of the plan.
#include "nn/pass_values.hpp"

#include <algorithm>
#include <limits>

#include "nn/layer/batch_norm.hpp"

namespace zo::nn {

namespace {

using detail::fit;
using detail::groups_of;
using detail::lanes;
using zo::detail::require;

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

constexpr const char* who = "zo::nn::forward_pass";

template <class T>
std::vector<std::unique_ptr<detail::layer<T>>> layers_of(const network& net,
                                                         const detail::plan& how) {
  std::vector<std::unique_ptr<detail::layer<T>>> layers;
  for (const detail::unit& u : how.units) layers.push_back(detail::make_layer<T>(net, how, u));
  return layers;
}

}  // namespace

namespace detail {

template <class T>
pass_values<T>::pass_values(const network& of)
    : base{.net = std::make_shared<const network>(of), .how = std::make_shared<const plan>(of)},
      layers(layers_of<T>(of, *base.how)) {
  base.values.resize(of.nodes().size());
}

template <class T>
pass_values<T>::pass_values(const pass_values& other)
    : base(other.base),
      sums(other.sums),
      outputs(other.outputs),
      has_run(other.has_run),
      differences(other.differences),
      cotangent(other.cotangent),
      cotangent_planes(other.cotangent_planes),
      runs(other.runs) {
  for (const auto& one : other.layers) layers.push_back(one->copy());
}

template <class T>
void pass_values<T>::check_run() const {
  require(has_run, who, ": there are no values before run");
}

template <class T>
const norm_base<T>& pass_values<T>::norm(index_t node) const {
  check_run();
  require(node >= 0 && node < static_cast<index_t>(net().nodes().size()) &&
              base.at(node).what == operation::batch_norm,
          who, ": value ", node, " is no batch norm");
  return *layers[at(base.how->unit_of[at(node)])]->norm();
}

template <class T>
void pass_values<T>::make_room(index_t count) {
  constexpr index_t most = std::numeric_limits<index_t>::max() / 8;
  for (const node& n : net().nodes()) {
    require(product_of({count, n.out.size(), lanes}) < most, who, ": ", count, " samples of ",
            text_of(n.out), " are more numbers than fit into memory");
  }
  if (groups_of(count) == groups_of(base.samples)) return;
  for (lane_vector<T>& v : base.values) v = lane_vector<T>();
  sums.numbers = lane_vector<double>();  // an empty list would keep the memory
}

template <class T>
void pass_values<T>::evaluate(std::span<const T> statistics, std::span<const T> inputs,
                              int threads) {
  const index_t groups = groups_of(base.samples);
  const auto reserve = [&](index_t id) {
    fit(base.values[at(id)], groups * base.at(id).out.size() * lanes);
  };
  reserve(0);
  to_lanes(base.at(0).out, base.samples, inputs.data(), base.data(0));
  const pass_call<T> call{statistics, threads, sums};
  for (std::size_t k = 0; k < layers.size(); ++k) {
    const unit& u = base.how->units[k];
    reserve(u.last);
    if (u.keeps_sum()) reserve(u.sum);
    layers[k]->run(base, call);
  }
  fit(outputs, base.samples * net().output().size());
  from_lanes(net().output(), base.samples, base.values.back().data(), outputs.data());
}

template <class T>
void pass_values<T>::prepare_differences(products how) {
  ++runs;
  for (const auto& one : layers) one->prepare_differences(base, how);
  differences = how;
}

template <class T>
void pass_values<T>::pair_with(std::span<const T> rows) {
  check_run();
  const shape& s = net().output();
  const index_t wanted = base.samples * s.size();
  require(static_cast<index_t>(rows.size()) == wanted, who, ": ", base.samples, " samples of ",
          s.size(), " outputs need a cotangent of ", wanted, " numbers, got ", rows.size());
  fit(cotangent, groups_of(base.samples) * s.size() * lanes);
  to_lanes(s, base.samples, rows.data(), cotangent.data());
  const auto keep = [&](const shape& of, const lane_vector<T>& from, lane_vector<T>& planes) {
    fit(planes, static_cast<index_t>(from.size()));
    to_planes(of, groups_of(base.samples), from.data(), planes.data());
  };
  keep(s, cotangent, cotangent_planes);
  base.planes.resize(base.values.size());
  for (const node& n : net().nodes()) {
    if (n.what != operation::convolution) continue;
    keep(n.in, base.values[at(n.first)], base.planes[at(n.first)]);
  }
}

template <class T>
std::vector<T> pass_values<T>::rows_of(index_t node) const {
  const shape& s = base.at(node).out;
  std::vector<T> rows(at(base.samples * s.size()));
  if (node == 0 || base.how->of(node).keeps(node)) {
    from_lanes(s, base.samples, base.data(node), rows.data());
    return rows;
  }
  // A batch norm that was evaluated together with what follows it.
  const norm_base<T>& found = norm(node);
  const index_t positions = groups_of(base.samples) * s.area();
  lane_vector<T> made(at(positions * s.channels * lanes));
  best_loops<T>().norm({{positions, s.channels},
                        {base.data(base.at(node).first), s.channels},
                        {},
                        found.centre.data(),
                        found.scale.data(),
                        found.shift.data(),
                        false,
                        nullptr,
                        made.data()});
  from_lanes(s, base.samples, made.data(), rows.data());
  return rows;
}

template struct pass_values<float>;
template struct pass_values<double>;

}  // namespace detail

template <class T>
index_t pass_bytes(const network& net, index_t count, std::optional<products> differences) {
  require(count >= 1, "zo::nn::pass_bytes: a batch needs at least one sample, got ", count);
  const detail::plan how(net);
  constexpr auto number = static_cast<index_t>(sizeof(T)),
                 wide = static_cast<index_t>(sizeof(double));
  index_t of_sample = net.nodes().front().out.size(), sums = 0;
  index_t bytes = net.parameter_count() * number;
  for (const auto& one : layers_of<T>(net, how)) {
    if (__builtin_add_overflow(bytes, one->bytes(count, differences), &bytes)) {
      return std::numeric_limits<index_t>::max();
    }
    sums = std::max(sums, one->sums_of_group());
  }
  for (const detail::unit& u : how.units) {
    of_sample += net.nodes()[at(u.last)].out.size() * (u.keeps_sum() ? 2 : 1);
  }
  const index_t rows = detail::product_of({groups_of(count), lanes});
  for (const index_t part : {detail::product_of({rows, of_sample, number}),
                             detail::product_of({groups_of(count), sums, wide}),
                             detail::product_of({count, net.output().size(), number})}) {
    if (__builtin_add_overflow(bytes, part, &bytes)) return std::numeric_limits<index_t>::max();
  }
  return bytes;
}

template index_t pass_bytes<float>(const network&, index_t, std::optional<products>);
template index_t pass_bytes<double>(const network&, index_t, std::optional<products>);

}  // namespace zo::nn

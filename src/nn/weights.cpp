// Parameters by name.
#include "zo/nn/weights.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace zo::nn {

using zo::detail::require;

namespace {

std::string text_of(const std::vector<index_t>& dims) {
  std::string text;
  for (const index_t n : dims) text += (text.empty() ? "(" : ", ") + std::to_string(n);
  return text.empty() ? "()" : text + ")";
}

// The tensors by name, each once; prefix cut off.
template <class T>
using by_name = std::unordered_map<std::string_view, const named_values<T>*>;

template <class T>
const named_values<T>& find(const by_name<T>& tensors, std::string_view prefix,
                            const view& wanted) {
  const auto found = tensors.find(wanted.name);
  require(found != tensors.end(), "zo::nn::load: there is no tensor ", prefix, wanted.name,
          ", which the network needs");
  const named_values<T>& t = *found->second;
  require(t.dims == wanted.dims, "zo::nn::load: ", t.name, " has the shape ", text_of(t.dims),
          ", and the network needs ", text_of(wanted.dims));
  require(static_cast<index_t>(t.values.size()) == wanted.size, "zo::nn::load: ", t.name, " has ",
          t.values.size(), " values for the shape ", text_of(wanted.dims));
  return t;
}

}  // namespace

template <class T>
void load(const network& net, std::span<const named_values<T>> tensors, std::string_view prefix,
          std::span<T> parameters, std::span<T> statistics) {
  require(static_cast<index_t>(parameters.size()) == net.parameter_count() &&
              static_cast<index_t>(statistics.size()) == net.statistic_count(),
          "zo::nn::load: the network has ", net.parameter_count(), " parameters and ",
          net.statistic_count(), " statistics, got room for ", parameters.size(), " and ",
          statistics.size());
  std::unordered_set<std::string_view> known;
  for (const auto* views : {&net.parameters(), &net.statistics()}) {
    for (const view& v : *views) known.insert(v.name);
  }
  by_name<T> named;
  for (const named_values<T>& t : tensors) {
    const std::string_view name = t.name;
    const bool ours = name.starts_with(prefix) && known.contains(name.substr(prefix.size()));
    require(ours || name.ends_with("num_batches_tracked"),
            "zo::nn::load: the network has nothing called ", t.name, " of shape ", text_of(t.dims));
    if (!ours) continue;
    require(named.emplace(name.substr(prefix.size()), &t).second, "zo::nn::load: there are two ",
            "tensors called ", t.name, "; give one");
  }
  // Looked up before anything is written.
  for (const auto* views : {&net.parameters(), &net.statistics()}) {
    for (const view& v : *views) find(named, prefix, v);
  }
  for (const node& n : net.nodes()) {
    if (n.what != operation::batch_norm) continue;
    const view& v = net.statistics()[static_cast<std::size_t>(n.running_var)];
    for (const T variance : find(named, prefix, v).values) {
      require(!(variance < T(0)), "zo::nn::load: ", prefix, v.name, " holds ", variance,
              ", and a variance is not negative");
    }
  }
  for (const view& v : net.parameters()) {
    std::ranges::copy(find(named, prefix, v).values, parameters.begin() + v.offset);
  }
  for (const view& v : net.statistics()) {
    std::ranges::copy(find(named, prefix, v).values, statistics.begin() + v.offset);
  }
}

template <class T>
std::vector<named_values<T>> tensors_of(const network& net, std::span<const T> parameters,
                                        std::span<const T> statistics) {
  require(static_cast<index_t>(parameters.size()) == net.parameter_count() &&
              static_cast<index_t>(statistics.size()) == net.statistic_count(),
          "zo::nn::tensors_of: the network has ", net.parameter_count(), " parameters and ",
          net.statistic_count(), " statistics, got ", parameters.size(), " and ",
          statistics.size());
  std::vector<named_values<T>> all;
  const auto add = [&](const view& v, std::span<const T> from) {
    all.push_back(
        {v.name, v.dims,
         from.subspan(static_cast<std::size_t>(v.offset), static_cast<std::size_t>(v.size))});
  };
  for (const view& v : net.parameters()) add(v, parameters);
  for (const view& v : net.statistics()) add(v, statistics);
  return all;
}

template void load(const network&, std::span<const named_values<float>>, std::string_view,
                   std::span<float>, std::span<float>);
template void load(const network&, std::span<const named_values<double>>, std::string_view,
                   std::span<double>, std::span<double>);
template std::vector<named_values<float>> tensors_of(const network&, std::span<const float>,
                                                     std::span<const float>);
template std::vector<named_values<double>> tensors_of(const network&, std::span<const double>,
                                                      std::span<const double>);

}  // namespace zo::nn

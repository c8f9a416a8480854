// Parameters by name.
#include "zo/nn/weights.hpp"

#include <algorithm>

namespace zo::nn {

using zo::detail::require;

namespace {

std::string text_of(const std::vector<index>& dims) {
  std::string text;
  for (const index n : dims) text += (text.empty() ? "(" : ", ") + std::to_string(n);
  return text.empty() ? "()" : text + ")";
}

template <class T>
const named_values<T>& find(std::span<const named_values<T>> tensors, std::string_view prefix,
                            const view& wanted) {
  const auto found = std::ranges::find_if(tensors, [&](const named_values<T>& t) {
    return t.name == std::string(prefix) + wanted.name;
  });
  require(found != tensors.end(), "zo::nn::load: there is no tensor ", prefix, wanted.name,
          ", which the network needs");
  require(found->dims == wanted.dims, "zo::nn::load: ", found->name, " has the shape ",
          text_of(found->dims), ", and the network needs ", text_of(wanted.dims));
  require(static_cast<index>(found->values.size()) == wanted.size, "zo::nn::load: ", found->name,
          " has ", found->values.size(), " values for the shape ", text_of(wanted.dims));
  return *found;
}

}  // namespace

template <class T>
void load(const network& net, std::span<const named_values<T>> tensors, std::string_view prefix,
          std::span<T> parameters, std::span<T> statistics) {
  require(static_cast<index>(parameters.size()) == net.parameter_count() &&
              static_cast<index>(statistics.size()) == net.statistic_count(),
          "zo::nn::load: the network has ", net.parameter_count(), " parameters and ",
          net.statistic_count(), " statistics, got room for ", parameters.size(), " and ",
          statistics.size());
  const auto known = [&](std::string_view name) {
    const auto has = [&](const view& v) { return name == std::string(prefix) + v.name; };
    return std::ranges::any_of(net.parameters(), has) || std::ranges::any_of(net.statistics(), has);
  };
  for (const named_values<T>& t : tensors) {
    require(known(t.name) || t.name.ends_with("num_batches_tracked"),
            "zo::nn::load: the network has "
            "nothing called ",
            t.name, " of shape ", text_of(t.dims));
  }
  // Looked up before anything is written.
  for (const auto* views : {&net.parameters(), &net.statistics()}) {
    for (const view& v : *views) find(tensors, prefix, v);
  }
  for (const view& v : net.parameters()) {
    std::ranges::copy(find(tensors, prefix, v).values, parameters.begin() + v.offset);
  }
  for (const view& v : net.statistics()) {
    std::ranges::copy(find(tensors, prefix, v).values, statistics.begin() + v.offset);
  }
}

template <class T>
std::vector<named_values<T>> tensors_of(const network& net, std::span<const T> parameters,
                                        std::span<const T> statistics) {
  require(static_cast<index>(parameters.size()) == net.parameter_count() &&
              static_cast<index>(statistics.size()) == net.statistic_count(),
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

// Probes on their way: where they begin, and what each unit of the plan makes of them.
#include <type_traits>

#include "cuda/nn/group.hpp"

namespace zo::cuda::detail {

using nn::node;
using nn::operation;

namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

}  // namespace

template <class T>
change<T> group<T>::change_of(const placed& p, index_t id) const {
  change<T> c;
  c.how = p.how;
  if (p.how == extent::none) return c;
  if (p.rounded) {
    c.rounded = numbers<const bfloat16>(p.place);
  } else {
    c.exact = numbers<const T>(p.place);
  }
  c.channels = channels_;
  c.shift = static_cast<int>(p.shift);
  c.all_channels = static_cast<int>(s_.nodes()[at(id)].out.channels);
  c.rows = s_.rows(id);
  return c;
}

template <class T>
void group<T>::begin(const nn::view& moved, const index_t* order, const index_t* coordinates,
                     const T* steps) {
  const index_t id = moved.node;
  const node& n = s_.nodes()[at(id)];
  const probe_group<T> probes{
      order, coordinates, steps, count_, moved.offset, channels_, numbers<T>(way_.begin.place)};
  if (n.bias >= 0 && moved.offset == s_.net.parameters()[at(n.bias)].offset) {
    return begin_bias(s_.stream(), probes, s_.rows(id));
  }
  const T* const x = s_.value(n.first);
  switch (n.what) {
    case operation::convolution:
    case operation::linear:
      return begin_weight(s_.stream(), probes, s_.windows[at(id)], s_.samples, x);
    case operation::batch_norm:
      return begin_gamma(s_.stream(), probes, s_.rows(id), static_cast<int>(n.in.channels), x,
                         s_.norms[at(id)]);
    case operation::embedding:
      return begin_embedding(s_.stream(), probes, s_.rows(id), static_cast<int>(n.out.channels), x);
    case operation::positions:
      return begin_positions(s_.stream(), probes, s_.windows[at(id)], s_.samples);
    case operation::layer_norm:
      return begin_row_gamma(s_.stream(), probes, s_.rows(id), static_cast<int>(n.in.channels), x,
                             s_.row_norms[at(id)]);
    case operation::input:
    case operation::relu:
    case operation::max_pool:
    case operation::average_pool:
    case operation::global_average_pool:
    case operation::add:
    case operation::subsample:
    case operation::gelu:
    case operation::attention:
      return;  // without parameters
  }
}

template <class T>
void group<T>::follow(const placed_unit& p) {
  const nn::detail::unit& u = s_.unit(p);
  const node& n = s_.nodes()[at(u.last)];
  const window& w = s_.windows[at(u.last)];
  const T* const x = s_.value(n.first);
  const change<T> main = change_of(p.main, p.what.main_node);
  sink<T> out;
  if (p.out.rounded) {
    out.rounded = numbers<bfloat16>(p.out.place);
  } else {
    out.exact = numbers<T>(p.out.place);
  }
  switch (n.what) {
    case operation::input:
      return;  // no unit
    case operation::convolution:
    case operation::linear:
      return follow_product(p, main, out);
    case operation::max_pool:
      return max_pool_changes(s_.stream(), count_, s_.samples, w, main, x, s_.value(u.last), out);
    case operation::average_pool:
    case operation::global_average_pool:
      return mean_pool_changes(s_.stream(), count_, s_.samples, w, main, out);
    case operation::subsample:
      return subsample_changes(s_.stream(), count_, s_.samples, w, main, out);
    case operation::embedding:
      return embedding_changes(s_.stream(), count_, s_.table_of(n), main, x, s_.value(u.last), out);
    case operation::positions:
      return positions_changes(s_.stream(), count_, main, out);
    case operation::layer_norm:
      return layer_norm_changes(s_.stream(), count_, main, n.epsilon, s_.row_norms[at(u.last)],
                                s_.parameter(n.weight), x, out);
    case operation::gelu:
      return gelu_changes(s_.stream(), count_, main, x, out);
    case operation::attention:
      return attention_changes(s_.stream(), count_, s_.samples, attention_of(n),
                               s_.attentions[at(u.last)], main, x, numbers<T>(p.scores), out);
    case operation::batch_norm:
    case operation::relu:
    case operation::add:
      return follow_chain(p, main, out);
  }
}

template <class T>
void group<T>::follow_product(const placed_unit& p, const change<T>& main, const sink<T>& out) {
  const index_t id = s_.unit(p).last;
  const window& w = s_.windows[at(id)];
  if constexpr (std::is_same_v<T, float>) {
    if (p.tensor) {
      sums_after sums;
      if (p.out.sums >= 0) {
        const index_t norm = s_.plan.norm_after[at(id)];
        sums = {s_.value(id), s_.norms[at(norm)].centre, numbers<float>(p.out.sums)};
      }
      return convolve_rounded(s_.stream(), count_, s_.samples, w, main.rounded, s_.rounded[at(id)],
                              out, sums);
    }
  }
  convolve<T>(s_.stream(), count_, s_.samples, w, main, s_.arranged[at(id)], nullptr, out);
}

template <class T>
void group<T>::follow_chain(const placed_unit& p, const change<T>& main, const sink<T>& out) {
  const nn::detail::unit& u = s_.unit(p);
  chain<T> c;
  c.main = main;
  c.other = change_of(p.other, u.other);
  c.normed = p.what.normed;
  if (c.normed) {
    c.x = s_.value(u.main);
    c.centre = s_.norms[at(u.norm)].centre;
    c.responses = responses_of(p, main);
  }
  if (u.relu >= 0) c.before = s_.value(s_.nodes()[at(u.relu)].first);
  c.out = out;
  c.how = p.out.how;
  detail::follow_chain(s_.stream(), count_, c);
}

// How the batch norm answers: as ever where its statistics stay; else by sums of the differences,
// which are there already where a product on tensor cores made them.
template <class T>
norm_responses<T> group<T>::responses_of(const placed_unit& p, const change<T>& main) {
  const nn::detail::unit& u = s_.unit(p);
  const norm_base<T>& norm = s_.norms[at(u.norm)];
  if (!s_.trains()) return {norm.kept, 0, main.all_channels, 1};
  const T* const x = s_.value(u.main);
  const bool single = main.how == extent::channel, pivoted = p.main.sums < 0;
  T* const sums = numbers<T>(p.sums);
  T* const responses = numbers<T>(p.responses);
  const index_t tiles =
      pivoted ? tiles_of(main.rows) : tiles_of(main.rows, tensor_rows(s_.windows[at(u.main)]));
  if (pivoted) {
    find_pivots(s_.stream(), count_, main, responses);
    change_sums<T>(s_.stream(), count_, main, x, norm.centre, responses, sums);
  }
  const node& n = s_.nodes()[at(u.norm)];
  find_responses<T>(s_.stream(), count_, main, x, sums, tiles, pivoted, s_.parameter(n.weight),
                    n.epsilon, norm, responses);
  const int planes = single ? 1 : main.all_channels;
  return {responses, index_t{response_planes} * planes, planes, single ? 0 : 1};
}

template <class T>
void group<T>::end(const index_t* order, double* differences) {
  const index_t last = static_cast<index_t>(s_.nodes().size()) - 1;
  auto* const parts = numbers<double>(way_.parts);
  loss_changes<T>(s_.stream(), count_, s_.samples, static_cast<int>(s_.net.output().area()),
                  s_.targets(), change_of(way_.end, last), s_.loss_kept, parts);
  mean_parts(s_.stream(), count_, s_.samples, parts, order, differences);
}

template class group<float>;
template class group<double>;

}  // namespace zo::cuda::detail

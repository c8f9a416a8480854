// Differences of values, operation by operation.
#include "zo/nn/difference_pass.hpp"

#include <algorithm>
#include <cmath>

#include "operations.hpp"

namespace zo::nn {

template <class T>
difference_pass<T>::difference_pass(const network& net, const forward_pass<T>& base,
                                    std::span<const T> parameters)
    : net_(net), base_(base), parameters_(parameters), changes_(net.nodes().size()) {}

template <class T>
std::span<const T> difference_pass<T>::parameter(index number) const {
  const view& v = net_.parameters()[static_cast<std::size_t>(number)];
  return parameters_.subspan(static_cast<std::size_t>(v.offset), static_cast<std::size_t>(v.size));
}

template <class T>
std::span<const T> difference_pass<T>::operator()(index coordinate, T step) {
  const view& moved = net_.parameter_of(coordinate);
  for (change& c : changes_) c.how = extent::none;
  start(moved, coordinate - moved.offset, step, changes_[static_cast<std::size_t>(moved.node)]);
  for (index id = moved.node + 1; id < static_cast<index>(net_.nodes().size()); ++id) {
    const node& n = net_.nodes()[static_cast<std::size_t>(id)];
    const change& first = changes_[static_cast<std::size_t>(n.first)];
    change& out = changes_[static_cast<std::size_t>(id)];
    if (n.what == operation::add) {
      follow_sum(n, first, changes_[static_cast<std::size_t>(n.second)], out);
    } else if (first.how != extent::none) {
      follow(id, first, out);
    }
  }
  change& last = changes_.back();
  const node& n = net_.nodes().back();
  if (last.how == extent::full) return last.data;
  widen(n, last, widened_);
  return widened_.data;
}

// The layer's own outputs: linear in its parameters.
template <class T>
void difference_pass<T>::start(const view& moved, index element, T step, change& out) {
  const node& n = net_.nodes()[static_cast<std::size_t>(moved.node)];
  const index count = base_.count(), area = n.out.area();
  const bool is_bias =
      n.bias >= 0 && moved.offset == net_.parameters()[static_cast<std::size_t>(n.bias)].offset;
  const index per_channel = is_bias ? 1 : moved.per_channel();
  out.how = extent::channel;
  out.channel = element / per_channel;
  out.data.resize(static_cast<std::size_t>(count * area));
  if (is_bias) {
    std::ranges::fill(out.data, step);
    return;
  }
  const T* const in = base_.value(n.first).data();
  for (index b = 0; b < count; ++b) {
    T* const to = out.data.data() + b * area;
    const T* const x = in + b * n.in.size();
    if (n.what == operation::linear) {
      to[0] = step * x[element % per_channel];
    } else if (n.what == operation::batch_norm) {
      const auto c = static_cast<std::size_t>(out.channel);
      const double mean = base_.means(moved.node)[c], root = base_.roots(moved.node)[c];
      for (index i = 0; i < area; ++i) {
        const double centred = static_cast<double>(x[out.channel * area + i]) - mean;
        to[i] = static_cast<T>(static_cast<double>(step) * (centred / root));
      }
    } else {
      const index within = element % per_channel;
      const index kx = within % n.kernel, ky = within / n.kernel % n.kernel;
      const T* const image = x + within / (n.kernel * n.kernel) * n.in.area();
      for (index y = 0; y < n.out.height; ++y) {
        const index from = y * n.stride + ky - n.padding;
        for (index c = 0; c < n.out.width; ++c) {
          const index at = c * n.stride + kx - n.padding;
          const bool inside = from >= 0 && from < n.in.height && at >= 0 && at < n.in.width;
          to[y * n.out.width + c] = inside ? step * image[from * n.in.width + at] : T(0);
        }
      }
    }
  }
}

// One channel of a batch norm: base value c (centred), change d. With d' = d - mean(d),
//   variance changes by mean(d' (2 c + d')), and the output by
//   gamma (d' / root' + c (1 / root' - 1 / root)), 1/root' - 1/root = -dv / (root root' (root +
//   root')).
template <class T>
void difference_pass<T>::norm_channel(index id, index channel, index stride, const T* in,
                                      T* out) const {
  const node& n = net_.nodes()[static_cast<std::size_t>(id)];
  const index count = base_.count(), area = n.in.area();
  const auto c = static_cast<std::size_t>(channel);
  const T* const x = base_.value(n.first).data() + channel * area;
  const double mean = base_.means(id)[c], root = base_.roots(id)[c];
  const auto gamma = static_cast<double>(parameter(n.weight)[c]);
  if (base_.mode() == norm_mode::eval) {
    const double scale = gamma / root;
    for (index b = 0; b < count; ++b) {
      for (index i = 0; i < area; ++i) {
        out[b * stride + i] = static_cast<T>(static_cast<double>(in[b * stride + i]) * scale);
      }
    }
    return;
  }
  const auto numbers = static_cast<double>(count * area);
  double sum = 0;
  for (index b = 0; b < count; ++b) {
    for (index i = 0; i < area; ++i) sum += static_cast<double>(in[b * stride + i]);
  }
  const double shift = sum / numbers;
  double change_of_squares = 0;
  for (index b = 0; b < count; ++b) {
    for (index i = 0; i < area; ++i) {
      const double d = static_cast<double>(in[b * stride + i]) - shift;
      const double centred = static_cast<double>(x[b * n.in.size() + i]) - mean;
      change_of_squares += d * (2 * centred + d);
    }
  }
  const double change_of_variance = change_of_squares / numbers;
  const double new_root = std::sqrt(root * root + change_of_variance);
  const double scale = gamma / new_root;
  const double slope = -gamma * change_of_variance / (root * new_root * (root + new_root));
  for (index b = 0; b < count; ++b) {
    for (index i = 0; i < area; ++i) {
      const double d = static_cast<double>(in[b * stride + i]) - shift;
      const double centred = static_cast<double>(x[b * n.in.size() + i]) - mean;
      out[b * stride + i] = static_cast<T>(d * scale + centred * slope);
    }
  }
}

template <class T>
void difference_pass<T>::follow_norm(index id, const change& in, change& out) {
  const node& n = net_.nodes()[static_cast<std::size_t>(id)];
  if (in.how == extent::channel) {
    norm_channel(id, in.channel, n.in.area(), in.data.data(), out.data.data());
    return;
  }
  for (index c = 0; c < n.in.channels; ++c) {
    norm_channel(id, c, n.in.size(), in.data.data() + c * n.in.area(),
                 out.data.data() + c * n.in.area());
  }
}

namespace {

// Windows of a pool, before and after: the difference of the largest needs both.
template <class T>
void max_difference(const node& n, const T* base, const T* change, T* out) {
  for (index y = 0; y < n.out.height; ++y) {
    for (index x = 0; x < n.out.width; ++x) {
      const index corner = y * n.stride * n.in.width + x * n.stride;
      index was = corner;
      for (index ky = 0; ky < n.kernel; ++ky) {
        for (index kx = 0; kx < n.kernel; ++kx) {
          const index at = corner + ky * n.in.width + kx;
          if (base[at] > base[was]) was = at;
        }
      }
      // max over (base + change) - base[was], each candidate as (base - base[was]) + change.
      T best = change[was];
      for (index ky = 0; ky < n.kernel; ++ky) {
        for (index kx = 0; kx < n.kernel; ++kx) {
          const index at = corner + ky * n.in.width + kx;
          const T grown = (base[at] - base[was]) + change[at];
          best = grown > best ? grown : best;
        }
      }
      out[y * n.out.width + x] = best;
    }
  }
}

template <class T>
T relu_difference(T base, T change) {
  if (base > T(0)) return change > -base ? change : -base;
  const T after = base + change;
  return after > T(0) ? after : T(0);
}

}  // namespace

template <class T>
void difference_pass<T>::follow(index id, const change& in, change& out) {
  const node& n = net_.nodes()[static_cast<std::size_t>(id)];
  const index count = base_.count();
  const bool single = in.how == extent::channel;
  const bool mixes = n.what == operation::convolution || n.what == operation::linear;
  out.how = mixes ? extent::full : in.how;
  out.channel = in.channel;
  if (n.what == operation::subsample) out.channel += (n.out.channels - n.in.channels) / 2;
  const index size = out.how == extent::channel ? n.out.area() : n.out.size();
  const index in_size = single ? n.in.area() : n.in.size();
  out.data.resize(static_cast<std::size_t>(count * size));
  if (n.what == operation::batch_norm) {
    follow_norm(id, in, out);
    return;
  }
  const T* const base = base_.value(n.first).data();
  const index channels = single ? 1 : n.in.channels;
  for (index b = 0; b < count; ++b) {
    const T* const d = in.data.data() + b * in_size;
    const T* const x = base + b * n.in.size() + (single ? in.channel * n.in.area() : 0);
    T* const to = out.data.data() + b * size;
    switch (n.what) {
      case operation::convolution: {
        const T* const weight = parameter(n.weight).data();
        if (!single) {
          detail::convolve<T>(n, weight, nullptr, d, to);
          multiplications_ += n.out.size() * n.in.channels * n.kernel * n.kernel;
          break;
        }
        // Only this channel's part of the product.
        const index depth = n.kernel * n.kernel, all = n.in.channels * depth;
        T* const some = detail::scratch<T>(depth * (detail::strip_positions + n.out.channels));
        for (index o = 0; o < n.out.channels; ++o) {
          std::copy_n(weight + o * all + in.channel * depth, depth, some + o * depth);
        }
        const T* const none = nullptr;
        detail::convolve<T>(n, 1, some, none, d, some + depth * n.out.channels, to);
        multiplications_ += n.out.size() * depth;
        break;
      }
      case operation::linear: {
        const T* const weight =
            parameter(n.weight).data() + (single ? in.channel * n.in.area() : 0);
        for (index o = 0; o < n.out.channels; ++o) {
          T sum = 0;
          for (index i = 0; i < in_size; ++i) sum += weight[o * n.in.size() + i] * d[i];
          to[o] = sum;
        }
        multiplications_ += n.out.channels * in_size;
        break;
      }
      case operation::relu:
        for (index i = 0; i < in_size; ++i) to[i] = relu_difference(x[i], d[i]);
        break;
      case operation::max_pool:
        for (index c = 0; c < channels; ++c) {
          max_difference(n, x + c * n.in.area(), d + c * n.in.area(), to + c * n.out.area());
        }
        break;
      case operation::average_pool:
      case operation::global_average_pool:
        for (index c = 0; c < channels; ++c) {
          detail::pool(n, d + c * n.in.area(), to + c * n.out.area());
        }
        break;
      case operation::subsample: {
        const index before = single ? 0 : (n.out.channels - n.in.channels) / 2;
        if (!single) std::fill_n(to, size, T(0));
        for (index c = 0; c < channels; ++c) {
          detail::subsample(n, d + c * n.in.area(), to + (before + c) * n.out.area());
        }
        break;
      }
      default:
        break;
    }
  }
}

template <class T>
void difference_pass<T>::follow_sum(const node& n, const change& a, const change& b, change& out) {
  if (a.how == extent::none && b.how == extent::none) return;
  if (a.how == extent::none || b.how == extent::none) {
    const change& only = a.how == extent::none ? b : a;
    out.how = only.how;
    out.channel = only.channel;
    out.data = only.data;
    return;
  }
  const bool same = a.how == extent::channel && b.how == extent::channel && a.channel == b.channel;
  if (same) {
    out.how = extent::channel;
    out.channel = a.channel;
    out.data = a.data;
    for (std::size_t i = 0; i < out.data.size(); ++i) out.data[i] += b.data[i];
    return;
  }
  widen(n, a, out);
  out.how = extent::full;
  const index count = base_.count(), size = n.out.size();
  if (b.how == extent::full) {
    for (std::size_t i = 0; i < out.data.size(); ++i) out.data[i] += b.data[i];
    return;
  }
  for (index s = 0; s < count; ++s) {
    T* const to = out.data.data() + s * size + b.channel * n.out.area();
    const T* const d = b.data.data() + s * n.out.area();
    for (index i = 0; i < n.out.area(); ++i) to[i] += d[i];
  }
}

// All channels, of which only one has moved.
template <class T>
void difference_pass<T>::widen(const node& n, const change& in, change& out) const {
  if (in.how == extent::full) {
    out.data = in.data;
    return;
  }
  const index count = base_.count(), size = n.out.size();
  out.data.assign(static_cast<std::size_t>(count * size), T(0));
  if (in.how == extent::none) return;
  for (index s = 0; s < count; ++s) {
    std::copy_n(in.data.data() + s * n.out.area(), n.out.area(),
                out.data.data() + s * size + in.channel * n.out.area());
  }
}

template class difference_pass<float>;
template class difference_pass<double>;

}  // namespace zo::nn

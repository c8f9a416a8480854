// Values of a network, sample by sample; batch norms channel by channel.
#include "zo/nn/forward.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "operations.hpp"
#include "product.hpp"
#include "zo/direction.hpp"
#include "zo/execution.hpp"

namespace zo::nn {

namespace detail {

namespace {

const product_table& chosen() {
  static const product_table table = [] {
    [[maybe_unused]] const std::string_view set = instruction_set();
#if defined(ZO_HAS_X86_KERNELS)
    if (set == "avx512") return avx512_products();
    if (set == "avx2") return avx2_products();
#endif
    return generic_products();
  }();
  return table;
}

}  // namespace

template <>
void product(const product_shape<float>& p) {
  chosen().of_float(p);
}
template <>
void product(const product_shape<double>& p) {
  chosen().of_double(p);
}

}  // namespace detail

namespace {

using detail::convolve;
using detail::pool;
using detail::subsample;
using zo::detail::loop_body;
using zo::detail::require;
using zo::detail::run_loop;

template <class Body>
void each(int threads, index items, Body&& body) {
  run_loop(threads, items, loop_body(body));
}

template <class T>
std::span<const T> part(const network& net, std::span<const T> parameters, index number) {
  if (number < 0) return {};
  const view& v = net.parameters()[static_cast<std::size_t>(number)];
  return parameters.subspan(static_cast<std::size_t>(v.offset), static_cast<std::size_t>(v.size));
}

// Mean and variance of one channel of a batch, in two passes and ascending order.
template <class T>
void moments(const T* x, index count, const shape& s, index channel, double& mean,
             double& variance) {
  const double numbers = static_cast<double>(count * s.area());
  double sum = 0;
  for (index b = 0; b < count; ++b) {
    const T* const row = x + b * s.size() + channel * s.area();
    for (index i = 0; i < s.area(); ++i) sum += static_cast<double>(row[i]);
  }
  mean = sum / numbers;
  double squares = 0;
  for (index b = 0; b < count; ++b) {
    const T* const row = x + b * s.size() + channel * s.area();
    for (index i = 0; i < s.area(); ++i) {
      const double off = static_cast<double>(row[i]) - mean;
      squares += off * off;
    }
  }
  variance = squares / numbers;
}

}  // namespace

template <class T>
void forward_pass<T>::run(std::span<const T> parameters, std::span<const T> statistics,
                          std::span<const T> inputs, index count, norm_mode mode, int threads) {
  require(static_cast<index>(parameters.size()) == net_.parameter_count(),
          "zo::nn::forward_pass: the network has ", net_.parameter_count(), " parameters, got ",
          parameters.size());
  require(static_cast<index>(statistics.size()) == net_.statistic_count(),
          "zo::nn::forward_pass: the network has ", net_.statistic_count(), " statistics, got ",
          statistics.size());
  const shape sample = net_.nodes().front().out;
  require(count >= 1 && static_cast<index>(inputs.size()) == count * sample.size(),
          "zo::nn::forward_pass: ", count, " samples of ", text_of(sample), " need ",
          count * sample.size(), " numbers, got ", inputs.size());
  count_ = count;
  mode_ = mode;
  for (std::size_t id = 0; id < net_.nodes().size(); ++id) {
    const node& n = net_.nodes()[id];
    std::vector<T>& out = values_[id];
    out.resize(static_cast<std::size_t>(count * n.out.size()));
    if (n.what == operation::input) {
      std::ranges::copy(inputs, out.begin());
      continue;
    }
    const T* const x = values_[static_cast<std::size_t>(n.first)].data();
    const std::span<const T> weight = part(net_, parameters, n.weight);
    const std::span<const T> bias = part(net_, parameters, n.bias);
    if (n.what == operation::batch_norm) {
      means_[id].resize(static_cast<std::size_t>(n.in.channels));
      roots_[id].resize(static_cast<std::size_t>(n.in.channels));
      each(threads, n.in.channels, [&](index c, int) {
        const auto k = static_cast<std::size_t>(c);
        double mean = 0, variance = 0;
        if (mode == norm_mode::train) {
          moments(x, count, n.in, c, mean, variance);
        } else {
          const auto& views = net_.statistics();
          const view& m = views[static_cast<std::size_t>(n.running_mean)];
          const view& v = views[static_cast<std::size_t>(n.running_var)];
          mean = static_cast<double>(statistics[static_cast<std::size_t>(m.offset + c)]);
          variance = static_cast<double>(statistics[static_cast<std::size_t>(v.offset + c)]);
        }
        means_[id][k] = mean;
        roots_[id][k] = std::sqrt(variance + n.epsilon);
        const double scale = static_cast<double>(weight[k]) / roots_[id][k];
        for (index b = 0; b < count; ++b) {
          const index at = b * n.in.size() + c * n.in.area();
          for (index i = at; i < at + n.in.area(); ++i) {
            const double centred = static_cast<double>(x[i]) - mean;
            out[static_cast<std::size_t>(i)] =
                static_cast<T>(centred * scale + static_cast<double>(bias[k]));
          }
        }
      });
      continue;
    }
    const T* const y = n.second < 0 ? nullptr : values_[static_cast<std::size_t>(n.second)].data();
    each(threads, count, [&](index b, int) {
      const T* const in = x + b * n.in.size();
      T* const to = out.data() + b * n.out.size();
      switch (n.what) {
        case operation::convolution:
          convolve(n, weight.data(), bias.data(), in, to);
          break;
        case operation::linear:
          for (index o = 0; o < n.out.channels; ++o) {
            to[o] = bias.empty() ? T(0) : bias[static_cast<std::size_t>(o)];
          }
          detail::product<T>({n.out.channels, 1, n.in.size(), weight.data(), in, 1, to, 1, true});
          break;
        case operation::relu:
          for (index i = 0; i < n.out.size(); ++i) to[i] = in[i] > T(0) ? in[i] : T(0);
          break;
        case operation::max_pool:
        case operation::average_pool:
        case operation::global_average_pool:
          for (index c = 0; c < n.in.channels; ++c) {
            pool(n, in + c * n.in.area(), to + c * n.out.area());
          }
          break;
        case operation::add:
          for (index i = 0; i < n.out.size(); ++i) to[i] = in[i] + y[b * n.out.size() + i];
          break;
        case operation::subsample: {
          std::fill_n(to, n.out.size(), T(0));
          const index before = (n.out.channels - n.in.channels) / 2;
          for (index c = 0; c < n.in.channels; ++c) {
            subsample(n, in + c * n.in.area(), to + (before + c) * n.out.area());
          }
          break;
        }
        default:
          break;
      }
    });
  }
}

template <class T>
void forward_pass<T>::update_statistics(std::span<T> statistics, double momentum) const {
  require(mode_ == norm_mode::train && count_ > 0,
          "zo::nn::forward_pass: statistics are updated after a pass in train mode");
  for (std::size_t id = 0; id < net_.nodes().size(); ++id) {
    const node& n = net_.nodes()[id];
    if (n.what != operation::batch_norm) continue;
    const double numbers = static_cast<double>(count_ * n.in.area());
    const double unbiased = numbers > 1 ? numbers / (numbers - 1) : 1.0;
    const index mean = net_.statistics()[static_cast<std::size_t>(n.running_mean)].offset;
    const index var = net_.statistics()[static_cast<std::size_t>(n.running_var)].offset;
    for (index c = 0; c < n.in.channels; ++c) {
      const auto k = static_cast<std::size_t>(c);
      const double variance = roots_[id][k] * roots_[id][k] - n.epsilon;
      T& m = statistics[static_cast<std::size_t>(mean + c)];
      T& v = statistics[static_cast<std::size_t>(var + c)];
      m = static_cast<T>((1 - momentum) * static_cast<double>(m) + momentum * means_[id][k]);
      v = static_cast<T>((1 - momentum) * static_cast<double>(v) + momentum * unbiased * variance);
    }
  }
}

template class forward_pass<float>;
template class forward_pass<double>;

}  // namespace zo::nn

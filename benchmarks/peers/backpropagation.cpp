// The chain rule, operation by operation, from the last value to the first.
#include "backpropagation.hpp"

#include <algorithm>
#include <cmath>

#include "zo/execution.hpp"

namespace bench {

using zo::index_t;
namespace nn = zo::nn;

namespace {

using numbers = std::vector<float>;

struct reverse {
  const nn::network& net;
  const nn::forward_pass<float>& pass;
  std::span<const float> parameters;
  int threads;
  std::vector<numbers> g;  // by value
  std::vector<double> gradient;

  template <class Body>
  void each_sample(Body&& body) const {
    auto one = [&](index_t b, int) { body(b); };
    zo::detail::run_loop(threads, pass.count(), zo::detail::loop_body(one));
  }

  const nn::view& view(index_t number) const {
    return net.parameters()[static_cast<std::size_t>(number)];
  }

  void weights(const nn::node& n, const numbers& out, const numbers& input, numbers& in) {
    const nn::view& w = view(n.weight);
    const index_t taps = n.what == nn::operation::linear ? 1 : n.kernel * n.kernel;
    const index_t channels = w.per_channel() / taps, outputs = n.out.channels;
    const nn::shape image = n.what == nn::operation::linear ? nn::shape{channels, 1, 1} : n.in;
    const float* const weight = parameters.data() + w.offset;
    const auto all = static_cast<std::size_t>(w.size);
    std::vector<std::vector<float>> parts(static_cast<std::size_t>(pass.count()));
    numbers by_tap(all);  // tap, output, input channel
    for (index_t i = 0; i < w.size; ++i) {
      const index_t o = i / (channels * taps), c = i / taps % channels, tap = i % taps;
      by_tap[static_cast<std::size_t>((tap * outputs + o) * channels + c)] = weight[i];
    }
    each_sample([&](index_t b) {
      numbers sum(all), back(static_cast<std::size_t>(image.size()));
      numbers row(static_cast<std::size_t>(channels));
      for (index_t p = 0; p < n.out.area(); ++p) {
        for (index_t tap = 0; tap < taps; ++tap) {
          const index_t y = p / n.out.width * n.stride + tap / n.kernel - n.padding;
          const index_t x = p % n.out.width * n.stride + tap % n.kernel - n.padding;
          if (y < 0 || y >= image.height || x < 0 || x >= image.width) continue;
          const index_t at = y * image.width + x;
          for (index_t c = 0; c < channels; ++c) {
            row[static_cast<std::size_t>(c)] =
                input[static_cast<std::size_t>(b * image.size() + c * image.area() + at)];
          }
          float* const to = back.data() + at * channels;
          for (index_t o = 0; o < outputs; ++o) {
            const float v = out[static_cast<std::size_t>((b * outputs + o) * n.out.area() + p)];
            if (v == 0) continue;
            const float* const from = by_tap.data() + (tap * outputs + o) * channels;
            float* const own = sum.data() + (tap * outputs + o) * channels;
            for (index_t c = 0; c < channels; ++c) {
              to[c] += v * from[c];
              own[c] += v * row[static_cast<std::size_t>(c)];
            }
          }
        }
      }
      for (index_t i = 0; i < image.size(); ++i) {
        in[static_cast<std::size_t>(b * image.size() + i)] +=
            back[static_cast<std::size_t>(i % image.area() * channels + i / image.area())];
      }
      parts[static_cast<std::size_t>(b)] = std::move(sum);
    });
    for (index_t i = 0; i < w.size; ++i) {
      const index_t o = i / (channels * taps), c = i / taps % channels, tap = i % taps;
      double sum = 0;
      for (const auto& part : parts) {
        sum +=
            static_cast<double>(part[static_cast<std::size_t>((tap * outputs + o) * channels + c)]);
      }
      gradient[static_cast<std::size_t>(w.offset + i)] = sum;
    }
    if (n.bias < 0) return;
    for (index_t i = 0; i < pass.count() * n.out.size(); ++i) {
      gradient[static_cast<std::size_t>(view(n.bias).offset + i / n.out.area() % outputs)] +=
          static_cast<double>(out[static_cast<std::size_t>(i)]);
    }
  }

  void norm(index_t id, const nn::node& n, const numbers& out, const numbers& input, numbers& in) {
    const index_t area = n.in.area(), rows = pass.count() * n.in.channels;
    const double count = static_cast<double>(pass.count() * area);
    std::vector<double> sums(static_cast<std::size_t>(n.in.channels)), products(sums.size());
    const auto each = [&](const auto& body) {
      for (index_t i = 0; i < rows * area; ++i) {
        const auto c = static_cast<std::size_t>(i / area % n.in.channels);
        const double hat =
            (static_cast<double>(input[static_cast<std::size_t>(i)]) - pass.means(id)[c]) /
            pass.roots(id)[c];
        body(c, static_cast<std::size_t>(i), hat);
      }
    };
    each([&](std::size_t c, std::size_t i, double hat) {
      sums[c] += static_cast<double>(out[i]);
      products[c] += static_cast<double>(out[i]) * hat;
    });
    const auto gamma = static_cast<std::size_t>(view(n.weight).offset);
    const auto beta = static_cast<std::size_t>(view(n.bias).offset);
    for (std::size_t c = 0; c < sums.size(); ++c) {
      gradient[gamma + c] = products[c];
      gradient[beta + c] = sums[c];
    }
    const double coupled = pass.mode() == nn::norm_mode::train ? 1 / count : 0;
    each([&](std::size_t c, std::size_t i, double hat) {
      const double centred = static_cast<double>(out[i]) - coupled * (sums[c] + hat * products[c]);
      in[i] += static_cast<float>(static_cast<double>(parameters[gamma + c]) / pass.roots(id)[c] *
                                  centred);
    });
  }

  static void apart(const nn::node& n, const float* input, const float* out, float* in) {
    for (index_t o = 0; o < n.out.size(); ++o) {
      const index_t c = o / n.out.area(), y = o % n.out.area() / n.out.width,
                    x = o % n.out.area() % n.out.width;
      if (n.what == nn::operation::relu) {
        in[o] += input[o] > 0 ? out[o] : 0;
      } else if (n.what == nn::operation::subsample) {
        const index_t own = c - (n.out.channels - n.in.channels) / 2;
        if (own >= 0 && own < n.in.channels) {
          in[own * n.in.area() + y * 2 * n.in.width + x * 2] += out[o];
        }
      } else if (n.what == nn::operation::global_average_pool) {
        for (index_t i = 0; i < n.in.area(); ++i) {
          in[c * n.in.area() + i] += out[o] / static_cast<float>(n.in.area());
        }
      } else {
        const index_t corner = c * n.in.area() + y * n.stride * n.in.width + x * n.stride;
        index_t best = corner;
        for (index_t ky = 0; ky < n.kernel; ++ky) {
          for (index_t kx = 0; kx < n.kernel; ++kx) {
            const index_t i = corner + ky * n.in.width + kx;
            if (n.what == nn::operation::average_pool) {
              in[i] += out[o] / static_cast<float>(n.kernel * n.kernel);
            } else if (input[i] > input[best]) {
              best = i;
            }
          }
        }
        if (n.what == nn::operation::max_pool) in[best] += out[o];
      }
    }
  }

  void step(index_t id) {
    const nn::node& n = net.nodes()[static_cast<std::size_t>(id)];
    const numbers out = std::move(g[static_cast<std::size_t>(id)]);
    numbers& in = g[static_cast<std::size_t>(n.first)];
    if (n.what == nn::operation::add) {
      for (std::size_t i = 0; i < out.size(); ++i) {
        in[i] += out[i];
        g[static_cast<std::size_t>(n.second)][i] += out[i];
      }
      return;
    }
    const numbers input = pass.value(n.first);
    if (n.what == nn::operation::batch_norm) {
      norm(id, n, out, input, in);
    } else if (n.weight >= 0) {
      weights(n, out, input, in);
    } else {
      each_sample([&](index_t b) {
        apart(n, input.data() + b * n.in.size(), out.data() + b * n.out.size(),
              in.data() + b * n.in.size());
      });
    }
  }
};

}  // namespace

std::vector<double> back_propagate(const nn::network& net, const nn::forward_pass<float>& pass,
                                   std::span<const float> parameters,
                                   std::span<const index_t> targets, int threads) {
  reverse r{net, pass, parameters, threads, {}, {}};
  r.gradient.resize(static_cast<std::size_t>(net.parameter_count()));
  for (const nn::node& n : net.nodes()) {
    r.g.emplace_back(static_cast<std::size_t>(pass.count() * n.out.size()));
  }
  const index_t last = static_cast<index_t>(net.nodes().size()) - 1;
  const numbers logits = pass.value(last);
  const index_t classes = net.output().size();
  for (index_t b = 0; b < pass.count(); ++b) {
    const float* const z = logits.data() + b * classes;
    const double largest = static_cast<double>(*std::max_element(z, z + classes));
    double total = 0;
    for (index_t k = 0; k < classes; ++k) total += std::exp(static_cast<double>(z[k]) - largest);
    for (index_t k = 0; k < classes; ++k) {
      const double p = std::exp(static_cast<double>(z[k]) - largest) / total;
      r.g.back()[static_cast<std::size_t>(b * classes + k)] =
          static_cast<float>((p - (k == targets[static_cast<std::size_t>(b)] ? 1 : 0)) /
                             static_cast<double>(pass.count()));
    }
  }
  for (index_t id = last; id > 0; --id) r.step(id);
  return r.gradient;
}

}  // namespace bench

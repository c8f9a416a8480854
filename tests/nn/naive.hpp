// The forward pass as a textbook has it: one number at a time, row-major, in double or wider.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "textbook.hpp"
#include "zo/nn/forward.hpp"

namespace testing_nn {

using zo::index_t;
namespace nn = zo::nn;

using row_major = std::vector<double>;

// Layers of sequences: true if this is one.
template <class Real>
bool naive_sequence(const nn::network& net, const nn::node& n, const std::vector<Real>& parameters,
                    const std::vector<Real>& in, index_t count, std::vector<Real>& out) {
  const auto tensor = [&](index_t number) {
    const auto k = static_cast<std::size_t>(number);
    return number < 0 ? nullptr : parameters.data() + net.parameters()[k].offset;
  };
  for (index_t b = 0; b < count; ++b) {
    const of_a_sample<Real> sample{n, tensor(n.weight), tensor(n.bias), in.data() + b * n.in.size(),
                                   out.data() + b * n.out.size()};
    if (n.what == nn::operation::embedding) {
      sample.embedding();
    } else if (n.what == nn::operation::positions) {
      sample.positions();
    } else if (n.what == nn::operation::gelu) {
      sample.gelu();
    } else if (n.what == nn::operation::layer_norm) {
      sample.layer_norm();
    } else if (n.what == nn::operation::attention) {
      sample.attention();
    } else {
      return false;
    }
  }
  return true;
}

// All values of all nodes, each count x size.
template <class Real>
std::vector<std::vector<Real>> naive_forward(const nn::network& net,
                                             const std::vector<Real>& parameters,
                                             const std::vector<Real>& statistics,
                                             const std::vector<Real>& inputs, index_t count,
                                             nn::norm_mode mode) {
  using numbers = std::vector<Real>;
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  const auto weight = [&](index_t number, index_t i) {
    return parameters[at(net.parameters()[at(number)].offset + i)];
  };
  std::vector<numbers> all;
  for (const nn::node& n : net.nodes()) {
    numbers out(at(count * n.out.size()));
    if (n.what == nn::operation::input) {
      all.push_back(inputs);
      continue;
    }
    const numbers& in = all[at(n.first)];
    if (naive_sequence<Real>(net, n, parameters, in, count, out)) {
      all.push_back(std::move(out));
      continue;
    }
    const auto x = [&](index_t b, index_t c, index_t row, index_t column) {
      const bool inside = row >= 0 && row < n.in.height && column >= 0 && column < n.in.width;
      return inside ? in[at(b * n.in.size() + c * n.in.area() + row * n.in.width + column)]
                    : Real(0);
    };
    std::vector<Real> mean(at(n.in.channels)), variance(at(n.in.channels));
    if (n.what == nn::operation::batch_norm) {
      for (index_t c = 0; c < n.in.channels; ++c) {
        if (mode == nn::norm_mode::eval) {
          mean[at(c)] = statistics[at(net.statistics()[at(n.running_mean)].offset + c)];
          variance[at(c)] = statistics[at(net.statistics()[at(n.running_var)].offset + c)];
          continue;
        }
        const Real all_of_channel = static_cast<Real>(count * n.in.area());
        for (int round = 0; round < 2; ++round) {
          Real sum = 0;
          for (index_t b = 0; b < count; ++b) {
            for (index_t i = 0; i < n.in.area(); ++i) {
              const Real v = x(b, c, i / n.in.width, i % n.in.width);
              sum += round == 0 ? v : (v - mean[at(c)]) * (v - mean[at(c)]);
            }
          }
          (round == 0 ? mean : variance)[at(c)] = sum / all_of_channel;
        }
      }
    }
    for (index_t b = 0; b < count; ++b) {
      for (index_t o = 0; o < n.out.channels; ++o) {
        for (index_t row = 0; row < n.out.height; ++row) {
          for (index_t column = 0; column < n.out.width; ++column) {
            Real y = 0;
            const index_t top = row * n.stride - n.padding, left = column * n.stride - n.padding;
            switch (n.what) {
              case nn::operation::convolution:
                for (index_t c = 0; c < n.in.channels; ++c) {
                  for (index_t tap = 0; tap < n.kernel * n.kernel; ++tap) {
                    y += weight(n.weight, (o * n.in.channels + c) * n.kernel * n.kernel + tap) *
                         x(b, c, top + tap / n.kernel, left + tap % n.kernel);
                  }
                }
                if (n.bias >= 0) y += weight(n.bias, o);
                break;
              case nn::operation::linear:
                for (index_t i = 0; i < n.in.size(); ++i) {
                  y += weight(n.weight, o * n.in.size() + i) * in[at(b * n.in.size() + i)];
                }
                if (n.bias >= 0) y += weight(n.bias, o);
                break;
              case nn::operation::batch_norm:
                y = (x(b, o, row, column) - mean[at(o)]) / root_of(variance[at(o)] + n.epsilon) *
                        weight(n.weight, o) +
                    weight(n.bias, o);
                break;
              case nn::operation::relu:
                y = std::max(Real(0), x(b, o, row, column));
                break;
              case nn::operation::max_pool:
                y = x(b, o, top, left);
                for (index_t tap = 0; tap < n.kernel * n.kernel; ++tap) {
                  y = std::max(y, x(b, o, top + tap / n.kernel, left + tap % n.kernel));
                }
                break;
              case nn::operation::average_pool:
                for (index_t tap = 0; tap < n.kernel * n.kernel; ++tap) {
                  y += x(b, o, top + tap / n.kernel, left + tap % n.kernel) /
                       static_cast<Real>(n.kernel * n.kernel);
                }
                break;
              case nn::operation::global_average_pool:
                for (index_t i = 0; i < n.in.area(); ++i) {
                  y += x(b, o, i / n.in.width, i % n.in.width) / static_cast<Real>(n.in.area());
                }
                break;
              case nn::operation::add:
                y = x(b, o, row, column) + all[at(n.second)][at(b * n.in.size() + o * n.in.area() +
                                                                row * n.in.width + column)];
                break;
              case nn::operation::subsample: {
                const index_t before = (n.out.channels - n.in.channels) / 2;
                const bool has = o >= before && o < before + n.in.channels;
                y = has ? x(b, o - before, 2 * row, 2 * column) : Real(0);
                break;
              }
              case nn::operation::input:
              case nn::operation::embedding:
              case nn::operation::positions:
              case nn::operation::layer_norm:
              case nn::operation::gelu:
              case nn::operation::attention:
                break;  // above
            }
            out[at(b * n.out.size() + o * n.out.area() + row * n.out.width + column)] = y;
          }
        }
      }
    }
    all.push_back(std::move(out));
  }
  return all;
}

}  // namespace testing_nn

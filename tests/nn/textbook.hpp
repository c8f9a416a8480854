// Layers of sequences as a textbook has them, a sample at a time: channels x positions, row-major.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "wide.hpp"
#include "zo/nn/network.hpp"

namespace testing_nn {

using zo::index_t;

inline double exponential(double x) { return std::exp(x); }
inline wide exponential(wide x) { return exp_of(x); }

// Of a standard normal.
inline double distribution(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }
// By its series near 0 and by the continued fraction of the tail beyond.
inline wide distribution(wide x) {
  if (x > 0) return 1 - distribution(-x);
  const wide root_of_2_pi = wide(2.50662827463100050241576528481104525L);
  if (x < -3) {
    wide fraction = 0;
    for (int k = 200; k > 0; --k) fraction = k / (-x + fraction);
    return exp_of(-x * x / 2) / root_of_2_pi / (-x + fraction);
  }
  wide sum = 0, term = x;
  for (int k = 0; abs_of(term) > wide(1e-36L); ++k) {
    sum += term / (2 * k + 1);
    term *= -x * x / (2 * (k + 1));
  }
  return wide(1) / 2 + sum / root_of_2_pi;
}

// By Newton's iteration, which needs nothing of a library.
template <class Real>
Real root_of(Real v) {
  Real root = static_cast<Real>(std::sqrt(static_cast<double>(v)));
  for (int k = 0; k < 3; ++k) root = (root + v / root) / 2;
  return root;
}

// What a layer makes of one sample: weight and bias are those of its parameters.
template <class Real>
struct of_a_sample {
  const zo::nn::node& n;
  const Real *weight, *bias;
  const Real* in;
  Real* out;

  Real x(index_t channel, index_t position) const { return in[channel * n.in.area() + position]; }
  Real& y(index_t channel, index_t position) const {
    return out[channel * n.out.area() + position];
  }

  void embedding() const {
    for (index_t p = 0; p < n.out.area(); ++p) {
      const auto token = static_cast<index_t>(static_cast<double>(x(0, p)));
      for (index_t c = 0; c < n.out.channels; ++c) y(c, p) = weight[token * n.out.channels + c];
    }
  }
  void positions() const {
    for (index_t p = 0; p < n.out.area(); ++p) {
      for (index_t c = 0; c < n.out.channels; ++c)
        y(c, p) = x(c, p) + weight[p * n.out.channels + c];
    }
  }
  void gelu() const {
    for (index_t i = 0; i < n.out.size(); ++i) out[i] = in[i] * distribution(in[i]);
  }
  void layer_norm() const {
    for (index_t p = 0; p < n.out.area(); ++p) {
      Real mean = 0, variance = 0;
      for (index_t c = 0; c < n.in.channels; ++c) mean += x(c, p) / Real(n.in.channels);
      for (index_t c = 0; c < n.in.channels; ++c) {
        variance += (x(c, p) - mean) * (x(c, p) - mean) / Real(n.in.channels);
      }
      for (index_t c = 0; c < n.in.channels; ++c) {
        y(c, p) = (x(c, p) - mean) / root_of<Real>(variance + n.epsilon) * weight[c] + bias[c];
      }
    }
  }
  void attention() const {
    const index_t width = n.out.channels, size = width / n.heads, area = n.in.area();
    for (index_t first = 0; first < width; first += size) {  // of a head
      for (index_t i = 0; i < area; ++i) {
        std::vector<Real> p;
        Real most = 0, sum = 0;
        for (index_t j = 0; j < (n.causal ? i + 1 : area); ++j) {
          Real score = 0;
          for (index_t k = first; k < first + size; ++k) score += x(k, i) * x(width + k, j);
          p.push_back(score / root_of<Real>(Real(size)));
          most = j == 0 || p.back() > most ? p.back() : most;
        }
        for (Real& one : p) sum += one = exponential(one - most);
        for (index_t c = first; c < first + size; ++c) {
          y(c, i) = 0;
          for (std::size_t j = 0; j < p.size(); ++j) {
            y(c, i) += p[j] / sum * x(2 * width + c, static_cast<index_t>(j));
          }
        }
      }
    }
  }
};

}  // namespace testing_nn

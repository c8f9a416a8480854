// A rule as a user would write it, with a state and an end that sees all of x: neither zo nor its
// list of rules knows it.
#pragma once

#include <zo/optimizer.hpp>

namespace elsewhere {

// Moves x so that its numbers add up to zero: the work of one thread.
template <class T>
struct add_up_to_zero {
  T* x;
  zo::index_t count;

  ZO_HD void operator()(zo::index_t) const {
    double sum = 0;
    for (zo::index_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]);
    const double mean = sum / static_cast<double>(count);
    for (zo::index_t i = 0; i < count; ++i) x[i] = static_cast<T>(static_cast<double>(x[i]) - mean);
  }
};

// Lion (Chen et al., 2023), and three vectors of state where it needs one.
class lion {
 public:
  template <class T>
  struct element {
    T rate, beta1, beta2;
    T* x;
    T* mean;
    T* largest;
    T* steps;

    ZO_HD bool operator()(zo::index_t i, T g) const {
      const T old_part = beta1 * mean[i];
      const T new_part = (T(1) - beta1) * g;
      const T blend = old_part + new_part;
      const T kept = beta2 * mean[i];
      const T added = (T(1) - beta2) * g;
      mean[i] = kept + added;
      const T move = rate * static_cast<T>((blend > T(0)) - (blend < T(0)));
      x[i] -= move;
      const T size = g < T(0) ? -g : g;
      if (size > largest[i]) largest[i] = size;
      steps[i] += T(1);
      return __builtin_isfinite(x[i]) && __builtin_isfinite(mean[i]) &&
             __builtin_isfinite(largest[i]);
    }
  };

  explicit lion(double rate) : rate_(rate) {}

  int state_vectors() const { return 3; }
  double rate(std::uint64_t) const { return rate_; }
  template <class T>
  element<T> at(std::uint64_t step, T* x, T* const* state) const {
    return {static_cast<T>(rate(step)), T(0.5), T(0.75), x, state[0], state[1], state[2]};
  }
  template <class Policy, class X>
  void prox(const Policy& policy, X x, std::uint64_t) const {
    for_coordinates(
        policy, 1,
        add_up_to_zero<typename X::value_type>{x.data(), static_cast<zo::index_t>(x.size())});
  }

 private:
  double rate_;
};

// A set: whole numbers of quarters, at most 2. It is not on the list either.
struct quarters {
  template <class T>
  struct element {
    T* x;
    ZO_HD void operator()(zo::index_t i) const {
      const auto four = static_cast<long long>(x[i] * T(4));
      x[i] = four > 8 ? T(2) : static_cast<T>(four) / T(4);
    }
  };
  template <class Policy, class X>
  void project(const Policy& policy, X x) const {
    for_coordinates(policy, static_cast<zo::index_t>(x.size()),
                    element<typename X::value_type>{x.data()});
  }
};

}  // namespace elsewhere

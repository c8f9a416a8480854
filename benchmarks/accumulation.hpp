// Weighted directions added up to a gradient, by the machine that estimates are made on.
#pragma once

#include <cstdint>
#include <vector>
#include <zo/zo.hpp>

namespace bench {

template <zo::distribution D, class T>
class accumulation {
 public:
  accumulation(zo::index_t dimension, zo::index_t directions, int threads)
      : count_(directions),
        threads_(threads),
        x_(static_cast<std::size_t>(dimension), T(0.5)),
        gradient_(x_.size()),
        machine_(&threads_, nullptr, memory_) {}

  T operator()() {
    const zo::estimate_options place{1, step_++};
    machine_.begin(place);
    machine_.open({x_.data(), 1, static_cast<zo::index_t>(x_.size()), gradient_.data(), nullptr},
                  place, zo::on_failure::stop);
    memory_.buffers().weights.assign(static_cast<std::size_t>(count_), T(1e-3));
    auto along = machine_.template directions_of<D>(
        {place.seed, place.step, 0, zo::purpose::direction}, count_, 1, 1e-3);
    machine_.start_at(along, 0, count_);
    machine_.combine(along, count_, true);
    return gradient_[0];
  }

 private:
  class nobody final : public zo::detail::black_box<T> {
   public:
    explicit nobody(int threads) : count_(threads) {}
    int threads() const override { return count_; }
    void make_queries(const zo::detail::question_round<T>&, zo::index_t,
                      std::span<double>) override {}

   private:
    int count_;
  };

  zo::index_t count_;
  std::uint64_t step_ = 0;
  nobody threads_;
  std::vector<T> x_, gradient_;
  zo::workspace<T> memory_;
  zo::machine<T> machine_;
};

}  // namespace bench

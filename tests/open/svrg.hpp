// An estimator of another namespace that keeps state: ZO-SVRG (Liu et al., NeurIPS 2018). Every
// `every` steps the point is kept, with an estimate of many directions there; in between, the
// difference of two estimates by the same directions and the same sample corrects it:
//   g = ĝ(x) - ĝ(kept) + ĝ_many(kept)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/estimator.hpp"

namespace elsewhere {

template <class T>
struct correction {
  const T* at_kept;
  const T* many;
  T* g;
  ZO_HD void operator()(zo::index_t i) const { g[i] = g[i] - at_kept[i] + many[i]; }
};

template <class M, class Few, class Many>
class svrg_run {
 public:
  using T = typename M::value_type;

  template <class How>
  svrg_run(M& machine, const How& how)
      : machine_(machine),
        few_(how.few.start(machine)),
        many_(how.many.start(machine)),
        every_(how.every),
        kept_(machine.vector(0)),
        at_kept_(machine.vector(0)),
        mean_(machine.vector(0)) {}

  void begin(const zo::row_problem<T>& problem, const zo::estimate_options& options) {
    problem_ = problem;
    options_ = options;
    if (size_ == 0) {
      size_ = problem.dimension;
      kept_ = machine_.vector(size_);
      at_kept_ = machine_.vector(size_);
      mean_ = machine_.vector(size_);
    }
    keeps_ = options.step % every_ == 0;
    part_ = 0;
    start_part();
  }
  bool pose() {
    while (part_ < 3) {
      if (part_ == 0 ? many_.pose() : few_.pose()) return true;
      part_ == 0 ? many_.end() : few_.end();
      ++part_;
      start_part();
    }
    return false;
  }
  void end() {
    machine_.each(size_, correction<T>{at_kept_.data(), mean_.data(), problem_.gradients});
    machine_.zero_if_failed(problem_.gradients, size_);
  }
  std::vector<std::span<T>> state() {
    return {std::span<T>(kept_.data(), kept_.size()), std::span<T>(mean_.data(), mean_.size())};
  }

 private:
  void start_part() {
    zo::row_problem<T> here = problem_;
    here.losses = nullptr;
    if (part_ == 0) {
      if (keeps_) {
        machine_.copy(problem_.x, size_, kept_.data());
        here.gradients = mean_.data();
        many_.begin(here, options_);
        return;
      }
      part_ = 1;
    }
    if (part_ == 1) {
      few_.begin(here, options_);
    } else if (part_ == 2) {
      here.x = kept_.data();
      here.gradients = at_kept_.data();
      few_.begin(here, options_);
    }
  }

  M& machine_;
  Few few_;
  Many many_;
  std::uint64_t every_;
  decltype(std::declval<M&>().vector(0)) kept_, at_kept_, mean_;
  zo::row_problem<T> problem_;
  zo::estimate_options options_;
  zo::index_t size_ = 0;
  bool keeps_ = false;
  int part_ = 0;
};

template <class Few, class Many>
struct svrg {
  static constexpr zo::asks asks = Few::asks;
  Few few;
  Many many;
  std::uint64_t every = 10;

  zo::index_t queries(zo::index_t d, std::uint64_t step) const {
    return 2 * few.queries(d) + (step % every == 0 ? many.queries(d) : 0);
  }
  zo::index_t queries(zo::index_t d) const { return queries(d, 0); }

  template <class M>
  auto start(M& machine) const {
    return svrg_run<M, decltype(few.start(machine)), decltype(many.start(machine))>(machine, *this);
  }
};

}  // namespace elsewhere

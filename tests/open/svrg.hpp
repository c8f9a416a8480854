// An estimator of another namespace that keeps state: ZO-SVRG (Liu et al., NeurIPS 2018). Every
// `every` steps the point is kept, with an estimate of many directions there; in between, the
// difference of two estimates by the same directions and the same sample corrects it:
//   g = ĝ(x) - ĝ(kept) + ĝ_many(kept)
// Where an estimate that keeps its point fails, the next one keeps its own.
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

template <class M, class How>
class svrg_run {
 public:
  using T = typename M::value_type;

  svrg_run(M& machine, const How& how)
      : machine_(machine),
        how_(how),
        few_(how.few.start(machine)),
        many_(how.many.start(machine)),
        kept_(machine.vector(0)),
        at_kept_(machine.vector(0)),
        mean_(machine.vector(0)) {}

  void begin(const zo::row_problem<T>& problem, const zo::estimate_options& options) {
    zo::detail::require(problem.rows == 1, "elsewhere::svrg: one row at a time");
    problem_ = problem;
    options_ = options;
    const bool first = size_ == 0;
    if (first) {
      size_ = problem.dimension;
      kept_ = machine_.vector(size_);
      at_kept_ = machine_.vector(size_);
      mean_ = machine_.vector(size_);
    }
    keeps_ = options.step % how_.every == 0 || lost_ != 0;
    zo::detail::require(keeps_ || !first, "elsewhere::svrg: the first step must be a multiple of ",
                        how_.every, ", got ", options.step);
    part_ = keeps_ ? 0 : 1;
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
    if (keeps_) lost_ = machine_.failed_so_far() ? T(1) : T(0);
    machine_.each(size_, correction<T>{at_kept_.data(), mean_.data(), problem_.gradients});
    machine_.zero_if_failed(problem_.gradients, size_);
  }
  zo::index_t extra_queries() const { return lost_ != 0 ? how_.many.queries(size_) : 0; }
  std::vector<std::span<T>> state() {
    return {std::span<T>(kept_.data(), kept_.size()), std::span<T>(mean_.data(), mean_.size()),
            std::span<T>(&lost_, 1)};
  }

 private:
  void start_part() {
    zo::row_problem<T> here = problem_;
    here.losses = nullptr;
    if (part_ == 0) {
      machine_.copy(problem_.x, size_, kept_.data());
      here.gradients = mean_.data();
      many_.begin(here, options_);
    } else if (part_ == 1) {
      few_.begin(here, options_);
    } else if (part_ == 2) {
      zo::estimate_options there = options_;
      there.known_values = {};  // those are of x
      here.x = kept_.data();
      here.gradients = at_kept_.data();
      few_.begin(here, there);
    }
  }

  M& machine_;
  How how_;
  decltype(std::declval<const How&>().few.start(std::declval<M&>())) few_;
  decltype(std::declval<const How&>().many.start(std::declval<M&>())) many_;
  decltype(std::declval<M&>().vector(0)) kept_, at_kept_, mean_;
  zo::row_problem<T> problem_;
  zo::estimate_options options_;
  zo::index_t size_ = 0;
  bool keeps_ = false;
  T lost_ = 0;  // 1: there is no mean
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
  zo::on_failure failures() const { return few.options().failures; }
  void describe(zo::detail::fingerprint& print) const {
    zo::detail::describe(few, print);
    zo::detail::describe(many, print);
    print.add(every);
  }

  template <class M>
  auto start(M& machine) const {
    return svrg_run<M, svrg>(machine, *this);
  }
};

}  // namespace elsewhere

// An estimator that is chosen when the program runs.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "zo/cge.hpp"
#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/difference.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/law.hpp"
#include "zo/machine.hpp"
#include "zo/outcome.hpp"
#include "zo/rge.hpp"
#include "zo/smoothing.hpp"

namespace zo {

/// An estimator by name, as command lines and other languages say it.
struct estimator_options {
  std::string estimator = "rge";                         ///< rge, cge
  std::string distribution = "gaussian";                 ///< of rge: gaussian, rademacher, sphere
  std::string scheme = "forward";                        ///< forward, central
  index_t directions = 1;                                ///< of rge
  smoothing_parameter smoothing = 1e-3;                  ///< or zo::automatic
  bool relative = false;                                 ///< of cge
  coordinate_selection coordinates = all_coordinates{};  ///< of cge
  failure_policy failures{};
};

namespace detail {

// The estimators that have a name.
using named_estimator =
    std::variant<rge<gaussian, forward>, rge<gaussian, central>, rge<rademacher, forward>,
                 rge<rademacher, central>, rge<sphere, forward>, rge<sphere, central>, cge<forward>,
                 cge<central>>;

template <difference_scheme S>
named_estimator estimator_named(const estimator_options& o, S) {
  if (o.estimator == "cge") {
    return cge(cge_options{o.smoothing, o.relative, o.coordinates, o.failures}, S{});
  }
  require(o.estimator == "rge", "zo::any_estimator: estimator must be rge or cge, got ",
          o.estimator);
  const rge_options options{o.directions, o.smoothing, o.failures};
  if (o.distribution == "rademacher") return rge(options, rademacher{}, S{});
  if (o.distribution == "sphere") return rge(options, sphere{}, S{});
  require(o.distribution == "gaussian",
          "zo::any_estimator: distribution must be gaussian, rademacher or sphere, got ",
          o.distribution);
  return rge(options, gaussian{}, S{});
}
inline named_estimator estimator_named(const estimator_options& o) {
  if (o.scheme == "central") return estimator_named(o, central{});
  require(o.scheme == "forward", "zo::any_estimator: scheme must be forward or central, got ",
          o.scheme);
  return estimator_named(o, forward{});
}

template <class How>
double reach_of(const How& how) {
  if constexpr (requires { how.reach(); })
    return how.reach();
  else
    throw not_compiled("reach of this estimator", "use one that has double reach() const");
}

// A run whose type is forgotten.
template <class M>
class any_run {
 public:
  using T = typename M::value_type;
  explicit any_run(std::unique_ptr<running_estimator<M>> run) : run_(std::move(run)) {}

  void begin(const row_problem<T>& problem, const estimate_options& options) {
    run_->begin(problem, options);
  }
  bool pose() { return run_->pose(); }
  void end() { run_->end(); }
  bool value_is_exact() const { return run_->value_is_exact(); }
  index_t extra_queries() const { return run_->extra_queries(); }
  std::vector<std::span<T>> state() { return run_->state(); }
  std::shared_ptr<const smoothing_choice> automatic() { return run_->automatic(); }
  bool searches() const { return run_->searches(); }

 private:
  std::unique_ptr<running_estimator<M>> run_;
};

}  // namespace detail

/// Any estimator over scalars `T`, by options or from a value of its type, which may be of another
/// namespace. It stands wherever an estimator does, with the same bits. One that asks whole points
/// refuses an objective that only answers differences when it is asked, not when it is compiled. On
/// a GPU only those with a name can be chosen. Cost: one allocation an estimate, or a run.
template <scalar T>
class any_estimator {
 public:
  static constexpr zo::asks asks = zo::asks::points_or_probes;

  any_estimator(const estimator_options& options = {})  // NOLINT: options alone read well
      : named_(detail::estimator_named(options)) {}
  template <class How>
  requires(!std::same_as<How, any_estimator> && !std::same_as<How, estimator_options> &&
           estimator_on<How, machine<T>>) any_estimator(How how)  // NOLINT: any estimator is one
      : foreign_(foreign_of(how)), named_(named_of(std::move(how))) {}

  index_t queries(index_t dimension) const { return queries(dimension, 0); }
  index_t queries(index_t dimension, std::uint64_t step) const {
    return visit([&](const auto& how) { return detail::queries_of(how, dimension, step); });
  }
  failure_policy failures() const {
    return visit([](const auto& how) { return detail::failures_of(how); });
  }
  /// Of an estimator that says it.
  double reach() const {
    return visit([](const auto& how) { return detail::reach_of(how); });
  }
  void describe(detail::fingerprint& print) const {
    visit([&](const auto& how) { detail::describe(how, print); });
  }
  template <class M>
  detail::any_run<M> start(M& machine) const {
    return visit([&](const auto& how) -> detail::any_run<M> {
      if constexpr (requires { how.start_any(machine); }) {
        return detail::any_run<M>(how.start_any(machine));
      } else if constexpr (std::derived_from<std::remove_cvref_t<decltype(how)>, foreign>) {
        throw not_compiled("estimator of your own on this machine", "use its type");
      } else {
        return detail::any_run<M>(
            std::make_unique<detail::running<M, std::remove_cvref_t<decltype(how)>>>(machine, how));
      }
    });
  }

 private:
  template <class How>
  static constexpr bool has_name =
      std::is_constructible_v<detail::named_estimator, std::in_place_type_t<How>, How>;

  // An estimator without a name.
  struct foreign {
    foreign() = default;
    foreign(const foreign&) = delete;
    foreign& operator=(const foreign&) = delete;
    virtual ~foreign() = default;
    virtual index_t queries(index_t dimension, std::uint64_t step) const = 0;
    index_t queries(index_t dimension) const { return queries(dimension, 0); }
    virtual failure_policy failures() const = 0;
    virtual double reach() const = 0;
    virtual void describe(detail::fingerprint& print) const = 0;
    virtual std::unique_ptr<detail::running_estimator<machine<T>>> start_any(
        machine<T>& on) const = 0;
  };
  template <class How>
  struct held final : foreign {
    explicit held(How of) : how(std::move(of)) {}
    index_t queries(index_t dimension, std::uint64_t step) const override {
      return detail::queries_of(how, dimension, step);
    }
    failure_policy failures() const override { return detail::failures_of(how); }
    double reach() const override { return detail::reach_of(how); }
    void describe(detail::fingerprint& print) const override { detail::describe(how, print); }
    std::unique_ptr<detail::running_estimator<machine<T>>> start_any(
        machine<T>& on) const override {
      return std::make_unique<detail::running<machine<T>, How>>(on, how);
    }
    How how;
  };

  template <class How>
  static std::shared_ptr<const foreign> foreign_of(const How& how) {
    if constexpr (!has_name<How>) return std::make_shared<const held<How>>(how);
    return nullptr;
  }
  template <class How>
  static detail::named_estimator named_of(How how) {
    if constexpr (has_name<How>) {
      return detail::named_estimator(std::in_place_type<How>, std::move(how));
    }
    return {};
  }

  template <class Visit>
  auto visit(const Visit& body) const {
    if (foreign_ != nullptr) return body(*foreign_);
    return std::visit(body, named_);
  }

  // Two members, not a variant of a variant, of which g++ 12 warns wrongly.
  std::shared_ptr<const foreign> foreign_;  // null: it has a name
  detail::named_estimator named_;
};

}  // namespace zo

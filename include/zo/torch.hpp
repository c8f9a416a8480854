// LibTorch tensors: a black box as a layer of a network (zo::torch::black_box), zo::boundary for a
// latent tensor, and the parameters of a module for zo::in_place.
//
// Inside namespace zo, LibTorch is ::torch. A program that says `using namespace zo` must say so
// too. Optional: include it only where LibTorch is linked; no other header of zo includes it.
#pragma once

#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "zo/boundary.hpp"
#include "zo/pullback.hpp"

namespace zo {

/// What the black box said about a latent tensor z of B rows.
struct tensor_boundary {
  ::torch::Tensor losses;     ///< (B), float64; on the CPU, or on z's device under zo::cuda::on
  ::torch::Tensor gradients;  ///< shape, type and device of z: estimates of dL_b / dz_b
  index_t queries = 0;        ///< candidates answered, base points included
  index_t failed = 0;         ///< answers among them that were not finite
  bool ok = true;             ///< false: no gradient; all zeros
};

namespace detail {

inline void check_latents(const ::torch::Tensor& z) {
  require(z.defined() && z.dim() >= 1, "zo::boundary: z must be a tensor of rows");
  require(z.scalar_type() == ::torch::kFloat32 || z.scalar_type() == ::torch::kFloat64,
          "zo::boundary: z must hold float32 or float64 numbers");
}

// Numbers of one row of z.
inline index_t row_size(const ::torch::Tensor& z) {
  return z.size(0) == 0 ? 0 : z.numel() / z.size(0);
}

// Hands `count` candidates to f as a tensor like z, and writes its answers to `losses`. The three
// arrays are memory of the device `memory`.
template <class T, class F>
void ask_tensors(F& f, const ::torch::Tensor& z, const ::torch::Device& memory, const T* candidates,
                 const index_t* rows, index_t count, double* losses) {
  const ::torch::NoGradGuard no_gradient;
  const auto numbers = ::torch::TensorOptions().device(memory);
  std::vector<std::int64_t> shape = z.sizes().vec();
  shape[0] = count;
  // from_blob has no const form; f gets tensors it must not write to.
  const ::torch::Tensor batch =
      ::torch::from_blob(const_cast<T*>(candidates), shape, numbers.dtype(z.scalar_type()))
          .to(z.device());
  const ::torch::Tensor batch_rows =
      ::torch::from_blob(const_cast<index_t*>(rows), {count}, numbers.dtype(::torch::kInt64))
          .to(z.device());
  const ::torch::Tensor answers = f(batch, batch_rows);
  require(answers.numel() == count, "zo::boundary: the black box must return ", count,
          " losses, got ", static_cast<index_t>(answers.numel()));
  ::torch::from_blob(losses, {count}, numbers.dtype(::torch::kFloat64))
      .copy_(answers.reshape({-1}));
}

template <class T, execution_policy Policy, class F, class How>
tensor_boundary boundary_of(const Policy& policy, F& f, const ::torch::Tensor& z, const How& how,
                            const estimate_options& options) {
  const ::torch::Tensor rows = z.detach().to(::torch::kCPU).contiguous();
  const std::span<const T> values{rows.template data_ptr<T>(),
                                  static_cast<std::size_t>(rows.numel())};
  const auto black_box = [&](points<T> candidates, std::span<const index_t> numbers,
                             std::span<double> losses) {
    ask_tensors(f, z, ::torch::kCPU, candidates.data.data(), numbers.data(), candidates.count,
                losses.data());
  };
  const boundary_result<T> found =
      boundary(policy, black_box, points<T>{values, rows.size(0), row_size(rows)}, how, options);
  return {::torch::tensor(found.losses, ::torch::kFloat64),
          ::torch::tensor(found.gradients, rows.options()).view(z.sizes()).to(z.device()),
          found.queries, found.failed, found.ok};
}

}  // namespace detail

/// zo::boundary for tensors. z is (B, ...), float32 or float64, on any device; it is detached and
/// not changed. f(candidates, rows) gets candidates (n, ...) like z and the batch row of each, (n)
/// int64, and returns n losses; it is called without gradients and must not write to its arguments.
/// Back-propagate (z * gradients).sum() through whatever made z. Throws std::invalid_argument for
/// other types and for a wrong number of losses.
template <execution_policy Policy, class F, class How>
tensor_boundary boundary(const Policy& policy, F&& f, const ::torch::Tensor& z, const How& how,
                         const estimate_options& options = {}) {
  detail::check_latents(z);
  if (z.scalar_type() == ::torch::kFloat64) {
    return detail::boundary_of<double>(policy, f, z, how, options);
  }
  return detail::boundary_of<float>(policy, f, z, how, options);
}

/// The numbers of each tensor, for zo::in_place: zo::parameter_spans<float>(module->parameters()).
/// Tensors of the CPU that hold T and lie densely in memory, whose order is that of coordinates;
/// the spans are valid as long as the tensors. Throws std::invalid_argument for others.
template <scalar T>
std::vector<std::span<T>> parameter_spans(const std::vector<::torch::Tensor>& tensors) {
  constexpr const char* who = "zo::parameter_spans: tensor ";
  std::vector<std::span<T>> spans;
  for (const ::torch::Tensor& one : tensors) {
    const std::size_t k = spans.size();
    detail::require(one.defined(), who, k, " is undefined");
    detail::require(one.scalar_type() == ::torch::CppTypeToScalarType<T>::value, who, k, " holds ",
                    ::torch::toString(one.scalar_type()), ", not ",
                    ::torch::toString(::torch::CppTypeToScalarType<T>::value));
    detail::require(one.device().is_cpu(), who, k, " is on ", one.device().str(),
                    "; zo::in_place moves tensors of the CPU");
    detail::require(one.layout() == ::torch::kStrided && one.is_non_overlapping_and_dense(), who, k,
                    " has gaps in memory; give a contiguous one");
    spans.emplace_back(one.template data_ptr<T>(), static_cast<std::size_t>(one.numel()));
  }
  return spans;
}

namespace torch {

struct black_box_options {
  std::variant<sequential_policy, parallel_policy> policy = seq;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;                   ///< of the first backward pass; each takes the next one
  index_t chunk_bytes = index_t{64} << 20;  ///< see estimate_options
};

}  // namespace torch

namespace detail {

template <class F>
concept tensor_map = std::is_invocable_r_v<::torch::Tensor, F&, const ::torch::Tensor&>;
template <class F>
concept rowwise_tensor_map =
    std::is_invocable_r_v<::torch::Tensor, F&, const ::torch::Tensor&, const ::torch::Tensor&>;

inline constexpr const char* layer_name = "zo::torch::black_box: ";

// What a node of the graph keeps of a layer.
class torch_layer : public ::torch::CustomClassHolder {
 public:
  virtual ::torch::Tensor answers(const ::torch::Tensor& x) = 0;
  virtual ::torch::Tensor gradient(const ::torch::Tensor& x, const ::torch::Tensor& y,
                                   const ::torch::Tensor& v) = 0;

  std::atomic<index_t> queries{0}, failed{0};
  std::atomic<std::uint64_t> step{0};
};

template <class F, class How>
class queried_layer : public torch_layer {
 public:
  queried_layer(F f, How how, torch::black_box_options options)
      : f_(std::move(f)), how_(std::move(how)), options_(std::move(options)) {
    step = options_.step;
  }

  ::torch::Tensor answers(const ::torch::Tensor& x) override {
    const index_t count = x.size(0);
    queries += count;
    ::torch::Tensor y;
    try {
      // A copy: f may return what it was given.
      y = ask(x.clone(), ::torch::arange(count, numbers_of(x).dtype(::torch::kInt64)))
              .to(numbers_of(x), false, true)
              .contiguous();
    } catch (const interrupted&) {
      throw;
    } catch (const std::exception&) {
      failed += count;
      // Without an earlier answer nobody knows how many numbers are missing.
      if (failures_of(how_) == on_failure::stop || tail_.empty() || !same_tail(x, asked_)) throw;
      return ::torch::full(shaped(count, tail_), std::numeric_limits<double>::quiet_NaN(),
                           numbers_of(x));
    }
    require_numbers(y.numel() > 0, "the black box answered no numbers");
    const ::torch::Tensor lost = y.reshape({count, -1}).isfinite().all(1).logical_not();
    const ::torch::Tensor rows = lost.nonzero();
    failed += rows.size(0);
    if (rows.size(0) > 0) {
      require_numbers(failures_of(how_) == on_failure::drop,
                      "a number of the answer to row " + std::to_string(rows[0][0].item<long>()) +
                          " is not finite; answer numbers, or give the estimator .failures = "
                          "zo::on_failure::drop");
      y.index_fill_(0, rows.reshape({-1}), std::numeric_limits<double>::quiet_NaN());
    }
    asked_ = x.sizes().vec();
    tail_ = y.sizes().vec();
    return y;
  }

  ::torch::Tensor gradient(const ::torch::Tensor& x, const ::torch::Tensor& y,
                           const ::torch::Tensor& v) override {
    if (x.scalar_type() == ::torch::kFloat64) return gradient_of<double>(x, y, v);
    return gradient_of<float>(x, y, v);
  }

 private:
  using shape = std::vector<std::int64_t>;

  static ::torch::TensorOptions numbers_of(const ::torch::Tensor& x) {
    return ::torch::TensorOptions().dtype(x.scalar_type()).device(x.device());
  }
  static shape shaped(std::int64_t count, shape like) {
    like[0] = count;
    return like;
  }
  static bool same_tail(const ::torch::Tensor& x, const shape& like) {
    return !like.empty() && x.sizes() == ::torch::IntArrayRef(shaped(x.size(0), like));
  }
  static std::string text_of(const shape& sizes) {
    std::string text;
    for (const std::int64_t size : sizes) text += (text.empty() ? "" : ", ") + std::to_string(size);
    return "(" + text + ")";
  }
  static void require_numbers(bool holds, const std::string& why) {
    if (!holds) throw std::runtime_error(layer_name + why);
  }

  // Answers of `batch`, a row for each.
  ::torch::Tensor ask(const ::torch::Tensor& batch, const ::torch::Tensor& rows) {
    const ::torch::NoGradGuard no_gradient;
    ::torch::Tensor y;
    if constexpr (rowwise_tensor_map<F>) {
      y = f_(batch, rows);
    } else {
      y = f_(batch);
    }
    require_numbers(y.defined(), "the black box returned no tensor");
    require_numbers(y.dim() >= 1 && y.size(0) == batch.size(0),
                    "the black box must answer a row for each of " + std::to_string(batch.size(0)) +
                        ", and answered a tensor " + text_of(y.sizes().vec()));
    return y;
  }

  template <class T>
  ::torch::Tensor gradient_of(const ::torch::Tensor& x, const ::torch::Tensor& y,
                              const ::torch::Tensor& v) {
    const index_t count = x.size(0);
    const ::torch::Tensor at = x.to(::torch::kCPU).contiguous();
    const ::torch::Tensor known = y.to(::torch::kCPU).contiguous();
    // Rows without an answer have no gradient, whatever the loss made of their NaN.
    const ::torch::Tensor sound = known.reshape({count, -1}).isfinite().all(1, true);
    const ::torch::Tensor along = ::torch::where(sound, v.to(known.options()).reshape({count, -1}),
                                                 ::torch::zeros({1}, known.options()))
                                      .contiguous();
    require_numbers(along.isfinite().all().template item<bool>(),
                    "the gradient that reached the black box from behind is not finite");
    const shape answered = known.sizes().vec();
    const auto box = [&](points<T> candidates, std::span<const index_t> rows, std::span<T> ys) {
      const auto memory = ::torch::TensorOptions().dtype(x.scalar_type());
      // from_blob has no const form; f gets tensors it must not write to.
      const ::torch::Tensor batch =
          ::torch::from_blob(const_cast<T*>(candidates.data.data()),
                             shaped(candidates.count, at.sizes().vec()), memory)
              .to(x.device());
      const ::torch::Tensor numbers =
          ::torch::from_blob(const_cast<index_t*>(rows.data()), {candidates.count},
                             ::torch::TensorOptions().dtype(::torch::kInt64))
              .to(x.device());
      const ::torch::Tensor answer = ask(batch, numbers);
      const shape expected = shaped(candidates.count, answered);
      require_numbers(answer.sizes() == ::torch::IntArrayRef(expected),
                      "the black box answered a tensor " + text_of(answer.sizes().vec()) +
                          ", and in the forward pass it would have been " + text_of(expected) +
                          "; its answers must not change their size");
      ::torch::from_blob(ys.data(), expected, memory).copy_(answer);
    };
    const auto numbers = [](const ::torch::Tensor& t) {
      return std::span<const T>(t.template data_ptr<T>(), static_cast<std::size_t>(t.numel()));
    };
    const estimate_options now{
        .seed = options_.seed, .step = step++, .chunk_bytes = options_.chunk_bytes};
    const pullback_result<T> found = std::visit(
        [&](const auto& policy) {
          return pullback(policy, box, points<T>{numbers(at), count, row_size(at)},
                          points<T>{numbers(along), count, along.size(1)}, how_, now,
                          numbers(known));
        },
        options_.policy);
    queries += found.queries;
    failed += found.failed;
    const bool none_left = found.why == flaw::query_failed && failures_of(how_) == on_failure::drop;
    if (!found.ok && !none_left) {
      const std::string cause = found.failure != nullptr ? "a query failed in row " +
                                                               std::to_string(found.failure->row) +
                                                               ": " + found.failure->why
                                                         : std::string(to_string(found.why));
      require_numbers(false, "no gradient: " + cause);
    }
    return ::torch::tensor(found.gradients, at.options()).view(x.sizes()).to(x.device());
  }

  F f_;
  How how_;
  torch::black_box_options options_;
  shape asked_, tail_;  // of the last batch that was answered
};

struct layer_function : ::torch::autograd::Function<layer_function> {
  static ::torch::Tensor forward(::torch::autograd::AutogradContext* graph,
                                 const ::torch::Tensor& x,
                                 const c10::intrusive_ptr<::torch::CustomClassHolder>& layer) {
    const ::torch::Tensor y = static_cast<torch_layer&>(*layer).answers(x.detach());
    graph->saved_data["layer"] = c10::IValue::make_capsule(layer);
    graph->save_for_backward({x, y});
    return y;
  }

  static ::torch::autograd::variable_list backward(::torch::autograd::AutogradContext* graph,
                                                   const ::torch::autograd::variable_list& v) {
    const auto saved = graph->get_saved_variables();
    const auto layer = graph->saved_data["layer"].toCapsule();
    ::torch::Tensor gradient;
    {
      const ::torch::NoGradGuard no_gradient;
      gradient = static_cast<torch_layer&>(*layer).gradient(saved[0].detach(), saved[1].detach(),
                                                            v[0].detach());
    }
    // An error to whoever differentiates the gradient, and to nobody else.
    if (::torch::GradMode::is_enabled()) {
      const auto error = std::make_shared<::torch::autograd::DelayedError>(
          std::string(layer_name) +
              "the gradient of a black box is an estimate and has no derivative; differentiate "
              "once",
          3);
      gradient = (*error)({gradient, saved[0], v[0]})[0];
    }
    return {gradient, ::torch::Tensor()};
  }
};

}  // namespace detail

namespace torch {

/// A black box as a layer: y = layer(x) stands anywhere in a graph, and backward() finds what
/// belongs in front of it by asking.
///
///   zo::torch::black_box layer(f, zo::rge({.directions = 8, .smoothing = 1e-3}));
///   loss_of(head(layer(encoder(x)))).backward();
///
/// f maps a batch (n, ...) to answers (n, ...), any shape but the same for every row and call; it
/// may take the batch row of each as a second argument, (n) int64. It is called without gradients
/// and must not write to its arguments. x is (B, ...) float32 or float64 on any device, and y has
/// its type. `how` is an estimator for zo::pullback, which is what a backward pass makes: the
/// answers of the forward pass are not asked again, and every pass has the next step of the layer's
/// seed, so that estimates are independent and the same in every run.
///
/// Queries: B forward, also without gradients; backward B times those of `how` without its base
/// point. Memory: x and y, kept by the graph. A failed query (f throws, returns no tensor, one of
/// another size, or a number that is not finite) follows on_failure of `how`: stop throws a
/// sentence; drop leaves a direction or coordinate out, and a row that fails in the forward pass
/// answers NaN and has a zero gradient. Copies of a layer are the same layer. Throws
/// std::invalid_argument for other tensors, and std::runtime_error where a gradient is
/// differentiated again.
template <class F, class How>
requires(zo::detail::rule(zo::detail::tensor_map<F> || zo::detail::rowwise_tensor_map<F>,
                          "zo::torch::black_box: the black box is called as torch::Tensor f(const "
                          "torch::Tensor& batch), or f(batch, rows)")) class black_box {
 public:
  black_box(F f, How how, black_box_options options = {})
      : layer_(c10::make_intrusive<zo::detail::queried_layer<F, How>>(std::move(f), std::move(how),
                                                                      std::move(options))) {}

  ::torch::Tensor operator()(const ::torch::Tensor& x) const {
    using zo::detail::require;
    require(x.defined() && x.dim() >= 1 && x.numel() > 0, zo::detail::layer_name,
            "x must be a tensor of at least 1 row");
    require(x.scalar_type() == ::torch::kFloat32 || x.scalar_type() == ::torch::kFloat64,
            zo::detail::layer_name, "x must hold float32 or float64 numbers");
    return zo::detail::layer_function::apply(
        x, c10::intrusive_ptr<::torch::CustomClassHolder>(layer_));
  }

  index_t queries() const { return layer_->queries; }  ///< rows asked so far
  index_t failed() const { return layer_->failed; }    ///< those among them that failed
  std::uint64_t step() const { return layer_->step; }  ///< of the next backward pass
  /// Goes on as if `step` were the next one.
  void resume_at(std::uint64_t step) { layer_->step = step; }

 private:
  c10::intrusive_ptr<zo::detail::torch_layer> layer_;
};

}  // namespace torch

}  // namespace zo

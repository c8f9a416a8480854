// What a user may hand in under zo::cuda::on, recognised by concept and never inherited from. Every
// pointer is device memory; the function enqueues its work on `stream` and need not wait.
//
//   batch       f(points, losses, stream[, sample])
//   rowwise     f(points, rows, losses, stream)
//   coordinate  f.prepare(x, loss, stream, sample),
//               f.probe([known,] coordinates, steps, differences, stream)
//   lazy        f.part(share) -> part of the loss
//   map         f(points, [rows,] ys, stream[, sample]), for zo::pullback and zo::jacobian:
//               ys is count x m
//
// All but the lazy ones are plain C++: cuBLAS, cuDNN, LibTorch, or kernels of the user's. A lazy
// one is device code (zo/lazy.hpp).
#pragma once

#include <span>

#include "zo/config.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/lazy.hpp"
#include "zo/objective.hpp"

namespace zo::cuda {

/// Candidate points in device memory, row-major: count rows of `dimension` coordinates each.
template <class T>
struct points {
  span<const T> data;
  index_t count = 0;
  index_t dimension = 0;

  ZO_HD span<const T> operator[](index_t k) const { return data.subspan(k * dimension, dimension); }
};

template <class F, class T>
concept plain_batch_objective = requires(F& f, points<T> candidates, span<double> losses,
                                         cudaStream_t stream) {
  f(candidates, losses, stream);
};

template <class F, class T>
concept sampled_batch_objective = requires(F& f, points<T> candidates, span<double> losses,
                                           cudaStream_t stream, sample_id sample) {
  f(candidates, losses, stream, sample);
};

/// One call answers a chunk of candidates: losses[k] = f(candidates[k]).
template <class F, class T>
concept batch_objective = plain_batch_objective<F, T> || sampled_batch_objective<F, T>;

/// Candidate j is a perturbed version of row rows[j]; losses[j] is that row's loss.
template <class F, class T>
concept rowwise_objective = requires(F& f, points<T> candidates, span<const index_t> rows,
                                     span<double> losses, cudaStream_t stream) {
  f(candidates, rows, losses, stream);
};

/// prepare writes f(x) to loss[0] and may cache; probe then writes differences[k] =
/// f(x + steps[k] e_{coordinates[k]}) - f(x). x stays valid and unchanged until the last probe.
template <class F, class T>
concept coordinate_objective = requires(F& f, span<const T> x, span<double> loss,
                                        cudaStream_t stream, sample_id sample,
                                        span<const index_t> coordinates, span<const T> steps,
                                        span<double> differences) {
  f.prepare(x, loss, stream, sample);
  f.probe(coordinates, steps, differences, stream);
};

/// A coordinate objective that wants to know, in host memory, which coordinates it is asked for:
/// `known` are those of `coordinates`.
template <class F, class T>
concept planning_objective = coordinate_objective<F, T> &&
    requires(F& f, std::span<const index_t> known, span<const index_t> coordinates,
             span<const T> steps, span<double> differences, cudaStream_t stream) {
  f.probe(known, coordinates, steps, differences, stream);
};

/// An objective that answers whole points: what RGE needs.
template <class F, class T>
concept point_objective = batch_objective<F, T> || lazy_objective<F, T>;

template <class F, class T>
concept objective = point_objective<F, T> || coordinate_objective<F, T>;

template <class F, class T>
concept plain_batch_map = requires(F& f, points<T> candidates, span<T> ys, cudaStream_t stream) {
  f(candidates, ys, stream);
};
template <class F, class T>
concept sampled_batch_map = requires(F& f, points<T> candidates, span<T> ys, cudaStream_t stream,
                                     sample_id sample) {
  f(candidates, ys, stream, sample);
};
/// One call answers a chunk of candidates, m numbers each.
template <class F, class T>
concept batch_map = plain_batch_map<F, T> || sampled_batch_map<F, T>;

/// Candidate j is a perturbed version of row rows[j].
template <class F, class T>
concept rowwise_map = requires(F& f, points<T> candidates, span<const index_t> rows, span<T> ys,
                               cudaStream_t stream) {
  f(candidates, rows, ys, stream);
};

/// A black box with vector answers: it writes all m numbers of each. What it does not write is NaN,
/// a failed query.
template <class F, class T>
concept vector_map = batch_map<F, T> || rowwise_map<F, T>;

}  // namespace zo::cuda

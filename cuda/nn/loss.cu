// Losses of samples, their differences, and means over samples.
#include "cuda/nn/launches.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/loss.hpp"
#include "zo/nn/layer/mean.hpp"

namespace zo::cuda::detail {

namespace {

// Outputs of a sample in the order of the network: channel, then position.
template <class T>
struct logits_of {
  const T* values;
  int channels, area;
  __device__ double operator()(index_t k) const {
    return static_cast<double>(values[k % area * channels + k / area]);
  }
};
template <class T>
struct changes_of {
  change<T> d;
  index_t probe;
  index_t first_row;
  int area;
  __device__ double operator()(index_t k) const {
    return static_cast<double>(d.at(probe, first_row + k % area, static_cast<int>(k / area)));
  }
};

struct square_of {
  const double* residuals;
  __device__ double operator()(index_t k) const { return residuals[k] * residuals[k]; }
};
template <class T>
struct square_difference_of {
  const double* residuals;
  changes_of<T> moved;
  __device__ double operator()(index_t k) const {
    return nn::detail::square_difference(residuals[k], moved(k));
  }
};

template <class T>
struct begin_loss_piece {
  int channels, area;
  index_t samples;
  loss_targets targets;
  const T* outputs;
  double *kept, *parts;
  __device__ void operator()(index_t b) const {
    const index_t size = static_cast<index_t>(channels) * area;
    const logits_of<T> logit{outputs + b * size, channels, area};
    double* const own = kept + b * size;
    if (targets.classes != nullptr) {
      const index_t target = targets.classes[b];
      const bool known = target >= 0 && target < size;
      const double loss =
          nn::detail::cross_entropy_of(size, known ? target : 0, logit, own, own + samples * size);
      parts[b] = known ? loss : nan("");
      return;
    }
    for (index_t k = 0; k < size; ++k) own[k] = logit(k) - targets.numbers[b * size + k];
    parts[b] = nn::detail::mean_of<double>(size, square_of{own});
  }
};

template <class T>
struct loss_piece {
  int area;
  index_t samples;
  loss_targets targets;
  change<T> outputs;
  const double* kept;
  double* parts;
  __device__ void operator()(index_t probe, index_t b) const {
    const index_t size = static_cast<index_t>(outputs.all_channels) * area;
    const changes_of<T> moved{outputs, probe, b * area, area};
    const double* const own = kept + b * size;
    double& part = parts[probe * samples + b];
    if (targets.classes != nullptr) {
      const index_t target = targets.classes[b];
      const bool known = target >= 0 && target < size;
      part = known ? nn::detail::cross_entropy_difference(size, target, moved, own,
                                                          own + samples * size)
                   : nan("");
      return;
    }
    part = nn::detail::mean_of<double>(size, square_difference_of<T>{own, moved});
  }
};

struct mean_piece {
  index_t samples;
  const double* parts;
  const index_t* order;
  double* out;
  __device__ void operator()(index_t k) const {
    out[order == nullptr ? k : order[k]] =
        nn::detail::mean_of<double>(samples, nn::detail::row_of<double>{parts + k * samples});
  }
};

}  // namespace

template <class T>
void begin_loss(cudaStream_t stream, index_t samples, int channels, int area,
                const loss_targets& targets, const T* outputs, double* kept, double* parts) {
  for_items(stream, samples,
            begin_loss_piece<T>{channels, area, samples, targets, outputs, kept, parts},
            "launching the loss of a network");
}
ZO_BOTH_TYPES(begin_loss);

template <class T>
void loss_changes(cudaStream_t stream, index_t probes, index_t samples, int area,
                  const loss_targets& targets, const change<T>& outputs, const double* kept,
                  double* parts) {
  for_rows(stream, probes, samples, loss_piece<T>{area, samples, targets, outputs, kept, parts},
           "launching differences of losses");
}
ZO_BOTH_TYPES(loss_changes);

void mean_parts(cudaStream_t stream, index_t count, index_t samples, const double* parts,
                const index_t* order, double* out) {
  for_items(stream, count, mean_piece{samples, parts, order, out},
            "launching the mean over samples");
}

}  // namespace zo::cuda::detail

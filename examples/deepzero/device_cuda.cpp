#include <cuda_runtime_api.h>
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>
#include <zo/cuda.hpp>
#include <zo/cuda/network.hpp>

#include "device.hpp"

namespace deepzero {

namespace {

// A stream of its own, which outlives everything that is made with it.
class own_stream {
 public:
  own_stream() {
    zo::cuda::on(nullptr);  // says so where there is no GPU
    zo::cuda::detail::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                            "cudaStreamCreateWithFlags");
  }
  own_stream(const own_stream&) = delete;
  ~own_stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }  // NOLINT: it is one

 private:
  cudaStream_t stream_ = nullptr;
};

// Batch and weights travel to the device and the gradient back in each step: some megabytes beside
// its thousands of passes.
class device_estimator : public estimator {
 public:
  device_estimator(const zo::nn::network& net, coordinate_sets sets, const settings& s,
                   const app::processes& all)
      : net_(net),
        sets_(std::move(sets)),
        s_(s),
        all_(all),
        on_(zo::cuda::on(stream_)),
        x_(on_, net.parameter_count()),
        gradient_(on_, net.parameter_count()),
        statistics_(on_, net.statistic_count()),
        memory_(on_),
        objective_(on_, net, [this](zo::sample_id) { return batch(); }, statistics_,
                   {.products = products_of(s)}) {}

  answer operator()(const question& asked, std::span<float> gradient) override {
    const minibatch& batch = asked.batch;
    if (!inputs_ || inputs_->size() != static_cast<zo::index_t>(batch.inputs.size())) {
      inputs_.emplace(on_, static_cast<zo::index_t>(batch.inputs.size()));
      classes_.emplace(on_, batch.count);
    }
    inputs_->copy_from(batch.inputs);
    classes_->copy_from(batch.loss.targets());
    x_.copy_from(asked.parameters);
    const zo::estimate_result found = all_.estimate(on_, [&](const zo::cuda::policy& policy) {
      return zo::estimate(policy, objective_, x_, gradient_, sets_.at(asked.step),
                          place_of(asked, s_), memory_)
          .get();
    });
    if (!found.ok) refuse_estimate(asked.step, found.value, s_);
    std::ranges::copy(gradient_.to_host(), gradient.begin());
    const double whole =
        static_cast<double>(net_.multiplications()) * static_cast<double>(batch.count);
    return {found.value, found.queries,
            1 + all_.sum(static_cast<double>(objective_.multiplications())) / whole};
  }

  void update_statistics(std::span<float> statistics) override {
    statistics_.copy_from(statistics);
    objective_.update_statistics(statistics_);
    std::ranges::copy(statistics_.to_host(), statistics.begin());
  }

 private:
  zo::cuda::network_batch<float> batch() const {
    return {*inputs_, classes_->size(), zo::cuda::span<const zo::index_t>(*classes_)};
  }

  const zo::nn::network& net_;
  coordinate_sets sets_;
  const settings& s_;
  const app::processes& all_;
  own_stream stream_;
  zo::cuda::policy on_;
  zo::cuda::array<float> x_, gradient_, statistics_;
  std::optional<zo::cuda::array<float>> inputs_;
  std::optional<zo::cuda::array<zo::index_t>> classes_;
  zo::cuda::workspace memory_;
  zo::cuda::network_objective<float> objective_;
};

}  // namespace

bool has_device() { return true; }

void require_device() { zo::cuda::on(nullptr); }

std::string without_device() { return {}; }

std::unique_ptr<estimator> make_device_estimator(const zo::nn::network& net, coordinate_sets sets,
                                                 const settings& s, const app::processes& all) {
  return std::make_unique<device_estimator>(net, std::move(sets), s, all);
}

}  // namespace deepzero

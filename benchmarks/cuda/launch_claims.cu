// What it costs to enqueue a small estimate, and what a captured graph saves.
#include "claims.hpp"
#include "gpu.hpp"
#include "squares.hpp"

namespace bench {
namespace {

class small_estimate {
 public:
  explicit small_estimate(const gpu& g)
      : g_(g),
        x_(normals<float>(g, 1000)),
        gradient_(g.on(), 1000),
        counter_(g.on(), std::vector<std::uint64_t>{0}),
        memory_(g.on()) {
    enqueue();  // makes the memory ready
    replay();
    check();
  }
  ~small_estimate() { cudaGraphExecDestroy(graph_); }
  small_estimate(const small_estimate&) = delete;
  small_estimate& operator=(const small_estimate&) = delete;

  void enqueue() {
    zo::estimate(g_.on(), squares{}, x_, gradient_, how_, {.seed = 1, .step = step_++}, memory_);
  }
  void replay() {
    if (graph_ == nullptr) capture();
    bench::check(cudaGraphLaunch(graph_, g_.stream()), "cudaGraphLaunch");
  }

 private:
  void capture() {
    const auto counting = zo::cuda::on(g_.stream(), {.step_counter = counter_.data()});
    cudaGraph_t graph = nullptr;
    bench::check(cudaStreamBeginCapture(g_.stream(), cudaStreamCaptureModeThreadLocal),
                 "cudaStreamBeginCapture");
    zo::estimate(counting, squares{}, x_, gradient_, how_, {.seed = 1}, memory_);
    zo::cuda::advance(counting, counter_.data());
    bench::check(cudaStreamEndCapture(g_.stream(), &graph), "cudaStreamEndCapture");
    bench::check(cudaGraphInstantiate(&graph_, graph, 0), "cudaGraphInstantiate");
    bench::check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  }

  // Each replay is the next step: the third one is step 2 of the CPU.
  void check() {
    replay();
    replay();
    const std::vector<float> found = gradient_.to_host(), x = x_.to_host();
    std::vector<float> wanted(x.size());
    zo::estimate(zo::seq, squares{}, x, wanted, how_, {.seed = 1, .step = 2, .sample = 0});
    expect_same(found, wanted, "the replayed gradient's coordinates");
  }

  const gpu& g_;
  zo::rge<zo::gaussian, zo::forward> how_{{.directions = 8}};
  zo::cuda::array<float> x_, gradient_;
  zo::cuda::array<std::uint64_t> counter_;
  zo::cuda::workspace memory_;
  cudaGraphExec_t graph_ = nullptr;
  std::uint64_t step_ = 0;
};

outcome captured(const effort& how) {
  gpu& g = the_gpu();
  small_estimate one(g);
  return times_as_fast(compare(
                           g.clock(how), how, [&] { one.replay(); }, [&] { one.enqueue(); }),
                       1e3);
}

}  // namespace

std::vector<claim> launch_claims() {
  return {{"Lazy RGE in a captured graph, d = 1000, q = 8", "the same, enqueued", "us/estimate",
           bar::none, 0, captured}};
}

}  // namespace bench

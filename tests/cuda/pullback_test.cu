// Vector-Jacobian products on the device against zo::seq: the same bits, whatever the form of the
// map.
#include "device.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using zo::on_failure;

/// Where a map fails: in number `where` of the answers to points whose first coordinate is above a
/// bound.
struct flawed {
  double above = 1e300;
  index_t where = 0;
};

/// Number k of the answer to x for a row: rounded once an operation.
template <class T>
ZO_HD T answer(const T* x, index_t n, index_t k, index_t row, const flawed& bad) {
  if (static_cast<double>(x[0]) > bad.above && k == bad.where) return static_cast<T>(NAN);
  const auto a = static_cast<double>(x[k % n]), b = static_cast<double>(x[(k + 1) % n]);
  const double bend = (0.5 + 0.25 * static_cast<double>(k % 5)) * a;
  const double square = bend * a;
  return static_cast<T>(square - 0.3 * b + 0.125 * static_cast<double>(row));
}

template <class T>
struct host_map {
  flawed bad{};
  void operator()(std::span<const T> x, index_t row, std::span<T> y) const {
    for (std::size_t k = 0; k < y.size(); ++k) {
      y[k] = answer(x.data(), static_cast<index_t>(x.size()), static_cast<index_t>(k), row, bad);
    }
  }
};

template <class T>
__global__ void map_kernel(const T* x, index_t n, const index_t* rows, index_t outputs,
                           index_t count, flawed bad, T* ys) {
  const index_t at = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count * outputs) return;
  const index_t j = at / outputs;
  ys[at] = answer(x + j * n, n, at % outputs, rows == nullptr ? 0 : rows[j], bad);
}

template <class T>
struct device_map {
  flawed bad{};
  index_t* asked = nullptr;  // on the host: points, and the most of one call
  index_t* most = nullptr;

  void run(zo::cuda::points<T> at, const index_t* rows, zo::cuda::span<T> ys,
           cudaStream_t stream) const {
    if (asked != nullptr) *asked += at.count;
    if (most != nullptr) *most = std::max(*most, at.count);
    cudaLaunchConfig_t config{};
    config.stream = stream;
    config.blockDim = dim3(64, 1, 1);
    config.gridDim = dim3(static_cast<unsigned>((ys.size() + 63) / 64), 1, 1);
    check(cudaLaunchKernelEx(&config, map_kernel<T>, at.data.data(), at.dimension, rows,
                             ys.size() / at.count, at.count, bad, ys.data()),
          "launching a map");
  }
};
template <class T>
struct rowwise_form : device_map<T> {
  void operator()(zo::cuda::points<T> at, zo::cuda::span<const index_t> rows, zo::cuda::span<T> ys,
                  cudaStream_t stream) const {
    this->run(at, rows.data(), ys, stream);
  }
};
template <class T>
struct batch_form : device_map<T> {
  void operator()(zo::cuda::points<T> at, zo::cuda::span<T> ys, cudaStream_t stream) const {
    this->run(at, nullptr, ys, stream);
  }
};
template <class T>
struct sampled_form : device_map<T> {
  zo::sample_id expected = 0;
  void operator()(zo::cuda::points<T> at, zo::cuda::span<T> ys, cudaStream_t stream,
                  zo::sample_id sample) const {
    if (sample == expected) this->run(at, nullptr, ys, stream);
  }
};

template <class T>
struct problem {
  index_t rows, n, m;
  index_t cotangents = 1;  // 1, or `rows`
  std::vector<T> x = ramp<T>(rows * n), v = ramp<T>(cotangents * m, T(-0.4), T(0.21));

  template <class F, class How>
  zo::pullback_result<T> on_host(const F& f, const How& how, const zo::estimate_options& options,
                                 std::span<const T> known = {}) const {
    return zo::pullback(zo::seq, f, zo::points<T>{x, rows, n}, zo::points<T>{v, cotangents, m}, how,
                        options, known);
  }
};

class gpu_pullback : public gpu {
 protected:
  template <class T>
  struct outcome {
    std::vector<T> y, gradients;
    zo::estimate_result result;
  };
  template <class T, class F, class How>
  outcome<T> on_device(const problem<T>& p, F f, const How& how,
                       const zo::estimate_options& options, const std::vector<T>& known = {},
                       const zo::cuda::on_options& where = {}) {
    const zo::cuda::array<T> x(on(), p.x), v(on(), p.v), known_y(on(), known);
    zo::cuda::array<T> y(on(), std::vector<T>(static_cast<std::size_t>(p.rows * p.m), T(7)));
    zo::cuda::array<T> gradients(on(), p.rows * p.n);
    zo::cuda::workspace memory(on(where));
    const auto result =
        zo::pullback(on(where), f, zo::cuda::points<T>{x, p.rows, p.n}, {v, p.cotangents, p.m}, how,
                     options, y, gradients, memory, known_y)
            .get();
    EXPECT_LE(memory.bytes(), where.max_bytes.value_or(index_t{1} << 40));
    return {y.to_host(), gradients.to_host(), result};
  }

  template <class T>
  void expect_same(const outcome<T>& device, const zo::pullback_result<T>& host) {
    EXPECT_TRUE(same_bits(device.gradients, host.gradients));
    ASSERT_EQ(device.y.size(), host.y.size());
    for (std::size_t k = 0; k < host.y.size(); ++k) {
      if (std::isnan(host.y[k])) {
        EXPECT_TRUE(std::isnan(device.y[k])) << k;
      } else {
        EXPECT_EQ(device.y[k], host.y[k]) << k;
      }
    }
    EXPECT_EQ(device.result.ok, host.ok);
    EXPECT_EQ(device.result.why, host.why);
    EXPECT_EQ(device.result.failed, host.failed);
  }

  template <class T, class How>
  void expect_cpu(const How& how, const problem<T>& p, index_t chunk_bytes = 1 << 20) {
    const zo::estimate_options options{.seed = 3, .step = 6, .chunk_bytes = chunk_bytes};
    const auto host = p.on_host(host_map<T>{}, how, options);
    EXPECT_TRUE(host.ok);
    index_t asked = 0;
    const auto device = on_device<T>(p, rowwise_form<T>{{{}, &asked}}, how, options);
    expect_same(device, host);
    EXPECT_EQ(device.result.queries, host.queries);
    EXPECT_EQ(asked, host.queries);
    asked = 0;
    const auto known = on_device<T>(p, rowwise_form<T>{{{}, &asked}}, how, options, host.y);
    expect_same(known, host);
    EXPECT_EQ(known.result.queries, host.queries - p.rows);
    EXPECT_EQ(asked, host.queries - p.rows);
  }
};

TEST_F(gpu_pullback, every_estimator_of_rows) {
  for (const index_t rows : {1, 2, 33}) {
    expect_cpu<float>(zo::rge({.directions = 5, .smoothing = 1e-2}), {rows, 12, 7});
    expect_cpu<double>(zo::rge({.directions = 3}, zo::sphere{}, zo::central{}),
                       {rows, 70, 40, rows});
    expect_cpu<float>(zo::rge({.directions = 3}, zo::rademacher{}), {rows, 12, 1, rows}, 200);
    expect_cpu<float>(zo::cge({.smoothing = 1e-2}), {rows, 12, 20});
    zo::cge_options some;
    some.coordinates = zo::random_coordinates{4};
    expect_cpu<double>(zo::cge(some, zo::central{}), {rows, 70, 15, rows}, 3000);
    expect_cpu<float>(zo::quadrature(listed(5, 12)), {rows, 12, 7, rows}, 200);
    expect_cpu<double>(zo::quadrature(listed(3, 70), zo::central{}), {rows, 70, 15});
  }
}

// Tiles of 2,048, and blocks of sixteen of them.
TEST_F(gpu_pullback, long_answers) {
  const zo::rge how({.directions = 2, .smoothing = 1e-2});
  for (const index_t m : {15, 17, 2047, 2048, 2049, 3 * 2048, 16 * 2048 + 5, 35 * 2048 + 77}) {
    expect_cpu<float>(how, {2, 9, m, 2});
    expect_cpu<double>(zo::cge(), {1, 3, m});
  }
}

TEST_F(gpu_pullback, many_rows) {
  expect_cpu<float>(zo::rge({.directions = 2, .smoothing = 1e-2}), {5000, 3, 2});
}

TEST_F(gpu_pullback, forms_of_maps) {
  const problem<float> p{1, 12, 9};
  const zo::rge how({.directions = 6, .smoothing = 1e-2});
  const zo::estimate_options options{.seed = 1, .step = 2, .sample = 17};
  const auto host = p.on_host(host_map<float>{}, how, options);
  expect_same(on_device<float>(p, batch_form<float>{}, how, options), host);
  expect_same(on_device<float>(p, sampled_form<float>{{}, 17}, how, options), host);
  // What is not written is a failed query.
  const auto unwritten = on_device<float>(p, sampled_form<float>{{}, 16}, how, options);
  EXPECT_FALSE(unwritten.result.ok);
  EXPECT_EQ(unwritten.result.failed, 1);  // F(x): the others are not worth asking
  EXPECT_EQ(unwritten.gradients, std::vector<float>(12, 0.0F));
}

TEST_F(gpu_pullback, a_number_that_is_not_finite_fails_its_query) {
  const auto compare = [&](const auto& how, const problem<float>& p, const flawed& bad) {
    const zo::estimate_options options{.seed = 3, .step = 6};
    const auto host = p.on_host(host_map<float>{bad}, how, options);
    EXPECT_GT(host.failed, 0);
    expect_same(on_device<float>(p, rowwise_form<float>{{bad}}, how, options), host);
    const auto known = p.on_host(host_map<float>{bad}, how, options, host.y);
    expect_same(on_device<float>(p, rowwise_form<float>{{bad}}, how, options, host.y), known);
  };
  const double first = static_cast<double>(ramp<float>(1)[0]);
  const auto drop = on_failure::drop;
  const problem<float> one{1, 7, 300}, many{11, 7, 300, 11};
  // Some directions of one row; some rows at x itself; all rows.
  compare(zo::rge({.directions = 9, .smoothing = 1e-2, .failures = drop}), one, {first, 299});
  compare(zo::cge({.smoothing = 1e-2, .failures = drop}, zo::central{}), one, {first, 131});
  for (const double above : {-0.4, -1e9}) {
    const flawed bad{above, 150};
    compare(zo::rge({.directions = 4, .failures = drop}), many, bad);
    compare(zo::rge({.directions = 4, .failures = drop}, zo::gaussian{}, zo::central{}), many, bad);
    compare(zo::cge({.failures = drop}), many, bad);
    compare(zo::quadrature(listed(4, 7, drop)), many, bad);
    compare(zo::quadrature(listed(4, 7), zo::central{}), many, bad);
    compare(zo::cge({.failures = drop}, zo::central{}), many, bad);
    compare(zo::rge({.directions = 4}), many, bad);
    compare(zo::rge({.directions = 4}, zo::gaussian{}, zo::central{}), many, bad);
    compare(zo::cge(), many, bad);
    compare(zo::cge({}, zo::central{}), many, bad);
  }
}

/// Answers two calls.
struct tired_form : batch_form<float> {
  bool throws = true;
  int calls = 0;
  void operator()(zo::cuda::points<float> at, zo::cuda::span<float> ys, cudaStream_t stream) {
    if (++calls <= 2) {
      batch_form<float>::operator()(at, ys, stream);
    } else if (throws) {
      throw std::runtime_error("no mesh");
    }
  }
};

TEST_F(gpu_pullback, exceptions_are_failed_queries_or_the_callers) {
  const problem<float> p{1, 12, 9};
  const zo::estimate_options one_by_one{.chunk_bytes = 1};
  EXPECT_THROW(on_device<float>(p, tired_form{}, zo::cge(), one_by_one), std::runtime_error);
  for (const bool throws : {true, false}) {
    const auto dropped = on_device<float>(p, tired_form{{}, throws},
                                          zo::cge({.failures = on_failure::drop}), one_by_one);
    EXPECT_TRUE(dropped.result.ok);
    EXPECT_EQ(dropped.result.failed, 11);
    EXPECT_NE(dropped.gradients[0], 0);
    EXPECT_EQ(dropped.gradients[1], 0);
  }
}

TEST_F(gpu_pullback, candidates_and_answers_fit_into_the_memory_that_is_allowed) {
  const problem<float> p{3, 50, 900, 3};
  const zo::rge how({.directions = 20, .smoothing = 1e-2}, zo::sphere{});
  index_t most = 0;
  const zo::estimate_options few{.chunk_bytes = 5 * (4 * 950 + 16)};
  const auto host = p.on_host(host_map<float>{}, how, {});
  expect_same(on_device<float>(p, rowwise_form<float>{{{}, nullptr, &most}}, how, few), host);
  EXPECT_EQ(most, 5);
  expect_same(on_device<float>(p, rowwise_form<float>{}, how, {}, {}, {.max_bytes = 30000}), host);
  index_t asked = 0;
  EXPECT_TRUE(contains(
      complaint([&] {
        on_device<float>(p, rowwise_form<float>{{{}, &asked}}, how, {}, {}, {.max_bytes = 4000});
      }),
      "max_bytes is 4000"));
  EXPECT_EQ(asked, 0);
}

// Nothing waits: a capture would refuse it.
TEST_F(gpu_pullback, can_be_captured) {
  const problem<float> p{2, 12, 9, 2};
  const zo::rge how({.directions = 6, .smoothing = 1e-2});
  const auto host = p.on_host(host_map<float>{}, how, {.seed = 5});
  const zo::cuda::array<float> x(on(), p.x), v(on(), p.v);
  zo::cuda::array<float> y(on(), 18), gradients(on(), 24);
  zo::cuda::workspace memory(on());
  const auto enqueue = [&] {
    return zo::pullback(on(), rowwise_form<float>{}, zo::cuda::points<float>{x, 2, 12}, {v, 2, 9},
                        how, {.seed = 5}, y, gradients, memory);
  };
  enqueue();
  y.copy_from(std::vector<float>(18, 7.0F));
  gradients.copy_from(std::vector<float>(24, 7.0F));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
  const auto pending = enqueue();
  check(cudaStreamEndCapture(stream, &graph), "end capture");
  check(cudaGraphInstantiate(&ready, graph, 0), "instantiate");
  check(cudaGraphLaunch(ready, stream), "launch");
  EXPECT_TRUE(pending.get().ok);
  EXPECT_TRUE(same_bits(gradients.to_host(), host.gradients));
  EXPECT_TRUE(same_bits(y.to_host(), host.y));
  check(cudaGraphExecDestroy(ready), "destroy");
  check(cudaGraphDestroy(graph), "destroy");
}

TEST_F(gpu_pullback, sizes_are_checked) {
  zo::cuda::array<float> x(on(), 12), v(on(), 6), y(on(), 6), gradients(on(), 12);
  zo::cuda::workspace memory(on());
  const auto call = [&](zo::cuda::points<float> rows, zo::cuda::points<float> along,
                        zo::cuda::span<float> to, zo::cuda::span<const float> known = {}) {
    return complaint([&] {
      zo::pullback(on(), batch_form<float>{}, rows, along, zo::cge(), {}, y, to, memory, known);
    });
  };
  const zo::cuda::points<float> good{x, 3, 4};
  EXPECT_TRUE(contains(call({x, 0, 4}, {v, 3, 2}, gradients), "no rows"));
  EXPECT_TRUE(contains(call({x, 2, 4}, {v, 2, 3}, gradients), "needs 8 numbers, got 12"));
  EXPECT_TRUE(contains(call(good, {v, 2, 3}, gradients), "one row, or as many as x, got 2 and 3"));
  EXPECT_TRUE(contains(call(good, {v, 3, 3}, gradients), "needs 9 numbers, got 6"));
  EXPECT_TRUE(contains(call(good, {v, 1, 6}, gradients), "room for 12 and 18"));
  EXPECT_TRUE(contains(call(good, {v, 3, 2}, x), "gradients must not overlap"));
  EXPECT_TRUE(contains(call(good, {v, 3, 2}, gradients, x), "known_y must be empty or have 6"));
  EXPECT_EQ(call(good, {v, 3, 2}, gradients, y), "");  // y itself
}

}  // namespace

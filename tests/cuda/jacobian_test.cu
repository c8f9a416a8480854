// Jacobians on the device against zo::seq: the same bits, dense and by colors.
#include "device.hpp"

namespace {

using namespace testing_zo;
using zo::flaw;
using zo::index_t;
using zo::on_failure;

/// Where a map answers something else: in number `where`, if `sign` times coordinate `of` is above
/// `from`.
struct flawed {
  index_t of = -1;
  double from = 0;
  index_t where = 0;
  double answer = NAN;
  double sign = 1;
};

/// What number k depends on: the numbers of x within `reach` of k, and those `apart` from it.
struct shape {
  index_t reach = 1, apart = 0;
};

/// Number k of F(x): rounded once an operation.
template <class T>
ZO_HD T answer(const T* x, index_t n, index_t k, const shape& form, const flawed& bad) {
  if (bad.of >= 0 && k == bad.where && bad.sign * static_cast<double>(x[bad.of]) > bad.from) {
    return static_cast<T>(bad.answer);
  }
  double sum = 0.125 * static_cast<double>(k % 7);
  const auto take = [&](index_t j) {
    if (j < 0 || j >= n) return;
    const auto v = static_cast<double>(x[j]);
    const double bend = (0.5 + 0.25 * static_cast<double>((k + 2 * j) % 5)) * v;
    const double square = bend * v;
    sum = sum + square;
    sum = sum - 0.3 * v;
  };
  for (index_t j = k - form.reach; j <= k + form.reach; ++j) take(j);
  if (form.apart > 0) {
    take(k - form.apart);
    take(k + form.apart);
  }
  return static_cast<T>(sum);
}

template <class T>
struct host_map {
  shape form{};
  flawed bad{};
  void operator()(std::span<const T> x, std::span<T> y) const {
    for (std::size_t k = 0; k < y.size(); ++k) {
      y[k] = answer(x.data(), static_cast<index_t>(x.size()), static_cast<index_t>(k), form, bad);
    }
  }
};

template <class T>
__global__ void map_kernel(const T* x, index_t n, const index_t* rows, index_t outputs,
                           index_t count, shape form, flawed bad, T* ys) {
  const index_t at = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count * outputs) return;
  const index_t j = at / outputs;
  // Of one row of x: any other number would be wrong.
  const bool right = rows == nullptr || rows[j] == 0;
  ys[at] = right ? answer(x + j * n, n, at % outputs, form, bad) : static_cast<T>(NAN);
}

template <class T>
struct batch_form {
  shape form{};
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
                             ys.size() / at.count, at.count, form, bad, ys.data()),
          "launching a map");
  }
  void operator()(zo::cuda::points<T> at, zo::cuda::span<T> ys, cudaStream_t stream) const {
    run(at, nullptr, ys, stream);
  }
};
template <class T>
struct rowwise_form : batch_form<T> {
  using batch_form<T>::operator();
  void operator()(zo::cuda::points<T> at, zo::cuda::span<const index_t> rows, zo::cuda::span<T> ys,
                  cudaStream_t stream) const {
    this->run(at, rows.data(), ys, stream);
  }
};
template <class T>
struct sampled_form {
  batch_form<T> inner;
  zo::sample_id expected = 0;
  void operator()(zo::cuda::points<T> at, zo::cuda::span<T> ys, cudaStream_t stream,
                  zo::sample_id sample) const {
    if (sample == expected) inner(at, ys, stream);
  }
};

/// The 5-point stencil on a grid; the last point of a line is a neighbour of the next one's first.
zo::sparsity stencil(index_t width, index_t height) {
  zo::sparsity pattern{width * height, width * height, {0}, {}};
  for (index_t k = 0; k < width * height; ++k) {
    for (const index_t j : {k - width, k - 1, k, k + 1, k + width}) {
      if (j >= 0 && j < width * height) pattern.indices.push_back(j);
    }
    pattern.starts.push_back(static_cast<index_t>(pattern.indices.size()));
  }
  return pattern;
}

class gpu_jacobian : public gpu {
 protected:
  template <class T>
  struct outcome {
    std::vector<T> y, values;
    zo::estimate_result result;
  };
  template <class T, class How, class F>
  outcome<T> on_device(const std::vector<T>& x, index_t m, const zo::coloring* colors, F f,
                       const How& how, const zo::estimate_options& options,
                       const std::vector<T>& known = {}, const zo::cuda::on_options& where = {}) {
    const zo::cuda::array<T> at(on(), x), known_y(on(), known);
    const auto n = static_cast<index_t>(x.size());
    const index_t entries =
        colors == nullptr ? m * n : static_cast<index_t>(colors->pattern().indices.size());
    // Numbers behind the results, which nobody may write.
    constexpr index_t behind = 400;
    const auto sevens = [&](index_t size) {
      return zo::cuda::array<T>(on(),
                                std::vector<T>(static_cast<std::size_t>(size + behind), T(7)));
    };
    zo::cuda::array<T> all_y = sevens(m), all_values = sevens(entries);
    const zo::cuda::span<T> y(all_y.data(), m), values(all_values.data(), entries);
    zo::cuda::workspace memory(on(where));
    zo::estimate_result result;
    if (colors == nullptr) {
      result = zo::jacobian(on(where), f, at, how, options, y, values, memory, known_y).get();
    } else {
      const zo::cuda::device_coloring there(on(), *colors);
      result =
          zo::jacobian(on(where), f, at, there, how, options, y, values, memory, known_y).get();
    }
    EXPECT_LE(memory.bytes(), where.max_bytes.value_or(index_t{1} << 40));
    const auto of = [&](const zo::cuda::array<T>& all) {
      std::vector<T> host = all.to_host();
      EXPECT_EQ(std::count(host.end() - behind, host.end(), T(7)), behind);
      host.resize(host.size() - behind);
      return host;
    };
    return {of(all_y), of(all_values), result};
  }
  template <class T, class How>
  zo::jacobian_result<T> on_host(const std::vector<T>& x, index_t m, const zo::coloring* colors,
                                 const host_map<T>& f, const How& how,
                                 const zo::estimate_options& options,
                                 const std::vector<T>& known = {}) {
    return colors == nullptr ? zo::jacobian(zo::seq, f, x, m, how, options, known)
                             : zo::jacobian(zo::seq, f, x, *colors, how, options, known);
  }

  template <class T>
  void expect_same(const outcome<T>& device, const zo::jacobian_result<T>& host) {
    ASSERT_EQ(device.values.size(), host.values.size());
    EXPECT_TRUE(host.values.empty() || same_bits(device.values, host.values));
    if (!std::isnan(host.y[0])) {
      EXPECT_TRUE(same_bits(device.y, host.y));
    } else {
      for (const T one : device.y) EXPECT_TRUE(std::isnan(one));
    }
    EXPECT_EQ(device.result.ok, host.ok);
    EXPECT_EQ(device.result.why, host.why);
  }

  template <class T, class How>
  void expect_cpu(const How& how, index_t n, index_t m, const zo::coloring* colors, shape form,
                  index_t chunk_bytes = 1 << 20) {
    const std::vector<T> x = ramp<T>(n);
    const zo::estimate_options options{.seed = 3, .step = 6, .chunk_bytes = chunk_bytes};
    const auto host = on_host<T>(x, m, colors, {form}, how, options);
    EXPECT_TRUE(host.ok);
    for (const bool knows : {false, true}) {
      index_t asked = 0;
      const auto device = on_device<T>(x, m, colors, batch_form<T>{form, {}, &asked}, how, options,
                                       knows ? host.y : std::vector<T>{});
      expect_same(device, host);
      EXPECT_EQ(device.result.queries, host.queries - (knows ? 1 : 0));
      EXPECT_EQ(asked, device.result.queries);
      EXPECT_EQ(device.result.failed, 0);
    }
  }
};

TEST_F(gpu_jacobian, dense) {
  const shape wide{3, 17};
  for (const index_t n : {1, 2, 40}) {
    for (const index_t m : {1, 7, 8, 9, 61}) {
      expect_cpu<float>(zo::cge({.smoothing = 1e-2}), n, m, nullptr, wide);
      expect_cpu<double>(zo::cge({.smoothing = 1e-5}), n, m, nullptr, wide);
      expect_cpu<float>(zo::cge({.smoothing = 1e-2}, zo::central{}), n, m, nullptr, wide, 900);
      expect_cpu<double>(zo::cge({.smoothing = 1e-4}, zo::central{}), n, m, nullptr, wide, 1);
    }
  }
}

TEST_F(gpu_jacobian, dense_of_some_columns) {
  zo::cge_options some{.smoothing = 1e-2, .relative = true};
  some.coordinates = zo::random_coordinates{9};
  expect_cpu<float>(zo::cge(some), 40, 33, nullptr, {2, 5}, 1000);
  expect_cpu<double>(zo::cge(some, zo::central{}), 40, 33, nullptr, {2, 5});
  some.coordinates = zo::coordinate_list{{31, 2, 17}};
  expect_cpu<float>(zo::cge(some, zo::central{}), 40, 33, nullptr, {40, 0});
}

TEST_F(gpu_jacobian, by_colors) {
  const auto compare = [&](zo::sparsity pattern, shape form, index_t colors) {
    const index_t n = pattern.columns, m = pattern.rows;
    const zo::coloring known(std::move(pattern));
    EXPECT_GE(known.colors(), colors);
    for (const index_t chunk : {index_t{1} << 20, 2 * (n + m) * 4, index_t{1}}) {
      expect_cpu<float>(zo::cge({.smoothing = 1e-2}), n, m, &known, form, chunk);
      expect_cpu<double>(zo::cge({.smoothing = 1e-5, .relative = true}), n, m, &known, form, chunk);
      expect_cpu<float>(zo::cge({.smoothing = 1e-2}, zo::central{}), n, m, &known, form, chunk);
      expect_cpu<double>(zo::cge({.smoothing = 1e-4}, zo::central{}), n, m, &known, form, chunk);
    }
  };
  compare(zo::banded(1000, 1000, 1, 1), {1, 0}, 3);
  compare(zo::banded(1, 1, 0, 0), {0, 0}, 1);
  compare(zo::banded(70, 50, 2, 2), {2, 0}, 5);  // with rows that have no entry
  compare(stencil(31, 23), {1, 31}, 5);
  compare({3, 4, {0, 0, 0, 0}, {}}, {-1, 0}, 1);  // nothing
}

TEST_F(gpu_jacobian, steps_that_rounding_takes_are_replaced) {
  const zo::coloring known(zo::banded(60, 60, 1, 1));
  expect_cpu<float>(zo::cge({.smoothing = 1e-12}), 60, 60, &known, {1, 0});
  expect_cpu<float>(zo::cge({.smoothing = 1e-12}, zo::central{}), 12, 9, nullptr, {1, 0});
}

TEST_F(gpu_jacobian, forms_of_maps) {
  const std::vector<float> x = ramp<float>(12);
  const zo::cge how({.smoothing = 1e-2});
  const zo::estimate_options options{.seed = 1, .step = 2, .sample = 17};
  const auto host = on_host<float>(x, 9, nullptr, {}, how, options);
  expect_same(on_device<float>(x, 9, nullptr, rowwise_form<float>{}, how, options), host);
  expect_same(on_device<float>(x, 9, nullptr, sampled_form<float>{{}, 17}, how, options), host);
  // What is not written is a failed query.
  const auto unwritten = on_device<float>(x, 9, nullptr, sampled_form<float>{{}, 16}, how, options);
  EXPECT_EQ(unwritten.result.why, flaw::query_failed);
  EXPECT_EQ(unwritten.result.failed, 1);  // F(x): the others are not worth asking
  EXPECT_EQ(unwritten.values, std::vector<float>(12 * 9, 0.0F));
}

TEST_F(gpu_jacobian, failures_by_the_policy) {
  constexpr index_t n = 40;
  const std::vector<float> x = ramp<float>(n);
  const zo::coloring banded(zo::banded(n, n, 1, 1));
  const auto compare = [&](const auto& how, const flawed& bad, index_t failed,
                           const std::vector<float>& known = {}) {
    for (const zo::coloring* colors : {static_cast<const zo::coloring*>(nullptr), &banded}) {
      for (const index_t chunk : {index_t{1} << 20, index_t{1}}) {
        const zo::estimate_options options{.chunk_bytes = chunk};
        const auto host = on_host<float>(x, n, colors, {{}, bad}, how, options, known);
        const auto device =
            on_device<float>(x, n, colors, batch_form<float>{{}, bad}, how, options, known);
        expect_same(device, host);
        EXPECT_EQ(device.result.failed, failed);
      }
    }
  };
  const auto of = [&](index_t j) { return static_cast<double>(x[static_cast<std::size_t>(j)]); };
  // A column, or a color, whose answer to a step up has a NaN in a row that it does not touch.
  const flawed one{7, of(7), 30};
  const flawed infinite{7, of(7), 7, HUGE_VAL};
  for (const flawed& bad : {one, infinite}) {
    compare(zo::cge({.smoothing = 1e-2}), bad, 1);
    compare(zo::cge({.smoothing = 1e-2}, zo::central{}), bad, 1);
    compare(zo::cge({.smoothing = 1e-2, .failures = on_failure::drop}), bad, 1);
    compare(zo::cge({.smoothing = 1e-2, .failures = on_failure::drop}, zo::central{}), bad, 1);
  }
  compare(zo::cge({.smoothing = 1e-2}, zo::central{}), {7, -of(7), 30, NAN, -1}, 1);
  // F(x) itself, and whatever is not a step up.
  const flawed all{7, -1e9, 3};
  compare(zo::cge(), all, 1);
  compare(zo::cge({.failures = on_failure::drop}, zo::central{}), all, 1);
  const flawed below{7, -of(7) - 0.005, 3, NAN, -1};
  compare(zo::cge({.smoothing = 1e-2}), below, 1);
  compare(zo::cge({.smoothing = 1e-2, .failures = on_failure::drop}), below, 1);
  // Entries beyond the numbers: nothing has failed.
  const flawed huge{7, of(7), 8, 3e38};
  compare(zo::cge({.smoothing = 1e-2}), huge, 0);
  compare(zo::cge({.smoothing = 1e-2, .failures = on_failure::drop}), huge, 0);
}

TEST_F(gpu_jacobian, nothing_answered_is_no_jacobian) {
  const std::vector<float> x = ramp<float>(6);
  const zo::cge how({.failures = on_failure::drop});
  const zo::estimate_options options{};
  const auto y = on_host<float>(x, 5, nullptr, {}, how, options).y;
  const auto device =
      on_device<float>(x, 5, nullptr, batch_form<float>{{}, {0, -1e9, 4}}, how, options, y);
  EXPECT_EQ(device.result.why, flaw::query_failed);
  EXPECT_EQ(device.result.failed, 6);
  EXPECT_EQ(device.values, std::vector<float>(30, 0.0F));
  EXPECT_TRUE(same_bits(device.y, y));
}

/// Answers two calls.
struct tired_form : batch_form<float> {
  int calls = 0;
  void operator()(zo::cuda::points<float> at, zo::cuda::span<float> ys, cudaStream_t stream) {
    if (++calls > 2) throw std::runtime_error("no mesh");
    batch_form<float>::operator()(at, ys, stream);
  }
};

TEST_F(gpu_jacobian, exceptions_are_failed_queries_or_the_callers) {
  const std::vector<float> x = ramp<float>(12);
  const zo::estimate_options one_by_one{.chunk_bytes = 1};
  EXPECT_THROW(on_device<float>(x, 9, nullptr, tired_form{}, zo::cge(), one_by_one),
               std::runtime_error);
  const auto dropped = on_device<float>(x, 9, nullptr, tired_form{},
                                        zo::cge({.failures = on_failure::drop}), one_by_one);
  EXPECT_TRUE(dropped.result.ok);
  EXPECT_EQ(dropped.result.failed, 11);
  EXPECT_NE(dropped.values[0], 0);
  EXPECT_EQ(dropped.values[1], 0);
}

TEST_F(gpu_jacobian, points_and_answers_fit_into_the_memory_that_is_allowed) {
  const std::vector<float> x = ramp<float>(50);
  const zo::cge how({.smoothing = 1e-2}, zo::central{});
  const auto host = on_host<float>(x, 90, nullptr, {}, how, {});
  index_t most = 0;
  const auto ask = [&](const zo::estimate_options& options, const zo::cuda::on_options& where) {
    most = 0;
    return on_device<float>(x, 90, nullptr, batch_form<float>{{}, {}, nullptr, &most}, how, options,
                            {}, where);
  };
  expect_same(ask({.chunk_bytes = 7 * 4 * 140}, {}), host);
  EXPECT_EQ(most, 6);  // whole columns
  expect_same(ask({}, {.max_bytes = 5000}), host);
  EXPECT_EQ(most, 8);
  EXPECT_TRUE(contains(complaint([&] { ask({}, {.max_bytes = 1000}); }), "max_bytes is 1000"));
  EXPECT_EQ(most, 0);
}

TEST_F(gpu_jacobian, jvp) {
  const auto compare = [&]<class T>(T mu, const flawed& bad, index_t failed) {
    const std::vector<T> x = ramp<T>(300), u = direction<T>(zo::gaussian{}, {5}, 300);
    const host_map<T> f{{2, 9}, bad};
    const zo::jvp_options how{.smoothing = static_cast<double>(mu)};
    const auto host = zo::jvp(zo::seq, f, x, u, 257, how);
    const zo::cuda::array<T> at(on(), x), along(on(), u);
    zo::cuda::array<T> y(on(), 257), product(on(), 257);
    zo::cuda::workspace memory(on());
    index_t asked = 0;
    const batch_form<T> map{f.form, bad, &asked};
    for (const bool knows : {false, true}) {
      asked = 0;
      const zo::cuda::span<const T> known =
          knows ? zo::cuda::span<const T>(y) : zo::cuda::span<const T>{};
      const auto r = zo::jvp(on(), map, at, along, how, {}, y, product, memory, known).get();
      expect_same<T>({y.to_host(), product.to_host(), r},
                     {host.y, host.product, 0, 0, host.ok, host.why});
      EXPECT_EQ(r.queries, knows ? 1 : 2);
      EXPECT_EQ(asked, r.queries);
      EXPECT_EQ(r.failed, failed);
    }
  };
  compare(0.3F, {}, 0);
  compare(0.3, {}, 0);
  compare(1e-6, {}, 0);
  compare(1e-2F, {0, static_cast<double>(ramp<float>(1)[0]), 200}, 1);
  compare(1e-2F, {0, static_cast<double>(ramp<float>(1)[0]), 200, 3e38}, 0);
}

// Nothing waits: a capture would refuse it.
TEST_F(gpu_jacobian, can_be_captured) {
  const std::vector<float> x = ramp<float>(64);
  const zo::coloring banded(zo::banded(64, 64, 1, 1));
  const zo::cge how({.smoothing = 1e-2});
  const auto host = on_host<float>(x, 64, &banded, {}, how, {});
  const auto along = zo::jvp(zo::seq, host_map<float>{}, x, x, 64);
  const zo::cuda::array<float> at(on(), x);
  const zo::cuda::device_coloring colors(on(), banded);
  zo::cuda::array<float> y(on(), 64), values(on(), colors.entries()), product(on(), 64);
  zo::cuda::workspace memory(on());
  const batch_form<float> f;
  const auto enqueue = [&] {
    zo::jacobian(on(), f, at, colors, how, {}, y, values, memory);
    return zo::jvp(on(), f, at, at, {}, {}, y, product, memory, y);
  };
  enqueue();
  y.copy_from(std::vector<float>(64, 7.0F));
  values.copy_from(std::vector<float>(host.values.size(), 7.0F));
  product.copy_from(std::vector<float>(64, 7.0F));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
  const auto pending = enqueue();
  check(cudaStreamEndCapture(stream, &graph), "end capture");
  check(cudaGraphInstantiate(&ready, graph, 0), "instantiate");
  check(cudaGraphLaunch(ready, stream), "launch");
  EXPECT_TRUE(pending.get().ok);
  EXPECT_TRUE(same_bits(values.to_host(), host.values));
  EXPECT_TRUE(same_bits(y.to_host(), host.y));
  EXPECT_TRUE(same_bits(product.to_host(), along.product));
  check(cudaGraphExecDestroy(ready), "destroy");
  check(cudaGraphDestroy(graph), "destroy");
}

TEST_F(gpu_jacobian, complains_in_sentences) {
  zo::cuda::array<float> x(on(), 4), y(on(), 4), values(on(), 16), few(on(), 3);
  const zo::cuda::device_coloring colors(on(), zo::coloring(zo::banded(4, 4, 1, 1)));
  zo::cuda::workspace memory(on());
  const batch_form<float> f;
  using some = zo::cuda::span<float>;
  using known = zo::cuda::span<const float>;
  const auto dense = [&](const zo::cge<>& how, some to_y, some to, known known_y = {}) {
    return complaint([&] { zo::jacobian(on(), f, x, how, {}, to_y, to, memory, known_y); });
  };
  const auto colored = [&](const zo::cge<>& how, some to_y, some to) {
    return complaint([&] { zo::jacobian(on(), f, x, colors, how, {}, to_y, to, memory); });
  };
  const auto along = [&](const zo::jvp_options& how, known u, some to_y, some to) {
    return complaint([&] { zo::jvp(on(), f, x, u, how, {}, to_y, to, memory); });
  };
  EXPECT_EQ(dense({}, y, values), "");
  EXPECT_EQ(dense({}, y, values, y), "");  // y itself
  EXPECT_TRUE(contains(dense({}, {}, values), "F must answer at least 1 number"));
  EXPECT_TRUE(contains(dense({}, few, values), "values must have room for 12 numbers, got 16"));
  EXPECT_TRUE(
      contains(dense({}, y, values, few), "known_y must be empty or have 4 numbers, got 3"));
  EXPECT_TRUE(contains(dense({}, x, values), "y must not overlap x"));
  const some inside(values.data() + 12, 4);
  EXPECT_TRUE(contains(dense({}, inside, values), "values must not overlap x, y or known_y"));
  EXPECT_TRUE(
      contains(dense(zo::cge({.smoothing = 1e39}), y, values), "infinite in this scalar type"));
  zo::cge_options list;
  list.coordinates = zo::coordinate_list{{1, 4}};
  EXPECT_TRUE(contains(dense(list, y, values), "coordinate 4 is not in 0 … 3"));
  std::vector<float> host(16);
  EXPECT_TRUE(contains(dense({}, y, {host.data(), 16}), "must be device memory"));

  EXPECT_EQ(colored({}, y, {values.data(), 10}), "");
  EXPECT_TRUE(contains(colored({}, y, values), "room for 10 numbers, got 16"));
  EXPECT_TRUE(contains(colored({}, few, values), "4 columns and 4 rows for 4 and 3 numbers"));
  EXPECT_TRUE(contains(colored(list, y, values), "leave coordinates out"));

  const some product(values.data(), 4);
  EXPECT_EQ(along({}, x, y, product), "");
  EXPECT_TRUE(contains(along({}, few, y, product), "as many numbers as x, got 3 and 4"));
  EXPECT_TRUE(contains(along({}, product, y, product), "must not overlap u"));
  EXPECT_TRUE(contains(along({.smoothing = 0}, x, y, product), "positive number"));
  EXPECT_TRUE(contains(along({}, x, y, few), "product must have room for 4 numbers, got 3"));

  const zo::cuda::on_options counted{.step_counter = reinterpret_cast<std::uint64_t*>(x.data())};
  list.coordinates = zo::random_coordinates{2};
  EXPECT_TRUE(contains(
      complaint([&] { zo::jacobian(on(counted), f, x, zo::cge(list), {}, y, values, memory); }),
      "random coordinates are drawn on the host"));
}

}  // namespace

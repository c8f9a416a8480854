#include "curand_cublas.hpp"

#include <cublas_v2.h>
#include <curand.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

namespace peers {
namespace {

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string("cuBLAS: ") + call + " failed with status " +
                           std::to_string(static_cast<int>(status)));
}
void check(curandStatus_t status, const char* call) {
  if (status == CURAND_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string("cuRAND: ") + call + " failed with status " +
                           std::to_string(static_cast<int>(status)));
}

class blas {
 public:
  explicit blas(cudaStream_t stream) {
    check(cublasCreate(&handle_), "cublasCreate");
    check(cublasSetStream(handle_, stream), "cublasSetStream");
  }
  ~blas() { cublasDestroy(handle_); }
  blas(const blas&) = delete;
  blas& operator=(const blas&) = delete;
  cublasHandle_t handle() const { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

class generator {
 public:
  explicit generator(cudaStream_t stream) {
    check(curandCreateGenerator(&made_, CURAND_RNG_PSEUDO_PHILOX4_32_10), "curandCreateGenerator");
    check(curandSetStream(made_, stream), "curandSetStream");
    // The fastest order, where cuRAND has it for this generator.
    curandSetGeneratorOrdering(made_, CURAND_ORDERING_PSEUDO_DYNAMIC);
  }
  ~generator() { curandDestroyGenerator(made_); }
  generator(const generator&) = delete;
  generator& operator=(const generator&) = delete;
  void normals(float* out, std::int64_t count) const {
    check(curandGenerateNormal(made_, out, static_cast<std::size_t>(count), 0.0f, 1.0f),
          "curandGenerateNormal");
  }

 private:
  curandGenerator_t made_ = nullptr;
};

constexpr float one = 1, zero = 0;

}  // namespace

std::function<void(const float*, float*)> stored_normals(cudaStream_t stream,
                                                         std::int64_t directions,
                                                         std::int64_t dimension, order lie,
                                                         std::int64_t at_once, float* buffer) {
  const auto sums = std::make_shared<blas>(stream);
  const auto random = std::make_shared<generator>(stream);
  return [=](const float* weights, float* y) {
    for (std::int64_t at = 0; at < dimension; at += at_once) {
      const std::int64_t here = std::min(at_once, dimension - at);
      random->normals(buffer, directions * here);
      const bool side_by_side = lie == order::by_direction;
      check(cublasSgemv_64(sums->handle(), side_by_side ? CUBLAS_OP_N : CUBLAS_OP_T,
                           side_by_side ? here : directions, side_by_side ? directions : here, &one,
                           buffer, side_by_side ? here : directions, weights, 1, &zero, y + at, 1),
            "cublasSgemv");
    }
  };
}

std::function<void()> product(cudaStream_t stream, int n, const float* a, const float* b,
                              float* c) {
  const auto on = std::make_shared<blas>(stream);
  return [=] {
    check(
        cublasSgemm(on->handle(), CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a, n, b, n, &zero, c, n),
        "cublasSgemm");
  };
}

std::function<void()> product_of_bfloat16(cudaStream_t stream, int n, const void* a, const void* b,
                                          void* c) {
  const auto on = std::make_shared<blas>(stream);
  return [=] {
    check(cublasGemmEx(on->handle(), CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a, CUDA_R_16BF, n, b,
                       CUDA_R_16BF, n, &zero, c, CUDA_R_16BF, n, CUBLAS_COMPUTE_32F,
                       CUBLAS_GEMM_DEFAULT),
          "cublasGemmEx");
  };
}

batched_products products(cudaStream_t stream) {
  const auto on = std::make_shared<blas>(stream);
  return [=](int count, int rows, int columns, int depth, strided a, strided b, float* c,
             std::int64_t stride_c) {
    check(cublasSgemmStridedBatched(on->handle(), CUBLAS_OP_T, CUBLAS_OP_N, columns, rows, depth,
                                    &one, a.data, depth, a.stride, b.data, depth, b.stride, &zero,
                                    c, columns, stride_c, count),
          "cublasSgemmStridedBatched");
  };
}

}  // namespace peers

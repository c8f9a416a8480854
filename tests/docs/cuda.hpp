// What docs/cuda.md takes for granted.
#include <vector>
#include <zo/cuda.hpp>

inline constexpr zo::index_t B = 2, d = 3, m = 4;
inline constexpr std::uint64_t seed = 1, t = 0;
inline constexpr float mu = 0.01F;

inline cudaStream_t stream;
inline cudaGraph_t graph;
inline const std::vector<float> host_vector(8);

struct square {
  template <class Part>
  ZO_HD double part(const Part& x) const {
    double sum = 0;
    x.each([&](zo::index_t, float value) { sum += value * value; });
    return sum;
  }
};
inline square f;
inline const zo::rge how({.directions = 2});
inline const zo::cge sparse({.coordinates = zo::coordinate_list{{0}}});

inline const zo::cuda::policy gpu = zo::cuda::on(stream);
inline zo::cuda::workspace workspace(gpu);
inline zo::cuda::array<float> x(gpu, 8), gradient(gpu, 8), moved(gpu, 8), weight(gpu, 1);
inline zo::cuda::span<const float> latents, v, point, u;
inline zo::cuda::array<float> gradients(gpu, B*d), answers(gpu, B*m), product(gpu, m);
inline zo::cuda::array<double> losses(gpu, B);
inline double loss_up, loss_down;

void my_network_forward(const float* at, zo::index_t count, zo::index_t dimension, double* losses,
                        cudaStream_t stream);
void classifier_losses(const float* at, zo::index_t count, const zo::index_t* rows, double* losses,
                       cudaStream_t stream);
void solver_answers(const float* at, zo::index_t count, float* ys, cudaStream_t stream);
inline const auto map = [](zo::cuda::points<float>, zo::cuda::span<float>, cudaStream_t) {};
void forward(const zo::cuda::array<float>& at, double& loss);
inline zo::cuda::array<float> statistics(gpu, 8);
zo::cuda::span<const float> images(zo::sample_id sample);
zo::cuda::span<const zo::index_t> classes(zo::sample_id sample);

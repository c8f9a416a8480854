// What docs/objectives.md takes for granted.
#include <array>
#include <cmath>
#include <vector>
#include <zo/nn/objective.hpp>
#include <zo/zo.hpp>

inline constexpr zo::index_t B = 2, d = 3;
inline constexpr std::uint64_t t = 0;

double my_simulator(std::span<const double> x);
inline std::vector<double> start(3);

struct images {};
images minibatch(zo::sample_id sample);
double loss_on(const images& batch, std::span<const float> x);
double loss_of(std::span<const float> x);

std::vector<float> classifier(std::span<const float> image);
double cross_entropy(const std::vector<float>& logits, zo::index_t label);
inline std::vector<zo::index_t> labels(B);
inline std::vector<float> latents(B* d);

zo::nn::minibatch<float> minibatch_of(zo::sample_id sample);
inline zo::coordinate_list chosen{{0}};

template <class Motor>
double error_of(const Motor&) {
  return 0;
}

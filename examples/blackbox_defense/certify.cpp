#include "certify.hpp"

#include <algorithm>
#include <cmath>
#include <zo/progress.hpp>

#include "checkpoint_tensors.hpp"
#include "common/checkpoint.hpp"
#include "common/fields.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "randomness.hpp"
#include "stage.hpp"

namespace defense {

namespace {

constexpr std::int64_t classes = 10;
constexpr std::int64_t at_once = 200;
constexpr double save_seconds = 15;

using classifier = std::function<torch::Tensor(const torch::Tensor&)>;

// Votes of `copies` noisy copies of one image. `number` is the first noise direction used.
std::vector<std::int64_t> votes(const classifier& classify, const torch::Tensor& image,
                                std::int64_t row, std::int64_t copies, std::uint32_t number,
                                const settings& s) {
  const std::uint64_t seed = app::seed_for(s.seed, "certification noise");
  torch::Tensor count = torch::zeros({classes}, torch::kInt64);
  for (std::int64_t first = 0; first < copies; first += at_once) {
    std::vector<std::int64_t> shape = image.sizes().vec();
    shape[0] = std::min(at_once, copies - first);
    const auto noise = normal(seed, static_cast<std::uint64_t>(row), number++, shape);
    const auto answers = classify(image + s.noise * noise.to(image.device()));
    count += torch::bincount(answers.to(torch::kCPU), {}, classes);
  }
  return {count.data_ptr<std::int64_t>(), count.data_ptr<std::int64_t>() + classes};
}

app::certificate certify_one(const classifier& classify, const torch::Tensor& image,
                             std::int64_t row, const settings& s) {
  constexpr std::uint32_t estimation_noise = 1U << 31;  // apart from the noise of the selection
  const auto selection = votes(classify, image, row, s.n0, 0, s);
  const auto estimation = votes(classify, image, row, s.n, estimation_noise, s);
  return app::certify(selection, estimation, s.noise, s.alpha);
}

// Images first … first+count-1, shared by the processes.
std::vector<app::certificate> certify_some(const classifier& classify, const image_tensors& images,
                                           std::int64_t first, std::int64_t count,
                                           const settings& s, const app::processes& all) {
  constexpr zo::index_t numbers = 3;  // of a certificate
  std::vector<double> answers(static_cast<std::size_t>(numbers * count));
  all.share(answers, numbers, [&](zo::index_t at, std::span<double> mine) {
    std::int64_t row = first + at / numbers;
    for (std::size_t i = 0; i < mine.size(); i += numbers, ++row) {
      const app::certificate one = certify_one(classify, images.range(row, row + 1), row, s);
      mine[i] = static_cast<double>(one.prediction);
      mine[i + 1] = one.lower_bound;
      mine[i + 2] = one.radius;
    }
  });
  std::vector<app::certificate> found;
  for (std::size_t i = 0; i < answers.size(); i += numbers) {
    found.push_back({static_cast<std::int64_t>(answers[i]), answers[i + 1], answers[i + 2]});
  }
  return found;
}

void save(const certified& done, const nlohmann::json& with, const std::filesystem::path& path) {
  std::vector<std::int64_t> predictions;
  std::vector<double> numbers;
  for (const auto& one : done.certificates) {
    predictions.push_back(one.prediction);
    numbers.insert(numbers.end(), {one.lower_bound, one.radius});
  }
  const auto count = static_cast<std::int64_t>(predictions.size());
  app::safetensors file;
  file.tensors.push_back(
      app::make_tensor<std::int64_t>("predictions", {count}, std::span(predictions)));
  file.tensors.push_back(
      app::make_tensor<double>("bounds_and_radii", {count, 2}, std::span(numbers)));
  file.metadata["settings"] = with.dump();
  file.metadata["seconds"] = app::shortest(done.seconds);
  app::save_checkpoint(path, file);
}

// Whether certify() could have answered so.
bool is_certificate(const app::certificate& one, const settings& s) {
  if (!(one.lower_bound >= 0 && one.lower_bound <= 1)) return false;
  if (one.abstained()) return one.prediction == -1 && one.radius == 0;
  // Another machine may round the radius differently.
  const double radius = app::certified_radius(one.lower_bound, s.noise);
  return one.prediction < classes && std::abs(one.radius - radius) <= 1e-9 * (1 + radius);
}

void load(certified& done, const nlohmann::json& with, std::int64_t total, const settings& s,
          const app::safetensors& file, const app::fields& f) {
  constexpr double longest = 1e18;
  app::require_same(f.object("settings"), with);
  done.seconds = f.number("seconds", 0, longest);
  const auto predictions = file.at("predictions").values<std::int64_t>();
  const auto count = static_cast<std::int64_t>(predictions.size());
  file.at("predictions").require_shape({count});
  file.at("bounds_and_radii").require_shape({count, 2});
  f.require(count <= total, "predictions", "are more than there are images");
  const auto numbers = file.at("bounds_and_radii").values<double>();
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    const app::certificate one{predictions[i], numbers[2 * i], numbers[2 * i + 1]};
    f.require(is_certificate(one, s), "predictions", "are not those of a certification");
    done.certificates.push_back(one);
  }
}

}  // namespace

certified certify_images(const std::string& name, const classifier& classify,
                         const image_tensors& images, const nlohmann::json& trained_with,
                         const settings& s, const app::processes& all) {
  const torch::NoGradGuard no_gradient;
  const std::int64_t total = std::min(s.images, images.count());
  const auto path = checkpoint_path(s, name + ".certified");
  nlohmann::json with = trained_with;
  with.update(select(s, {"noise", "images", "n0", "n", "alpha", "seed"}));
  certified done;
  if (s.resume) {
    if (const auto found = app::load_checkpoint(all, path)) {
      app::take_over(path.string(), [&] {
        load(done, with, total, s, *found, app::fields(path.string(), found->metadata));
      });
    }
  }
  auto row = static_cast<std::int64_t>(done.certificates.size());
  const double seconds_before = done.seconds;
  zo::progress progress("certify " + name, total, {.first = row, .quiet = s.quiet});
  double saved = 0;
  while (row < total) {
    const std::int64_t count = std::min<std::int64_t>(all.ranks(), total - row);
    for (const app::certificate& one : certify_some(classify, images, row, count, s, all)) {
      done.certificates.push_back(one);
    }
    row += count;
    done.seconds = seconds_before + progress.seconds();
    progress.update(row);
    const int signal = all.stop_signal();
    if (signal != 0 || row == total || progress.seconds() - saved > save_seconds) {
      if (all.speaks()) save(done, with, path);
      saved = progress.seconds();
    }
    if (signal != 0) throw app::interrupted{signal};
  }
  progress.finish();
  const auto labels = images.labels.slice(0, 0, total).to(torch::kCPU).contiguous();
  done.labels.assign(labels.data_ptr<std::int64_t>(), labels.data_ptr<std::int64_t>() + total);
  return done;
}

}  // namespace defense

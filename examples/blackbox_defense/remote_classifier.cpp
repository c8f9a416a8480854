#include "remote_classifier.hpp"

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#if defined(DEFENSE_HAS_SERVICE)
#include <zo/process.hpp>
#include <zo/service.hpp>
#endif

namespace defense {

#if defined(DEFENSE_HAS_SERVICE)

namespace {

constexpr std::int64_t classes = 10;
constexpr std::string_view by_command = "command ";

// images -> logits, where ask(points, logits) asks.
template <class Ask>
torch::Tensor asked(const torch::Tensor& images, const Ask& ask) {
  const torch::Tensor given = images.flatten(1).to(torch::kCPU, torch::kFloat32).contiguous();
  torch::Tensor logits = torch::full({given.size(0), classes},
                                     std::numeric_limits<float>::quiet_NaN(), torch::kFloat32);
  const auto count = [](const torch::Tensor& t) { return static_cast<std::size_t>(t.numel()); };
  ask(zo::points<float>{{given.data_ptr<float>(), count(given)}, given.size(0), given.size(1)},
      std::span<float>(logits.data_ptr<float>(), count(logits)));
  return logits.to(images.device());
}

black_box::model by_service(const settings& s) {
  zo::service_options how{.points_per_request = std::numeric_limits<zo::index_t>::max(),
                          .timeout = std::chrono::minutes(10)};
  how.headers = s.classifier_headers;
  how.certificates = s.classifier_certificates.string();
  const auto service = std::make_shared<zo::service>(s.classifier, how);
  return [service](const torch::Tensor& images) {
    return asked(images, [&](const zo::points<float>& points, std::span<float> logits) {
      service->vector()(points, logits);
      const std::string why = service->last_failure();
      if (!why.empty()) throw std::runtime_error(why);
    });
  };
}

black_box::model by_program(const settings& s) {
  const std::string command = s.classifier.substr(by_command.size());
  const auto program = std::make_shared<zo::process>(
      zo::shell(command), zo::process_options{.format = zo::process_format::json,
                                              .workers = s.threads,
                                              .timeout = std::chrono::minutes(10)});
  return [program](const torch::Tensor& images) {
    return asked(images, [&](const zo::points<float>& points, std::span<float> logits) {
      at::parallel_for(0, points.count, 1, [&](std::int64_t first, std::int64_t end) {
        for (std::int64_t k = first; k < end; ++k) {
          program->vector()(points[k], logits.subspan(static_cast<std::size_t>(k * classes),
                                                      static_cast<std::size_t>(classes)));
        }
      });
    });
  };
}

}  // namespace

black_box::model remote_classifier(const settings& s) {
  return s.classifier.starts_with(by_command) ? by_program(s) : by_service(s);
}

#else

black_box::model remote_classifier(const settings&) {
  throw std::runtime_error(
      "--classifier needs a zo that was built with zo::service: install libcurl and nlohmann's "
      "JSON "
      "(Debian: libcurl4-openssl-dev nlohmann-json3-dev) and configure again");
}

#endif

}  // namespace defense

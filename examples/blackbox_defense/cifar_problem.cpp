#include <filesystem>
#include <limits>
#include <optional>
#include <stdexcept>

#include "cifar_networks.hpp"
#include "common/cifar.hpp"
#include "common/dataset.hpp"
#include "networks.hpp"
#include "problem.hpp"
#include "remote_classifier.hpp"

namespace defense {

namespace {

std::filesystem::path weights(const settings& s, const std::string& file) {
  if (const auto path = app::find_data(s.data, {}, {}, {file})) return *path;
  throw std::runtime_error("CIFAR-10 needs the trained network " + file +
                           "; give the folder that holds it with --data");
}

}  // namespace

problem load_cifar10_problem(const settings& s) {
  const torch::Device device(s.device);
  problem p;
  p.train = to_tensors(app::load_cifar10(app::split::train, s.data), device);
  p.test = to_tensors(app::load_cifar10(app::split::test, s.data), device);
  if (s.classifier.empty()) {
    resnet20 classifier;
    load_weights(*classifier,
                 app::read_safetensors(weights(s, "classifiers/cifar10_resnet20.safetensors")),
                 "module.");
    p.classifier = network_of(classifier);
  } else {
    p.classifier = {nullptr, remote_classifier(s)};
  }
  auto encoder = make_cifar_encoder();
  load_weights(*encoder, app::read_safetensors(weights(s, "zo_ae_ds/encoder.safetensors")),
               "encoder.");
  auto decoder = make_cifar_decoder();
  load_weights(*decoder, app::read_safetensors(weights(s, "zo_ae_ds/decoder.safetensors")),
               "decoder.");
  p.encoder = network_of(encoder);
  p.decoder = network_of(decoder);
  p.make_encoder = [] { return network_of(make_cifar_encoder()); };
  p.autoencoder_error = std::numeric_limits<double>::quiet_NaN();
  for (const network* net : {&p.classifier, &p.encoder, &p.decoder}) {
    if (net->module == nullptr) continue;
    net->module->to(device);
    freeze(*net->module);
  }
  return p;
}

}  // namespace defense

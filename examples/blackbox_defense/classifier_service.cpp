// Serves the classifier that a run of blackbox_defense on Fashion-MNIST has trained, as a black box
// for others (docs/service.md), or for blackbox_defense itself:
//   classifier_service RUN PORT     answers POST /classify on this machine, until it is killed
//   classifier_service RUN          answers a line of JSON on stdin with one on stdout
#include <httplib.h>
#include <torch/torch.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint_tensors.hpp"
#include "common/checkpoint.hpp"
#include "networks.hpp"

namespace {

using nlohmann::json;

torch::nn::Sequential trained_classifier(const std::filesystem::path& run) {
  torch::nn::Sequential classifier = defense::make_classifier();
  defense::named_tensors weights;
  defense::add_module(weights, "classifier", *classifier);
  defense::unpack(app::load_checkpoint(run / "checkpoints" / "classifier.safetensors"), weights);
  defense::freeze(*classifier);
  return classifier;
}

// Images of 784 numbers each -> ten logits each.
json logits_of(torch::nn::Sequential& classifier, const json& images) {
  const torch::NoGradGuard no_gradient;
  std::vector<float> pixels;
  for (const json& image : images) {
    const auto numbers = image.get<std::vector<float>>();
    if (numbers.size() != 784) throw std::invalid_argument("an image has 28 x 28 numbers");
    pixels.insert(pixels.end(), numbers.begin(), numbers.end());
  }
  const auto count = static_cast<std::int64_t>(images.size());
  const torch::Tensor logits =
      classifier->forward(torch::from_blob(pixels.data(), {count, 1, 28, 28})).contiguous();
  json answers = json::array();
  for (std::int64_t k = 0; k < count; ++k) {
    const float* const first = logits.data_ptr<float>() + 10 * k;
    answers.push_back(std::vector<float>(first, first + 10));
  }
  return answers;
}

void answer_lines(torch::nn::Sequential& classifier) {
  for (std::string line; std::getline(std::cin, line);) {
    json answer;
    try {
      answer["answer"] = logits_of(classifier, json::array({json::parse(line).at("x")})).at(0);
    } catch (const std::exception& error) {
      answer = {{"failure", error.what()}};
    }
    std::cout << answer.dump() << std::endl;  // and flushed
  }
}

void answer_requests(torch::nn::Sequential& classifier, int port) {
  httplib::Server server;
  server.Post("/classify", [&](const httplib::Request& request, httplib::Response& response) {
    try {
      const json answers = logits_of(classifier, json::parse(request.body).at("points"));
      response.set_content(json{{"answers", answers}}.dump(), "application/json");
    } catch (const std::exception& error) {
      response.status = 400;
      response.set_content(error.what(), "text/plain");
    }
  });
  server.set_tcp_nodelay(true);
  server.set_keep_alive_max_count(1'000'000);
  server.listen("127.0.0.1", port);
  throw std::runtime_error("port " + std::to_string(port) + " of this machine cannot be used");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: classifier_service RUN [PORT]\n");
    return 2;
  }
  torch::nn::Sequential classifier = trained_classifier(argv[1]);
  argc == 2 ? answer_lines(classifier) : answer_requests(classifier, std::stoi(argv[2]));
} catch (const std::exception& error) {
  std::fprintf(stderr, "classifier_service: %s\n", error.what());
  return 1;
}

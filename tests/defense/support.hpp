// Small problems for the tests of the defense: no data set needed, milliseconds to train on.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "networks.hpp"
#include "problem.hpp"
#include "randomness.hpp"
#include "settings.hpp"

namespace defense::test {

// An empty folder that goes away with the object.
class scratch_folder {
 public:
  scratch_folder()
      : path_(std::filesystem::temp_directory_path() /
              ("zo-defense-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~scratch_folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline settings small_settings(const std::filesystem::path& out) {
  settings s;
  s.dataset = "fashion-mnist";
  s.out = out;
  s.quiet = true;
  s.threads = 1;
  s.latent = 4;
  s.depth = 3;
  s.width = 4;
  s.batch = 8;
  s.steps = 6;
  s.checkpoint_every = 2;
  s.images = 4;
  s.n0 = 20;
  s.n = 60;
  std::filesystem::create_directories(out / "checkpoints");
  return s;
}

// Random images and untrained networks: enough for everything but accuracy.
inline problem small_problem(const settings& s) {
  torch::manual_seed(3);
  problem p;
  p.train = {torch::randint(256, {32, 1, 28, 28}).to(torch::kUInt8), torch::randint(10, {32})};
  p.test = {torch::randint(256, {8, 1, 28, 28}).to(torch::kUInt8), torch::randint(10, {8})};
  p.classifier = network_of(make_classifier());
  p.make_encoder = [latent = s.latent] { return network_of(make_encoder(latent)); };
  p.encoder = p.make_encoder();
  p.decoder = network_of(make_decoder(s.latent));
  for (const network* net : {&p.classifier, &p.encoder, &p.decoder}) freeze(*net->module);
  return p;
}

}  // namespace defense::test

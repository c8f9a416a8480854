#include "settings.hpp"

#include <algorithm>
#include <ostream>

#include "common/command_line.hpp"
#include "device.hpp"
#include "first_order.hpp"

namespace deepzero {

namespace {

using app::at_least_one;
using app::not_negative;
using app::positive;

void add_run_options(CLI::App& app, settings& s) {
  app.add_option("--dataset", s.dataset, "fashion-mnist, or cifar10 when --data holds it")
      ->check(CLI::IsMember({"fashion-mnist", "cifar10"}));
  app.add_option("--data", s.data, "Folder of the data set");
  app.add_option("--out", s.out, "Folder for results and checkpoints")->capture_default_str();
  app.add_option("--estimator", s.estimators, "How gradients are had, several with commas between")
      ->check(CLI::IsMember(estimator_names()))
      ->delimiter(',')
      ->capture_default_str();
  app.add_flag("--study", s.study,
               "Compare the estimators on the cnn at depths 1 to --depth: accuracy and seconds by "
               "number of parameters");
  auto* const resume = app.add_flag("--resume", s.resume, "Go on from the checkpoints in --out");
  app.add_flag("--fresh", s.fresh,
               "Begin anew where checkpoints of an unfinished run are; they are moved, not deleted")
      ->excludes(resume);
  app.add_flag("--quiet", s.quiet, "Print results only");
  app.add_option("--checkpoint-every", s.checkpoint_every, "Steps between two checkpoints")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--seed", s.seed, "All randomness follows from it")->capture_default_str();
  app.add_option("--threads", s.threads,
                 "Threads of each process; estimates by queries are the same bits for any number")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--device", s.device,
                 "cpu, or cuda: an NVIDIA GPU answers the questions of cge and sparse-cge")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
}

void add_network_options(CLI::App& app, settings& s) {
  app.add_option("--network", s.network, "cnn, mlp, resnet20, resnet32, resnet44, resnet56, …")
      ->capture_default_str();
  app.add_option("--channels", s.channels, "Channels of the cnn, hidden units of the mlp")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--depth", s.depth, "Stages of the cnn, hidden layers of the mlp")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
}

void add_training_options(CLI::App& app, settings& s) {
  app.add_option("--images", s.images, "Training images, from the first on (default: all)")
      ->check(at_least_one);
  app.add_option("--test-images", s.test_images, "Test images, from the first on (default: all)")
      ->check(at_least_one);
  app.add_option("--epochs", s.epochs, "Times that every image is used")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--batch", s.batch, "Images per step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--rate", s.rate,
                 "Highest learning rate (linear warm-up, then cosine to zero); of rge, which is "
                 "noisier, q / (q + d + 1) of it")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--momentum", s.momentum, "Of SGD")
      ->check(app::must_be("a number from 0 to below 1",
                           [](double value) { return value >= 0 && value < 1; }))
      ->capture_default_str();
  app.add_option("--weight-decay", s.weight_decay, "Added to gradients, times the weight")
      ->check(not_negative)
      ->capture_default_str();
  app.add_option("--warmup", s.warmup, "Epochs of linear growth of the rate")
      ->check(not_negative)
      ->capture_default_str();
  app.add_option("--evaluations", s.evaluations, "Evaluations on the test images per epoch")
      ->check(at_least_one)
      ->capture_default_str();
}

void add_estimate_options(CLI::App& app, settings& s) {
  app.add_option("--mu,--smoothing", s.smoothing, "Step of the finite differences")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--sparsity", s.sparsity, "Share of the weights that sparse-cge does not ask")
      ->check(app::must_be("a number from 0 to below 1",
                           [](double value) { return value >= 0 && value < 1; }))
      ->capture_default_str();
  app.add_option("--interval", s.interval,
                 "Epochs between new coordinate sets of sparse-cge, such as 0.1")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--products", s.products,
                 "Of the differences of cge and sparse-cge: exact, or bfloat16 with sums in float")
      ->check(CLI::IsMember({"exact", "bfloat16"}))
      ->capture_default_str();
  app.add_option(
         "--q,--directions", s.directions,
         "Random directions per step of rge, and per layer and image of activations (default "
         "in the study: as many as parameters)")
      ->check(at_least_one);
}

void require(bool holds, const std::string& sentence) {
  if (!holds) throw CLI::ValidationError(sentence);
}

void check(const settings& s) {
  require(s.warmup < static_cast<double>(s.epochs), "--warmup must be below --epochs, " +
                                                        std::to_string(s.epochs) +
                                                        ": give fewer epochs of warm-up");
  require(!s.study || s.network == "cnn", "--study compares sizes of the cnn: leave out --network");
  const bool asked = std::ranges::find(s.estimators, "first-order") != s.estimators.end();
  require(!asked || has_first_order(), without_first_order());
  if (s.device == "cpu") return;
  require(has_device(), without_device());
  for (const std::string& name : s.estimators) {
    require(name == "cge" || name == "sparse-cge",
            "--device cuda is there for cge and sparse-cge, not for " + name +
                ": leave it out of --estimator, or leave out --device");
  }
}

// Options are bound to `s` and overwrite what it holds; `complete` if the defaults are the right
// ones already.
void parse_into(settings& s, int argc, char** argv, app::processes& all, bool complete) {
  CLI::App app(
      "Trains networks by forward passes alone (DeepZero, Chen et al. 2024): coordinate-wise "
      "gradient\n"
      "estimates, dense and sparse, beside random ones and first-order training.");
  // A later value of an option replaces an earlier one: scripts may set sizes that users override.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("deepzero: ") + error.what() + " (see --help)\n";
  });
  add_run_options(app, s);
  add_network_options(app, s);
  add_training_options(app, s);
  add_estimate_options(app, s);
  try {
    app.parse(argc, argv);
    if (s.dataset.empty()) {
      const bool cifar =
          !s.data.empty() && (std::filesystem::exists(s.data / "cifar10") ||
                              std::filesystem::exists(s.data / "cifar-10-batches-bin") ||
                              std::filesystem::exists(s.data / "data_batch_1.bin"));
      s.dataset = cifar ? "cifar10" : "fashion-mnist";
    }
    if (complete) check(s);
  } catch (const CLI::ParseError& error) {
    std::ostream nowhere(nullptr);
    const int code = all.speaks() ? app.exit(error) : app.exit(error, nowhere, nowhere);
    all.exit(code == 0 ? 0 : 1);
  }
}

}  // namespace

const std::vector<std::string>& estimator_names() {
  static const std::vector<std::string> names = {"first-order", "cge",         "sparse-cge",
                                                 "cge-whole",   "activations", "rge"};
  return names;
}

settings defaults_for(const std::string& dataset, bool study) {
  settings s;
  s.dataset = dataset;
  s.network = "cnn";
  s.estimators = {"cge", "sparse-cge", "activations", "rge"};
  s.directions = 32;
  s.epochs = 6;
  s.evaluations = 2;
  s.interval = 0.1;
  if (study) {
    s.estimators = {"cge", "cge-whole", "rge"};
    s.channels = 6;
    s.images = 5120;
    s.depth = 4;
    s.test_images = 2000;
    s.evaluations = 1;
    s.epochs = 4;
    s.directions.reset();
  }
  if (dataset == "cifar10" && !study) {
    // The paper's recipe, with which an epoch takes a day on two cores.
    s.network = "resnet20";
    s.estimators = {"sparse-cge"};
    s.epochs = 50;
    s.batch = 256;
    s.warmup = 3;
    s.interval = 1;
    s.directions = 192;
    s.evaluations = 1;
    s.checkpoint_every = 5;
  }
  if (has_first_order()) s.estimators.insert(s.estimators.begin(), "first-order");
  return s;
}

settings parse(int argc, char** argv, app::processes& all) {
  const int cores = all.threads();
  // The defaults depend on the data set and the command, so the first pass only finds these out.
  settings probe = defaults_for("", false);
  probe.threads = cores;
  parse_into(probe, argc, argv, all, false);
  settings result = defaults_for(probe.dataset, probe.study);
  result.threads = cores;
  parse_into(result, argc, argv, all, true);
  result.quiet = result.quiet || !all.speaks();
  nlohmann::json common = to_json(result);
  common.erase("threads");
  common.update({{"resume", result.resume}, {"fresh", result.fresh}, {"study", result.study}});
  app::require_same_settings(all, common.dump());
  return result;
}

nlohmann::json to_json(const settings& s) {
  const auto or_null = [](const std::optional<std::int64_t>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  return {{"dataset", s.dataset},
          {"estimator", s.estimators},
          {"network", s.network},
          {"channels", s.channels},
          {"depth", s.depth},
          {"images", or_null(s.images)},
          {"test-images", or_null(s.test_images)},
          {"epochs", s.epochs},
          {"batch", s.batch},
          {"rate", s.rate},
          {"momentum", s.momentum},
          {"weight-decay", s.weight_decay},
          {"warmup", s.warmup},
          {"smoothing", s.smoothing},
          {"sparsity", s.sparsity},
          {"interval", s.interval},
          {"directions", or_null(s.directions)},
          {"evaluations", s.evaluations},
          {"seed", s.seed},
          {"threads", s.threads},
          {"device", s.device},
          {"products", s.products}};
}

nlohmann::json options_of(const settings& from, const std::string& estimator) {
  std::vector<std::string> names = {
      "dataset", "network", "channels", "depth",  "images",      "test-images", "epochs",
      "batch",   "rate",    "momentum", "warmup", "evaluations", "seed",        "weight-decay"};
  if (estimator == "first-order") {
    names.push_back("threads");
  } else {
    names.push_back("smoothing");
  }
  if (estimator == "sparse-cge") names.insert(names.end(), {"sparsity", "interval"});
  if (estimator == "cge" || estimator == "sparse-cge") {
    names.insert(names.end(), {"device", "products"});
  }
  if (estimator == "rge" || estimator == "activations") names.push_back("directions");
  const nlohmann::json all = to_json(from);
  nlohmann::json chosen;
  for (const std::string& name : names) chosen[name] = all.at(name);
  return chosen;
}

}  // namespace deepzero

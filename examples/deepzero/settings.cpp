#include "settings.hpp"

#include <algorithm>

#include "common/command_line.hpp"
#include "device.hpp"
#include "first_order.hpp"

namespace deepzero {

namespace {

using app::add_number;
using app::at_least_one;
using app::positive;
using range = app::whole_range<std::int64_t>;

// What the defaults depend on.
void add_data_options(CLI::App& app, settings& s) {
  app.add_option("--dataset", s.dataset, "fashion-mnist, or cifar10 when --data holds it")
      ->check(CLI::IsMember({"fashion-mnist", "cifar10"}))
      ->capture_default_str();
  app::add_path(app, "--data", s.data,
                "Folder of the data set (default: ZO_DATA_DIR, or where Debian's package has it)");
  auto* const study = app.add_flag_callback(
      "--study", [&s] { s.what = comparison::sizes; },
      "Compare the estimators on the cnn at depths 1 to --depth: accuracy and seconds by number of "
      "parameters");
  app.add_flag_callback(
         "--table", [&s] { s.what = comparison::paper; },
         "The same at the paper's sizes on CIFAR-10, beside the paper's results")
      ->excludes(study);
  app.add_option("--device", s.device,
                 "cpu, or cuda: an NVIDIA GPU answers the questions of cge and sparse-cge")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
}

void add_run_options(CLI::App& app, settings& s) {
  app::add_path(app, "--out", s.out, "Folder for results and checkpoints");
  app.add_option("--estimator", s.estimators, "How gradients are had, several with commas between")
      ->check(CLI::IsMember(estimator_names()))
      ->delimiter(',')
      ->capture_default_str();
  auto* const resume = app.add_flag("--resume", s.resume, "Go on from the checkpoints in --out");
  app.add_flag("--fresh", s.fresh,
               "Begin anew where checkpoints of an unfinished run are; they are moved, not deleted")
      ->excludes(resume);
  app.add_flag("--quiet", s.quiet, "Print results only");
  add_number(app, "--checkpoint-every", s.checkpoint_every, at_least_one,
             "Steps between two checkpoints");
  add_number(app, "--seed", s.seed, app::any_seed, "All randomness follows from it");
  add_number(app, "--threads", s.threads, app::some_threads,
             "Threads of each process; estimates by queries are the same bits for any number");
}

void add_network_options(CLI::App& app, settings& s) {
  app.add_option("--network", s.network, "cnn, mlp, resnet20, resnet32, resnet44, resnet56, …")
      ->capture_default_str();
  add_number(app, "--channels", s.channels, range{1, 1 << 20},
             "Channels of the cnn, hidden units of the mlp");
  add_number(app, "--depth", s.depth, range{1, 100}, "Stages of the cnn, hidden layers of the mlp");
}

void add_training_options(CLI::App& app, settings& s) {
  add_number(app, "--images", s.images, at_least_one,
             "Training images, from the first on (default: all)");
  add_number(app, "--test-images", s.test_images, at_least_one,
             "Test images, from the first on (default: all)");
  add_number(app, "--epochs", s.epochs, range{1, 1'000'000}, "Times that every image is used");
  add_number(app, "--batch", s.batch, range{1, 1 << 20}, "Images per step");
  add_number(app, "--rate", s.rate, positive,
             "Highest learning rate (linear warm-up, then cosine to zero); of rge, which is "
             "noisier, q / (q + d + 1) of it");
  add_number(app, "--momentum", s.momentum, app::below_one, "Of SGD");
  add_number(app, "--weight-decay", s.weight_decay, app::between(0, 1e6),
             "Added to gradients, times the weight");
  add_number(app, "--warmup", s.warmup, app::between(0, 1e6),
             "Epochs of linear growth of the rate");
  add_number(app, "--evaluations", s.evaluations, range{1, 1'000'000},
             "Evaluations on the test images per epoch");
}

void add_estimate_options(CLI::App& app, settings& s) {
  add_number(app, "--mu,--smoothing", s.smoothing, app::between(1e-12, 1e6),
             "Step of the finite differences");
  add_number(app, "--sparsity", s.sparsity, app::below_one,
             "Share of the weights that sparse-cge does not ask");
  add_number(app, "--interval", s.interval, app::between(1e-6, 1e6),
             "Epochs between new coordinate sets of sparse-cge, such as 0.1");
  app.add_option("--products", s.products,
                 "Of the differences of coordinates: exact, or bfloat16 with sums in float")
      ->check(CLI::IsMember({"exact", "bfloat16"}))
      ->capture_default_str();
  add_number(app, "--q,--directions", s.directions, app::some_directions,
             "Random directions per step of rge, and per layer and image of activations (default "
             "in the study: as many as parameters)");
}

std::unique_ptr<CLI::App> command() {
  return app::make_command(
      "deepzero",
      "Trains networks by forward passes alone (DeepZero, Chen et al. 2024): coordinate-wise "
      "gradient\n"
      "estimates, dense and sparse, beside random ones and first-order training.");
}

using app::require_usable;

// An option that is given and that no chosen estimator looks at is a mistake.
void check_effects(const settings& s, const CLI::App& given) {
  const auto for_some = [&](const char* option, const std::vector<std::string>& those) {
    if (given.count(option) == 0) return;
    const bool used = std::ranges::any_of(s.estimators, [&](const auto& name) {
      return std::ranges::find(those, name) != those.end();
    });
    require_usable(used, std::string(option) + " is for " + CLI::detail::join(those, ", ") +
                             ", and --estimator names none of them: leave it out");
  };
  for_some("--products", {"cge", "sparse-cge"});
  for_some("--sparsity", {"sparse-cge"});
  for_some("--interval", {"sparse-cge"});
  for_some("--directions", {"activations", "rge"});
  for_some("--smoothing", {"cge", "sparse-cge", "cge-by-block", "cge-whole", "activations", "rge"});
  for (const char* option : {"--channels", "--depth"}) {
    require_usable(given.count(option) == 0 || s.network == "cnn" || s.network == "mlp",
                   std::string(option) + " is for the cnn and the mlp, and --network is " +
                       s.network + ": leave it out");
  }
}

void check(const settings& s) {
  require_usable(s.warmup < static_cast<double>(s.epochs), "--warmup must be below --epochs, " +
                                                               std::to_string(s.epochs) +
                                                               ": give fewer epochs of warm-up");
  require_usable(s.what == comparison::estimators || s.network == "cnn",
                 "--study and --table compare sizes of the cnn: leave out --network");
  const bool asked = std::ranges::find(s.estimators, "first-order") != s.estimators.end();
  require_usable(!asked || has_first_order(), without_first_order());
  if (s.device == "cpu") return;
  require_usable(has_device(), without_device());
  for (const std::string& name : s.estimators) {
    require_usable(name == "cge" || name == "sparse-cge",
                   "--device cuda is for cge and sparse-cge, and --estimator names " + name +
                       ": run that one without --device cuda");
  }
}

// The data set decides about defaults. What else is wrong is for the second reading.
void find_dataset(settings& s) {
  if (!s.dataset.empty()) return;
  const bool cifar = !s.data.empty() && (std::filesystem::exists(s.data / "cifar10") ||
                                         std::filesystem::exists(s.data / "cifar-10-batches-bin") ||
                                         std::filesystem::exists(s.data / "data_batch_1.bin"));
  s.dataset = cifar || s.what == comparison::paper ? "cifar10" : "fashion-mnist";
}

settings first_reading(int argc, char** argv) {
  settings s;
  const auto app = command();
  app->allow_extras();
  app->set_help_flag();
  add_data_options(*app, s);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError&) {
  }
  find_dataset(s);
  return s;
}

}  // namespace

const std::vector<std::string>& estimator_names() {
  static const std::vector<std::string> names = {
      "first-order", "cge", "sparse-cge", "cge-by-block", "cge-whole", "activations", "rge"};
  return names;
}

settings defaults_for(const std::string& dataset, comparison what, const std::string& device) {
  settings s;
  s.dataset = dataset;
  s.what = what;
  s.network = "cnn";
  s.estimators = {"cge", "sparse-cge", "activations", "rge"};
  s.directions = 32;
  s.epochs = 6;
  s.evaluations = 2;
  s.interval = 0.1;
  if (what == comparison::sizes) {
    s.estimators = {"cge", "cge-whole", "rge"};
    s.channels = 6;
    s.images = 5120;
    s.depth = 4;
    s.test_images = 2000;
    s.evaluations = 1;
    s.epochs = 4;
    s.directions.reset();
  }
  if (what == comparison::paper) {
    s.estimators = {"cge-by-block"};
    s.channels = 18;
    s.depth = 5;
    s.epochs = 36;
    s.rate = 0.05;
    s.warmup = 1;
    s.evaluations = 1;
    s.checkpoint_every = 200;
  }
  if (dataset == "cifar10" && what == comparison::estimators) {
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
  if (device == "cuda") {
    std::erase_if(s.estimators,
                  [](const std::string& name) { return name != "cge" && name != "sparse-cge"; });
    if (what == comparison::paper) s.estimators = {"cge"};
  } else if (has_first_order()) {
    s.estimators.insert(s.estimators.begin(), "first-order");
  }
  return s;
}

settings parse(int argc, char** argv, app::processes& all) {
  const int cores = all.threads();
  const settings found = first_reading(argc, argv);
  settings s = defaults_for(found.dataset, found.what, found.device);
  s.threads = cores;
  // The options are bound to `s`, and --help shows what it holds.
  const auto describe = [&s] {
    auto app = command();
    add_data_options(*app, s);
    add_run_options(*app, s);
    add_network_options(*app, s);
    add_training_options(*app, s);
    add_estimate_options(*app, s);
    return app;
  };
  const auto given = describe();
  if (!app::read_command_line(*given, argc, argv)) throw app::help_wanted{describe()->help()};
  check(s);
  check_effects(s, *given);
  s.quiet = s.quiet || !all.speaks();
  nlohmann::json common = to_json(s);
  common.erase("threads");
  common.update({{"resume", s.resume}, {"fresh", s.fresh}, {"what", s.what}});
  app::require_same_settings(all, common.dump());
  return s;
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

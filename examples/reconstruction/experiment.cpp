#include "experiment.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <zo/progress.hpp>

#include "../blackbox_defense/checkpoint_tensors.hpp"
#include "../blackbox_defense/randomness.hpp"
#include "../blackbox_defense/stage.hpp"
#include "common/checkpoint.hpp"
#include "common/fields.hpp"
#include "common/lock.hpp"
#include "common/resume.hpp"
#include "common/ssim.hpp"
#include "common/text.hpp"
#include "report.hpp"
#include "training.hpp"

namespace reconstruction {

namespace {

constexpr std::int64_t images_at_once = 256;    // that a network is asked; near the cache
constexpr std::int64_t attacked_at_once = 100;  // images
constexpr std::array pictured_norms = {0, 2, 4};
constexpr std::int64_t pictured_images = 2;

void say(const settings& s, const std::string& sentence) {
  if (!s.common.quiet && !sentence.empty()) {
    std::fprintf(stderr, "%s\n", app::printable(sentence).c_str());
  }
}

// One method in one run: what stands in front of the reconstructor, and how it answers.
class contender {
 public:
  contender(const problem& p, defense::method m, const settings& s)
      : p_(p),
        s_(s),
        method_(std::move(m)),
        name_(method_.key + "-seed" + std::to_string(s.common.seed)),
        front_(p.base, method_, s.common),
        reconstructor_(p.base.classifier.forward, images_at_once) {
    front_.train(false);
  }

  const defense::method& how() const { return method_; }
  const std::string& name() const { return name_; }

  method_run train(const app::processes& all) {
    method_run run;
    if (!method_.trained) return run;
    const auto report = train_defense(front_, p_, method_, reconstructor_, s_, name_, all);
    run.queries = report.queries;
    run.seconds = report.seconds;
    run.loss = report.loss;
    return run;
  }

  /// (n, 1, 28, 28) measured -> (n, 784): the mean of what is reconstructed of noisy copies, or,
  /// with no defense, of the image itself. `first` is the number of the first image.
  torch::Tensor reconstructed(const torch::Tensor& measured, std::int64_t first) {
    const torch::NoGradGuard no_gradient;
    if (!method_.trained) return reconstructor_.answers(measured);
    torch::Tensor sum;
    for (std::int64_t copy = 0; copy < s_.copies; ++copy) {
      const auto noise = noise_of("smoothing", first, copy, measured);
      const torch::Tensor one = reconstructor_.answers(front_.shown(measured + noise));
      sum = sum.defined() ? sum + one : one;
    }
    return sum / static_cast<double>(s_.copies);
  }

  /// The attack that follows the gradients of all this, with other noise at every step.
  torch::Tensor attacked_whole(const torch::Tensor& measured, const torch::Tensor& originals,
                               int norm, std::int64_t first) const {
    const auto reconstruct = [&](const torch::Tensor& at, std::int64_t step) {
      return p_.base.classifier.forward(
          front_.shown(at + noise_of("attack noise", first, step, measured)));
    };
    return attacked(reconstruct, measured, originals, norm, s_.attack_steps,
                    attack_seed(s_, norm, first));
  }

  /// The attack on the reconstructor alone.
  static torch::Tensor attacked_network(const problem& p, const settings& s,
                                        const torch::Tensor& measured,
                                        const torch::Tensor& originals, int norm,
                                        std::int64_t first) {
    const auto reconstruct = [&](const torch::Tensor& at, std::int64_t) {
      return p.base.classifier.forward(at);
    };
    return attacked(reconstruct, measured, originals, norm, s.attack_steps,
                    attack_seed(s, norm, first));
  }

 private:
  static std::uint64_t attack_seed(const settings& s, int norm, std::int64_t first) {
    return app::seed_for(s.common.seed,
                         "attack " + std::to_string(norm) + " " + std::to_string(first));
  }

  torch::Tensor noise_of(const char* purpose, std::int64_t first, std::int64_t number,
                         const torch::Tensor& like) const {
    return s_.common.noise * defense::normal(app::seed_for(s_.common.seed, purpose),
                                             static_cast<std::uint64_t>(first),
                                             static_cast<std::uint32_t>(number), like.sizes());
  }

  const problem& p_;
  const settings s_;
  defense::method method_;
  std::string name_;
  defense::defended front_;
  defense::black_box reconstructor_;
};

// Test images and what attacks on the reconstructor make of what is measured of them, the same for
// all methods of a run.
struct targets {
  torch::Tensor originals;
  std::vector<torch::Tensor> measured;  ///< by norm
};

void stop_if_asked(const app::processes& all) {
  if (const int signal = all.stop_signal()) throw app::interrupted{signal};
}

targets make_targets(const problem& p, const settings& s, const app::processes& all) {
  targets made;
  made.originals = p.base.test.range(0, s.common.images);
  const torch::Tensor measured = p.measured(made.originals);
  zo::progress progress("attacks-seed" + std::to_string(s.common.seed),
                        static_cast<std::int64_t>(attack_norms.size()) * s.common.images,
                        {.quiet = s.common.quiet});
  std::int64_t done = 0;
  for (const int norm : attack_norms) {
    std::vector<torch::Tensor> parts;
    for (std::int64_t first = 0; first < s.common.images; first += attacked_at_once) {
      const std::int64_t last = std::min(first + attacked_at_once, s.common.images);
      parts.push_back(contender::attacked_network(
          p, s, measured.slice(0, first, last), made.originals.slice(0, first, last), norm, first));
      progress.update(done += last - first);
      stop_if_asked(all);
    }
    made.measured.push_back(torch::cat(parts));
  }
  progress.finish();
  return made;
}

// Root mean squared error and structural similarity of each image, as columns: (n, 2).
torch::Tensor compared(const torch::Tensor& reconstructed, const torch::Tensor& originals) {
  const torch::Tensor one = reconstructed.contiguous();
  const torch::Tensor other = originals.flatten(1).contiguous();
  const std::int64_t count = one.size(0);
  torch::Tensor found = torch::empty({count, 2}, torch::kFloat64);
  found.select(1, 0).copy_((one - other).square().mean(1).sqrt());
  const auto pixels = [](const torch::Tensor& images, std::int64_t i) {
    const auto size = static_cast<std::size_t>(images.size(1));
    return std::span<const float>(images.data_ptr<float>() + i * images.size(1), size);
  };
  for (std::int64_t i = 0; i < count; ++i) {
    found[i][1] = app::ssim(pixels(one, i), pixels(other, i), originals.size(2), originals.size(3));
  }
  return found;
}

// By target of the attack and norm: (targets, norms, images, 2).
torch::Tensor scored(contender& who, const targets& test, const settings& s,
                     const app::processes& all) {
  const auto norms = static_cast<std::int64_t>(attack_norms.size());
  torch::Tensor found = torch::empty({2, norms, s.common.images, 2}, torch::kFloat64);
  zo::progress progress(who.name() + " attacked", norms * s.common.images,
                        {.quiet = s.common.quiet});
  std::int64_t done = 0;
  for (std::int64_t k = 0; k < norms; ++k) {
    const auto norm = static_cast<std::size_t>(k);
    for (std::int64_t first = 0; first < s.common.images; first += attacked_at_once) {
      const std::int64_t last = std::min(first + attacked_at_once, s.common.images);
      const auto part = [&](const torch::Tensor& images) { return images.slice(0, first, last); };
      const torch::Tensor originals = part(test.originals);
      const torch::Tensor by_network = part(test.measured[norm]);
      const auto score = [&](const torch::Tensor& measured) {
        return compared(who.reconstructed(measured, first), originals);
      };
      part(found[0][k]).copy_(score(by_network));
      // Without attack, or without a defense, both are the same.
      const bool other = who.how().trained && attack_norms[norm] > 0;
      part(found[1][k])
          .copy_(other ? score(who.attacked_whole(part(test.measured[0]), originals,
                                                  attack_norms[norm], first))
                       : part(found[0][k]));
      progress.update(done += last - first);
      stop_if_asked(all);
    }
  }
  progress.finish();
  return found;
}

std::vector<std::vector<double>> by_norm_and_image(const torch::Tensor& values) {
  std::vector<std::vector<double>> rows;
  for (std::int64_t k = 0; k < values.size(0); ++k) {
    const torch::Tensor row = values[k].contiguous();
    rows.emplace_back(row.data_ptr<double>(), row.data_ptr<double>() + row.numel());
  }
  return rows;
}

// The scores of a trained defense, or those that an earlier run has left.
void add_scores(method_run& run, contender& who, const targets& test, const settings& s,
                const app::processes& all) {
  const auto path = defense::checkpoint_path(s.common, who.name() + "-scores");
  const auto options = score_options(s);
  torch::Tensor found = torch::empty(
      {2, static_cast<std::int64_t>(attack_norms.size()), s.common.images, 2}, torch::kFloat64);
  if (s.common.resume && std::filesystem::exists(path)) {
    const app::safetensors file = app::load_checkpoint(path);
    app::require_same(app::fields(path.string(), file.metadata).object("settings"), options);
    app::take_over(path.string(), [&] { defense::unpack(file, {{"scores", found}}); });
  } else {
    found = scored(who, test, s, all);
    app::safetensors file = defense::pack({{"scores", found}});
    file.metadata["settings"] = options.dump();
    app::save_checkpoint(path, file);
  }
  for (std::size_t target = 0; target < run.under.size(); ++target) {
    const torch::Tensor here = found[static_cast<std::int64_t>(target)];
    run.under[target] = {by_norm_and_image(here.select(2, 0)),
                         by_norm_and_image(here.select(2, 1))};
  }
}

// Each once, in the order of the table, with "none" first.
std::vector<defense::method> wanted_methods(const settings& s) {
  std::vector<defense::method> wanted;
  for (const std::string& name : method_names()) {
    const auto& asked = s.common.methods;
    if (name == "none" || std::ranges::find(asked, name) != asked.end()) {
      wanted.push_back(defense::make_method(name, s.common, 28 * 28));
    }
  }
  return wanted;
}

std::vector<std::uint8_t> to_bytes(const torch::Tensor& image) {
  const torch::Tensor here = image.contiguous();
  return app::to_bytes({here.data_ptr<float>(), static_cast<std::size_t>(here.numel())});
}

// A row for each pictured image and norm: original, measured, and what each method makes of it.
app::image_sheet sheet_of(std::vector<std::unique_ptr<contender>>& methods, const targets& test) {
  app::image_sheet sheet;
  sheet.title = "Attacks on the reconstructor alone";
  sheet.column_captions = {"original", "measured"};
  for (const auto& one : methods) sheet.column_captions.push_back(one->how().name);
  sheet.image_rows = test.originals.size(2);
  sheet.image_columns = test.originals.size(3);
  for (std::int64_t i = 0; i < std::min(pictured_images, test.originals.size(0)); ++i) {
    for (const int norm : pictured_norms) {
      const torch::Tensor measured =
          test.measured[static_cast<std::size_t>(norm)].slice(0, i, i + 1);
      sheet.row_captions.push_back("norm " + std::to_string(norm));
      sheet.images.push_back(to_bytes(test.originals[i]));
      sheet.images.push_back(to_bytes(measured));
      for (const auto& one : methods)
        sheet.images.push_back(to_bytes(one->reconstructed(measured, i)));
    }
  }
  return sheet;
}

run_result compare(const problem& p, const settings& s, const app::processes& all) {
  const auto methods = wanted_methods(s);
  run_result result;
  result.reconstructor_error = p.reconstructor_error;
  result.autoencoder_error = p.base.autoencoder_error;
  for (const defense::method& m : methods) {
    result.methods.push_back({m.name,
                              !m.trained    ? "none"
                              : m.white_box ? "gradients"
                                            : "queries",
                              {}});
  }
  for (std::int64_t run = 0; run < s.seeds; ++run) {
    settings own = s;
    own.common.seed = s.common.seed + static_cast<std::uint64_t>(run);
    const targets test = make_targets(p, own, all);
    std::vector<std::unique_ptr<contender>> contenders;
    for (std::size_t i = 0; i < methods.size(); ++i) {
      contenders.push_back(std::make_unique<contender>(p, methods[i], own));
      method_run one = contenders.back()->train(all);
      one.seed = own.common.seed;
      add_scores(one, *contenders.back(), test, own, all);
      result.methods[i].runs.push_back(one);
    }
    if (run == 0) result.images = sheet_of(contenders, test);
  }
  return result;
}

// Before anything is computed or written: what the options ask for may not fit the data.
void check(const problem& p, const settings& s) {
  if (s.common.images > p.base.test.count()) {
    throw app::usage_error("--images must be at most " + std::to_string(p.base.test.count()) +
                           ", the test images there are, got " + std::to_string(s.common.images));
  }
}

}  // namespace

void run_experiment(const settings& s, const app::processes& all) {
  problem p = load_problem(s);  // before anything is written: data may be missing
  check(p, s);
  const app::folder_lock lock(s.common.out);
  say(s, lock.warning());
  const app::run_files files{
      s.common.out, {defense::checkpoint_path(s.common, "").parent_path()}, result_names()};
  say(s, app::open_run(files, app::beginning_of(s.common.resume, s.common.fresh)));
  train_networks(p, s, all);
  const run_result result = compare(p, s, all);
  const auto notes = write_results(result, s);
  std::printf("%s\nResults, pictures and checkpoints are in %s\n", table_text(result, s).c_str(),
              app::printable(s.common.out.string()).c_str());
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
  app::finish_run(files);
}

}  // namespace reconstruction

#include "stage.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <stdexcept>
#include <zo/progress.hpp>

#include "adam.hpp"
#include "checkpoint_tensors.hpp"
#include "common/checkpoint.hpp"
#include "common/fields.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"

namespace defense {

namespace {

struct position {
  std::int64_t step = 0;
  stage_report report;
};

// All tensors of a stage by name: modules, then the state of the optimizer.
named_tensors tensors_of(const stage& what, const adam& optimizer) {
  named_tensors all;
  for (const auto& [name, module] : what.modules) add_module(all, name, *module);
  for (std::size_t i = 0; i < optimizer.mean.size(); ++i) {
    all.emplace_back("adam.mean." + std::to_string(i), optimizer.mean[i]);
    all.emplace_back("adam.square." + std::to_string(i), optimizer.square[i]);
  }
  return all;
}

void save(const stage& what, const settings& s, const adam& optimizer, const position& at) {
  app::safetensors file = pack(tensors_of(what, optimizer));
  file.metadata["step"] = std::to_string(at.step);
  file.metadata["queries"] = std::to_string(at.report.queries);
  file.metadata["seconds"] = app::shortest(at.report.seconds);
  file.metadata["loss"] = app::shortest(at.report.loss);
  file.metadata["settings"] = what.settings.dump();
  app::save_checkpoint(checkpoint_path(s, what.name), file);
}

std::optional<position> load(const stage& what, const settings& s, const app::processes& all,
                             adam& optimizer) {
  if (!s.resume) return {};
  const auto found = app::load_checkpoint(all, checkpoint_path(s, what.name));
  if (!found) return {};
  // Of what a run has counted and measured; none comes near.
  constexpr double most = 1e18;
  constexpr double largest_loss = 1e300;  // and none is negative but for rounding
  const std::string source = checkpoint_path(s, what.name).string();
  const app::fields f(source, found->metadata);
  app::require_same(f.object("settings"), what.settings);
  position at;
  at.step = f.whole("step", 0, what.steps);
  at.report.queries = f.whole("queries", 0, static_cast<std::int64_t>(most));
  at.report.seconds = f.number("seconds", 0, most);
  at.report.loss = f.number("loss", -1, largest_loss);
  app::take_over(source, [&] { unpack(*found, tensors_of(what, optimizer)); });
  optimizer.steps = at.step;
  return at;
}

// Everything in a step is a function of its number, but rounding is one of the machine too. A
// checkpoint holds what all agree on.
void require_same_weights(const stage& what, const app::processes& all) {
  if (all.ranks() == 1) return;
  const torch::NoGradGuard no_gradient;
  std::vector<std::uint8_t> bytes;
  for (const torch::Tensor& parameter : what.trained) {
    const torch::Tensor here = parameter.detach().to(torch::kCPU).contiguous();
    const auto* const first = static_cast<const std::uint8_t*>(here.data_ptr());
    bytes.insert(bytes.end(), first, first + here.nbytes());
  }
  all.require_same(bytes, "weights after a step",
                   "run on machines with the same processor and LibTorch");
}

bool finite_weights(const stage& what) {
  const torch::NoGradGuard no_gradient;
  return std::ranges::all_of(what.trained, [](const torch::Tensor& parameter) {
    return parameter.isfinite().all().item<bool>();
  });
}

[[noreturn]] void diverged(const stage& what, std::int64_t step) {
  throw std::runtime_error("step " + std::to_string(step) + " of " + what.name +
                           " diverged: its loss or weights are not numbers; give a lower --rate");
}

void note(stage_report& total, const step_report& step, bool first) {
  total.queries += step.queries;
  total.loss = first ? step.loss : total.loss + 0.02 * (step.loss - total.loss);
}

}  // namespace

std::filesystem::path checkpoint_path(const settings& s, const std::string& stage) {
  return s.out / "checkpoints" / (stage + ".safetensors");
}

double learning_rate(double highest, std::int64_t step, std::int64_t steps) {
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  const double warm_up =
      std::min(1.0, (static_cast<double>(step) + 1) / (0.05 * static_cast<double>(steps) + 1));
  return highest * warm_up * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

stage_report run_stage(const stage& what, const settings& s, const app::processes& all,
                       const std::function<step_report(std::int64_t step)>& step) {
  adam optimizer(what.trained);
  position at = load(what, s, all, optimizer).value_or(position{});
  const double seconds_before = at.report.seconds;
  zo::progress progress(what.name, what.steps,
                        {.first = at.step, .first_queries = at.report.queries, .quiet = s.quiet});
  while (at.step < what.steps) {
    const step_report done = step(at.step);
    if (!std::isfinite(done.loss)) diverged(what, at.step);
    optimizer.step(learning_rate(what.rate, at.step, what.steps));
    require_same_weights(what, all);
    note(at.report, done, at.step == 0);
    at.step += 1;
    at.report.seconds = seconds_before + progress.seconds();
    progress.update(at.step, at.report.queries, at.report.loss);
    const int signal = all.stop_signal();
    const bool due = signal != 0 || at.step == what.steps || at.step % s.checkpoint_every == 0;
    if (due && !finite_weights(what)) diverged(what, at.step);
    if (due && all.speaks()) save(what, s, optimizer, at);
    if (signal != 0) throw app::interrupted{signal};
  }
  progress.finish();
  return at.report;
}

}  // namespace defense

// What access to a pipeline buys: the gradient of a loss by its input, at six levels of access,
// and what each costs. docs/vector-answers.md shows the table.
//   chains [INPUTS]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>
#include <zo/nn/forward.hpp>
#include <zo/nn/input_map.hpp>
#include <zo/nn/loss.hpp>
#include <zo/zo.hpp>

#include "common/number.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace {

using zo::index_t;
namespace nn = zo::nn;

constexpr double wanted_cosine = 0.9;
constexpr index_t classes = 10;

// A network with weights: a module, or several in a row.
struct part {
  nn::network net;
  std::vector<double> weights;

  index_t inputs() const { return net.nodes().front().out.size(); }
  double cost() const { return static_cast<double>(net.multiplications()); }
};

using layers = std::function<index_t(nn::network&, index_t)>;

index_t encoder(nn::network& net, index_t x) {
  x = net.relu(net.convolution(x, "encoder.0", {.channels = 8, .stride = 2, .bias = true}));
  x = net.relu(net.convolution(x, "encoder.1", {.channels = 8, .stride = 2, .bias = true}));
  return net.linear(x, "encoder.2", 32);
}
index_t processor(nn::network& net, index_t x) {
  x = net.relu(net.linear(x, "processor.0", 256));
  x = net.relu(net.linear(x, "processor.1", 256));
  return net.linear(x, "processor.2", 16);
}
index_t head(nn::network& net, index_t x) {
  return net.linear(net.relu(net.linear(x, "head.0", 64)), "head.1", classes);
}

part part_of(nn::shape input, const std::vector<layers>& modules) {
  nn::network net(input);
  index_t x = net.input();
  for (const layers& one : modules) x = one(net, x);
  return {net, {}};
}

// Modules have the same weights alone and together.
part module_of(nn::shape input, const layers& module, std::uint64_t seed) {
  part p = part_of(input, {module});
  p.weights.resize(static_cast<std::size_t>(p.net.parameter_count()));
  nn::initialize<double>(p.net, nn::initialization::kaiming_uniform, seed, p.weights);
  return p;
}
part joined(part whole, const std::vector<const part*>& modules) {
  for (const part* p : modules) {
    whole.weights.insert(whole.weights.end(), p->weights.begin(), p->weights.end());
  }
  return whole;
}

struct pipeline {
  part encode = module_of({1, 16, 16}, encoder, 1);
  part process = module_of({32, 1, 1}, processor, 2);
  part classify = module_of({16, 1, 1}, head, 3);
  part behind = joined(part_of({32, 1, 1}, {processor, head}), {&process, &classify});
  part whole =
      joined(part_of({1, 16, 16}, {encoder, processor, head}), {&encode, &process, &classify});
};

template <class T, class From>
std::vector<T> numbers(const std::vector<From>& from) {
  return {from.begin(), from.end()};
}

std::vector<double> answer_of(const part& p, const std::vector<double>& x) {
  nn::forward_pass<double> pass(p.net);
  pass.run(zo::seq, p.weights, {}, x, 1, nn::norm_mode::eval);
  return {pass.outputs().begin(), pass.outputs().end()};
}

// Of a module that is known: stands for what back-propagation through it would give.
std::vector<double> known_pullback(const part& p, const std::vector<double>& x,
                                   const std::vector<double>& v) {
  nn::input_map<double> map(p.net, p.weights);
  return zo::pullback(zo::seq, map, x, v, zo::cge({.smoothing = 1e-9})).gradients;
}

// Cross entropy of one sample, and its derivative by the logits.
double loss_of(std::span<const float> logits, index_t target) {
  nn::cross_entropy loss(std::span(&target, 1), classes);
  return loss.prepare(logits);
}
std::vector<double> slope_of(const std::vector<double>& logits, index_t target) {
  std::vector<double> v;
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit);
  for (const double logit : logits) v.push_back(std::exp(logit) / sum);
  v[static_cast<std::size_t>(target)] -= 1;
  return v;
}

// One input, what the modules answer on the way, and the right gradient.
struct trial {
  std::uint64_t seed = 0;
  index_t target = 0;
  std::vector<double> x{}, latent{}, features{}, v{}, gradient{};
};

trial trial_of(const pipeline& all, std::uint64_t seed) {
  trial t{.seed = seed, .target = static_cast<index_t>(seed % classes)};
  const std::vector<double> zero(static_cast<std::size_t>(all.whole.inputs()));
  t.x = zero;
  zo::perturb(zo::seq, zo::gaussian{}, {.seed = seed + 1'000'000}, zero, 1.0, t.x);
  t.latent = answer_of(all.encode, t.x);
  t.features = answer_of(all.process, t.latent);
  t.v = slope_of(answer_of(all.classify, t.features), t.target);
  t.gradient = known_pullback(all.whole, t.x, t.v);
  return t;
}

enum class access { of_loss, of_answers, known };

// Of one gradient, from the last module to the first.
struct step_back {
  const part* module;
  access how;
  std::vector<double> trial::*at;  // the module's input
};

struct level {
  std::string name;
  std::vector<step_back> steps;
};

std::vector<level> levels_of(const pipeline& all) {
  const auto head = [&](access how) { return step_back{&all.classify, how, &trial::features}; };
  const auto middle = [&](access how) { return step_back{&all.process, how, &trial::latent}; };
  const auto first = [&](access how) { return step_back{&all.encode, how, &trial::x}; };
  const auto asked = access::of_answers, known = access::known;
  return {
      {"loss of the whole", {{&all.whole, access::of_loss, &trial::x}}},
      {"answers of the whole", {{&all.whole, asked, &trial::x}}},
      {"loss behind the encoder, which is known",
       {{&all.behind, access::of_loss, &trial::latent}, first(known)}},
      {"each module by itself", {head(asked), middle(asked), first(asked)}},
      {"each by itself, the encoder known", {head(asked), middle(asked), first(known)}},
      {"the head by itself, the others known", {head(asked), middle(known), first(known)}},
  };
}

struct gradient {
  std::vector<double> values;
  double queries = 0, passes = 0;
};

// `how_of` makes the estimator of a step.
template <class HowOf>
gradient estimate(const pipeline& all, const level& l, const trial& t, const HowOf& how_of) {
  gradient g{.values = t.v};
  zo::estimate_options options{.seed = t.seed};
  for (const step_back& back : l.steps) {
    const part& p = *back.module;
    const std::vector<double>& at = t.*back.at;
    index_t queries = 0;
    if (back.how == access::known) {
      g.values = known_pullback(p, at, g.values);
    } else {
      const auto weights = numbers<float>(p.weights), x = numbers<float>(at);
      const zo::any_estimator<float> how = how_of(back);
      std::vector<float> slopes(x.size());
      if (back.how == access::of_loss) {
        nn::forward_pass<float> pass(p.net);
        const auto loss = [&](zo::points<float> rows, std::span<double> losses) {
          pass.run(zo::seq, weights, {}, rows.data, rows.count, nn::norm_mode::eval);
          for (std::size_t k = 0; k < losses.size(); ++k) {
            losses[k] = loss_of(pass.outputs().subspan(k * classes, classes), t.target);
          }
        };
        queries = zo::estimate(zo::seq, loss, x, slopes, how, options).queries;
      } else {
        nn::input_map<float> map(p.net, weights);
        auto found = zo::pullback(zo::seq, map, x, numbers<float>(g.values), how, options);
        queries = found.queries;
        slopes = std::move(found.gradients);
      }
      g.values = numbers<double>(slopes);
    }
    ++options.step;  // each module is asked along directions of its own
    g.queries += static_cast<double>(queries);
    g.passes += static_cast<double>(queries) * p.cost() / all.whole.cost();
  }
  return g;
}

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

// Over the inputs.
struct summary {
  double cosine = 0, error = 0, queries = 0, passes = 0;
};

template <class HowOf>
summary over_trials(const pipeline& all, const level& l, const std::vector<trial>& trials,
                    const HowOf& how_of) {
  summary s;
  double squares = 0;
  const auto count = static_cast<double>(trials.size());
  for (const trial& t : trials) {
    const gradient g = estimate(all, l, t, how_of);
    const double c = cosine(g.values, t.gradient);
    s.cosine += c / count;
    squares += c * c / count;
    s.queries += g.queries / count;
    s.passes += g.passes / count;
  }
  s.error = std::sqrt(std::max(0.0, squares - s.cosine * s.cosine) / (count - 1));
  return s;
}

// A difference of losses needs a step above their rounding, one of answers does not.
summary by_coordinates(const pipeline& all, const level& l, const std::vector<trial>& trials) {
  return over_trials(all, l, trials, [](const step_back& back) {
    return zo::cge({.smoothing = back.how == access::of_loss ? 3e-3 : 1e-6});
  });
}

// Errors of modules add, n / q each, and so do the costs q c: least for q in proportion to
// sqrt(n / c).
summary by_directions(const pipeline& all, const level& l, const std::vector<trial>& trials,
                      double scale) {
  return over_trials(all, l, trials, [&](const step_back& back) {
    const double n = static_cast<double>(back.module->inputs());
    const double share = back.module->cost() / all.whole.cost();
    const auto directions = static_cast<index_t>(std::ceil(scale * std::sqrt(n / share)));
    return zo::rge({.directions = directions, .smoothing = 1e-3});
  });
}

// The fewest directions, to a hundredth, whose mean cosine is the wanted one.
summary fewest_directions(const pipeline& all, const level& l, const std::vector<trial>& trials) {
  const auto at = [&](double scale) { return by_directions(all, l, trials, scale); };
  double low = 0, high = 1;
  summary best = at(high);
  for (; best.cosine < wanted_cosine; high *= 2) best = at(2 * high), low = high;
  while (high - low > 0.01 * high) {
    const double middle = (low + high) / 2;
    const summary tried = at(middle);
    if (tried.cosine < wanted_cosine) {
      low = middle;
    } else {
      high = middle;
      best = tried;
    }
  }
  return best;
}

void report(std::size_t inputs) {
  const pipeline all;
  for (const auto& [name, p] :
       {std::pair{"encoder", &all.encode}, {"processor", &all.process}, {"head", &all.classify}}) {
    std::printf("%-9s %3ld -> %2ld numbers, %s %% of a forward pass\n", name,
                static_cast<long>(p->inputs()), static_cast<long>(p->net.output().size()),
                app::fixed(100 * p->cost() / all.whole.cost(), 1).c_str());
  }
  std::vector<trial> trials;
  for (std::size_t k = 0; k < inputs; ++k) trials.push_back(trial_of(all, k));
  app::table table(
      {"access", "RGE: queries", "passes", "cosine", "CGE: queries", "passes", "cosine"});
  for (const level& l : levels_of(all)) {
    std::vector<std::string> row{l.name};
    for (const summary& s : {fewest_directions(all, l, trials), by_coordinates(all, l, trials)}) {
      row.push_back(app::fixed(s.queries, 0));
      row.push_back(app::fixed(s.passes, 1));
      row.push_back(app::fixed(s.cosine, 4) + " ± " + app::fixed(s.error, 4));
    }
    table.add(row);
  }
  std::fputs(table.text().c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  const auto inputs = argc < 2 ? 32 : app::whole_number<long>(argv[1]).value_or(0);
  if (argc > 2 || inputs < 2 || inputs > 10'000) {
    std::fprintf(stderr,
                 "usage: chains [INPUTS]: how many inputs to take means over, 2 to 10000\n");
    return 2;
  }
  report(static_cast<std::size_t>(inputs));
} catch (const std::exception& error) {
  std::fprintf(stderr, "chains: %s\n", error.what());
  return 1;
}

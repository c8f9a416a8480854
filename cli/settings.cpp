#include "settings.hpp"

#include <algorithm>
#include <fstream>

namespace cli {

std::string settings::rule_or_default() const {
  if (!rule.empty()) return rule;
  // Whole numbers are rounded at random, anew for every estimate.
  const bool whole = std::ranges::any_of(parameters, &zo::parameter::whole);
  return estimator == "cge" && !whole ? "lbfgs" : "adam";
}

json settings::to_json() const {
  json all;
  all["parameters"] = cli::to_json(parameters);
  all["estimator"] = estimator;
  if (estimator == "rge") {
    all["directions"] = directions;
    all["distribution"] = distribution;
  }
  all["scheme"] = scheme;
  all["smoothing"] = smoothing;
  all["rule"] = rule_or_default();
  if (rule_or_default() != "lbfgs") all["rate"] = rate;
  all["seed"] = seed;
  all["failures"] = failures;
  if (failures == "penalise") all["penalty"] = penalty;
  all["retries"] = retries;
  all["budget"] = budget;
  if (!command.empty()) all["command"] = command;
  if (!service.empty()) all["service"] = service;
  return all;
}

settings settings::from_json(const json& all) {
  if (!all.contains("parameters")) {
    throw usage_error(
        "this log was not written by the program zo: its settings name no parameters");
  }
  settings made;
  made.parameters = parameters_of(all.at("parameters"));
  const auto take = [&](const char* key, auto& to) {
    if (all.contains(key)) to = all.at(key).get<std::remove_cvref_t<decltype(to)>>();
  };
  take("estimator", made.estimator);
  take("directions", made.directions);
  take("distribution", made.distribution);
  take("scheme", made.scheme);
  take("smoothing", made.smoothing);
  take("rule", made.rule);
  take("rate", made.rate);
  take("seed", made.seed);
  take("failures", made.failures);
  take("penalty", made.penalty);
  take("retries", made.retries);
  take("budget", made.budget);
  take("command", made.command);
  take("service", made.service);
  return made;
}

void run_options::add_to(CLI::App& app) {
  const std::string what = "Parameters";
  const auto list = [&](const char* name, std::vector<std::string>& to, const char* text) {
    parameter_options_.push_back(app.add_option(name, to, text)->delimiter(',')->group(what));
  };
  list("--start", lists_.start,
       "Where to begin, a number a parameter: 1,2,3 (default: the middle of the bounds)");
  list("--lower", lists_.lower, "Lower bounds; -inf bounds nothing. Equal bounds fix a parameter");
  list("--upper", lists_.upper, "Upper bounds; inf bounds nothing");
  list("--names", lists_.names, "Names (default: x1,x2,…)");
  list("--log-scale", lists_.log_scale,
       "Names of those whose logarithm is moved; both bounds above 0");
  list("--integer", lists_.whole, "Names of those that are whole numbers");
  parameter_options_.push_back(
      app.add_option("--parameters", file_,
                     "A JSON file with a list of {name, lower, upper, start, scale, whole} instead")
          ->group(what));
  const auto add = [&](const char* option, auto& to, const char* key, const char* text) {
    CLI::Option* const made = app.add_option(option, to, text)->group("Method");
    bound_.push_back({made, key});
    return made;
  };
  add("--estimator", made_.estimator, "estimator",
      "cge: a difference along every parameter; rge: random directions")
      ->check(CLI::IsMember({"cge", "rge"}))
      ->capture_default_str();
  add("--directions", made_.directions, "directions",
      "Of rge (default: as many as there are parameters)")
      ->check(CLI::Range(0, 1'000'000));
  add("--distribution", made_.distribution, "distribution", "Of rge")
      ->check(CLI::IsMember({"gaussian", "rademacher", "sphere"}))
      ->capture_default_str();
  add("--scheme", made_.scheme, "scheme",
      "Differences: central are exact to the square, forward cost half")
      ->check(CLI::IsMember({"central", "forward"}))
      ->capture_default_str();
  add("--smoothing", made_.smoothing, "smoothing",
      "Length of a difference as a share of each range, or automatic: from the noise")
      ->capture_default_str();
  add("--rule", made_.rule, "rule",
      "What makes a step: lbfgs, adam, sgd, sign_sgd (default: lbfgs with cge, adam with rge or "
      "whole numbers)")
      ->check(CLI::IsMember({"lbfgs", "adam", "sgd", "sign_sgd"}));
  add("--rate", made_.rate, "rate", "Of adam, sgd and sign_sgd: a step as a share of each range")
      ->capture_default_str();
  add("--seed", made_.seed, "seed", "Of all that is random")->capture_default_str();
  add("--failures", made_.failures, "failures",
      "When an answer fails: drop, replace (rge), penalise, or stop")
      ->check(CLI::IsMember({"drop", "replace", "penalise", "stop"}))
      ->capture_default_str();
  add("--penalty", made_.penalty, "penalty", "The answer of a failed question (penalise)");
  add("--retries", made_.retries, "retries", "Ask a failed question again, so many times")
      ->capture_default_str();
}

settings run_options::of_new() const {
  settings made = made_;
  if (file_.empty()) {
    made.parameters = parameters_of(lists_);
  } else {
    for (const CLI::Option* one : parameter_options_) {
      if (one->count() > 0 && one->get_name() != "--parameters") {
        throw usage_error("--parameters says it all: leave " + one->get_name() +
                          " out, or write it into " + file_);
      }
    }
    std::ifstream from(file_);
    if (!from) throw usage_error("cannot read " + file_);
    const json all = json::parse(from, nullptr, false);
    if (all.is_discarded()) throw usage_error(file_ + " is no JSON");
    made.parameters = parameters_of(all);
  }
  if (made.smoothing != "automatic" && !(number_of(made.smoothing, "--smoothing") > 0)) {
    throw usage_error("--smoothing must be above 0, or automatic");
  }
  if (made.rule_or_default() == "lbfgs" && made.estimator != "cge") {
    throw usage_error("--rule lbfgs needs whole gradients: --estimator cge, or take --rule adam");
  }
  return made;
}

settings run_options::of_log(const settings& kept) const {
  const json before = kept.to_json(), now = made_.to_json();
  for (const bound_option& one : bound_) {
    if (one.option->count() == 0) continue;
    const json was = before.contains(one.name) ? before.at(one.name) : json();
    const json is = now.contains(one.name) ? now.at(one.name) : json();
    if (was != is) {
      throw usage_error(one.option->get_name() + " of the log is " + was.dump() +
                        ", which cannot change; leave it out, or begin another log");
    }
  }
  for (const CLI::Option* one : parameter_options_) {
    if (one->count() == 0) continue;
    if (cli::to_json(zo::space(of_new().parameters).parameters()).dump() !=
        cli::to_json(zo::space(kept.parameters).parameters()).dump()) {
      throw usage_error("the log has parameters of its own, which cannot change; leave " +
                        one->get_name() + " out, or begin another log");
    }
  }
  return kept;
}

}  // namespace cli

// zo ask and zo tell: the questions of a run for answers by hand, or by a queue.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "commands.hpp"
#include "run.hpp"

namespace cli {

namespace {

constexpr std::chrono::seconds others_wait(30);

struct ask_options {
  run_options run;
  std::string log;
  std::optional<std::int64_t> budget;
  std::int64_t most = 1'000'000;
  bool as_json = false;
};

int ask(const ask_options& given) {
  const bool there =
      std::filesystem::exists(given.log) && std::filesystem::file_size(given.log) > 0;
  settings how =
      there
          ? given.run.of_log(settings::from_json(json::parse(zo::read_journal(given.log).settings)))
          : given.run.of_new();
  if (given.budget) how.budget = *given.budget;
  if (how.budget < 1)
    throw usage_error("say what the run may cost: --budget 500 asks at most 500 questions");
  const zo::space space(how.parameters);
  zo::journal_options kept = log_options(how, space);
  kept.wait = others_wait;
  zo::journal log(given.log, kept);
  zo::minimize_options options = options_of(how);
  options.log = &log;
  const auto run = asked(how, space, options);
  const auto questions = run->ask(given.most);
  const std::vector<std::string> names = space.names();
  if (!given.as_json && questions) {
    std::printf("# id");
    for (const std::string& name : names) std::printf(" %s", name.c_str());
    std::printf("\n");
  }
  for (const auto& question : questions) {
    const std::vector<double> values = space.values(question.point, question.sample);
    if (given.as_json) {
      json one;
      one["id"] = question.id;
      for (std::size_t i = 0; i < names.size(); ++i) one["values"][names[i]] = values[i];
      std::printf("%s\n", one.dump().c_str());
    } else {
      std::printf("%llu", static_cast<unsigned long long>(question.id));
      for (const double value : values) std::printf(" %s", text_of(value).c_str());
      std::printf("\n");
    }
  }
  if (run->over()) {
    std::fprintf(stderr, "zo: the run is over: %s; zo status %s says what it has found\n",
                 zo::to_string(run->result().why).data(), given.log.c_str());
  }
  return 0;
}

struct tell_options {
  std::string log, value;
  std::uint64_t id = 0;
  std::optional<std::int64_t> budget;
  std::optional<std::string> failed;
};

int tell(const tell_options& given) {
  if (given.value.empty() == !given.failed.has_value()) {
    throw usage_error("tell a value, or --failed and why");
  }
  settings how = settings::from_json(json::parse(zo::read_journal(given.log).settings));
  if (given.budget) how.budget = *given.budget;
  const zo::space space(how.parameters);
  zo::journal_options kept = log_options(how, space);
  kept.wait = others_wait;
  zo::journal log(given.log, kept);
  zo::minimize_options options = options_of(how);
  options.log = &log;
  const auto run = asked(how, space, options);
  if (given.failed) {
    run->tell_failed(given.id, *given.failed);
  } else {
    const std::string& text = given.value;
    const bool none = text == "nan" || text == "NaN";
    run->tell(given.id, none ? std::nan("") : number_of(text, "the value"));
  }
  return 0;
}

}  // namespace

void add_ask(CLI::App& program, command_run& to) {
  CLI::App* const app = program.add_subcommand(
      "ask", "Print the open questions of a run, to be answered by hand or by a queue");
  const auto given = std::make_shared<ask_options>();
  app->add_option("log", given->log,
                  "The log; begun by the first call, which says the parameters and the budget")
      ->required();
  app->add_option("--most", given->most, "Questions, at most")->check(CLI::PositiveNumber);
  app->add_option("--budget", given->budget, "Questions of the whole run, at most");
  app->add_flag("--json", given->as_json, "A JSON object a line");
  given->run.add_to(*app);
  app->footer(
      "Example:\n  zo ask run.jsonl --names speed,feed --lower 10,0.1 --upper 90,0.9 --budget 60\n "
      " zo tell run.jsonl 0 3.25");
  app->callback([given, &to] { to = [given] { return ask(*given); }; });
}

void add_tell(CLI::App& program, command_run& to) {
  CLI::App* const app = program.add_subcommand("tell", "Answer a question of zo ask");
  const auto given = std::make_shared<tell_options>();
  app->add_option("log", given->log, "The log")->required();
  app->add_option("id", given->id, "Of the question")->required();
  app->add_option("value", given->value, "The answer; behind -- where it is below 0");
  app->add_option("--failed", given->failed, "There is no answer, and why");
  app->add_option("--budget", given->budget,
                  "Questions of the whole run, at most, where zo ask was told another number");
  app->footer(
      "Example:\n  zo tell run.jsonl 7 -- -3.25\n  zo tell run.jsonl 8 --failed 'the cable broke'");
  app->callback([given, &to] { to = [given] { return tell(*given); }; });
}

}  // namespace cli

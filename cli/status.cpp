// zo status: what a log says, also while a run writes it.
#include <memory>

#include "commands.hpp"
#include "report.hpp"
#include "run.hpp"

namespace cli {

namespace {

int status(const std::string& log, bool as_json) {
  const zo::journal_contents kept = zo::read_journal(log);
  const settings how = settings::from_json(json::parse(kept.settings));
  const zo::space space(how.parameters);
  zo::detail::journal_reader reader(log);
  zo::minimize_options options = options_of(how);
  options.max_queries =
      std::max<std::int64_t>(how.budget, static_cast<std::int64_t>(kept.entries.size()));
  options.log = &reader;
  const auto run = asked(how, space, options);
  found result;
  look_at(kept, result);
  result.steps = run->result().steps;
  result.status = run->over() ? std::string(zo::to_string(run->result().why)) : "not at its end";
  print(space, result, as_json);
  return 0;
}

}  // namespace

void add_status(CLI::App& program, command_run& to) {
  CLI::App* const app =
      program.add_subcommand("status", "Say how far the run of a log is, and what it has found");
  struct given_options {
    std::string log;
    bool as_json = false;
  };
  const auto given = std::make_shared<given_options>();
  app->add_option("log", given->log, "The log")->required();
  app->add_flag("--json", given->as_json, "Print it as JSON");
  app->callback([given, &to] { to = [given] { return status(given->log, given->as_json); }; });
}

}  // namespace cli

// zo minimize: asks a program or a service until the budget is spent.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "commands.hpp"
#include "report.hpp"
#include "run.hpp"
#include "zo/interrupt.hpp"
#include "zo/process.hpp"
#include "zo/watch.hpp"
#if defined(ZO_HAS_SERVICE)
#include "zo/service.hpp"
#endif

namespace cli {

namespace {

struct minimize_options {
  run_options run;
  std::string command, service, log, csv, folder, token;
  std::optional<std::int64_t> budget;
  std::optional<double> target;
  int workers = 1;
  double timeout = 60;  // seconds
  bool resume = false, kept = false, as_json = false, quiet = false;
};

void end_when_interrupted() {
  if (zo::interrupt_guard::requested()) throw zo::interrupted("interrupted");
}

// What answers, and what keeps it alive.
objective make_objective(const settings& how, const minimize_options& given) {
  const auto timeout = std::chrono::milliseconds(static_cast<std::int64_t>(given.timeout * 1000));
  if (!how.service.empty()) {
#if defined(ZO_HAS_SERVICE)
    zo::service_options options{.workers = given.workers, .timeout = timeout};
    if (!given.token.empty()) options.headers = {"Authorization: Bearer ${" + given.token + "}"};
    options.while_waiting = end_when_interrupted;
    const auto f = std::make_shared<zo::service>(how.service, options);
    return [f](std::span<const double> x) { return (*f)(x); };
#else
    throw usage_error("this zo was built without zo::service; build it where libcurl is installed");
#endif
  }
  zo::process_options options{
      .manner = given.kept ? zo::process_manner::kept : zo::process_manner::once,
      .workers = given.workers,
      .timeout = timeout,
      .folder = given.folder};
  options.while_waiting = end_when_interrupted;
  const auto f = std::make_shared<zo::process>(zo::shell(how.command), options);
  return [f](std::span<const double> x) { return (*f)(x); };
}

settings settings_of(const minimize_options& given) {
  const bool there = !given.log.empty() && std::filesystem::exists(given.log) &&
                     std::filesystem::file_size(given.log) > 0;
  if (there && !given.resume) {
    throw usage_error(
        given.log + " is there already: add --resume to go on with its run, or give another name");
  }
  settings how =
      there
          ? given.run.of_log(settings::from_json(json::parse(zo::read_journal(given.log).settings)))
          : given.run.of_new();
  if (!given.command.empty()) {
    how.command = given.command;
    how.service.clear();
  }
  if (!given.service.empty()) {
    how.service = given.service;
    how.command.clear();
  }
  if (given.budget) how.budget = *given.budget;
  if (how.command.empty() == how.service.empty()) {
    throw usage_error("say what is asked: --command './program {x}', or --service https://…");
  }
  if (how.budget < 1)
    throw usage_error("say what the run may cost: --budget 500 asks at most 500 questions");
  return how;
}

int run(const minimize_options& given) {
  const settings how = settings_of(given);
  const zo::space space(how.parameters);
  const zo::watch watch({.label = "zo",
                         .max_queries = how.budget,
                         .csv = given.csv,
                         .stop_on_interrupt = true,
                         .line = {.quiet = given.quiet}});
  std::optional<zo::journal> log;
  if (!given.log.empty()) log.emplace(given.log, log_options(how, space));

  found result;
  result.best = std::nan("");
  std::mutex mutex;
  const objective box = make_objective(how, given);
  const objective f = [&](std::span<const double> values) {
    const double answer = box(values);
    const std::lock_guard lock(mutex);
    if (std::isfinite(answer) && !(answer >= result.best)) {
      result.best = answer;
      result.values.assign(values.begin(), values.end());
    }
    return answer;
  };

  zo::minimize_options options = options_of(how);
  options.target = given.target;
  options.on_step = watch;
  options.log = log ? &*log : nullptr;
  std::vector<double> x = space.start();
  int code = 0;
  try {
    const zo::minimize_result end = minimize(how, space, f, x, options, given.workers);
    result.status = zo::to_string(end.why);
    result.queries = end.queries;
    result.failed = end.failed;
    result.steps = end.steps;
    if (end.failure) result.failure = end.failure->why;
    const bool at_fault =
        end.why == zo::status::query_failed || end.why == zo::status::too_many_failed ||
        end.why == zo::status::out_of_range || end.why == zo::status::smoothing_lost;
    if (at_fault) code = ended_by_fault;
    if (end.queries > 0 && end.failed == end.queries)
      code = ended_by_fault;  // nothing was answered
    if (watch.signal() != 0) {
      result.status = "interrupted";
      code = 128 + watch.signal();
    }
  } catch (const zo::interrupted&) {
    result.status = "interrupted";
    code = 128 + zo::interrupt_guard::signal_number();
  }
  watch.finish();
  if (log) {  // with the answers of earlier runs
    found all;
    look_at(zo::read_journal(given.log), all);
    result.best = all.best;
    result.values = all.values;
    if (code >= 128) {
      result.queries = all.queries;
      result.failed = all.failed;
    }
  }
  print(space, result, given.as_json);
  if (code >= 128 && log) {
    std::fprintf(stderr, "zo: to go on: zo minimize --log %s --resume\n", given.log.c_str());
  }
  return code;
}

}  // namespace

void add_minimize(CLI::App& program, command_run& to) {
  CLI::App* const app = program.add_subcommand(
      "minimize", "Look for the parameters with the lowest answer of a program or a service");
  const auto given = std::make_shared<minimize_options>();
  app->add_option("--command", given->command,
                  "A shell command that prints a number last; {x} stands for the parameters, "
                  "{file} for a file with one a line, without "
                  "either they come on its input. It fails where it exits with another code than 0")
      ->group("What is asked");
  app->add_flag("--kept", given->kept,
                "The command goes on: it reads a line of numbers and prints a line with the "
                "answer, again and again")
      ->group("What is asked");
  app->add_option("--folder", given->folder, "Where the command works (default: here)")
      ->group("What is asked");
  app->add_option("--service", given->service,
                  "An address that is sent {\"points\": [[…]]} and answers {\"answers\": […]}")
      ->group("What is asked");
  app->add_option("--token-from", given->token, "Environment variable with a token for the service")
      ->group("What is asked");
  app->add_option("--timeout", given->timeout, "Seconds for an answer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("What is asked");
  app->add_option("--workers", given->workers, "Questions at the same time")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group("What is asked");
  app->add_option("--budget", given->budget,
                  "Questions, at most; with --resume those of the whole run")
      ->group("How far");
  app->add_option("--target", given->target, "End when an answer at a point of the run is as low")
      ->group("How far");
  app->add_option("--log", given->log, "Keep every answer in this file, line by line")
      ->group("Files");
  app->add_flag("--resume", given->resume, "Go on with the run of the log")
      ->needs("--log")
      ->group("Files");
  app->add_option("--csv", given->csv, "A table of the steps")->group("Files");
  app->add_flag("--json", given->as_json, "Print the result as JSON")->group("Files");
  app->add_flag("--quiet", given->quiet, "No progress line")->group("Files");
  given->run.add_to(*app);
  app->footer(
      "Example:\n  zo minimize --command './wing {x}' --names camber,angle --start 0.02,3 --lower "
      "0,-2 --upper 0.09,10 \\\n"
      "              --budget 500 --workers 8 --log run.jsonl");
  app->callback([given, &to] { to = [given] { return run(*given); }; });
}

}  // namespace cli

// zo: zeroth-order optimization for people who write no C++.
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>

#include "commands.hpp"
#include "parameters.hpp"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App program(
      "Finds parameters for which the answer of a program, a service or a person is lowest.", "zo");
  program.set_version_flag("--version", ZO_VERSION);
  program.require_subcommand(1);
  program.footer(
      "Exit codes: 0 done; 1 the run ended for a fault, or a file could not be used; 2 wrong "
      "usage; 128 + n signal n ended it.");
  cli::command_run run;
  cli::add_minimize(program, run);
  cli::add_ask(program, run);
  cli::add_tell(program, run);
  cli::add_status(program, run);
  cli::add_plot(program, run);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : cli::wrong_usage;
  }
  try {
    return run();
  } catch (const cli::usage_error& error) {
    std::fprintf(stderr, "zo: %s\n", error.what());
    return cli::wrong_usage;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return cli::wrong_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zo: %s\n", error.what());
    return cli::ended_by_fault;
  }
}

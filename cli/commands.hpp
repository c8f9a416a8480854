// The commands of the program: each adds itself, and what it does is called by main.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace cli {

/// Exit codes beside 0.
enum exit_code { ended_by_fault = 1, wrong_usage = 2 };  // and 128 + a signal's number

/// Sets `run` where the command is the one that was given.
using command_run = std::function<int()>;
void add_minimize(CLI::App& program, command_run& run);
void add_ask(CLI::App& program, command_run& run);
void add_tell(CLI::App& program, command_run& run);
void add_status(CLI::App& program, command_run& run);
void add_plot(CLI::App& program, command_run& run);

}  // namespace cli

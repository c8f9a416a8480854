// One process, as where MPI is not built: the tests of several are those of the programs.
#include "common/processes.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/checkpoint.hpp"
#include "support.hpp"

namespace {

// Sets these variables of launchers, and no others.
void launch(const std::vector<std::pair<const char*, const char*>>& variables) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK",
                           "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_NTASKS"}) {
    unsetenv(name);
  }
  for (const auto& [name, value] : variables) setenv(name, value, 1);
}

int ranks() { return app::detail::by_launcher().ranks; }
int rank() { return app::detail::by_launcher().rank; }

TEST(Processes, AreCountedAsTheLauncherSays) {
  launch({});
  EXPECT_EQ(ranks(), 1);
  launch({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}});
  EXPECT_EQ(ranks(), 4);
  EXPECT_EQ(rank(), 3);
  launch({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}});
  EXPECT_EQ(ranks(), 2);
  EXPECT_EQ(rank(), 1);
  launch({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "7"}, {"PMI_SIZE", "1"}});
  EXPECT_EQ(ranks(), 8);
  EXPECT_EQ(rank(), 7);
  // A batch script is one process, however many its job may start.
  launch({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}});
  EXPECT_EQ(ranks(), 1);
  for (const char* text : {"1", "", "two", "2x", "0x2", "99999999999"}) {
    launch({{"OMPI_COMM_WORLD_SIZE", text}});
    EXPECT_EQ(ranks(), 1) << text;
  }
  launch({});
}

TEST(Processes, SeveralAreRefusedWhereTheyCannotMeet) {
  launch({{"OMPI_COMM_WORLD_SIZE", "3"}, {"OMPI_COMM_WORLD_RANK", "0"}});
  bool ran = false;
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(app::run_program("program", [&](app::processes&) { ran = true; }), 1);
  const std::string said = ::testing::internal::GetCapturedStderr();
  launch({});
  EXPECT_FALSE(ran);
  EXPECT_EQ(said.find("program: built without MPI, but started as 3 processes"), 0) << said;
  EXPECT_EQ(said.find('\n'), said.size() - 1);
}

TEST(Processes, OneSharesWithNobody) {
  const app::processes all;
  EXPECT_TRUE(all.speaks());
  EXPECT_EQ(all.ranks(), 1);
  EXPECT_GE(all.threads(), 1);
  EXPECT_EQ(all.gather(0.5), std::vector<double>{0.5});
  EXPECT_EQ(all.sum(0.5), 0.5);
  std::vector<double> answers(5);
  all.share(answers, 2, [](zo::index_t first, std::span<double> mine) {
    for (double& answer : mine) answer = static_cast<double>(first++);
  });
  EXPECT_EQ(answers, (std::vector<double>{0, 1, 2, 3, 4}));
  EXPECT_TRUE(all.usage().empty());
  EXPECT_NO_THROW(app::require_same_settings(all, "settings"));
}

TEST(Processes, ReadTheCheckpointThatIsThere) {
  const app::testing::temporary_directory folder;
  const app::processes all;
  const auto path = folder.path() / "a.safetensors";
  EXPECT_FALSE(app::load_checkpoint(all, path).has_value());
  app::safetensors file;
  file.metadata["step"] = "4";
  app::save_checkpoint(path, file);
  EXPECT_EQ(app::load_checkpoint(all, path)->metadata.at("step"), "4");
}

TEST(RunProgram, TurnsInterruptionsIntoExitCodes) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(app::run_program("program", [](app::processes&) { throw app::interrupted{2}; }), 130);
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("--resume"), std::string::npos);
}

TEST(RunProgram, PrintsHelp) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(app::run_program("program", [](app::processes&) { throw app::help_wanted{"--x\n"}; }),
            0);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "--x\n");
}

TEST(RunProgramDeathTest, TellsMistakesInOptionsFromFailures) {
  EXPECT_EXIT(
      app::run_program("program", [](app::processes&) { throw app::usage_error("--x: no"); }),
      testing::ExitedWithCode(2), "^program: --x: no .see --help.\n$");
}

TEST(RunProgramDeathTest, SaysWhatToDoWhereMemoryEnds) {
  const auto all_of_it = [](app::processes&) { throw std::bad_alloc(); };
  const auto more_than_a_vector = [](app::processes&) {
    std::vector<double> impossible;
    impossible.resize(impossible.max_size() + 1);
  };
  const auto of_torch = [](app::processes&) {
    throw std::runtime_error("DefaultCPUAllocator: can't allocate memory: you tried …\nstack");
  };
  for (const std::function<void(app::processes&)>& body :
       {std::function<void(app::processes&)>(all_of_it), {more_than_a_vector}, {of_torch}}) {
    EXPECT_EXIT(app::run_program("program", body), testing::ExitedWithCode(1),
                "^program: there is not enough memory: give a smaller --batch");
  }
}

TEST(RunProgramDeathTest, EscapesWhatWouldDisturbTheTerminal) {
  EXPECT_EXIT(
      app::run_program("program",
                       [](app::processes&) { throw std::runtime_error("no \x1b[2J\xc2\x9bx"); }),
      testing::ExitedWithCode(1), "^program: no .x1b.2J.xc2.x9bx\n$");
}

TEST(RunProgramDeathTest, RefusesAnInstructionSetThatIsNone) {
  setenv("ZO_INSTRUCTION_SET", "sse9", 1);
  EXPECT_EXIT(app::run_program("program", [](app::processes&) {}), testing::ExitedWithCode(1),
              "ZO_INSTRUCTION_SET must be generic, avx2, avx512 or neon, got sse9\n$");
  unsetenv("ZO_INSTRUCTION_SET");
}

TEST(RunProgramDeathTest, FailsWhereNobodyReadsTheResults) {
  EXPECT_EXIT(
      {
        if (std::freopen("/dev/full", "w", stdout) == nullptr) std::abort();
        app::run_program("program", [](app::processes&) { std::printf("results\n"); });
      },
      testing::ExitedWithCode(1), "^program: cannot print the results: No space left");
}

TEST(RunProgramDeathTest, SaysTheFirstLineOfAnError) {
  EXPECT_EXIT(
      app::run_program("program",
                       [](app::processes&) { throw std::runtime_error("no data\nstack trace"); }),
      testing::ExitedWithCode(1), "^program: no data\n$");
}

}  // namespace

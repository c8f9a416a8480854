// What programs with checkpoints share: seeds by purpose, the folder of a run, the way to go on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace app {

/// Thrown after the checkpoint is written when the user asked to stop.
struct interrupted {
  int signal = 0;
};

/// A seed of its own for each purpose of a run, such as "noise" or "classifier".
std::uint64_t seed_for(std::uint64_t seed, std::string_view purpose);

/// How a run meets the checkpoints of an earlier one.
enum class beginning {
  careful,  ///< only where none are, or where the earlier run is finished
  resume,   ///< goes on from them
  fresh     ///< sets them aside
};
beginning beginning_of(bool resume, bool fresh);

/// Where a run keeps its files.
struct run_files {
  std::filesystem::path out;
  std::vector<std::filesystem::path> checkpoints;  ///< folders
  std::vector<std::string> results;                ///< names of files in `out`
};

/// Makes the folders of the checkpoints of a run, and makes room in them. Nothing is deleted and no
/// link is followed: the checkpoints of an earlier run, of a finished one too, are moved to a new
/// folder beside, "checkpoints.1". Throws std::runtime_error, having changed nothing, where an
/// unfinished run would be lost from view, where a folder is a link or holds a ".safetensors" file
/// that no program of this kind has written, and, unless `how` is fresh, where results would
/// replace files of somebody else. Returns a sentence for the user, or an empty text.
std::string open_run(const run_files& files, beginning how);

/// Notes beside the checkpoints that the run is finished: the next one may begin anew.
void finish_run(const run_files& files);

/// Throws std::runtime_error that names the first option whose value differs between the run to be
/// resumed and this one.
void require_same(const nlohmann::json& earlier, const nlohmann::json& now);

}  // namespace app

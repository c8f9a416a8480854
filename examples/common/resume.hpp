// What programs with checkpoints share: seeds by purpose, the folder of a run, the way to go on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace app {

/// Thrown after the checkpoint is written when the user asked to stop.
struct interrupted {
  int signal = 0;
};

/// A seed of its own for each purpose of a run, such as "noise" or "classifier".
std::uint64_t seed_for(std::uint64_t seed, std::string_view purpose);

/// Makes the folder of the checkpoints of a run. Unless it is resumed, checkpoints in the folder
/// are removed: a fresh run must not meet those of another one when it is resumed later. Returns a
/// sentence for the user, or an empty text.
std::string open_checkpoints(const std::filesystem::path& folder, bool resume);

/// Throws std::runtime_error that names the first option whose value differs between the run to be
/// resumed and this one.
void require_same(const nlohmann::json& earlier, const nlohmann::json& now);

}  // namespace app

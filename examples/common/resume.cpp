#include "common/resume.hpp"

#include <stdexcept>
#include <vector>

#include "common/file.hpp"

namespace app {

std::uint64_t seed_for(std::uint64_t seed, std::string_view purpose) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char letter : purpose) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  hash += seed * 0x9e3779b97f4a7c15U;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;  // the finalizer of splitmix64
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
  return hash ^ (hash >> 31);
}

std::string open_checkpoints(const std::filesystem::path& folder, bool resume) {
  make_directories(folder);
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") found.push_back(entry.path());
  }
  if (resume) {
    return found.empty() ? "No checkpoint in " + folder.string() + ": from the start." : "";
  }
  if (found.empty()) return "";
  for (const auto& old : found) std::filesystem::remove(old);
  return "Starting afresh: the checkpoints in " + folder.string() + " are replaced.";
}

void require_same(const nlohmann::json& earlier, const nlohmann::json& now) {
  for (const auto& [name, value] : now.items()) {
    const nlohmann::json before = earlier.contains(name) ? earlier.at(name) : nlohmann::json();
    if (before == value) continue;
    throw std::runtime_error("cannot resume: --" + name + " was " + before.dump() +
                             " in the run to resume and is " + value.dump() +
                             " now; give the earlier value, or another --out");
  }
}

}  // namespace app

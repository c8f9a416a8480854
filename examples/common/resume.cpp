#include "common/resume.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/checkpoint.hpp"
#include "common/fields.hpp"
#include "common/file.hpp"
#include "common/text.hpp"

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

namespace {

namespace fs = std::filesystem;

constexpr const char* mark_name = ".finished";
constexpr std::string_view mark_text = "The run of these checkpoints is finished.\n";

bool is_finished(const fs::path& folder) {
  try {
    const auto text = read_file(folder / mark_name, mark_text.size());
    return std::ranges::equal(text, mark_text);
  } catch (const std::runtime_error&) {
    return false;
  }
}

[[noreturn]] void fail(const std::string& verb, const fs::path& path, const std::string& cause) {
  throw std::runtime_error("Cannot " + verb + " " + in_quotes(path.string()) + ": " + cause +
                           "; choose another --out.");
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator each(folder, error); !error && each != fs::directory_iterator();
       each.increment(error)) {
    found.push_back(each->path());
  }
  if (error) fail("read", folder, error.message());
  std::ranges::sort(found);
  return found;
}

fs::file_type type_of(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type();
}

void require_no_link(const fs::path& folder) {
  if (type_of(folder) == fs::file_type::symlink) {
    fail("keep checkpoints in", folder, "it is a link; remove the link");
  }
}

/// The checkpoints in a folder. Others of that extension are left out or refused.
std::vector<fs::path> checkpoints_in(const fs::path& folder, bool others) {
  std::vector<fs::path> found;
  if (type_of(folder) != fs::file_type::directory) return found;
  for (const fs::path& path : entries_of(folder)) {
    if (path.extension() != ".safetensors") continue;
    if (type_of(path) == fs::file_type::regular && is_checkpoint(path)) {
      found.push_back(path);
    } else if (!others) {
      fail("keep checkpoints in", folder,
           "its " + in_quotes(path.filename().string()) +
               " is no checkpoint, or a damaged one; move it away");
    }
  }
  return found;
}

/// A file that cannot be resumed is refused by name when its turn comes.
bool has_checkpoint_names(const fs::path& folder) {
  return type_of(folder) == fs::file_type::directory &&
         std::ranges::any_of(entries_of(folder), [](const fs::path& path) {
           return path.extension() == ".safetensors";
         });
}

/// Results belong to a run where some folder beside them holds checkpoints.
void require_no_results(const run_files& files) {
  std::error_code ignored;
  if (!fs::is_directory(files.out, ignored)) return;
  for (const fs::path& path : entries_of(files.out)) {
    if (!checkpoints_in(path, true).empty()) return;
  }
  for (const std::string& name : files.results) {
    if (type_of(files.out / name) == fs::file_type::not_found) continue;
    throw std::runtime_error("There is a file " + in_quotes(name) + " in " +
                             in_quotes(files.out.string()) +
                             ", but no checkpoint of a run that wrote it: choose another --out, or "
                             "replace it with --fresh.");
  }
}

fs::path new_folder_beside(const fs::path& folder) {
  for (int number = 1;; ++number) {
    fs::path beside = folder;
    beside += "." + std::to_string(number);
    if (::mkdir(beside.c_str(), 0777) == 0) return beside;
    if (errno != EEXIST) fail("make", beside, std::generic_category().message(errno));
  }
}

void move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail("move", from, error.message());
}

}  // namespace

beginning beginning_of(bool resume, bool fresh) {
  return resume ? beginning::resume : fresh ? beginning::fresh : beginning::careful;
}

std::string open_run(const run_files& files, beginning how) {
  const bool resumed = how == beginning::resume;
  std::vector<std::vector<fs::path>> found;
  bool any = false;
  for (const fs::path& folder : files.checkpoints) {
    require_no_link(folder);
    found.push_back(checkpoints_in(folder, resumed));
    any = any || !found.back().empty() || (resumed && has_checkpoint_names(folder));
    if (found.back().empty() || how != beginning::careful || is_finished(folder)) continue;
    throw std::runtime_error("There are checkpoints of an unfinished run in " +
                             in_quotes(folder.string()) +
                             ": go on from them with --resume, begin anew with --fresh, or choose "
                             "another --out.");
  }
  if (!any && how != beginning::fresh) require_no_results(files);

  std::string kept;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const fs::path& folder = files.checkpoints[i];
    make_directories(folder);
    if (!resumed && !found[i].empty()) {
      const fs::path beside = new_folder_beside(folder);
      for (const fs::path& each : found[i]) move(each, beside / each.filename());
      kept += (kept.empty() ? "" : ", ") + beside.string();
    }
    if (!is_finished(folder)) continue;
    std::error_code error;
    fs::remove(folder / mark_name, error);
    if (error) fail("remove", folder / mark_name, error.message());
  }
  if (resumed && !any) {
    return "No checkpoint in " + files.checkpoints.front().string() + ": from the start.";
  }
  return kept.empty() ? "" : "The checkpoints of the earlier run are kept in " + kept + ".";
}

void finish_run(const run_files& files) {
  for (const fs::path& folder : files.checkpoints) write_atomically(folder / mark_name, mark_text);
}

void require_same(const nlohmann::json& earlier, const nlohmann::json& now) {
  for (const auto& [name, value] : now.items()) {
    const nlohmann::json before = earlier.contains(name) ? earlier.at(name) : nlohmann::json();
    if (before == value) continue;
    throw cannot_resume("cannot resume: --" + name + " was " + text_of(before) +
                        " in the run to resume and is " + text_of(value) +
                        " now; give the earlier value, or another --out");
  }
}

}  // namespace app

#include "common/resume.hpp"

#include <set>

#include "support.hpp"

namespace app::testing {
namespace {

TEST(resume, seeds_differ_by_run_and_by_purpose) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t run = 0; run < 50; ++run) {
    for (const char* purpose : {"weights", "images", "directions"}) {
      seeds.insert(seed_for(run, purpose));
    }
  }
  EXPECT_EQ(seeds.size(), 150);
  EXPECT_EQ(seed_for(7, "weights"), seed_for(7, "weights"));
}

TEST(resume, a_fresh_run_removes_checkpoints_and_nothing_else) {
  const temporary_directory folder;
  put(folder / "cge.safetensors", "old");
  put(folder / "notes.txt", "mine");
  EXPECT_EQ(open_checkpoints(folder.path(), true), "");
  EXPECT_EQ(folder.listing().size(), 2);
  EXPECT_NE(open_checkpoints(folder.path(), false), "");
  EXPECT_EQ(folder.listing(), std::vector<std::string>{"notes.txt"});
  EXPECT_NE(open_checkpoints(folder.path(), true).find("from the start"), std::string::npos);
}

TEST(resume, other_settings_are_refused_by_name) {
  const nlohmann::json before = {{"rate", 0.1}, {"seed", 1}};
  EXPECT_NO_THROW(require_same(before, {{"seed", 1}}));
  const auto message = refusal([&] { require_same(before, {{"seed", 1}, {"rate", 0.2}}); });
  ASSERT_TRUE(message);
  EXPECT_NE(message->find("--rate was 0.1"), std::string::npos) << *message;
  EXPECT_TRUE(refusal([&] { require_same(before, {{"epochs", 3}}); }));
}

}  // namespace
}  // namespace app::testing

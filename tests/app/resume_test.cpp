#include "common/resume.hpp"

#include <set>

#include "common/checkpoint.hpp"
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

void put_checkpoint(const std::filesystem::path& path, const std::string& step = "1") {
  safetensors content;
  content.metadata["step"] = step;
  save_checkpoint(path, content);
}

run_files files_in(const temporary_directory& out) {
  return {out.path(), {out / "checkpoints"}, {"summary.json"}};
}

TEST(resume, an_unfinished_run_is_not_begun_anew_by_mistake) {
  const temporary_directory out;
  const run_files files = files_in(out);
  EXPECT_EQ(open_run(files, beginning::careful), "");
  put_checkpoint(out / "checkpoints/cge.safetensors");
  expect_refusal([&] { open_run(files, beginning::careful); }, "--resume, begin anew with --fresh");
  EXPECT_TRUE(is_checkpoint(out / "checkpoints/cge.safetensors"));
  EXPECT_EQ(open_run(files, beginning::resume), "");
  EXPECT_TRUE(is_checkpoint(out / "checkpoints/cge.safetensors"));
}

TEST(resume, a_fresh_run_moves_checkpoints_and_nothing_else) {
  const temporary_directory out;
  const run_files files = files_in(out);
  for (const char* number : {"1", "2"}) {
    EXPECT_EQ(open_run(files, beginning::resume),
              "No checkpoint in " + (out / "checkpoints").string() + ": from the start.");
    put_checkpoint(out / "checkpoints/cge.safetensors", number);
    put(out / "checkpoints/notes.txt", "mine");
    const std::string said = open_run(files, beginning::fresh);
    EXPECT_NE(said.find(std::string("checkpoints.") + number), std::string::npos) << said;
    EXPECT_EQ(get(out / "checkpoints/notes.txt"), "mine");
    EXPECT_FALSE(std::filesystem::exists(out / "checkpoints/cge.safetensors"));
    const auto kept = out / ("checkpoints." + std::string(number)) / "cge.safetensors";
    EXPECT_EQ(load_checkpoint(kept).metadata.at("step"), number);
  }
}

TEST(resume, a_finished_run_may_be_followed_by_another) {
  const temporary_directory out;
  const run_files files = files_in(out);
  open_run(files, beginning::careful);
  put_checkpoint(out / "checkpoints/cge.safetensors");
  put(out / "summary.json", "{}");
  finish_run(files);
  EXPECT_NE(open_run(files, beginning::careful).find("checkpoints.1"), std::string::npos);
  put_checkpoint(out / "checkpoints/cge.safetensors");  // the second run is not finished
  EXPECT_TRUE(refusal([&] { open_run(files, beginning::careful); }));
  finish_run(files);
  open_run(files, beginning::resume);  // goes on: no longer finished
  EXPECT_TRUE(refusal([&] { open_run(files, beginning::careful); }));
  finish_run(files);
  std::filesystem::remove(out / "checkpoints/cge.safetensors");
  open_run(files, beginning::careful);  // the note is about nothing
  put_checkpoint(out / "checkpoints/cge.safetensors");
  EXPECT_TRUE(refusal([&] { open_run(files, beginning::careful); }));
}

// Several folders: none is touched where one is refused.
TEST(resume, folders_are_opened_together) {
  const temporary_directory out;
  const run_files files{out.path(), {out / "depth_1", out / "depth_2"}, {}};
  open_run(files, beginning::careful);
  put_checkpoint(out / "depth_1/cge.safetensors");
  finish_run(files);
  put_checkpoint(out / "depth_2/cge.safetensors");
  std::filesystem::remove(out / "depth_2/.finished");
  EXPECT_TRUE(refusal([&] { open_run(files, beginning::careful); }));
  EXPECT_TRUE(is_checkpoint(out / "depth_1/cge.safetensors"));
}

TEST(resume, files_of_others_are_left_alone) {
  const temporary_directory out;
  const run_files files = files_in(out);
  std::filesystem::create_directory(out / "checkpoints");
  safetensors model;
  model.tensors = {{"w", dtype::u8, {1}, {7}}};
  write_safetensors(out / "checkpoints/my_model.safetensors", model);
  for (const beginning how : {beginning::careful, beginning::fresh}) {
    expect_refusal([&] { open_run(files, how); }, "\"my_model.safetensors\" is no checkpoint");
  }
  open_run(files, beginning::resume);
  EXPECT_EQ(read_safetensors(out / "checkpoints/my_model.safetensors").tensors, model.tensors);
}

TEST(resume, links_are_not_followed) {
  const temporary_directory out;
  const temporary_directory elsewhere;
  put_checkpoint(elsewhere / "cge.safetensors");
  std::filesystem::create_directory_symlink(elsewhere.path(), out / "checkpoints");
  for (const beginning how : {beginning::careful, beginning::fresh, beginning::resume}) {
    expect_refusal([&] { open_run(files_in(out), how); }, "it is a link");
  }
  std::filesystem::remove(out / "checkpoints");
  std::filesystem::create_directory(out / "checkpoints");
  std::filesystem::create_symlink(elsewhere / "cge.safetensors", out / "checkpoints/a.safetensors");
  for (const beginning how : {beginning::careful, beginning::fresh}) {
    expect_refusal([&] { open_run(files_in(out), how); }, "is no checkpoint");
  }
  EXPECT_TRUE(is_checkpoint(elsewhere / "cge.safetensors"));
}

TEST(resume, results_of_others_are_not_replaced) {
  const temporary_directory out;
  put(out / "summary.json", "mine");
  for (const beginning how : {beginning::careful, beginning::resume}) {
    expect_refusal([&] { open_run(files_in(out), how); }, "There is a file \"summary.json\"");
  }
  EXPECT_EQ(out.listing(), std::vector<std::string>{"summary.json"});
  open_run(files_in(out), beginning::fresh);
  // Beside the checkpoints of another kind of run they are those of that run.
  std::filesystem::create_directory(out / "depth_1");
  put_checkpoint(out / "depth_1/cge.safetensors");
  EXPECT_EQ(open_run(files_in(out), beginning::careful), "");
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

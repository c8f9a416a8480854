#include "common/dataset.hpp"

#include "support.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;

TEST(Dataset, ImagesAreSlices) {
  const image_set set{2, 1, 2, 2, {1, 2, 3, 4, 5, 6, 7, 8}, {0, 1}};
  EXPECT_EQ(set.image_size(), 4);
  EXPECT_EQ(set.image(1).front(), 5);
  EXPECT_EQ(set.image(1).size(), 4U);
}

TEST(Dataset, LooksInTheStatedOrder) {
  const testing::temporary_directory directory;
  for (const char* name : {"option", "environment/sub", "system"}) {
    fs::create_directories(directory / name);
    testing::put(directory / name / "marker", "");
  }
  fs::create_directories(directory / "empty");
  const testing::environment variable("ZO_DATA_DIR", (directory / "environment").c_str());
  const auto find = [&](const fs::path& option) {
    return find_data(option, directory / "system", {"sub"}, {"marker.gz", "marker"});
  };
  EXPECT_EQ(find(directory / "option"), directory / "option/marker");
  EXPECT_EQ(find({}), directory / "environment/sub/marker");
  EXPECT_EQ(find(directory / "empty"), std::nullopt);  // never elsewhere than asked for
  const testing::environment unset("ZO_DATA_DIR", nullptr);
  EXPECT_EQ(find({}), directory / "system/marker");
}

// A folder that comes first wins, whatever the file is called there.
TEST(Dataset, FoldersComeBeforeNames) {
  const testing::temporary_directory directory;
  fs::create_directories(directory / "sub");
  testing::put(directory / "sub/marker.gz", "");
  testing::put(directory / "marker", "");
  const auto find = [&] {
    return find_data(directory.path(), {}, {"sub"}, {"marker.gz", "marker"});
  };
  EXPECT_EQ(find(), directory / "marker");
  testing::put(directory / "marker.gz", "");
  EXPECT_EQ(find(), directory / "marker.gz");
}

TEST(Dataset, SaysWhatAFolderHolds) {
  const testing::temporary_directory directory;
  EXPECT_EQ(contents_of(directory / "none"), "which does not exist");
  EXPECT_EQ(contents_of(directory.path()), "which is empty");
  testing::put(directory / "b", "");
  EXPECT_EQ(contents_of(directory.path()), "which holds \"b\"");
  EXPECT_EQ(contents_of(directory / "b"), "which is no folder that can be read");
  testing::put(directory / "a\x1b", "");
  EXPECT_EQ(contents_of(directory.path()), "which holds \"a\\x1b\" and \"b\"");
  for (int i = 0; i < 8; ++i) testing::put(directory / ("c" + std::to_string(i)), "");
  EXPECT_EQ(contents_of(directory.path()),
            "which holds \"a\\x1b\", \"b\", \"c0\", \"c1\", \"c2\" and 5 more");
}

}  // namespace
}  // namespace app

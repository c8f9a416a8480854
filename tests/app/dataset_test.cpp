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
    return find_data(option, directory / "system", {"sub"}, "marker");
  };
  EXPECT_EQ(find(directory / "option"), directory / "option");
  EXPECT_EQ(find({}), directory / "environment" / "sub");
  EXPECT_EQ(find(directory / "empty"), std::nullopt);  // never elsewhere than asked for
  const testing::environment unset("ZO_DATA_DIR", nullptr);
  EXPECT_EQ(find({}), directory / "system");
}

}  // namespace
}  // namespace app

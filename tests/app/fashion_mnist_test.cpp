#include "common/fashion_mnist.hpp"

#include <array>

#include "support.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;
using testing::bytes;
using testing::expect_refusal;

/// Writes `count` test images of rows x 28, and `labels` labels.
void put_test_set(const fs::path& directory, std::uint8_t count, std::uint8_t rows,
                  std::uint8_t labels) {
  bytes images = {0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, rows, 0, 0, 0, 28};
  images.resize(images.size() + std::size_t{count} * rows * 28, 5);
  testing::put(directory / "t10k-images-idx3-ubyte", images);
  bytes answers = {0, 0, 8, 1, 0, 0, 0, labels};
  answers.resize(answers.size() + labels, 9);
  testing::put(directory / "t10k-labels-idx1-ubyte", answers);
}

TEST(FashionMnist, ReadsADirectory) {
  const testing::temporary_directory directory;
  put_test_set(directory.path(), 3, 28, 3);
  const image_set set = load_fashion_mnist(split::test, directory.path());
  EXPECT_EQ(set.count, 3);
  EXPECT_EQ(set.image_size(), 784);
  EXPECT_EQ(set.pixels.size(), 3U * 784);
  EXPECT_EQ(set.labels, (bytes{9, 9, 9}));
}

// As published, unpacked, with a dot, and as torchvision lays them out.
TEST(FashionMnist, ReadsTheLayoutsThatAreAround) {
  for (const char* folder : {".", "fashion-mnist", "FashionMNIST/raw", "raw"}) {
    for (const bool dotted : {false, true}) {
      const testing::temporary_directory directory;
      fs::create_directories(directory / folder);
      put_test_set(directory / folder, 3, 28, 3);
      if (dotted) {
        const fs::path at = directory / folder;
        fs::rename(at / "t10k-images-idx3-ubyte", at / "t10k-images.idx3-ubyte");
        fs::rename(at / "t10k-labels-idx1-ubyte", at / "t10k-labels.idx1-ubyte");
      }
      EXPECT_EQ(load_fashion_mnist(split::test, directory.path()).count, 3) << folder << dotted;
    }
  }
}

TEST(FashionMnist, TakesImagesAndLabelsFromOneFolder) {
  const testing::temporary_directory directory;
  fs::create_directories(directory / "raw");
  put_test_set(directory.path(), 3, 28, 3);
  put_test_set(directory / "raw", 3, 28, 3);
  fs::remove(directory / "t10k-labels-idx1-ubyte");
  expect_refusal([&] { load_fashion_mnist(split::test, directory.path()); },
                 "which holds \"raw\" and \"t10k-images-idx3-ubyte\"");
}

TEST(FashionMnist, RefusesWhatDoesNotFit) {
  const testing::temporary_directory directory;
  put_test_set(directory.path(), 3, 28, 2);
  expect_refusal([&] { load_fashion_mnist(split::test, directory.path()); },
                 "3 images but 2 labels");
  put_test_set(directory.path(), 3, 27, 3);
  expect_refusal([&] { load_fashion_mnist(split::test, directory.path()); }, "27 x 28");
}

TEST(FashionMnist, SaysWhereToGetIt) {
  const testing::temporary_directory directory;
  const auto message =
      testing::refusal([&] { load_fashion_mnist(split::train, directory.path()); });
  ASSERT_TRUE(message);
  EXPECT_NE(message->find("dataset-fashion-mnist"), std::string::npos) << *message;
  EXPECT_NE(message->find("--data"), std::string::npos) << *message;
}

TEST(FashionMnist, RealFiles) {
  if (!fs::exists(fashion_mnist_default)) {
    GTEST_SKIP() << "the Debian package dataset-fashion-mnist is not installed";
  }
  const testing::environment unset("ZO_DATA_DIR", nullptr);
  const image_set train = load_fashion_mnist(split::train);
  const image_set test = load_fashion_mnist(split::test);
  EXPECT_EQ(train.count, 60'000);
  EXPECT_EQ(test.count, 10'000);
  for (const image_set* set : {&train, &test}) {
    std::array<std::int64_t, 10> per_class{};
    for (const std::uint8_t label : set->labels) ++per_class.at(label);
    for (const std::int64_t count : per_class) EXPECT_EQ(count, set->count / 10);
  }
  EXPECT_EQ(train.labels[0], 9);  // the first image is an ankle boot
}

}  // namespace
}  // namespace app

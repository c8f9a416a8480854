#include "common/cifar.hpp"

#include <cstddef>

#include "support.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;
using testing::bytes;
using testing::expect_refusal;

constexpr std::size_t record = 3073;

bytes batch(std::size_t records) {
  bytes file(records * record);
  for (std::size_t i = 0; i < records; ++i) {
    file[i * record] = static_cast<std::uint8_t>(i % 10);
    file[i * record + 1] = static_cast<std::uint8_t>(100 + i);
    file[i * record + 3072] = static_cast<std::uint8_t>(200 + i);
  }
  return file;
}

/// A sparse file of zero bytes: valid records of label 0.
void put_zeros(const fs::path& path, std::uintmax_t size) {
  testing::put(path, "");
  fs::resize_file(path, size);
}

TEST(Cifar, SplitsRecords) {
  image_set images;
  append_cifar10_batch(batch(2), 2, "b", images);
  append_cifar10_batch(batch(1), 1, "b", images);
  EXPECT_EQ(images.count, 3);
  EXPECT_EQ(images.labels, (bytes{0, 1, 0}));
  EXPECT_EQ(images.image(1).front(), 101);
  EXPECT_EQ(images.image(1).back(), 201);
  EXPECT_EQ(images.image_size(), 3072);
}

TEST(Cifar, RefusesWrongSizesAndLabels) {
  image_set images;
  bytes file = batch(3);
  expect_refusal([&] { append_cifar10_batch(file, 2, "b", images); }, "instead of 2 records");
  file.pop_back();
  expect_refusal([&] { append_cifar10_batch(file, 3, "b", images); }, "9218 bytes");
  file = batch(3);
  file[2 * record] = 10;
  expect_refusal([&] { append_cifar10_batch(file, 3, "b", images); }, "record 2 has the label 10");
  EXPECT_EQ(images.count, 0);
  EXPECT_TRUE(images.pixels.empty());
}

TEST(Cifar, PrefersTheWholeTestSet) {
  const testing::temporary_directory directory;
  fs::create_directories(directory / "cifar10");
  put_zeros(directory / "cifar10/test_batch_first1000.bin", 1000 * record);
  EXPECT_EQ(load_cifar10(split::test, directory.path()).count, 1000);
  put_zeros(directory / "cifar10/test_batch.bin", 10'000 * record);
  EXPECT_EQ(load_cifar10(split::test, directory.path()).count, 10'000);
  put_zeros(directory / "cifar10/test_batch.bin", 10'000 * record - 1);
  expect_refusal([&] { load_cifar10(split::test, directory.path()); }, "10000 records");
  put_zeros(directory / "cifar10/test_batch.bin", 10'001 * record);
  expect_refusal([&] { load_cifar10(split::test, directory.path()); }, "larger than");
}

TEST(Cifar, NeedsAllTrainingBatches) {
  const testing::temporary_directory directory;
  for (int i = 1; i <= 4; ++i) {
    put_zeros(directory / ("data_batch_" + std::to_string(i) + ".bin"), 10'000 * record);
  }
  expect_refusal([&] { load_cifar10(split::train, directory.path()); }, "no data_batch_5.bin");
  put_zeros(directory / "data_batch_5.bin", 10'000 * record);
  const image_set images = load_cifar10(split::train, directory.path());
  EXPECT_EQ(images.count, 50'000);
  EXPECT_EQ(images.pixels.size(), std::size_t{50'000} * 3072);
}

TEST(Cifar, SaysWhereToGetIt) {
  const testing::temporary_directory directory;
  expect_refusal([&] { load_cifar10(split::test, directory.path()); }, "--data");
}

TEST(Cifar, RealFiles) {
  const char* const data = std::getenv("ZO_DATA_DIR");
  if (data == nullptr || !fs::exists(fs::path(data) / "cifar10")) {
    GTEST_SKIP() << "ZO_DATA_DIR names no directory with cifar10";
  }
  const image_set images = load_cifar10(split::test);
  EXPECT_GE(images.count, 1000);
  EXPECT_EQ(images.labels[0], 3);  // the first test image is a cat
}

}  // namespace
}  // namespace app

#include "common/checkpoint.hpp"

#include <array>
#include <cstddef>

#include "support.hpp"

namespace app {
namespace {

using testing::bytes;
using testing::expect_refusal;

safetensors example(float first = 1.0F) {
  const std::array weight = {first, -2.0F};
  safetensors content;
  content.tensors = {make_tensor<float>("net.weight", {2}, weight),
                     make_tensor<std::uint8_t>("rng", {3}, std::array<std::uint8_t, 3>{1, 2, 3})};
  content.metadata = {{"step", "17"}, {"settings", "{\"q\": 4}"}};
  return content;
}

TEST(Checkpoint, RoundTrips) {
  const testing::temporary_directory directory;
  save_checkpoint(directory / "c", example());
  const safetensors back = load_checkpoint(directory / "c");
  EXPECT_EQ(back.metadata, example().metadata);
  EXPECT_EQ(back.tensors, example().tensors);
  save_checkpoint(directory / "c", example(5));
  EXPECT_EQ(load_checkpoint(directory / "c").tensors, example(5).tensors);
  EXPECT_EQ(directory.listing(), std::vector<std::string>{"c"});
}

TEST(Checkpoint, OpensAsSafetensors) {
  const safetensors plain = parse_safetensors(encode_checkpoint(example()), "c");
  EXPECT_EQ(plain.at("net.weight").values<float>(), (std::vector<float>{1, -2}));
  EXPECT_EQ(plain.metadata.at("step"), "17");
}

TEST(Checkpoint, RefusesEveryTruncation) {
  const bytes file = encode_checkpoint(example());
  for (std::size_t size = 0; size < file.size(); ++size) {
    const bytes part(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    expect_refusal([&] { parse_checkpoint(part, "c"); }, "without --resume");
  }
}

TEST(Checkpoint, RefusesEveryFlippedBit) {
  const bytes file = encode_checkpoint(example());
  for (std::size_t i = 0; i < file.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes altered = file;
      altered[i] = static_cast<std::uint8_t>(altered[i] ^ 1 << bit);
      // The padding behind the header may become other white space: then nothing was altered.
      std::optional<std::string> message;
      try {
        const safetensors back = parse_checkpoint(altered, "c");
        EXPECT_EQ(back.tensors, example().tensors) << "byte " << i;
        EXPECT_EQ(back.metadata, example().metadata) << "byte " << i;
      } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("without --resume"), std::string::npos);
      }
    }
  }
}

TEST(Checkpoint, ChecksumCoversTensorsAndText) {
  // Same sizes and layout, other content: only the checksum can tell.
  bytes file = encode_checkpoint(example());
  file.back() = static_cast<std::uint8_t>(file.back() ^ 1);
  expect_refusal([&] { parse_checkpoint(file, "c"); }, "wrong checksum");
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{"\"17\"", "\"18\""}, {"net.weight", "net.height"}}) {
    const bytes original = encode_checkpoint(example());
    std::string text(original.begin(), original.end());
    text.replace(text.find(from), from.size(), to);
    expect_refusal([&] { parse_checkpoint(testing::as_bytes(text), "c"); }, "wrong checksum");
  }
}

TEST(Checkpoint, RefusesOtherFilesAndVersions) {
  expect_refusal([] { parse_checkpoint(encode_safetensors(example()), "c"); },
                 "it is not a checkpoint");
  const bytes original = encode_checkpoint(example());
  std::string text(original.begin(), original.end());
  const std::string version = "\"zo.version\":\"1\"";
  ASSERT_NE(text.find(version), std::string::npos);
  text.replace(text.find(version), version.size(), "\"zo.version\":\"2\"");
  expect_refusal([&] { parse_checkpoint(testing::as_bytes(text), "c"); },
                 "has the checkpoint version \"2\"");
  expect_refusal([] { load_checkpoint("/nonexistent/c"); }, "check the path");
}

TEST(Checkpoint, ReservesItsOwnKeys) {
  safetensors content = example();
  content.metadata["zo.step"] = "1";
  EXPECT_THROW(encode_checkpoint(content), std::invalid_argument);
}

TEST(Checkpoint, AFailedSaveKeepsTheOldOne) {
  const testing::temporary_directory directory;
  save_checkpoint(directory / "c", example());
  safetensors broken = example();
  broken.tensors[0].bytes.pop_back();
  EXPECT_THROW(save_checkpoint(directory / "c", broken), std::invalid_argument);
  EXPECT_EQ(load_checkpoint(directory / "c").tensors, example().tensors);
}

}  // namespace
}  // namespace app

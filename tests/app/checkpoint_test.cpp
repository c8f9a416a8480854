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
    expect_refusal([&] { parse_checkpoint(part, "c"); }, "--fresh");
  }
}

// Also where tensors hold nothing: first, in the middle, last, and nothing else.
TEST(Checkpoint, RefusesEveryFlippedBit) {
  const tensor a = make_tensor<float>("a", {2}, std::array{1.0F, -2.0F});
  const tensor z = make_tensor<float>("z", {1}, std::array{3.0F});
  const auto nothing = [](const char* name) { return make_tensor<float>(name, {0}, {}); };
  const std::map<std::string, std::string> text = {{"step", "17"}, {"note", ""}};
  for (const safetensors& content :
       {example(), safetensors{{nothing("A"), a, z}, text}, safetensors{{a, nothing("b"), z}, text},
        safetensors{{a, z, nothing("zz")}, text}, safetensors{{nothing("a")}, text},
        safetensors{{a, nothing("b"), nothing("c"), z}, {}}}) {
    const bytes file = encode_checkpoint(content);
    EXPECT_EQ(parse_checkpoint(file, "c").metadata, content.metadata);
    for (std::size_t i = 0; i < file.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        bytes altered = file;
        altered[i] = static_cast<std::uint8_t>(altered[i] ^ 1 << bit);
        const auto message = testing::refusal([&] { parse_checkpoint(altered, "c"); });
        ASSERT_TRUE(message) << "byte " << i << " bit " << bit;
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
                 "it is no checkpoint");
  const bytes original = encode_checkpoint(example());
  std::string text(original.begin(), original.end());
  const std::string version = "\"zo.version\":\"2\"";
  ASSERT_NE(text.find(version), std::string::npos);
  text.replace(text.find(version), version.size(), "\"zo.version\":\"3\"");
  expect_refusal([&] { parse_checkpoint(testing::as_bytes(text), "c"); },
                 "has the checkpoint version \"3\"");
  expect_refusal([] { load_checkpoint("/nonexistent/c"); }, "check the path");
}

// Their checksum is the same where every tensor holds something, and told little where not.
TEST(Checkpoint, ReadsFilesOfVersionOneThatItCanCheck) {
  // As version 1 wrote {"a": [1, -2]}, {"step": "17"}, and beside it an empty tensor.
  const auto old_file = [](const std::string& entries, const std::string& checksum) {
    std::string header = R"({"__metadata__":{"step":"17","zo.checksum":")" + checksum +
                         R"(","zo.format":"zo checkpoint","zo.version":"1"},)" + entries + "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    std::string length(8, '\0');
    length[0] = static_cast<char>(header.size() & 0xff);
    length[1] = static_cast<char>(header.size() >> 8);
    return testing::as_bytes(length + header + std::string("\0\0\x80\x3f\0\0\0\xc0", 8));
  };
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const std::string b = R"("b":{"dtype":"F32","shape":[0],"data_offsets":[8,8]})";
  const safetensors read = parse_checkpoint(old_file(a, "331588750"), "c");
  EXPECT_EQ(read.at("a").values<float>(), (std::vector<float>{1, -2}));
  EXPECT_EQ(read.metadata, (std::map<std::string, std::string>{{"step", "17"}}));
  expect_refusal([&] { parse_checkpoint(old_file(a, "1"), "c"); }, "wrong checksum");
  expect_refusal([&] { parse_checkpoint(old_file(a + "," + b, "0"), "c"); },
                 "written by an earlier version");
}

TEST(Checkpoint, IsRecognisedByItsHeader) {
  const testing::temporary_directory directory;
  save_checkpoint(directory / "c", example());
  write_safetensors(directory / "model", example());
  testing::put(directory / "text", "hello");
  EXPECT_TRUE(is_checkpoint(directory / "c"));
  for (const char* name : {"model", "text", "nothing", "."}) {
    EXPECT_FALSE(is_checkpoint(directory / name)) << name;
  }
}

TEST(Checkpoint, WhatItsContentsLackIsARefusalOfTheFile) {
  const safetensors content = example();
  expect_refusal([&] { take_over("c", [&] { content.at("velocity"); }); },
                 "Cannot continue from \"c\": There is no tensor \"velocity\" in the file: check "
                 "that it belongs to this model; begin anew");
  expect_refusal([] { take_over("c", [] { refuse_checkpoint("d", "why"); }); }, "\"d\": why");
  EXPECT_NO_THROW(take_over("c", [] {}));
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

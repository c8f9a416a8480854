#include "common/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include "support.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;
using testing::as_bytes;
using testing::bytes;
using testing::expect_refusal;

/// A file with this header and payload, the header not padded.
bytes file_with(std::string_view header, std::size_t payload) {
  const std::uint64_t length = header.size();
  bytes file(sizeof length + header.size() + payload, 1);
  std::memcpy(file.data(), &length, sizeof length);
  std::copy(header.begin(), header.end(), file.begin() + sizeof length);
  return file;
}

safetensors parse(const bytes& file) { return parse_safetensors(file, "test.safetensors"); }

void expect_refused_header(std::string_view header, std::size_t payload, std::string_view part) {
  expect_refusal([&] { parse(file_with(header, payload)); }, part);
}

safetensors example() {
  const std::array weight = {1.0F, -2.0F, 0.5F, 3.0F};
  const std::array<std::int64_t, 3> steps = {1, -1, std::int64_t{1} << 40};
  const std::array<std::uint8_t, 5> labels = {0, 1, 2, 3, 255};
  const std::array lr = {0.1};
  safetensors content;
  content.tensors = {make_tensor<float>("weight", {2, 2}, weight),
                     make_tensor<std::int64_t>("steps", {3}, steps),
                     make_tensor<std::uint8_t>("labels", {5}, labels),
                     make_tensor<double>("lr", {}, lr), make_tensor<float>("empty", {0, 3}, {})};
  content.metadata = {{"format", "np"}};
  return content;
}

// What Python's safetensors 0.8.0 writes for the same content:
//   save({'weight': [[1,-2],[.5,3]] f4, 'steps': [1,-1,1<<40] i8, 'labels': [0,1,2,3,255] u1,
//         'lr': 0.1 f8, 'empty': zeros((0,3)) f4}, {'format': 'np'})
bytes reference_file() {
  const std::string header =
      R"({"__metadata__":{"format":"np"},"steps":{"dtype":"I64","shape":[3],"data_offsets":[0,24]},)"
      R"("lr":{"dtype":"F64","shape":[],"data_offsets":[24,32]},)"
      R"("empty":{"dtype":"F32","shape":[0,3],"data_offsets":[32,32]},)"
      R"("weight":{"dtype":"F32","shape":[2,2],"data_offsets":[32,48]},)"
      R"("labels":{"dtype":"U8","shape":[5],"data_offsets":[48,53]}} )";
  const bytes payload = {0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                         0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
                         0x00, 0x00, 0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f, 0x00,
                         0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x00, 0x3f,
                         0x00, 0x00, 0x40, 0x40, 0x00, 0x01, 0x02, 0x03, 0xff};
  EXPECT_EQ(header.size(), 328U);
  bytes file = file_with(header, 0);
  file.insert(file.end(), payload.begin(), payload.end());
  return file;
}

TEST(Safetensors, WritesWhatTheReferenceImplementationWrites) {
  EXPECT_EQ(encode_safetensors(example()), reference_file());
}

TEST(Safetensors, ReadsWhatTheReferenceImplementationWrites) {
  const safetensors content = parse(reference_file());
  EXPECT_EQ(content.metadata, example().metadata);
  ASSERT_EQ(content.tensors.size(), 5U);
  for (const tensor& each : example().tensors) EXPECT_EQ(content.at(each.name), each);
  EXPECT_EQ(content.at("weight").values<float>(), (std::vector<float>{1, -2, 0.5, 3}));
  EXPECT_EQ(content.at("lr").values<double>(), std::vector<double>{0.1});
  EXPECT_EQ(content.at("steps").values<std::int64_t>()[2], std::int64_t{1} << 40);
  EXPECT_TRUE(content.at("empty").values<float>().empty());
}

TEST(Safetensors, EveryDtypeSurvives) {
  safetensors content;
  for (int i = 0; i < static_cast<int>(dtype::unknown); ++i) {
    const auto type = static_cast<dtype>(i);
    content.tensors.push_back({std::string(name_of(type)), type, {2, 4}, bytes(bits_of(type), 7)});
  }
  content.tensors.push_back({"new", dtype::unknown, {3}, bytes(5, 7), "X9"});
  const safetensors back = parse(encode_safetensors(content));
  ASSERT_EQ(back.tensors.size(), 23U);
  for (const tensor& each : content.tensors) EXPECT_EQ(back.at(each.name), each);
}

TEST(Safetensors, TensorsAreAligned) {
  for (std::size_t odd = 0; odd < 8; ++odd) {
    safetensors content = example();
    content.metadata["length"] = std::string(odd, 'x');
    const bytes file = encode_safetensors(content);
    std::uint64_t header = 0;
    std::memcpy(&header, file.data(), sizeof header);
    std::uint64_t position = 8 + header;
    EXPECT_EQ(position % 8, 0U);
    for (const tensor& each : parse(file).tensors) {
      EXPECT_EQ(position % (bits_of(each.dtype) / 8), 0U) << each.name;
      position += each.bytes.size();
    }
  }
}

TEST(Safetensors, NanAndInfinityKeepTheirBits) {
  const std::array values = {std::nanf("7"), std::numeric_limits<float>::infinity(), -0.0F};
  safetensors content;
  content.tensors = {make_tensor<float>("x", {3}, values)};
  EXPECT_EQ(parse(encode_safetensors(content)).tensors, content.tensors);
}

TEST(Safetensors, RefusesEveryTruncation) {
  const bytes file = reference_file();
  for (std::size_t size = 0; size < file.size(); ++size) {
    const bytes part(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    expect_refusal([&] { parse(part); }, "replace it with an undamaged copy");
  }
}

TEST(Safetensors, RefusesSurplusBytes) {
  bytes file = reference_file();
  file.push_back(0);
  expect_refusal([&] { parse(file); }, "1 bytes behind its last tensor");
}

TEST(Safetensors, AlteredBytesAreRefusedOrHarmless) {
  const bytes file = reference_file();
  for (std::size_t i = 0; i < 336; ++i) {
    for (const int value : {0x00, 0x22, 0x2d, 0x30, 0x39, 0x5b, 0x7b, 0x7d, 0xff}) {
      bytes altered = file;
      altered[i] = static_cast<std::uint8_t>(value);
      testing::refusal([&] { encode_safetensors(parse(altered)); });  // and nothing else
    }
  }
}

TEST(Safetensors, RefusesBadLengths) {
  for (const std::uint64_t length :
       {std::uint64_t{1}, std::uint64_t{100'000'001}, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    bytes file(8);
    std::memcpy(file.data(), &length, sizeof length);
    expect_refusal([&] { parse(file); }, "header");
  }
  expect_refused_header("", 0, "not JSON");
  bytes file = file_with("{}", 0);
  file[0] = 3;  // one byte more than there is
  expect_refusal([&] { parse(file); }, "ends within its header");
}

TEST(Safetensors, RefusesWhatIsNoHeader) {
  expect_refused_header("[]", 0, "not a JSON object");
  expect_refused_header("{", 0, "not JSON");
  expect_refused_header("null", 0, "not a JSON object");
  expect_refused_header(std::string_view("{\"a\0\":1}", 8), 0, "not JSON");
  expect_refused_header(std::string_view("{}\0", 3), 0, "not JSON");
  expect_refused_header(std::string_view("{} \0{", 5), 0, "not JSON");
  expect_refused_header("{\"\xff\":1}", 0, "not JSON");
  expect_refused_header(R"({"a":1})", 0, "dtype, shape and data_offsets");
  expect_refused_header(R"({"a":{"dtype":"U8","shape":[1]}})", 1, "dtype, shape and data_offsets");
}

TEST(Safetensors, RefusesDeepNesting) {
  expect_refused_header(std::string(1'000'000, '['), 0, "nested too deeply");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_refused_header(objects, 0, "nested too deeply");
  expect_refused_header(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1,
                        "impossible shape");
}

TEST(Safetensors, RefusesRepeatedNames) {
  constexpr std::string_view entry = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  expect_refused_header("{" + std::string(entry) + "," + std::string(entry) + "}", 1, "twice");
  expect_refused_header(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1,
                        "twice");
  expect_refused_header(R"({"__metadata__":{"k":"1","k":"2"}})", 0, "twice");
  // The same key in two tensors is no repetition.
  EXPECT_EQ(parse(file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                            R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                            2))
                .tensors.size(),
            2U);
}

TEST(Safetensors, RefusesBadMetadata) {
  expect_refused_header(R"({"__metadata__":[]})", 0, "not a JSON object");
  expect_refused_header(R"({"__metadata__":{"k":1}})", 0, "is not text");
}

TEST(Safetensors, RefusesBadShapes) {
  const auto with_shape = [](const std::string& shape) {
    return R"({"a":{"dtype":"F32","data_offsets":[0,8],"shape":)" + shape + "}}";
  };
  EXPECT_EQ(parse(file_with(with_shape("[2]"), 8)).tensors.size(), 1U);
  for (const char* shape : {"[-2]", "[2.0]", "[\"2\"]", "[1e3]", "[9223372036854775808]",
                            "[99999999999999999999999]", "[true]", "[null]"}) {
    expect_refused_header(with_shape(shape), 8, "impossible shape");
  }
  expect_refused_header(with_shape("2"), 8, "no list");
  // 2^31 * 2^31 * 2^2 * 4 bytes = 2^66; wrapped around it would be 0, and 2^64 + 8 would be 8.
  expect_refused_header(with_shape("[2147483648,2147483648,4]"), 8, "do not fit");
  expect_refused_header(with_shape("[4611686018427387906]"), 8, "do not fit");
  expect_refused_header(with_shape("[3]"), 8, "do not fit");
}

TEST(Safetensors, RefusesBadOffsets) {
  const auto with_offsets = [](const std::string& offsets) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + offsets + "}}";
  };
  for (const char* offsets : {"[4,0]", "[-4,0]", "[0,4.0]", "[0,\"4\"]"}) {
    expect_refused_header(with_offsets(offsets), 4, "impossible offsets");
  }
  for (const char* offsets : {"[]", "[0]", "[0,4,8]", "4", "null"}) {
    expect_refused_header(with_offsets(offsets), 4, "no two offsets");
  }
  expect_refused_header(with_offsets("[0,5]"), 4, "behind the end");
  expect_refused_header(with_offsets("[18446744073709551612,18446744073709551615]"), 4,
                        "behind the end");
  expect_refused_header(with_offsets("[1,5]"), 5, "follows a gap");
}

TEST(Safetensors, RefusesOverlaps) {
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };
  EXPECT_EQ(parse(file_with(two("[4,8]", "[0,4]"), 8)).tensors.front().name, "b");
  expect_refused_header(two("[0,4]", "[0,4]"), 4, "overlaps");
  expect_refused_header(two("[0,4]", "[3,7]"), 7, "overlaps");
  expect_refused_header(two("[0,4]", "[5,9]"), 9, "follows a gap");
}

// As the reference implementation does, but for types that are not known there.
TEST(Safetensors, WhatItDoesNotKnowSpoilsNothingElse) {
  for (const char* type :
       {"U64", "U16", "U32", "F8_E4M3", "C64", "F4", "Q3_K", "f32", "\\u001b[2J"}) {
    const int size = std::string_view(type) == "U64" || std::string_view(type) == "C64" ? 8
                     : std::string_view(type) == "U32"                                  ? 4
                     : std::string_view(type) == "U16"                                  ? 2
                                                                                        : 1;
    const int extent = std::string_view(type) == "F4" ? 2 : 1;
    const safetensors content = parse(file_with(
        R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"aux":{"dtype":")" +
            std::string(type) + R"(","shape":[)" + std::to_string(extent) +
            R"(],"data_offsets":[4,)" + std::to_string(4 + size) + R"(],"new":{"key":[[1]]}}})",
        static_cast<std::size_t>(4 + size)));
    EXPECT_EQ(content.at("w").values<float>().size(), 1U) << type;
    expect_refusal([&] { content.at("aux").values<float>(); }, "where F32 is needed");
  }
  EXPECT_TRUE(parse(file_with(R"({"__metadata__":null})", 0)).metadata.empty());
  for (const char* type : {"1", "null", "[]"}) {
    expect_refused_header(
        std::string(R"({"a":{"shape":[1],"data_offsets":[0,1],"dtype":)") + type + "}}", 1,
        "no text as its dtype");
  }
  // Sizes of what is known are checked, in bits where elements are smaller than bytes.
  expect_refused_header(R"({"a":{"dtype":"U64","shape":[1],"data_offsets":[0,1]}})", 1, "not fit");
  expect_refused_header(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, "not fit");
  expect_refused_header(R"({"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,4]}})", 4,
                        "not fit");
}

// All 65,536 of each, against the definition.
TEST(Safetensors, HalvesAreReadAsFloats) {
  bytes raw(2 * 65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    raw[2 * i] = static_cast<std::uint8_t>(i % 256);
    raw[2 * i + 1] = static_cast<std::uint8_t>(i / 256);
  }
  const tensor half{"h", dtype::f16, {65536}, raw};
  const tensor brain{"b", dtype::bf16, {65536}, raw};
  const auto check = [](const std::vector<float>& values, int fraction_bits, int bias, int top) {
    for (int i = 0; i < 65536; ++i) {
      const int exponent = i >> fraction_bits & top;
      const int fraction = i & ((1 << fraction_bits) - 1);
      const float got = values[static_cast<std::size_t>(i)];
      EXPECT_EQ(std::signbit(got), i >= 32768) << i;
      if (exponent == top && fraction != 0) {
        EXPECT_TRUE(std::isnan(got)) << i;
        continue;
      }
      double size = std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
      if (exponent == 0) size = std::ldexp(fraction, 1 - bias - fraction_bits);
      if (exponent == top) size = std::numeric_limits<double>::infinity();
      EXPECT_EQ(std::abs(static_cast<double>(got)), size) << i;
    }
  };
  check(half.values<float>(), 10, 15, 31);
  check(brain.values<float>(), 7, 127, 255);
  expect_refusal([&] { half.values<double>(); }, "holds F16 where F64 is needed");
  expect_refusal(
      [&] {
        tensor({"d", dtype::f64, {1}, bytes(8)}).values<float>();
      },
      "holds F64 where F32 is needed");
}

// A reader or writer that walks all names at every name takes minutes for so many, and is ended.
TEST(Safetensors, ReadsManyTensors) {
  safetensors content;
  for (int i = 0; i < 80'000; ++i) {
    content.tensors.push_back({"layer." + std::to_string(i) + ".weight", dtype::u8, {1}, {1}});
  }
  EXPECT_EQ(parse(encode_safetensors(content)).tensors.size(), 80'000U);
}

TEST(Safetensors, ReadsNothingBeforeTheHeaderIsRight) {
  const testing::temporary_directory directory;
  testing::put(directory / "holes", "");
  fs::resize_file(directory / "holes", std::uintmax_t{7} << 30);
  expect_refusal([&] { read_safetensors(directory / "holes"); }, "not JSON");
  testing::put(directory / "cut",
               file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  EXPECT_EQ(read_safetensors(directory / "cut").tensors.size(), 1U);
  fs::resize_file(directory / "cut", std::uintmax_t{7} << 30);
  expect_refusal([&] { read_safetensors(directory / "cut"); }, "bytes behind its last tensor");
  EXPECT_THROW(read_safetensors_metadata(directory / "holes"), not_safetensors);
  write_safetensors(directory / "a", example());
  EXPECT_EQ(read_safetensors_metadata(directory / "a"), example().metadata);
}

TEST(Safetensors, NamesFromTheFileCannotReachTheTerminal) {
  expect_refused_header(R"({"\u001b[2J":{"dtype":"X","shape":[],"data_offsets":[0,2]}})", 1,
                        "\\x1b[2J");
}

TEST(Safetensors, WriterRefusesWhatItCannotReadBack) {
  safetensors content;
  content.tensors = {{"a", dtype::f32, {2}, bytes(7)}};
  EXPECT_THROW(encode_safetensors(content), std::invalid_argument);
  content.tensors = {{"a", dtype::u8, {1}, bytes(1)}, {"a", dtype::i64, {1}, bytes(8)}};
  EXPECT_THROW(encode_safetensors(content), std::invalid_argument);
  content.tensors = {{"__metadata__", dtype::u8, {1}, bytes(1)}};
  EXPECT_THROW(encode_safetensors(content), std::invalid_argument);
  content.tensors = {{"\xff", dtype::u8, {1}, bytes(1)}};
  EXPECT_THROW(encode_safetensors(content), std::invalid_argument);
  content.tensors = {{"a", dtype::u8, {-1}, {}}};
  EXPECT_THROW(encode_safetensors(content), std::invalid_argument);
  EXPECT_THROW(make_tensor<float>("a", {3}, std::array{1.0F, 2.0F}), std::invalid_argument);
}

TEST(Safetensors, AccessIsChecked) {
  const safetensors content = example();
  EXPECT_EQ(content.find("absent"), nullptr);
  expect_refusal([&] { content.at("absent"); }, "no tensor \"absent\"");
  expect_refusal([&] { content.at("weight").values<double>(); }, "holds F32 where F64 is needed");
  expect_refusal(
      [&] {
        content.at("weight").require_shape({2, 3});
      },
      "the shape [2, 2] where [2, 3] is needed");
  content.at("weight").require_shape({2, 2});
}

TEST(Safetensors, FilesRoundTrip) {
  const testing::temporary_directory directory;
  write_safetensors(directory / "a", example());
  EXPECT_EQ(read_safetensors(directory / "a").tensors, parse(reference_file()).tensors);
  expect_refusal([&] { read_safetensors(directory / "a", 100); }, "larger than");
}

TEST(Safetensors, RealFiles) {
  const char* const data = std::getenv("ZO_DATA_DIR");
  const fs::path file = fs::path(data == nullptr ? "" : data) / "zo_ae_ds/encoder.safetensors";
  if (!fs::exists(file)) GTEST_SKIP() << "ZO_DATA_DIR names no directory with zo_ae_ds";
  const safetensors content = read_safetensors(file);
  content.at("encoder.0.weight").require_shape({24, 3, 4, 4});
  EXPECT_EQ(content.at("encoder.0.weight").values<float>().size(), 1152U);
  const safetensors again = parse(encode_safetensors(content));
  EXPECT_EQ(again.metadata, content.metadata);
  for (const tensor& each : content.tensors) EXPECT_EQ(again.at(each.name), each);
}

}  // namespace
}  // namespace app

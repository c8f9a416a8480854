#include "common/idx.hpp"

#include <zlib.h>

#include <cstddef>

#include "support.hpp"

namespace app {
namespace {

using testing::bytes;
using testing::expect_refusal;

bytes gzipped(const bytes& plain) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  bytes out(deflateBound(&stream, static_cast<uLong>(plain.size())) + 32);
  stream.next_in = const_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

const bytes two_images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
                          0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};

idx_array parse(const bytes& file, int rank = 3, std::uint64_t limit = 1 << 20) {
  return parse_idx(file, rank, "test.idx", limit);
}

TEST(Idx, ReadsPlainAndGzipped) {
  for (const bytes& file : {two_images, gzipped(two_images)}) {
    const idx_array array = parse(file);
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 2, 3}));
    EXPECT_EQ(array.values, (bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255}));
  }
}

TEST(Idx, RefusesEveryTruncation) {
  for (const bytes& file : {two_images, gzipped(two_images)}) {
    for (std::size_t size = 0; size < file.size(); ++size) {
      const bytes part(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
      expect_refusal([&] { parse(part); }, "replace it with an undamaged copy");
    }
  }
}

TEST(Idx, RefusesEveryAlteredHeaderByte) {
  for (std::size_t i = 0; i < 16; ++i) {
    bytes file = two_images;
    file[i] = static_cast<std::uint8_t>(file[i] + 1);
    expect_refusal([&] { parse(file); }, "test.idx");
  }
}

TEST(Idx, RefusesEveryAlteredGzipByte) {
  const bytes file = gzipped(two_images);
  for (std::size_t i = 0; i < file.size(); ++i) {
    if (i >= 4 && i <= 9) continue;  // time, flags of the compressor, system: no information
    bytes altered = file;
    altered[i] = static_cast<std::uint8_t>(altered[i] ^ 0x55);
    EXPECT_TRUE(testing::refusal([&] { parse(altered); })) << "byte " << i;
  }
}

TEST(Idx, RefusesSurplusBytes) {
  bytes file = two_images;
  file.push_back(0);
  expect_refusal([&] { parse(file); }, "does not end after the 12 bytes");
  expect_refusal([&] { parse(gzipped(file)); }, "does not end after the 12 bytes");
  bytes trailing = gzipped(two_images);
  trailing.push_back('x');
  expect_refusal([&] { parse(trailing); }, "what follows its gzip data is none");
  bytes twice = gzipped(two_images);
  const bytes copy = twice;
  twice.insert(twice.end(), copy.begin(), copy.end());
  expect_refusal([&] { parse(twice); }, "does not end");
}

TEST(Idx, SaysWhatIsWrong) {
  expect_refusal([] { parse({}); }, "ends within its header");
  expect_refusal(
      [] {
        parse({'h', 'e', 'l', 'l', 'o', ' ', 'w', 'o', 'r', 'l', 'd', 0, 0, 0, 0, 0});
      },
      "not an IDX file");
  expect_refusal([] { parse(two_images, 1); },
                 "it has 3 dimensions instead of 1; name the right file.");
  const std::pair<std::uint8_t, const char*> types[] = {
      {0x09, "signed bytes"},
      {0x0b, "integers of 16 bits"},
      {0x0c, "integers of 32 bits"},
      {0x0d, "floating-point numbers of 32 bits"},
      {0x0e, "floating-point numbers of 64 bits"}};
  for (const auto& [code, name] : types) {
    bytes other = two_images;
    other[2] = code;
    expect_refusal([&] { parse(other); }, "its values are " + std::string(name) +
                                              " and not unsigned bytes; name a file of bytes.");
  }
  bytes none = two_images;
  none[7] = 0;
  none.resize(16);
  expect_refusal([&] { parse(none); }, "one of its dimensions is 0; name a file that holds");
  const bytes four_dimensions = {0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7};
  expect_refusal([&] { parse(four_dimensions); }, "it has 4 dimensions instead of 3; name");
}

bytes joined(const std::vector<bytes>& parts) {
  bytes all;
  for (const bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// A gzip file with all optional fields: extra, name, comment and the checksum of the header.
bytes with_all_fields(const bytes& plain) {
  const bytes file = gzipped(plain);
  bytes out = {0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3, 4, 0, 'e', 'x', 't', 'r'};
  for (const char c : std::string_view("name\0comment\0", 13)) {
    out.push_back(static_cast<std::uint8_t>(c));
  }
  const auto sum = crc32_z(0, out.data(), out.size());
  out.push_back(static_cast<std::uint8_t>(sum & 0xff));
  out.push_back(static_cast<std::uint8_t>(sum >> 8 & 0xff));
  out.insert(out.end(), file.begin() + 10, file.end());
  return out;
}

// RFC 1952: a file is a series of members; gzip ignores zeros behind them.
TEST(Idx, ReadsWhatGzipReads) {
  const bytes empty = gzipped({});
  for (std::size_t cut = 0; cut <= two_images.size(); ++cut) {
    const auto middle = two_images.begin() + static_cast<std::ptrdiff_t>(cut);
    const bytes first = gzipped({two_images.begin(), middle});
    const bytes last = gzipped({middle, two_images.end()});
    EXPECT_EQ(parse(joined({first, last})).values.size(), 12U) << cut;
    EXPECT_EQ(parse(joined({empty, first, empty, empty, last, empty})).values.size(), 12U);
    expect_refusal([&] { parse(joined({first, bytes(3), last})); }, "");
    bytes altered = joined({first, last});
    altered[first.size() - 5] ^= 1;  // of the checksum of the first member
    expect_refusal([&] { parse(altered); }, "gzip data are damaged");
  }
  const bytes whole = gzipped(two_images);
  EXPECT_EQ(parse(joined({whole, bytes(1)})).values.size(), 12U);
  EXPECT_EQ(parse(joined({whole, bytes(100'000)})).values.size(), 12U);
  EXPECT_EQ(parse(with_all_fields(two_images)).values.size(), 12U);
  expect_refusal([&] { parse(joined({whole, bytes(7), {1}})); }, "what follows its gzip data");
  expect_refusal([&] { parse(joined({whole, {0x1f, 0x8b}})); }, "");
  expect_refusal([&] { parse(joined({whole, gzipped({5})})); }, "does not end after the 12 bytes");
}

// What the header announces is compared with the size of the file before more is read.
TEST(Idx, ReadsNoMoreThanTheHeaderAnnounces) {
  const testing::temporary_directory directory;
  for (const bytes& beginning :
       {bytes{0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3}, gzipped({0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3})}) {
    testing::put(directory / "labels", beginning);
    std::filesystem::resize_file(directory / "labels", std::uintmax_t{1} << 30);
    expect_refusal([&] { read_idx_labels(directory / "labels", 10); },
                   "does not end after the 3 bytes");
  }
  testing::put(directory / "labels", bytes{0, 0, 8, 1, 0x20, 0, 0, 0, 1});
  expect_refusal([&] { read_idx_labels(directory / "labels", 10); }, "shorter than the 536870912");
  testing::put(directory / "labels", bytes{});
  std::filesystem::resize_file(directory / "labels", std::uintmax_t{1} << 30);
  expect_refusal([&] { read_idx_labels(directory / "labels", 10); }, "not an IDX file");
}

TEST(Idx, RefusesHugeDimensionsBeforeReserving) {
  bytes file = {0, 0, 8, 3};
  file.insert(file.end(), 12, 0xff);  // (2^32-1)^3 overflows 64 bits
  expect_refusal([&] { parse(file, 3, ~std::uint64_t{0}); }, "announces more than");
  const bytes one_gigabyte = {0, 0, 8, 1, 0x40, 0, 0, 0, 1, 2, 3};
  expect_refusal([&] { parse(one_gigabyte, 1, 1 << 20); }, "announces more than the 1.0 MiB");
  expect_refusal([&] { parse(one_gigabyte, 1, std::uint64_t{1} << 31); }, "shorter than");
}

TEST(Idx, RefusesADecompressionBomb) {
  bytes file = {0, 0, 8, 1, 0, 0, 0, 1};
  file.resize(20'000'000);  // announces 1 byte, unpacks to 20 MB
  const bytes bomb = gzipped(file);
  ASSERT_LT(bomb.size(), 40'000U);
  expect_refusal([&] { parse(bomb, 1); }, "does not end after the 1 bytes");
}

TEST(Idx, HoldsAtTheBoundOfDeflate) {
  bytes file = {0, 0, 8, 1, 0, 0x98, 0x96, 0x80};  // 10,000,000 equal bytes: the best case
  file.resize(8 + 10'000'000, 7);
  EXPECT_EQ(parse(gzipped(file), 1, 1 << 24).values.size(), 10'000'000U);
}

TEST(Idx, ChecksLabels) {
  const testing::temporary_directory directory;
  testing::put(directory / "labels", bytes{0, 0, 8, 1, 0, 0, 0, 3, 0, 9, 4});
  EXPECT_EQ(read_idx_labels(directory / "labels", 10).values, (bytes{0, 9, 4}));
  expect_refusal([&] { read_idx_labels(directory / "labels", 9); },
                 "it has the label 9, but there are only 9 classes");
  expect_refusal([&] { read_idx_images(directory / "labels"); },
                 "it has 1 dimensions instead of 3");
  expect_refusal([&] { read_idx_images(directory / "missing"); }, "check the path");
}

}  // namespace
}  // namespace app

#include "common/picture.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <set>

#include "common/font.hpp"
#include "support.hpp"

namespace app {
namespace {

using testing::bytes;

struct decoded {
  std::int64_t width, height;
  bytes pixels;

  std::array<int, 3> at(std::int64_t x, std::int64_t y) const {
    const auto i = static_cast<std::size_t>(3 * (y * width + x));
    return {pixels.at(i), pixels.at(i + 1), pixels.at(i + 2)};
  }
};

decoded decode(const bytes& png) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&header, png.data(), png.size()), 0);
  header.format = PNG_FORMAT_RGB;
  decoded out{header.width, header.height, bytes(PNG_IMAGE_SIZE(header))};
  EXPECT_NE(png_image_finish_read(&header, nullptr, out.pixels.data(), 0, nullptr), 0);
  return out;
}

/// Two rows and columns of 2 x 3 grey images, each of one value, without captions.
image_sheet example() {
  image_sheet sheet;
  sheet.column_captions = {"", ""};
  sheet.image_rows = 2;
  sheet.image_columns = 3;
  sheet.scale = 5;
  for (const int value : {0, 80, 160, 240}) {
    sheet.images.emplace_back(6, static_cast<std::uint8_t>(value));
  }
  return sheet;
}

TEST(Picture, PlacesEnlargedImages) {
  const decoded picture = decode(encode_png(example()));
  std::array<std::int64_t, 256> area{};
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3) ++area.at(picture.pixels[i]);
  for (const std::size_t value : {0U, 80U, 160U, 240U}) EXPECT_EQ(area.at(value), 10 * 15);
  // In reading order: left to right, then down.
  const auto first = [&](int value) {
    for (std::int64_t y = 0; y < picture.height; ++y) {
      for (std::int64_t x = 0; x < picture.width; ++x) {
        if (picture.at(x, y)[0] == value) return std::pair(y, x);
      }
    }
    return std::pair<std::int64_t, std::int64_t>(-1, -1);
  };
  EXPECT_EQ(first(0).first, first(80).first);
  EXPECT_LT(first(0).second, first(80).second);
  EXPECT_EQ(first(0).second, first(160).second);
  EXPECT_LT(first(0).first, first(160).first);
}

TEST(Picture, KeepsColoursApart) {
  image_sheet sheet = example();
  sheet.channels = 3;
  sheet.column_captions = {""};
  bytes image(18, 10);  // red plane
  std::fill(image.begin() + 6, image.begin() + 12, std::uint8_t{20});
  std::fill(image.begin() + 12, image.end(), std::uint8_t{30});
  image[1] = 99;  // the red of row 0, column 1
  sheet.images = {image};
  const decoded picture = decode(encode_png(sheet));
  std::set<std::array<int, 3>> seen;
  std::int64_t marked = 0;
  for (std::int64_t y = 0; y < picture.height; ++y) {
    for (std::int64_t x = 0; x < picture.width; ++x) {
      seen.insert(picture.at(x, y));
      marked += picture.at(x, y)[0] == 99 ? 1 : 0;
    }
  }
  EXPECT_EQ(seen, (std::set<std::array<int, 3>>{{10, 20, 30}, {99, 20, 30}, {255, 255, 255}}));
  EXPECT_EQ(marked, 25);
}

TEST(Picture, CaptionsTakeRoomAndShow) {
  const decoded bare = decode(encode_png(example()));
  image_sheet sheet = example();
  sheet.title = "Title \xce\xa3";
  sheet.column_captions = {"noisy", "denoised and decoded"};
  sheet.row_captions = {"Trouser", ""};
  const decoded picture = decode(encode_png(sheet));
  EXPECT_GT(picture.height, bare.height + 3 * glyph_height);
  EXPECT_GE(picture.width, bare.width + 7 * glyph_width);
  EXPECT_GT(std::count(picture.pixels.begin(), picture.pixels.end(), 30), 300);
}

TEST(Picture, EveryCharacterButBlankHasAGlyph) {
  for (std::size_t i = 1; i < glyphs.size(); ++i) {
    EXPECT_TRUE(std::any_of(glyphs[i].begin(), glyphs[i].end(), [](auto row) { return row != 0; }))
        << static_cast<char>(' ' + static_cast<char>(i));
  }
}

TEST(Picture, RefusesWhatDoesNotFit) {
  const auto refused = [](auto change) {
    image_sheet sheet = example();
    change(sheet);
    EXPECT_THROW(encode_png(sheet), std::invalid_argument);
  };
  refused([](image_sheet& s) { s.channels = 2; });
  refused([](image_sheet& s) { s.images.pop_back(); });
  refused([](image_sheet& s) { s.images.clear(); });
  refused([](image_sheet& s) { s.column_captions.clear(); });
  refused([](image_sheet& s) { s.row_captions = {"one"}; });
  refused([](image_sheet& s) { s.images[2].pop_back(); });
  refused([](image_sheet& s) { s.scale = 0; });
  refused([](image_sheet& s) { s.image_rows = -2; });
  refused([](image_sheet& s) {
    s.image_rows = s.image_columns = 1000;
    s.scale = 64;
    s.images.assign(4, bytes(1'000'000));
  });
}

TEST(Picture, FloatsBecomeBytes) {
  const std::array values = {-1.0F, 0.0F, 0.5F, 1.0F, 7.0F, std::nanf("")};
  EXPECT_EQ(to_bytes(values), (bytes{0, 0, 128, 255, 255, 0}));
}

TEST(Picture, WritesAFile) {
  const testing::temporary_directory directory;
  write_image_sheet(directory / "a.png", example());
  EXPECT_EQ(testing::as_bytes(testing::get(directory / "a.png")), encode_png(example()));
}

}  // namespace
}  // namespace app

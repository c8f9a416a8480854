// A small stand-in for libFuzzer: runs every file of a corpus, then a fixed sequence of mutations.
// Usage: <program> RUNS CORPUS_DIRECTORY
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using bytes = std::vector<std::uint8_t>;

std::vector<bytes> read_corpus(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());  // the same order on every machine
  std::vector<bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

/// One random edit: flip, overwrite with a telling value, erase, duplicate, insert, cut, splice.
void mutate(bytes& input, const std::vector<bytes>& corpus, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  if (input.empty()) {
    input.push_back(static_cast<std::uint8_t>(random()));
    return;
  }
  constexpr std::uint8_t telling[] = {0,   1,   8,   0x1f, 0x7f, 0x80, 0xff, '"', '{', '}',
                                      '[', ']', ',', ':',  '-',  '0',  '9',  'e', '.', '\\'};
  const std::size_t at = below(input.size());
  const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
  const std::size_t length = 1 + below(std::min<std::size_t>(input.size() - at, 16));
  const auto end = place + static_cast<std::ptrdiff_t>(length);
  switch (below(7)) {
    case 0:
      *place = static_cast<std::uint8_t>(*place ^ 1U << below(8));
      break;
    case 1:
      *place = telling[below(std::size(telling))];
      break;
    case 2:
      input.erase(place, end);
      break;
    case 3: {
      const bytes copy(place, end);
      input.insert(place, copy.begin(), copy.end());
      break;
    }
    case 4:
      input.insert(place, telling[below(std::size(telling))]);
      break;
    case 5:
      input.resize(at);
      break;
    default: {
      const bytes& other = corpus[below(corpus.size())];
      const auto from = static_cast<std::ptrdiff_t>(std::min(at, other.size()));
      input.resize(at);
      input.insert(input.end(), other.begin() + from, other.end());
    }
  }
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 3) {
    std::cerr << "Usage: " << arguments[0] << " RUNS CORPUS_DIRECTORY\n";
    return 2;
  }
  long runs = 0;
  const char* const end = arguments[1] + std::strlen(arguments[1]);
  if (std::from_chars(arguments[1], end, runs).ptr != end || end == arguments[1] || runs < 0) {
    std::cerr << "RUNS must be a whole number from 0 on, got " << arguments[1] << ".\n";
    return 2;
  }
  const std::vector<bytes> corpus = read_corpus(arguments[2]);
  if (corpus.empty()) {
    std::cerr << "There is no file in " << arguments[2] << ".\n";
    return 2;
  }
  for (const bytes& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());
  std::mt19937_64 random(1);
  for (long run = 0; run < runs; ++run) {
    bytes input = corpus[static_cast<std::size_t>(run) % corpus.size()];
    for (std::uint64_t edits = 1 + random() % 4; edits > 0; --edits) mutate(input, corpus, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::cout << corpus.size() << " files and " << runs << " mutations: nothing broke.\n"
            << std::flush;
  return std::cout ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "A reader threw what it may not throw: " << error.what() << '\n';
  return 1;
}

// compare_checkpoints A B [tensors]: exits with 0 when both hold the same tensors bit for bit and,
// without the last word, come from the same settings.
#include <cstdio>
#include <exception>

#include "common/checkpoint.hpp"

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  try {
    const app::safetensors a = app::load_checkpoint(argv[1]);
    const app::safetensors b = app::load_checkpoint(argv[2]);
    for (const char* key : {"step", "queries", "loss", "settings"}) {
      if (argc == 3 && a.metadata.contains(key) && a.metadata.at(key) != b.metadata.at(key)) {
        std::fprintf(stderr, "%s differs: %s and %s\n", key, a.metadata.at(key).c_str(),
                     b.metadata.at(key).c_str());
        return 1;
      }
    }
    if (a.tensors == b.tensors) return 0;
    std::fprintf(stderr, "tensors of %s and %s differ\n", argv[1], argv[2]);
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

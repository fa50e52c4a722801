// Runs a fuzz target if the compiler has no libFuzzer, so that every test run feeds each target its corpus and a few
// seconds of random changes to it, under the sanitizers. It does not measure coverage: the preset `fuzz` looks for new
// paths. Accepts the flags of libFuzzer that tests/fuzz/CMakeLists.txt uses. Prints its seed first; BULKHEAD_SEED
// repeats the same inputs in the same order.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::chrono::seconds time{10};
  std::size_t longest = 4096;
  std::vector<std::string> seeds{""};
};

void read_corpus(const std::string& directory, std::vector<std::string>& seeds) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const std::string value(word.substr(std::min(word.find('=') + 1, word.size())));
    if (word.starts_with("-max_total_time=")) options.time = std::chrono::seconds(std::stoi(value));
    if (word.starts_with("-max_len=")) options.longest = std::stoul(value);
    if (!word.starts_with('-')) read_corpus(std::string(word), options.seeds);
  }
  return options;
}

class Changes {
 public:
  Changes(std::uint64_t seed, const Options& options) : random_(seed), options_(options) {}

  std::string next() {
    std::string text = any();
    for (std::size_t left = 1 + below(6); left != 0; --left) change(text);
    if (text.size() > options_.longest) text.resize(options_.longest);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random_() % n); }
  const std::string& any() { return options_.seeds[below(options_.seeds.size())]; }
  char byte() { return static_cast<char>(below(256)); }

  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    switch (below(6)) {
      case 0: text.insert(at, 1, byte()); break;
      case 1: text.erase(at, 1 + below(8)); break;
      case 2: text.insert(at, text.substr(below(text.size()), below(32))); break;
      case 3: {
        const std::string& other = any();
        text.replace(at, below(64), other.substr(below(other.size()), below(64)));
        break;
      }
      case 4: text += std::string(1 + below(16), byte()); break;
      default:
        if (at < text.size())
          text[at] =
              below(2) == 0 ? byte() : static_cast<char>(static_cast<unsigned char>(text[at]) ^ (1U << below(8)));
    }
  }

  std::mt19937_64 random_;
  const Options& options_;
};

void run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  const char* const wanted = std::getenv("BULKHEAD_SEED");
  const std::uint64_t seed = wanted == nullptr ? std::random_device{}() : std::strtoull(wanted, nullptr, 10);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  for (const std::string& text : options.seeds) run(text);
  Changes changes(seed, options);
  std::size_t runs = 0;
  for (const auto end = Clock::now() + options.time; Clock::now() < end; ++runs) run(changes.next());
  std::printf("%zu inputs\n", runs);
  return 0;
}

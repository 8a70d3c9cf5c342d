// Runs a fuzzing harness where there is no libFuzzer: the files of a corpus, then mutations of them that a seed
// decides.
//
//   PROGRAM RUNS SEED FILE...
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
const char* __asan_default_options() { return "abort_on_error=1:hard_rss_limit_mb=512:max_allocation_size_mb=512"; }
const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }
}

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kMostBytes = 65536;        // of a file
constexpr std::uint64_t kMostMutations = 4;      // on top of one another
constexpr time_t kMostSeconds = 1;               // of the processor, for one file
constexpr rlim_t kMostMemory = rlim_t{1} << 29;  // where no sanitizer watches over it
constexpr const char* kFinding = "finding";      // the file that keeps what the harness did not survive

std::mt19937_64 random_bits;
Bytes input;

// Nothing but system calls: the heap may be broken.
void keep_input(int signal) {
  std::signal(signal, SIG_DFL);
  const int file = open(kFinding, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const bool kept = file >= 0 && write(file, input.data(), input.size()) >= 0;
  constexpr char text[] = "the harness did not survive its input, which is in the file 'finding'\n";
  if (kept && write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(1);
  std::raise(signal);
}

void run() {
  const itimerval limit{{0, 0}, {kMostSeconds, 0}};
  setitimer(ITIMER_PROF, &limit, nullptr);
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

void limit_resources() {
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGPROF}) std::signal(signal, keep_input);
#ifndef __SANITIZE_ADDRESS__
  const rlimit memory{kMostMemory, kMostMemory};
  setrlimit(RLIMIT_AS, &memory);
#endif
}

}  // namespace

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most) {
  if (size == 0) return 0;
  switch (random_bits() % 4) {
    case 0:  // cut off
      return random_bits() % size;
    case 1:  // something appended
      for (; size < most && random_bits() % 8 > 0; ++size) data[size] = static_cast<std::uint8_t>(random_bits());
      return size;
    default:
      for (std::uint64_t n = 1 + random_bits() % 4; n > 0; --n)
        data[random_bits() % size] ^= static_cast<std::uint8_t>(1u << (random_bits() % 8));
      return size;
  }
}

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: %s RUNS SEED FILE...\n", argv[0]), 2;
  const std::uint64_t runs = std::strtoull(argv[1], nullptr, 10), seed = std::strtoull(argv[2], nullptr, 10);
  limit_resources();
  std::vector<Bytes> corpus;
  for (int i = 3; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    input = corpus.back();
    run();
  }
  random_bits.seed(seed);
  for (std::uint64_t i = 0; i < runs; ++i) {
    input = corpus[random_bits() % corpus.size()];
    std::size_t size = input.size();
    input.resize(kMostBytes);
    for (std::uint64_t n = 1 + random_bits() % kMostMutations; n > 0; --n)
      size = LLVMFuzzerCustomMutator(input.data(), size, kMostBytes, static_cast<unsigned>(random_bits()));
    input.resize(size);
    run();
  }
  std::printf("%llu mutations of %zu files with the seed %llu: no finding\n", static_cast<unsigned long long>(runs),
              corpus.size(), static_cast<unsigned long long>(seed));
  return 0;
}

// What the core asks of the system: threads, which may be refused, and memory, which a control group may limit.
#include <pthread.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "src/memory.hpp"
#include "src/parallel.hpp"

namespace {

void check_covered(int n_threads, const std::string& what) {
  for (const std::int64_t n : {0, 1, 7, 64}) {
    std::vector<int> visits(static_cast<std::size_t>(n));
    atomcore::parallel_for(n, n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    check(visits == std::vector<int>(visits.size(), 1), std::to_string(n) + " items, " + what);
  }
}

void check_failure(const std::string& what) {
  bool caught = false;
  try {
    atomcore::parallel_for(8, 4, 1, [](std::int64_t begin, std::int64_t) {
      if (begin >= 4) throw std::runtime_error("from a range");
    });
  } catch (const std::runtime_error& error) {
    caught = std::string(error.what()) == "from a range";
  }
  check(caught, "an exception reaches the caller, " + what);
}

bool threads_start() {
  try {
    std::thread([] {}).join();
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void test_threads() {
  for (const int n_threads : {1, 2, 5}) check_covered(n_threads, std::to_string(n_threads) + " threads");
  check_failure("with threads");
  pthread_attr_t attributes;  // no address space is large enough for this stack
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::size_t{1} << 60);
  pthread_setattr_default_np(&attributes);
  check(!threads_start(), "no thread starts");
  check_covered(5, "where no thread starts");
  check_failure("where no thread starts");
}

void write(const std::filesystem::path& folder, const std::string& limit, const std::string& used, int file_pages) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "memory.max") << limit << "\n";
  std::ofstream(folder / "memory.current") << used << "\n";
  const std::string half = std::to_string(file_pages / 2);
  std::ofstream(folder / "memory.stat") << "anon 70\nfile 99\ninactive_file " << half << "\nactive_file " << half
                                        << "\nslab 5\n";
}

void test_memory() {
  const auto root = std::filesystem::temp_directory_path() / ("atomcore_memory_" + std::to_string(getpid()));
  const auto left = [&](const char* group) { return atomcore::control_group_memory(root.string(), group); };
  check(std::isinf(left("/")), "no control groups, no limit");
  write(root / "a", "2000000000", "500000000", 0);
  write(root / "a" / "b", "max", "500000000", 0);
  write(root / "a" / "c", "900000000", "500000000", 200000000);
  write(root / "a" / "d", "900000000", "950000000", 0);
  check(std::isinf(left("/")), "the root has no limit");
  check(left("/a") == 1.5e9, "limit less usage");
  check(left("/a/b") == 1.5e9, "the limit of the group around");
  check(left("/a/c") == 6e8, "pages of files do not count");
  check(left("/a/d") == 0.0, "nothing left");
  check(left("/a/c/none") == 6e8, "a group that is not there");
  std::filesystem::remove_all(root);
  check(atomcore::usable_memory() > 0.0 && std::isfinite(atomcore::usable_memory()), "this machine has memory");
}

}  // namespace

int main() {
  test_memory();
  test_threads();
  return report();
}

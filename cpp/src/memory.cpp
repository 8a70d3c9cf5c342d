#include "src/memory.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace atomcore {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

double left_by(const std::string& folder) {
  double limit = 0.0, used = 0.0;
  if (!(std::ifstream(folder + "/memory.max") >> limit)) return kUnlimited;  // no file, or the word "max"
  std::ifstream(folder + "/memory.current") >> used;
  std::ifstream stat(folder + "/memory.stat");
  std::string key;
  for (double bytes = 0.0; stat >> key >> bytes;)
    if (key == "active_file" || key == "inactive_file") used -= bytes;
  return std::max(limit - std::max(used, 0.0), 0.0);
}

// The line of version 2 reads "0::/a/b".
std::string own_group() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("0::/", 0) == 0) return line.substr(3);
  return "/";
}

}  // namespace

double control_group_memory(const std::string& root, std::string group) {
  double least = left_by(root);
  for (; group.find('/') != std::string::npos; group.erase(group.rfind('/')))
    least = std::min(least, left_by(root + group));
  return least;
}

double usable_memory() {
  const double physical = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  return std::min(physical, control_group_memory("/sys/fs/cgroup", own_group()));
}

}  // namespace atomcore

// Layer 1: how much memory this process can still have.
#pragma once

#include <string>

namespace atomcore {

// Bytes: what the machine has, or less where a control group (a container, a batch job) leaves less.
double usable_memory();

// Bytes that the version 2 control group `group` ("/a/b") under the folder `root` and the groups around it leave:
// limit less usage, where pages of files do not count since they are dropped on demand. Infinity without a limit.
double control_group_memory(const std::string& root, std::string group);

}  // namespace atomcore

// Checks that print what failed and where, for test programs whose exit status is the number of failures.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

inline int& failures() {
  static int count = 0;
  return count;
}

inline int& checks() {
  static int count = 0;
  return count;
}

inline void check(bool passed, const std::string& what) {
  ++checks();
  if (passed) return;
  ++failures();
  std::printf("FAILED: %s\n", what.c_str());
}

// |a - b| <= tolerance * max(1, max |b|) for every element; a NaN fails.
inline void check_close(const char* where, const char* what, const std::vector<double>& a, const std::vector<double>& b,
                        double tolerance) {
  ++checks();
  double scale = 1, worst = 0;
  for (double x : b) scale = std::max(scale, std::abs(x));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  if (a.size() == b.size() && worst <= tolerance * scale) return;
  ++failures();
  std::printf("FAILED: %s, %s: differ by %.3e, allowed %.3e\n", where, what, worst, tolerance * scale);
}

inline int report() {
  std::printf("%d checks, %d failures\n", checks(), failures());
  return failures() == 0 ? 0 : 1;
}

// When two atoms are at one place.
#pragma once

namespace atomcore {

constexpr double kCoincident = 1e-6;  // Angstrom; closer atoms are refused by all that divides by distances

}  // namespace atomcore

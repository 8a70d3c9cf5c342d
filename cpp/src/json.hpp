// JSON from files that nobody vouches for: every failure is an Error that names the place. Internal to the readers.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/error.hpp"

namespace atomcore {

using Json = nlohmann::json;

[[noreturn]] inline void corrupt(const std::string& what) { throw Error(ErrorCode::corrupt_file, what); }

// `what` names the text in messages. Nesting is bounded, so that no later walk over the value can exhaust the stack.
inline Json parse_json(const char* begin, const char* end, const std::string& what) {
  constexpr int kMaxDepth = 32;
  const auto bound_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) corrupt(what + " is nested deeper than " + std::to_string(kMaxDepth) + " levels");
    return true;
  };
  try {
    return Json::parse(begin, end, bound_depth);
  } catch (const Json::parse_error& e) {  // its own message would quote bytes that may be anything
    corrupt(what + " is not valid JSON (at byte " + std::to_string(e.byte) + ")");
  } catch (const Json::exception&) {
    corrupt(what + " is not valid JSON (a number is out of range)");
  }
}

inline const Json& member(const Json& object, const std::string& key, const std::string& where) {
  if (!object.is_object()) corrupt(where + " is not an object");
  const auto found = object.find(key);
  if (found == object.end()) corrupt(where + " has no entry '" + key + "'");
  return *found;
}

inline const std::string& string_member(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_string()) corrupt("entry '" + key + "' of " + where + " is not a string");
  return value.get_ref<const std::string&>();
}

inline double number_member(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_number() || !std::isfinite(value.get<double>()))
    corrupt("entry '" + key + "' of " + where + " is not a finite number");
  return value.get<double>();
}

inline const Json& array_member(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_array()) corrupt("entry '" + key + "' of " + where + " is not a list");
  return value;
}

inline std::vector<std::string> strings_member(const Json& object, const std::string& key, const std::string& where) {
  std::vector<std::string> strings;
  for (const Json& item : array_member(object, key, where)) {
    if (!item.is_string()) corrupt("entry '" + key + "' of " + where + " is not a list of strings");
    strings.push_back(item.get_ref<const std::string&>());
  }
  return strings;
}

inline std::vector<std::int64_t> counts_member(const Json& object, const std::string& key, const std::string& where) {
  std::vector<std::int64_t> counts;
  for (const Json& item : array_member(object, key, where)) {
    if (!item.is_number_integer() || item.get<std::int64_t>() < 0)
      corrupt("entry '" + key + "' of " + where + " is not a list of non-negative integers");
    counts.push_back(item.get<std::int64_t>());
  }
  return counts;
}

template <typename Names>
std::string joined(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

// The position of `name` among `known`; other names are refused with the list of those that this version reads.
template <std::size_t N>
std::size_t known_name(const std::string& name, const std::array<const char*, N>& known, const std::string& what) {
  const auto found = std::find(known.begin(), known.end(), name);
  if (found == known.end())
    throw Error(ErrorCode::unsupported,
                what + " '" + name + "' is unknown to this version of atomcore, which reads " + joined(known));
  return static_cast<std::size_t>(found - known.begin());
}

}  // namespace atomcore

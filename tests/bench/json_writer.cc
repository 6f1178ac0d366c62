#include "tests/bench/json_writer.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace ursula::bench {

void JsonWriter::Separate() {
  if (!first_ && !after_key_) text_ += ',';
  first_ = false;
  after_key_ = false;
}

JsonWriter& JsonWriter::Begin(char bracket) {
  Separate();
  text_ += bracket;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::End(char bracket) {
  text_ += bracket;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  String(key);
  text_ += ':';
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  text_ += '"';
  for (char c : text) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escape = {};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
      text_ += escape.data();
    } else {
      text_ += c;
    }
  }
  text_ += '"';
  return *this;
}

JsonWriter& JsonWriter::Number(double value) {
  Separate();
  std::array<char, 40> digits = {};
  std::snprintf(digits.data(), digits.size(), "%.6g", value);
  text_ += std::isfinite(value) ? digits.data() : "null";
  return *this;
}

JsonWriter& JsonWriter::Integer(uint64_t value) {
  Separate();
  text_ += std::to_string(value);
  return *this;
}

}  // namespace ursula::bench

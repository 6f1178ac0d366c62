// server/ctl/json_text.h
//
// JSON as it is written: objects and arrays whose members come in the order of the calls.

#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "server/protocol/text.h"

namespace ursula::ctl {

class JsonWriter {
 public:
  JsonWriter& Begin(char bracket) {  // '{' or '['; as a member after Name, or as an element.
    Separate();
    out_ += bracket;
    first_ = true;
    return *this;
  }
  JsonWriter& End(char bracket) {
    out_ += bracket;
    first_ = false;
    return *this;
  }
  JsonWriter& Name(std::string_view name) {
    Separate();
    protocol::AppendJsonString(&out_, name);
    out_ += ':';
    first_ = true;  // Its value follows at once.
    return *this;
  }
  JsonWriter& Text(std::string_view value) {
    Separate();
    protocol::AppendJsonString(&out_, value);
    return *this;
  }
  JsonWriter& Flag(bool value) { return Raw(value ? "true" : "false"); }
  JsonWriter& Null() { return Raw("null"); }
  template <std::integral Integer>
  JsonWriter& Number(Integer value) {
    return Raw(std::to_string(value));
  }

  std::string Take() { return std::move(out_ += '\n'); }

 private:
  JsonWriter& Raw(std::string_view text) {
    Separate();
    out_ += text;
    return *this;
  }
  void Separate() {
    if (!first_) out_ += ',';
    first_ = false;
  }

  std::string out_;
  bool first_ = true;
};

}  // namespace ursula::ctl

// ursula/status.h
//
// Status says why the engine could not decide; Result<T> is a value or a Status. A decision of the
// stream (not found, closed, conflict ...) is no Status: it is the reply's Outcome
// (ursula/engine.h).

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ursula {

enum class StatusCode : uint8_t {
  kOk,
  kInvalidArgument,     // The caller's mistake; the message says which.
  kFailedPrecondition,  // A directory of another version or group count, an engine that has
                        // stopped.
  kUnavailable,         // No leader, or this log has failed. Nothing was applied: safe to retry.
  kResourceExhausted,   // A limit (`…_max`) is reached. Nothing was applied: retry after a pause.
  kStorageFull,         // The disk, or the memory in its place. Nothing was applied: retry once
                        // there is space. Reads go on.
  kOutcomeUnknown,      // May or may not be applied; retry under the same producer sequence.
  kCancelled,           // By Cancel or Stop. Of an append: nothing was applied.
  kDataLoss,            // Bytes on disk fail their checksum; they are never served.
  kIoError,             // The disk refused; the message names the file and errno.
  kInternal,
  kBehind,  // Of reads that may be a little old: what is here is older, or nobody can say how old.
};

// The code's name as it stands in messages and logs: "UNAVAILABLE".
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // Ok.
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  std::string ToString() const;  // "UNAVAILABLE: the message".

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit on purpose.
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit on purpose.
    if (status_.ok()) status_ = Status(StatusCode::kInternal, "a Result from an ok Status");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }  // Ok when there is a value.

  // REQUIRES: ok().
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace ursula

// server/http/chunk_decoder.h
//
// ChunkDecoder takes the chunked coding off a request body (RFC 9112, 7.1), byte by byte and to the
// letter: every line ends in CR LF, chunk extensions and trailer lines keep to their grammar. What
// a lenient decoder would let through is what lets two of them see different ends of one body.
// Extensions are ignored and trailers dropped: nothing here uses them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ursula::http {

class ChunkDecoder {
 public:
  enum class Event : uint8_t {
    kNeedMore,  // All bytes were consumed.
    kData,      // data() is a piece of the body.
    kEnd,       // The coding's end was consumed; what follows is not of this request.
    kError,     // See reason(). Nothing more is decoded.
  };

  // Consumes some of `bytes`; stops after each event.
  Event Feed(std::string_view bytes, std::size_t* consumed);

  std::string_view data() const { return data_; }      // After kData; a view into `bytes`.
  std::string_view reason() const { return reason_; }  // After kError.
  uint64_t chunk_bytes_left() const { return size_; }  // Of the chunk whose size line was read.
  bool in_data() const { return state_ == State::kData; }

 private:
  enum class State : uint8_t {
    kSizeStart,
    kSize,
    kSpaceAfterSize,
    kExtensionStart,  // After ';'.
    kExtensionName,
    kSpaceAfterName,
    kValueStart,  // After '='.
    kValue,
    kQuoted,
    kQuotedPair,
    kAfterQuoted,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kEndLf,
    kDone,
    kFailed,
  };

  // The state after `c`; kFailed with the reason set.
  State Step(char c);
  State StepSize(char c);
  State StepExtension(char c);
  State StepTrailer(char c);
  State AfterSizeLine(char c);  // What may follow a whole size or extension.
  State Fail(std::string_view reason);

  State state_ = State::kSizeStart;
  uint64_t size_ = 0;
  uint32_t digits_ = 0;
  std::string_view data_;
  std::string_view reason_;
};

}  // namespace ursula::http
